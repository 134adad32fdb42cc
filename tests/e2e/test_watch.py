"""`watch` from outside: captures and HEP go in, alerts, verdicts, metrics and captures come out.

The models are trained for a moment only.  Their limits are set by hand, so that it is known what the network will say:
a `strict` model finds every beginning that is not in training abnormal, a `lenient` one none.
"""
from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any, Callable, Iterator

import h5py
import packets as p
import pytest
from conftest import DIGEST_BLOCK, Result, Sipgpu, changing, settings

SOAK = os.environ.get("SIPGPU_SOAK") == "1"

CALL = "INVITE 100 180 200 ACK BYE 200"
REGISTER = "REGISTER 401 REGISTER 200"
BUSY = "INVITE 100 486 ACK"
CANCEL = "INVITE 100 180 CANCEL 200/CANCEL 487/INVITE ACK"
OPTIONS = "OPTIONS 200"
KNOWN = [CALL, "INVITE 100 180 200 ACK <BYE 200", REGISTER, BUSY, CANCEL, OPTIONS]

FIELDS = {"timestamp", "flow_id", "event_type", "src_ip", "src_port", "dest_ip", "dest_port", "proto", "sip", "anomaly",
          "schema_version"}
SIP_FIELDS = {"call_id", "from_tag", "to_tag", "seq", "last"}
ANOMALY_FIELDS = {"model", "reason", "score", "skewness", "kurtosis", "threshold", "position", "known_prefix",
                  "verdict"}
DETECTORS = "network,prefixes,protocol,sources"


# ---- models ----


def limited(model: Path, to: Path, going_on: float, over: float) -> Path:
    """The model with limits of the moments, of dialogs that go on and of those that are over."""
    shutil.copyfile(model, to)
    with changing(to) as f:
        f["prefix_thresholds"][:] = going_on
        for moment in ("skewness", "kurtosis"):
            f["thresholds"].attrs[moment] = float(over)
    return to


def train(sipgpu: Sipgpu, folder: Path, scripts: list[str], *options: Any) -> Path:
    """A model that was trained on dialogs of these scripts, all of them in the train split."""
    dialogs = [p.call(f"train{n}@a", scripts[n % len(scripts)], 2 * n) for n in range(6 * len(scripts))]
    capture = p.write_pcap(folder / "train.pcap", p.calls(*dialogs))
    sipgpu.ok("corpus", "import", "--pcap", capture, "--out", folder / "train.h5", "--train", 1, "--validation", 0,
              "--test", 0, *options)
    sipgpu.ok("train", "--corpus", folder / "train.h5", "--out", folder / "run",
              *settings(model__units=8, train__epochs=1, train__batch_size=6))
    return folder / "run" / "model.h5"


@pytest.fixture(scope="module")
def models(sipgpu: Sipgpu, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models by name.  Tests must not change them."""
    folder = tmp_path_factory.mktemp("models")
    made = {"trained": train(sipgpu, folder, KNOWN)}
    for name, going_on, over in (("strict", 2, 2), ("lenient", -1, -1), ("late", -1, 2)):
        made[name] = limited(made["trained"], folder / f"{name}.h5", going_on, over)
    return made


# ---- offline runs ----


class Run:
    """An offline run: its alerts and its summary."""

    def __init__(self, result: Result, eve: Path):
        self.result, self.summary = result, result.json
        self.text = eve.read_bytes() if eve.exists() else b""
        self.alerts = [checked(line) for line in self.text.splitlines()]

    def of(self, call_id: str) -> list[tuple[str, int]]:
        """Reasons and positions of the alerts of a dialog."""
        return [(a["anomaly"]["reason"], a["anomaly"]["position"])
                for a in self.alerts if a["sip"]["call_id"] == call_id]

    def reasons(self) -> Counter[str]:
        return Counter(a["anomaly"]["reason"] for a in self.alerts)


def checked(line: bytes) -> dict[str, Any]:
    """One line of EVE, with all that must be there."""
    alert = json.loads(line.decode("utf-8", errors="strict"))
    assert not any(byte < 32 or byte == 127 for byte in line)
    assert FIELDS <= alert.keys() <= FIELDS | {"source"}
    assert SIP_FIELDS <= alert["sip"].keys() <= SIP_FIELDS | {"truncated"}
    assert alert["anomaly"].keys() == ANOMALY_FIELDS and alert["anomaly"]["verdict"] == "abnormal"
    assert alert["event_type"] == "anomaly" and alert["schema_version"] == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+0000", alert["timestamp"])
    return alert


Watch = Callable[..., Run]


@pytest.fixture
def watch(sipgpu: Sipgpu, tmp_path: Path) -> Watch:
    """watch(model, capture..., options=...) runs over captures."""

    def run(model: Path, *captures: Path, options: tuple[Any, ...] = ()) -> Run:
        eve = tmp_path / "eve.json"
        eve.unlink(missing_ok=True)
        words = [word for capture in captures for word in ("-r", capture)]
        return Run(sipgpu.ok("watch", "-m", model, *words, "--eve", eve, "--json", "--quiet-s", 0, *options), eve)

    return run


def write(path: Path, *dialogs: list[p.Message]) -> Path:
    return p.write_pcap(path, p.calls(*dialogs))


def us_of(alert: dict[str, Any]) -> int:
    moment = datetime.strptime(alert["timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z")
    return round(moment.timestamp() * 1e6)


# ---- verdicts ----


def test_known_dialogs_raise_nothing(watch: Watch, models: dict[str, Path], tmp_path: Path):
    dialogs = [p.call(f"known{n}@a", KNOWN[n % 6], 3 * n) for n in range(24)]
    dialogs.append(p.call("begun@a", "INVITE 100 180", 100))
    run = watch(models["strict"], write(tmp_path / "known.pcap", *dialogs))
    assert run.alerts == []
    assert run.summary["verdicts"] == {"known": 24, "prefix": 1, "new": 0, "abnormal": 0}
    assert run.summary["scored"] == 0 and run.summary["prefix_hits"] == run.summary["messages"]


NEW = {"skips@a": ("INVITE 100 200 ACK BYE 200", 3), "guess@a": ("REGISTER 401 REGISTER 401", 4),
       "twice@a": ("OPTIONS 200 OPTIONS 200", 3), "first@a": ("ACK INVITE 100", 1)}


def test_unknown_sequences_are_flagged_where_they_leave(watch: Watch, models: dict[str, Path], tmp_path: Path):
    dialogs = {name: p.call(name, script, n) for n, (name, (script, _)) in enumerate(NEW.items())}
    path = write(tmp_path / "new.pcap", *dialogs.values(), p.call("known@a", CALL, 9))
    options = ("--detectors", "network")
    run = watch(models["strict"], path, options=options)
    assert len(run.alerts) == len(NEW)
    for name, (script, position) in NEW.items():
        assert run.of(name) == [("sequence", position)]
        alert = next(a for a in run.alerts if a["sip"]["call_id"] == name)
        message = dialogs[name][position - 1]
        assert alert["sip"]["seq"] == p.types(script)[:position]
        assert alert["sip"]["last"] == p.types(script)[position - 1]
        assert us_of(alert) == message.time and alert["proto"] == "UDP"
        assert (alert["src_ip"], alert["src_port"]) == message.source
        assert (alert["dest_ip"], alert["dest_port"]) == message.destination
        assert alert["anomaly"]["threshold"] == {"skewness": 2, "kurtosis": 2}
        assert 0 < alert["anomaly"]["score"] <= 1 and not alert["anomaly"]["known_prefix"]
        assert alert["anomaly"]["model"].endswith("strict.h5")
    assert run.summary["verdicts"] == {"known": 1, "prefix": 0, "new": 0, "abnormal": 4}
    assert len({a["flow_id"] for a in run.alerts}) == 4
    assert watch(models["strict"], path, options=("--detectors", "prefixes")).reasons() == {"unknown_prefix": 4}
    lenient = watch(models["lenient"], path, options=options)
    assert lenient.alerts == [] and lenient.summary["verdicts"]["new"] == 4
    late = watch(models["late"], path, options=options)
    assert late.of("skips@a") == [("sequence", 6)] and late.of("guess@a") == [("sequence", 4)]


def test_a_beginning_is_scored_once(watch: Watch, models: dict[str, Path], tmp_path: Path):
    dialogs = [p.call(f"same{n}@a", "INVITE 100 200 ACK BYE 200", 40 * n) for n in range(20)]
    run = watch(models["lenient"], write(tmp_path / "same.pcap", *dialogs), options=("--batch", 1))
    assert run.summary["scored"] == 4 and run.summary["cache_hits"] == 20 * 5 - 4
    assert run.summary["prefix_hits"] == 40


def test_types_beyond_the_alphabet(watch: Watch, models: dict[str, Path], tmp_path: Path):
    path = write(tmp_path / "types.pcap", p.call("type@a", "INVITE 100 603 ACK"), p.call("verb@a", "FROBNICATE 200", 1))
    run = watch(models["lenient"], path)
    assert run.of("type@a") == [("unknown_type", 2)] and run.of("verb@a") == [("unknown_type", None)]
    assert run.summary["unknown_types"] == 2 and run.summary["verdicts"]["abnormal"] == 2


def test_a_dialog_of_unknown_types_only(watch: Watch, models: dict[str, Path], tmp_path: Path):
    """It ends as a whole dialog, of which the network can be shown nothing."""
    path = write(tmp_path / "types.pcap", p.call("verb@a", "FROBNICATE 603"), p.call("call@a", CALL, 100))
    for model in ("strict", "late"):
        run = watch(models[model], path, options=("--batch", 1))
        assert [reason for reason, _ in run.of("verb@a")] == ["unknown_type"] and len(run.alerts) == 1
        assert run.summary["verdicts"] == {"known": 1, "prefix": 0, "new": 0, "abnormal": 1}


def test_the_same_capture_gives_the_same_bytes(watch: Watch, models: dict[str, Path], tmp_path: Path):
    choose = random.Random(5)
    words = "INVITE ACK BYE CANCEL REGISTER OPTIONS 100 180 200 401 486 487".split()
    dialogs = [p.call(f"{n}@a", " ".join(choose.choices(words, k=choose.randint(1, 9))), choose.uniform(0, 90))
               for n in range(200)]
    path = write(tmp_path / "random.pcap", *dialogs)
    for options in ((), ("--batch", 7, "--detectors", DETECTORS)):
        first, second = (watch(models["trained"], path, options=options) for _ in range(2))
        assert first.text == second.text and first.alerts
        for summary in (first.summary, second.summary):
            for key in ("seconds", "messages_per_second", "scoring_seconds"):
                summary.pop(key)
        assert first.summary == second.summary
        assert sum(first.summary["verdicts"].values()) == first.summary["dialogs"]


def test_dialogs_beyond_the_limit(watch: Watch, models: dict[str, Path], tmp_path: Path):
    dialogs = [p.call(f"{n}@a", "INVITE 100", n / 100) for n in range(400)]
    run = watch(models["strict"], write(tmp_path / "many.pcap", *dialogs), options=("-l", 50))
    assert run.summary["dialogs_peak"] == 50 and run.summary["ends"]["evicted"] == 350
    assert sum(run.summary["verdicts"].values()) == 400


# ---- protocol and sources ----


def test_strays(watch: Watch, models: dict[str, Path], tmp_path: Path):
    path = write(tmp_path / "stray.pcap", p.call("bye@a", "BYE 200", 0), p.call("ack@a", "ACK", 40),
                 p.call("answer@a", "200/BYE", 41), p.call("call@a", CALL, 42))
    options = ("--detectors", "protocol")
    run = watch(models["lenient"], path, options=options)
    assert run.of("ack@a") == [("stray", 1)] and run.of("answer@a") == [("stray", 1)]
    assert run.of("call@a") == [] and run.of("bye@a") == [("stray", 1)]
    quiet = watch(models["lenient"], path, options=(*options, "--quiet-s", 32))
    assert quiet.of("bye@a") == [] and quiet.of("ack@a") == [("stray", 1)]


def test_another_source_ends_a_call(watch: Watch, models: dict[str, Path], tmp_path: Path):
    messages = p.call("forged@a", CALL)
    forged = p.replace(messages[5], source=("203.0.113.66", 5060))
    path = write(tmp_path / "forged.pcap", [*messages[:5], forged], p.call("own@a", CALL, 1))
    run = watch(models["strict"], path)
    assert [(a["sip"]["call_id"], a["anomaly"]["reason"], a["anomaly"]["position"], a["src_ip"])
            for a in run.alerts] == [
        ("forged@a", "source_change", 6, "203.0.113.66")]


def test_other_tags(watch: Watch, models: dict[str, Path], tmp_path: Path):
    messages = p.call("tags@a", CALL)
    other = messages[5].edited(b";tag=f", b";tag=forged")
    run = watch(models["strict"], write(tmp_path / "tags.pcap", [*messages[:5], other]))
    assert run.of("tags@a") == [("tag_change", 6)]


SCANNER = ("203.0.113.99", 5060)


def attack(name: str, script: str, count: int, spacing: float, start: float = 0) -> list[p.Message]:
    return p.calls(*(p.call(f"{name}{n}@a", script, start + n * spacing, 0.01, caller=SCANNER, user=f"u{n}")
                     for n in range(count)))


ATTACKS = {"flood": (OPTIONS, 40, 0.02), "scan": ("OPTIONS", 40, 0.5), "enumeration": ("REGISTER 404", 15, 0.5),
           "guessing": ("REGISTER 401", 20, 1.0), "half_open": ("INVITE 100", 25, 1.0)}


@pytest.mark.parametrize("reason", ATTACKS)
def test_sources(watch: Watch, models: dict[str, Path], tmp_path: Path, reason: str):
    script, count, spacing = ATTACKS[reason]
    normal = [p.call(f"normal{n}@a", CALL, 2 * n, caller=(f"192.0.2.{n}", 5060)) for n in range(10)]
    path = write(tmp_path / f"{reason}.pcap", attack(reason, script, count, spacing), *normal)
    run = watch(models["lenient"], path, options=("--detectors", "sources"))
    found = [a for a in run.alerts if a["anomaly"]["reason"] == reason]
    assert len(found) == 1 and {a["src_ip"] for a in run.alerts} <= {SCANNER[0], p.CALLEE[0]}
    assert all(a["source"]["ip"] == SCANNER[0] for a in run.alerts)
    assert found[0]["source"]["requests"] <= count and found[0]["anomaly"]["position"] is None
    assert run.summary["alerts"][reason] == 1
    option = "--" + reason.replace("_", "-")
    assert watch(models["lenient"], path, options=("--detectors", "sources", option, 0)).summary["alerts"][reason] == 0


# ---- what comes out ----


def test_labels(watch: Watch, models: dict[str, Path], sipgpu: Sipgpu, tmp_path: Path):
    dialogs = [p.call(f"good{n}@a", CALL, 3 * n, caller=("192.0.2.7", 5060)) for n in range(8)]
    dialogs += [p.call(f"bad{n}@a", "INVITE 100 200 ACK", 3 * n) for n in range(4)]
    dialogs.append(attack("scan", "OPTIONS", 40, 0.4, 100))
    path = write(tmp_path / "labels.pcap", *dialogs)
    table = tmp_path / "labels.csv"
    rows = [f"good{n}@a,normal,usual" for n in range(8)] + [f"bad{n}@a,attack,skip" for n in range(4)]
    rows += [f"scan{n}@a,attack,scanner" for n in range(40)]
    table.write_text("\n".join(["call_id,label,scenario", *rows]) + "\n", encoding="utf-8")
    labels = watch(models["strict"], path, options=("--labels", table)).summary["labels"]
    false_alarms = labels["all"]["normal"]["false_alarms"]
    assert (false_alarms["hits"], false_alarms["total"]) == (0, 8)
    skip, scan = labels["all"]["attacks"]["skip"], labels["all"]["attacks"]["scanner"]
    assert (skip["detected"]["hits"], skip["detected"]["total"]) == (4, 4)
    assert skip["median_message"] == 3 and skip["by_dialog"] == 4 and skip["reasons"]["sequence"] == 4
    assert skip["median_seconds"] == pytest.approx(0.2, abs=1e-6)
    assert scan["detected"]["hits"] == 40 and scan["by_dialog"] == 0 and scan["by_source_alone"] == 40
    assert scan["median_message"] is None
    assert labels["network"]["all_attacks"]["detected"]["hits"] == 4
    assert labels["sources"]["attacks"]["skip"]["detected"]["hits"] == 0
    told = sipgpu.ok("watch", "-m", models["strict"], "-r", path, "--labels", table, "--quiet-s", 0)
    assert re.search(r"^skip +100\.00%.* 3\.0 ", told.out, re.MULTILINE), told.out
    assert re.search(r"^normal +0\.00%", told.out, re.MULTILINE)
    for title in ("all detectors", "network", "exact prefixes", "protocol", "sources"):
        assert f"Detection by {title}" in told.out


def contents(capture: Path) -> Counter[bytes]:
    """The SIP messages in a capture of UDP over Ethernet or raw IP."""
    data = capture.read_bytes()
    link, at, found = struct.unpack_from("<I", data, 20)[0], 24, Counter()
    while at < len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        packet = data[at + 16 + (14 if link == p.LINK_ETHERNET else 0):at + 16 + size]
        found[packet[4 * (packet[0] & 15) + 8:]] += 1
        at += 16 + size
    return found


@pytest.mark.parametrize("name, bad", [("strict", "INVITE 100 200 ACK BYE 200"), ("late",
                                                                                  "INVITE 100 200 ACK BYE 200")])
def test_alerted_dialogs_go_to_a_capture(watch: Watch, models: dict[str, Path], tmp_path: Path, sipgpu: Sipgpu,
                                         name: str, bad: str):
    """All messages of the dialogs with alerts and no others, whenever the alert comes."""
    wrong = [p.call(f"bad{n}@a", bad, 50 * n) for n in range(6)] + [p.call("type@a", "INVITE 100 603 ACK", 5)]
    right = [p.call(f"good{n}@a", CALL, 45 * n) for n in range(6)]
    path, out = write(tmp_path / "mixed.pcap", *wrong, *right), tmp_path / "alerted.pcap"
    run = watch(models[name], path, options=("-O", out))
    assert run.summary["verdicts"]["abnormal"] == 7
    assert contents(out) == Counter(m.data for dialog in wrong for m in dialog)
    corpus = tmp_path / "alerted.h5"
    sipgpu.ok("corpus", "import", "--pcap", out, "--out", corpus)
    with h5py.File(corpus) as f:
        alphabet = [name.decode() for name in f["alphabet"][:]]
        found = {name.decode(): [alphabet[t - 1] for t in row[:n]] for name, row, n in
                 zip(f["dialogs/call_id"][:], f["dialogs/sequence"][:], f["dialogs/length"][:])}
    assert found == {**{f"bad{n}@a": bad.split() for n in range(6)}, "type@a": "INVITE 100 603 ACK".split()}
    sipgpu.refuses("watch", "-m", models[name], "-r", path, "-O", out, names=(out, "--force"))
    again = contents(out)
    watch(models[name], path, options=("-O", out, "--force"))
    assert contents(out) == again


def test_lines_for_fail2ban_and_people(sipgpu: Sipgpu, models: dict[str, Path], tmp_path: Path):
    forged = p.call("src=6.6.6.6@a", "BYE", 0, caller=("203.0.113.5", 5060))
    path, ban = write(tmp_path / "ban.pcap", forged, p.call("answer@a", "200/BYE", 1)), tmp_path / "ban.log"
    told = sipgpu.ok("watch", "-m", models["lenient"], "-r", path, "--fail2ban", ban, "--live", "--quiet-s", 0)
    lines = ban.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 and ban.stat().st_mode & 0o777 == 0o640
    assert re.fullmatch(r"2026-01-02T\S+\+0000 sipgpu: alert reason=stray src=203\.0\.113\.5", lines[0])
    people = [line for line in told.err.splitlines() if " reason=stray " in line]
    assert len(people) == 2 and "src=203.0.113.5:5060" in people[0] and "\x1b" not in told.err
    assert "alerts    2 stray" in told.err and told.out == ""


def test_alerts_on_standard_output(sipgpu: Sipgpu, models: dict[str, Path], tmp_path: Path):
    path = write(tmp_path / "out.pcap", p.call("new@a", "INVITE 100 200"))
    for options in ((), ("--eve", "-")):
        told = sipgpu.ok("watch", "-m", models["strict"], "-r", path, *options)
        assert [checked(line)["sip"]["call_id"] for line in told.out.encode().splitlines()] == ["new@a"]
        assert "alerts    1 sequence" in told.err
    assert sipgpu.ok("watch", "-m", models["strict"], "-I", path, "-q").out.count("\n") == 1


def test_a_filter_in_trailing_words(watch: Watch, models: dict[str, Path], tmp_path: Path):
    path = write(tmp_path / "filter.pcap", p.call("a@a", CALL), p.call("b@a", CALL, caller=("192.0.2.9", 5060)))
    for words in (("host", "192.0.2.9"), ("--bpf", "host 192.0.2.9")):
        run = watch(models["lenient"], path, options=words)
        assert run.summary["dialogs"] == 1 and run.summary["capture"]["filtered"] == 7


def test_a_source_that_breaks(sipgpu: Sipgpu, models: dict[str, Path], tmp_path: Path):
    """The others are read to their end, and the run counts as failed."""
    good, broken, eve = write(tmp_path / "good.pcap",
                              p.call("new@a", "INVITE 100 200")), tmp_path / "b.pcapng", tmp_path / "e"
    m = p.call("mixed@a", "INVITE 100 200")
    frames = [p.udp(x.source, x.destination, x.data) for x in m]
    p.pcapng(broken, [p.LINK_ETHERNET, p.LINK_RAW], [(0, m[0].time, p.ethernet(frames[0])), (1, m[1].time, frames[1])])
    line = sipgpu.refuses("watch", "-m", models["strict"], "-r", broken, "-r", good, "--eve", eve, alone=False,
                          names=())
    assert broken.name in line or "source failed" in line
    assert [checked(line)["sip"]["call_id"] for line in eve.read_bytes().splitlines()] == ["new@a"]


# ---- real traffic ----

OPEN = Path(__file__).resolve().parents[3] / "shared/captures/open"


@pytest.mark.skipif(not OPEN.is_dir(), reason="no real captures here")
def test_labelled_attacks(watch: Watch, sipgpu: Sipgpu, tmp_path: Path):
    """Trained on normal traffic, tested on attacks among normal traffic of other seeds."""
    corpus, folder = tmp_path / "normal.h5", tmp_path / "run"
    sipgpu.ok("corpus", "import", "--pcap", OPEN / "normal_udp.pcap.gz", "--out", corpus, "--train", 1,
              "--validation", 0,
              "--test", 0)
    sipgpu.ok("train", "--corpus", corpus, "--out", folder, *settings(model__units=8, train__epochs=1))
    options = ("--labels", OPEN / "labels.csv", "--detectors", DETECTORS)
    strict = limited(folder / "model.h5", tmp_path / "strict.h5", 2, 2)
    labels = watch(strict, OPEN / "attacks.pcap.gz", options=options).summary["labels"]
    for group in labels.values():
        assert group["all_attacks"]["detected"]["total"] == 660 and group["normal"]["false_alarms"]["total"] == 1027
        assert group["unlabelled"] == 0 and len(group["attacks"]) >= 20
    assert labels["all"]["all_attacks"]["detected"]["value"] > 0.9
    assert labels["prefixes"]["normal"]["false_alarms"]["hits"] <= 26
    reasons = labels["all"]["all_attacks"]["reasons"]
    assert reasons["sequence"] == reasons["unknown_prefix"] > 500
    assert labels["protocol"]["normal"]["false_alarms"]["hits"] == 0
    known = watch(strict, OPEN / "normal_udp.pcap.gz", options=("--detectors", DETECTORS)).summary
    assert known["verdicts"]["known"] == 3585 and known["alerts"]["sequence"] == known["alerts"]["unknown_prefix"] == 0


# ---- HEP, live ----


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def until(condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    """Waits for a condition that comes true sooner or later."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come")


class Live:
    """A `watch` that listens for HEP, answers for metrics and writes alerts to a file."""

    def __init__(self, sipgpu: Sipgpu, children: list[Any], folder: Path, model: Path, *options: Any):
        self.folder, self.model = folder, folder / "live.h5"
        shutil.copyfile(model, self.model)
        self.udp, self.tcp, self.http = free_port(socket.SOCK_DGRAM), free_port(), free_port()
        self.eve = folder / "eve.json"
        self.process = sipgpu.start("watch", "-m", self.model, "-L", f"udp:127.0.0.1:{self.udp}", "-L",
                                    f"tcp:127.0.0.1:{self.tcp}", "--metrics", f"127.0.0.1:{self.http}",
                                    "--eve", self.eve,
                                    "--json", "--quiet-s", 0, *options)
        children.append(self.process)
        self.told: list[str] = []
        assert self.process.stderr
        self.reader = threading.Thread(target=lambda: self.told.extend(iter(self.process.stderr.readline, "")),
                                       daemon=True)
        self.reader.start()
        until(lambda: self.get("healthz") or self.process.poll() is not None, "the start")
        assert self.process.poll() is None, self.told

    def get(self, page: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/{page}", timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return ""

    def metrics(self) -> dict[str, float]:
        rows = (line.rpartition(" ") for line in self.get("metrics").splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in rows}

    def send(self, *messages: p.Message) -> None:
        """By UDP, each as a HEP packet; waits until all have been read."""
        before = self.metrics()["sipgpu_messages_total"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for m in messages:
                s.sendto(p.hep3(m), ("127.0.0.1", self.udp))
        until(lambda: self.metrics()["sipgpu_messages_total"] >= before + len(messages), "the messages")

    def alerts(self) -> list[dict[str, Any]]:
        return [checked(line) for line in self.eve.read_bytes().splitlines()]

    def says(self, text: str) -> bool:
        return any(text in line for line in list(self.told))

    def end(self, code: int = 0) -> dict[str, Any]:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == code, self.told
        self.reader.join(5)
        assert self.process.stdout
        return json.loads(self.process.stdout.read())


@pytest.fixture
def live(sipgpu: Sipgpu, children: list[Any], tmp_path: Path) -> Iterator[Callable[..., Live]]:
    yield lambda model, *options: Live(sipgpu, children, tmp_path, model, *options)


def now_call(call_id: str, script: str, **options: Any) -> list[p.Message]:
    """A dialog of this moment: live, time passes by the clock."""
    return p.call(call_id, script, time.time() - p.EPOCH, 0.001, **options)


def test_hep_by_udp_and_tcp(live: Callable[..., Live], models: dict[str, Path]):
    run = live(models["strict"], "-O", "/dev/null", "--force")
    bad, good = now_call("bad@hep", "INVITE 100 200 ACK BYE 200"), now_call("good@hep", CALL)
    run.send(*bad, *good)
    alert = until(run.alerts, "the alert")[0]
    assert (alert["sip"]["call_id"], alert["anomaly"]["position"], alert["src_ip"]) == ("bad@hep", 3, bad[2].source[0])
    assert us_of(alert) == bad[2].time
    stream = b"".join(p.hep3(m, protocol=6) for m in now_call("tcp@hep", "REGISTER 401 REGISTER 401"))
    with socket.create_connection(("127.0.0.1", run.tcp)) as s:
        for at in range(0, len(stream), 100):
            s.sendall(stream[at:at + 100])
        until(lambda: len(run.alerts()) == 2, "the alert by TCP")
    assert run.alerts()[1]["sip"]["call_id"] == "tcp@hep" and run.alerts()[1]["proto"] == "TCP"
    metrics, summary = run.metrics(), run.end()
    assert metrics["sipgpu_messages_total"] == summary["messages"] == 17
    assert metrics['sipgpu_alerts_total{reason="sequence"}'] == summary["alerts"]["sequence"] == 2
    assert metrics["sipgpu_prefix_hits_total"] == summary["prefix_hits"]
    assert metrics["sipgpu_scored_total"] == summary["scored"]
    for what, count in summary["capture"].items():
        assert metrics[f'sipgpu_capture_total{{what="{what}"}}'] == count
    assert summary["capture"]["hep_messages"] == 17 and summary["dialogs"] == 3
    assert summary["verdicts"] == {"known": 1, "prefix": 0, "new": 0, "abnormal": 2}
    assert summary["dialogs"] == sum(summary["ends"].values())


def test_the_end_is_not_without_the_last_alerts(live: Callable[..., Live], models: dict[str, Path]):
    """SIGTERM: what is over is judged as a whole, and what waits is scored."""
    run = live(models["late"], "--batch", 4096, "--detectors", "network")
    run.send(*(m for n in range(30) for m in now_call(f"last{n}@hep", "OPTIONS 200 OPTIONS 200")))
    assert run.alerts() == []
    summary = run.end()
    assert {a["sip"]["call_id"] for a in run.alerts()} == {f"last{n}@hep" for n in range(30)}
    assert summary["verdicts"]["abnormal"] == 30 and summary["alerts"]["sequence"] == 30


def test_reload_keeps_dialogs(live: Callable[..., Live], models: dict[str, Path], sipgpu: Sipgpu, tmp_path: Path):
    run = live(models["lenient"])
    messages, known = now_call("long@hep", "INVITE 100 200 ACK BYE 200"), now_call("known@hep", CALL)
    run.send(*messages[:3], *known[:3])
    scored = until(lambda: run.metrics()["sipgpu_scored_total"], "a score")
    rotated = run.eve.rename(tmp_path / "eve.json.1")
    os.replace(shutil.copyfile(models["strict"], tmp_path / "next.h5"), run.model)
    run.process.send_signal(signal.SIGHUP)
    until(lambda: run.says("reloaded"), "the reload")
    run.send(*messages[3:], *known[3:])
    alert = until(lambda: run.eve.exists() and run.alerts(), "the alert")[0]
    assert alert["sip"]["call_id"] == "long@hep" and alert["anomaly"]["position"] == 4
    assert alert["sip"]["seq"] == ["INVITE", "100", "200", "ACK"] and rotated.read_bytes() == b""
    assert run.metrics()["sipgpu_scored_total"] >= scored + 1
    summary = run.end()
    assert summary["messages"] == 13 and summary["dialogs"] == 2
    assert summary["verdicts"] == {"known": 1, "prefix": 0, "new": 0, "abnormal": 1}


def test_reload_refuses_what_does_not_fit(live: Callable[..., Live], models: dict[str, Path], sipgpu: Sipgpu,
                                          tmp_path: Path):
    other = train(sipgpu, tmp_path, [OPTIONS, REGISTER, BUSY])
    bare = shutil.copyfile(models["strict"], tmp_path / "bare.h5")
    with changing(bare) as f:
        del f["prefix_thresholds"]
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(models["strict"].read_bytes()[:3000])
    plain, flipped = tmp_path / "plain.h5", bytearray(models["lenient"].read_bytes())
    plain.write_bytes(flipped[DIGEST_BLOCK:])
    flipped[-1000] ^= 4
    (tmp_path / "flipped.h5").write_bytes(flipped)
    run = live(models["strict"])
    for number, (model, part) in enumerate(((other, "another alphabet"), (bare, "prefix_limits"),
                                            (damaged, "live.h5"), (plain, "no digest"),
                                            (tmp_path / "flipped.h5", "damaged"))):
        os.replace(shutil.copyfile(model, tmp_path / "next.h5"), run.model)
        run.process.send_signal(signal.SIGHUP)
        until(lambda: sum("was not reloaded" in line for line in list(run.told)) == number + 1,
              f"the refusal of {model}")
        assert any("was not reloaded" in line and part in line for line in list(run.told)), run.told
        run.send(*now_call(f"bad{number}@hep", "INVITE 100 200"))
        until(lambda: len(run.alerts()) == number + 1, "the alert of the old model")
    assert run.end()["verdicts"]["abnormal"] == 5


def test_only_senders_and_keys_that_are_allowed(live: Callable[..., Live], models: dict[str, Path]):
    run = live(models["strict"], "--hep-key", "s3cret", "--hep-allow", "127.0.0.1/32")
    messages = now_call("key@hep", "INVITE 100 200")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for data in (p.hep3(messages[0]), p.hep3(messages[0], b"wrong"), p.hep3(messages[0], b"s3cret"), b"no HEP"):
            s.sendto(data, ("127.0.0.1", run.udp))
        until(lambda: run.metrics()["sipgpu_messages_total"] == 1, "the message")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.2", 0))
            other.sendto(p.hep3(messages[1], b"s3cret"), ("127.0.0.1", run.udp))
        until(lambda: run.metrics()['sipgpu_capture_total{what="hep_refused"}'] == 1, "the refusal")
    counts = run.end()["capture"]
    assert (counts["hep_wrong_key"], counts["hep_not_hep"], counts["hep_refused"], counts["hep_messages"]) == (2, 1,
                                                                                                               1, 1)


def test_nothing_from_the_wire_becomes_a_label(live: Callable[..., Live], models: dict[str, Path]):
    run = live(models["strict"])
    names = set(run.metrics())
    evil = [m.edited(b"FROB", b"FROB%d'!*+" % n) for n in range(20) for m in now_call(f"evil{n}", "FROB")]
    run.send(*evil, *now_call('call"id\\n', "INVITE 603"), *now_call("ok", "INVITE 100"))
    assert set(run.metrics()) == names and "FROB" not in run.get("metrics")
    run.end()


def test_alerts_to_a_unix_socket(sipgpu: Sipgpu, models: dict[str, Path], tmp_path: Path, children: list[Any]):
    """The listener comes late, and goes away; nothing waits for it."""
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"sipgpu_socket_{os.getpid()}"
    folder.mkdir()
    try:
        path, port, http = folder / "s", free_port(socket.SOCK_DGRAM), free_port()
        process = sipgpu.start("watch", "-m", models["strict"], "-L", f"udp:127.0.0.1:{port}", "--eve", f"unix:{path}",
                               "--metrics", f"127.0.0.1:{http}", "--quiet-s", 0)
        children.append(process)

        def ready() -> bool:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{http}/healthz", timeout=5):
                    return True
            except OSError:
                return False

        until(ready, "the start")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s, socket.socket(socket.AF_UNIX) as listener:
            for m in now_call("early@hep", "INVITE 100 200"):
                s.sendto(p.hep3(m), ("127.0.0.1", port))
            time.sleep(0.5)
            listener.bind(str(path))
            listener.listen(1)
            listener.settimeout(20)
            connection, _ = listener.accept()
            connection.settimeout(20)
            for m in now_call("later@hep", "INVITE 100 200"):
                s.sendto(p.hep3(m), ("127.0.0.1", port))
            lines = connection.makefile("rb")
            assert [checked(lines.readline().rstrip(b"\n"))["sip"]["call_id"] for _ in range(2)] == ["early@hep",
                                                                                                     "later@hep"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        shutil.rmtree(folder)


def test_live_and_offline_raise_the_same_alerts(live: Callable[..., Live], watch: Watch, models: dict[str, Path],
                                                tmp_path: Path):
    choose, start = random.Random(7), time.time() - p.EPOCH
    words = "INVITE ACK BYE CANCEL REGISTER OPTIONS 100 180 200 401 486 487".split()
    dialogs = [p.call(f"{n}@a", " ".join(choose.choices(words, k=choose.randint(1, 7))), start, 0.001,
                      caller=(f"192.0.2.{n}", 5060)) for n in range(60)]
    messages = p.calls(*dialogs)
    options = ("--detectors", "network,prefixes,protocol")
    offline = watch(models["trained"], p.write_pcap(tmp_path / "both.pcap", messages), options=options)
    offline_alerts = {(a["sip"]["call_id"], a["anomaly"]["reason"], a["anomaly"]["position"]) for a in offline.alerts}
    (tmp_path / "eve.json").unlink()
    run = live(models["trained"], *options)
    for at in range(0, len(messages), 40):
        run.send(*messages[at:at + 40])
    summary = run.end()
    found = {(a["sip"]["call_id"], a["anomaly"]["reason"], a["anomaly"]["position"]) for a in run.alerts()}
    assert found == offline_alerts and len(found) > 60
    assert summary["verdicts"] == offline.summary["verdicts"] and summary["shed"] == 0


# ---- bad input ----


def test_models_that_do_not_do(sipgpu: Sipgpu, models: dict[str, Path], tmp_path: Path):
    path = write(tmp_path / "a.pcap", p.call("a@a", CALL))
    before = sorted(tmp_path.iterdir())

    def refuses(model: Path, *names: Any) -> None:
        sipgpu.refuses("watch", "-m", model, "-r", path, names=(model, *names))

    refuses(tmp_path / "missing.h5")
    refuses(path)
    assert sorted(tmp_path.iterdir()) == before
    bare, odd, cut = (shutil.copyfile(models["strict"], tmp_path / f"{n}.h5") for n in ("bare", "odd", "cut"))
    with changing(bare) as f:
        del f["prefix_thresholds"]
    refuses(bare, "train.prefix_limits")
    sipgpu.ok("watch", "-m", bare, "-r", path, "--detectors", "prefixes,protocol,sources")
    with changing(odd) as f:
        f["prefix_thresholds"][1, 0] = float("nan")
    refuses(odd, "prefix_thresholds")
    cut.write_bytes(cut.read_bytes()[:4000])
    refuses(cut)


def test_wrong_words(sipgpu: Sipgpu, models: dict[str, Path], tmp_path: Path):
    path, model = write(tmp_path / "a.pcap", p.call("a@a", CALL)), models["strict"]

    def refuses(*words: Any, names: tuple[Any, ...] = (), code: int = 1, alone: bool = True) -> None:
        sipgpu.refuses("watch", *words, names=names, code=code, alone=alone)

    refuses("-r", path, names=("--model",), code=2)
    refuses("-m", model, names=("-r FILE",), code=2)
    refuses("-m", model, "-r", path, "--detectors", "network,magic", names=("magic",), code=2)
    refuses("-m", model, "-r", path, "--bpf", "hots a", names=("hots a",), code=2)
    refuses("-m", model, "-r", path, "hots", "a", names=("hots a",), code=2)
    refuses("-m", model, "-r", path, "--bpf", "udp", "tcp", names=("twice",), code=2)
    refuses("-m", model, "-r", tmp_path / "none.pcap", names=(tmp_path / "none.pcap",))
    refuses("-m", model, "-r", model, names=(model,))
    refuses("-m", model, "-r", path, "--eve", tmp_path / "no/where", names=(tmp_path / "no/where",))
    refuses("-m", model, "-r", path, "--metrics", "192.0.2.1:9", names=("192.0.2.1:9",), code=2)
    refuses("-m", model, "-r", path, "--user", "nosuchuser", names=("nosuchuser",), code=2)
    refuses("-m", model, "-i", "nosuch0", names=("nosuch0",))
    refuses("-m", model, "-i", "lo", "-d", "lo", names=("one interface",), code=2)
    refuses("-m", model, "-L", "udp:nowhere:x", names=("udp:nowhere:x",), code=2)
    refuses("-m", model, "-L", "udp:127.0.0.1:1", "--labels", path, names=("--labels",), code=2)
    refuses("-m", model, "-L", "udp:127.0.0.1:1", "--hep-allow", "300.1.2.3", names=("300.1.2.3",), code=2)


def test_ports_in_use(sipgpu: Sipgpu, models: dict[str, Path]):
    for kind, word in ((socket.SOCK_DGRAM, "udp"), (socket.SOCK_STREAM, "tcp")):
        with socket.socket(socket.AF_INET, kind) as s:
            s.bind(("127.0.0.1", 0))
            if word == "tcp":
                s.listen(1)
            port = s.getsockname()[1]
            sipgpu.refuses("watch", "-m", models["strict"], "-L", f"{word}:127.0.0.1:{port}", names=(port, "in use"))
            if word == "tcp":
                sipgpu.refuses("watch", "-m", models["strict"], "-L", f"udp:127.0.0.1:{free_port(socket.SOCK_DGRAM)}",
                               "--metrics", f"127.0.0.1:{port}", names=(port, "in use"))


def test_no_permission_for_the_interface(sipgpu: Sipgpu, models: dict[str, Path], tmp_path: Path):
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("setpriv is not installed")
        prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")
        if subprocess.run([*prefix, str(sipgpu.program), "version"], capture_output=True, check=False).returncode:
            pytest.skip("the program cannot be run by another user")
    sipgpu.refuses("watch", "-m", models["strict"], "-i", "lo", names=("lo", "ermi"), prefix=prefix, cwd=Path("/"))


def test_labels_that_do_not_fit(sipgpu: Sipgpu, models: dict[str, Path], tmp_path: Path):
    path, table = write(tmp_path / "a.pcap", p.call("a@a", CALL)), tmp_path / "labels.csv"

    def refuses(text: str, *names: Any, alone: bool = True) -> None:
        table.write_text(text, encoding="utf-8")
        sipgpu.refuses("watch", "-m", models["strict"], "-r", path, "--labels", table, names=names, alone=alone)

    refuses("call_id,label\na@a,normal\nghost@a,attack\n", "ghost@a")
    refuses("name,label\na@a,normal\n", table, "call_id")
    refuses("call_id,label\na@a,\n", f"{table}:2")
    refuses("call_id,label\na@a,normal\na@a,attack\n", f"{table}:3")
    refuses("", table)
    table.unlink()
    sipgpu.refuses("watch", "-m", models["strict"], "-r", path, "--labels", table, names=(table,))


# ---- hostile input ----


def hostile_messages() -> list[p.Message]:
    """Text that broke other tools, one message of each kind."""
    base = p.call("CALLID", "INVITE")[0]
    edits: list[tuple[bytes, bytes]] = [
        (b"\r\n", b"\n"), (b"\r\n", b"\r"), (b"\r\n", b""), (b"Call-ID: CALLID\r\n", b""),
        (b"Call-ID: CALLID", b"Call-ID: "), (b"Call-ID: CALLID", b"Call-ID CALLID"),
        (b"Call-ID: CALLID", b"Call-ID  :  spaced"), (b"Call-ID: CALLID", b"i: compact"),
        (b"Call-ID: CALLID", b"Call-ID: one\r\nCall-ID: two"), (b"Call-ID: CALLID", b"Call-ID:\r\n folded"),
        (b"Max-Forwards: 70", b"X: " + 60000 * b"x"), (b"Max-Forwards: 70", b"\r\n".join(20000 * [b"X:"])),
        (b"Max-Forwards: 70", b"no colon here"), (b"CSeq: 1 INVITE", b"CSeq: 99999999999999999999 INVITE"),
        (b"CSeq: 1 INVITE", b"CSeq: -1 INVITE"), (b"CSeq: 1 INVITE", b"CSeq: one INVITE"),
        (b"CSeq: 1 INVITE", b"CSeq: 1 BYE"), (b"CSeq: 1 INVITE", b"CSeq: 123456789012"), (b"branch=", b"b="),
        (b"branch=", b"branch=" + 5000 * b"b"), (b";tag=", b";tag=" + 5000 * b"t"), (b"Content-Length: 0",
                                                                                     b"l: 10000000000"),
        (b"Content-Length: 0", b"Content-Length: -1"), (b"Content-Length: 0",
                                                        b"Content-Length: 1\r\nContent-Length: 2"),
        (b"INVITE sip", b"invite sip"), (b"INVITE sip", 1024 * b"M" + b" sip"), (b"SIP/2.0\r\n", b"SIP/3.0\r\n"),
        (b"INVITE sip", b"\0\0INVITE sip"), (b"INVITE sip", b"junk INVITE sip"), (b"Via: ", b"Via: ,,,;;;=\"")]
    identities = [b'{"a": "b\\"}', b"%n%n%s%s", b"nul\0byte", b"\xff\xfe\x80", b"\xe2\x80\xae\xe2\x80\x8b", b"<script>",
                  b"x" * 1022, b"x" * 1023 + b"1", b"x" * 1023 + b"2", b"y" * 60000, b"CaseD", b"cased",
                  b"\x1b[2J", b"a\tb"]
    texts = [base.data.replace(old, new).replace(b"CALLID", b"edit%d" % n) for n, (old, new) in enumerate(edits)]
    texts += [base.data.replace(b"CALLID", name) for name in identities]
    for code in (b"20", b"000", b"999", b"9999", b"  200", b"2x0", b"100" * 50):
        texts.append(p.call("CALLID", "INVITE 100")[1].data.replace(b" 100 ", b" " + code + b" "))
    texts += [b"NOTIFY * HTTP/1.1\r\n\r\n", b"hello", b"\0\0\0\0", b"\r\n\r\n", b"x", b"SIP/2.0", b"SIP/2.0 ",
              b"INVITE",
              b"INVITE sip:a SIP/2.0", b"GET / HTTP/1.1\r\n\r\n", b"\x40\0\0\x10" + base.data,
              b"\x16\x03\x01\x02\0\x01"]
    return [p.replace(base, data=text[:65000], time=base.time + 1000 * n) for n, text in enumerate(texts)]


def hostile_records() -> list[p.Record]:
    choose = random.Random(11)
    base = p.call("wire@a", CALL)
    records = p.frames(m for m in hostile_messages())
    heps = [p.hep3(m) for m in base]
    for n in range(400):  # packets with some bytes overwritten, or cut
        m = choose.choice(base)
        frame = bytearray(choose.choice([p.ethernet(p.udp(m.source, m.destination, choose.choice([m.data, *heps]))),
                                         p.ethernet(p.tcp(m.source, m.destination, choose.getrandbits(32), m.data))]))
        for _ in range(choose.randint(1, 6)):
            frame[choose.randrange(12, min(len(frame), 120))] = choose.getrandbits(8)
        records.append((m.time + n, bytes(frame[:choose.randint(0, len(frame))])))
    records += [(base[0].time + n, choose.randbytes(choose.randint(0, 200))) for n in range(200)]
    stream = b"".join(m.data.replace(b"Content-Length: 0", b"Content-Length: " + choose.choice(
        [b"0", b"-1", b"4294967296", b"100000000000000", b"x"])) for m in base)
    order = [(at, stream[at:at + choose.randint(1, 90)]) for at in range(0, len(stream), 40)]
    choose.shuffle(order)
    records += [(base[0].time + n, p.ethernet(p.tcp(p.CALLER, p.CALLEE, 2**32 - 200 + at, piece)))
                for n, (at, piece) in enumerate(order)]
    times = [0, 2**31, 2**32 - 1]
    return records + [(1_000_000 * choose.choice(times), frame) for _, frame in p.frames(base)]


def assert_survives(sipgpu: Sipgpu, model: Path, tmp_path: Path, data: bytes) -> list[dict[str, Any]]:
    """The run ends well, or with one clear line; what it writes is JSON all the same."""
    path, eve, out = tmp_path / "hostile.pcap", tmp_path / "hostile.json", tmp_path / "hostile.out"
    path.write_bytes(data)
    eve.unlink(missing_ok=True)
    result = sipgpu("watch", "-m", model, "-r", path, "--eve", eve, "--detectors", DETECTORS, "--quiet-s", 0, "-O", out,
                    "--force", "--json")
    assert result.code in (0, 1), result.err
    if result.code == 1:
        last = result.err.splitlines()[-1]
        assert last.startswith("sipgpu: ") and ("hostile.pcap" in last or "source failed" in last), result.err
    return [checked(line) for line in eve.read_bytes().splitlines()] if eve.exists() else []


def test_hostile_text(sipgpu: Sipgpu, models: dict[str, Path], tmp_path: Path):
    alerts = assert_survives(sipgpu, models["strict"], tmp_path, p.pcap_bytes(p.frames(
        m2 for m in hostile_messages() for m2 in (m, m.later(0.0005)))))
    names = {a["sip"]["call_id"] for a in alerts}
    assert {'{"a": "b\\"}', "%n%n%s%s", "\x1b[2J", "nul\0byte"} <= names
    cut = {a["sip"]["call_id"][:4] for a in alerts if a["sip"].get("truncated")}
    assert {"yyyy", "xxxx", "edit"} <= cut and all(len(a["sip"]["call_id"]) <= 1023 for a in alerts)
    assert sum(name == "x" * 1023 for name in (a["sip"]["call_id"] for a in alerts)) >= 2


def test_hostile_packets(sipgpu: Sipgpu, models: dict[str, Path], tmp_path: Path):
    records = hostile_records()
    assert_survives(sipgpu, models["strict"], tmp_path, p.pcap_bytes(records))
    for link in (0, 9, 12, 101, 108, 113, 228, 229, 276, 147):
        assert_survives(sipgpu, models["strict"], tmp_path, p.pcap_bytes(records[-560:], link))


def test_hostile_files(sipgpu: Sipgpu, models: dict[str, Path], tmp_path: Path):
    choose, data = random.Random(13), p.pcap_bytes(p.frames(p.call("file@a", CALL)))
    packed = p.pcapng(tmp_path / "x", [1], [(0, m.time, p.ethernet(p.udp(m.source, m.destination, m.data)))
                                           for m in p.call("file@a", CALL)]).read_bytes()
    for whole in (data, packed):
        for _ in range(15):
            damaged = bytearray(whole)
            for _ in range(choose.randint(1, 4)):
                damaged[choose.randrange(len(damaged))] = choose.getrandbits(8)
            assert_survives(sipgpu, models["strict"], tmp_path, bytes(damaged[:choose.randint(1, len(damaged))]))
    assert_survives(sipgpu, models["strict"], tmp_path, choose.randbytes(5000))


def test_hostile_captures_become_corpora(sipgpu: Sipgpu, tmp_path: Path):
    path, out = tmp_path / "hostile.pcap", tmp_path / "hostile.h5"
    path.write_bytes(p.pcap_bytes(hostile_records()))
    for options in ((), ("--type-rule", "cseq", "--retransmissions", "collapse", "--types", 20, "--max-length", 50)):
        sipgpu.ok("corpus", "import", "--pcap", path, "--out", out, "--force", *options)
        sipgpu.ok("corpus", "info", out)
        with h5py.File(out) as f:
            assert all(32 < byte < 127 for name in f["dialogs/call_id"][:] for byte in name)


def test_hostile_hep(live: Callable[..., Live], models: dict[str, Path]):
    choose = random.Random(17)
    run = live(models["strict"], "--detectors", DETECTORS)
    good = [p.hep3(m) for m in now_call("base@hep", CALL)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for _ in range(400):
            data = bytearray(choose.choice(good))
            for _ in range(choose.randint(1, 5)):
                data[choose.randrange(min(len(data), 100))] = choose.getrandbits(8)
            s.sendto(bytes(data[:choose.randint(0, len(data))]), ("127.0.0.1", run.udp))
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", run.tcp)) as s:
            try:
                s.sendall(choose.choice(good)[:choose.randint(1, 60)] + choose.randbytes(choose.randint(0, 300)))
            except ConnectionError:
                pass  # it hangs up on what is not HEP
    run.send(*now_call("after@hep", "OPTIONS 200 OPTIONS"))
    until(lambda: any(a["sip"]["call_id"] == "after@hep" for a in run.alerts()), "the alert")
    run.end()


def test_quoted_in_icmp_is_not_sip(watch: Watch, models: dict[str, Path], tmp_path: Path):
    m = p.call("quoted@a", "INVITE")[0]
    quote = p.ip(*(side[0] for side in (m.destination, m.source)), 1,
                 b"\3\3\0\0\0\0\0\0" + p.udp(m.source, m.destination, m.data))
    run = watch(models["strict"], p.write_records(tmp_path / "icmp.pcap", [(m.time, p.ethernet(quote))]))
    assert run.summary["messages"] == 0 and run.summary["capture"]["icmp"] == 1


# ---- soak ----


class Fed:
    """A `watch -r -` that is fed, while its memory is looked at after every MiB: that much it has read but for a pipe's
    buffer, however busy the machine is."""

    def __init__(self, sipgpu: Sipgpu, children: list[Any], model: Path, feed: Callable[[Any], int], *options: Any):
        self.process = subprocess.Popen(
            sipgpu.words("watch", "-m", model, "-r", "-", "--json", "--eve", "/dev/null",
                         *options), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=sipgpu.environment)
        children.append(self.process)
        self.sent, self.bytes, self.memory = 0, 0, []
        try:
            self.sent = feed(self)
        except BrokenPipeError:
            pass  # the exit status tells
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, err
        self.summary = json.loads(out)

    def write(self, data: bytes) -> None:
        self.process.stdin.write(data)
        if (self.bytes + len(data)) >> 20 != self.bytes >> 20:
            self.look()
        self.bytes += len(data)

    def look(self) -> None:
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        except OSError:
            return
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        if found:
            self.memory.append(int(found.group(1)) // 1024)

    def assert_flat(self, most_mib: int) -> None:
        """From the first third on, memory does not grow by more than a tenth."""
        settled = self.memory[len(self.memory) // 3:]
        assert len(settled) > 5 and max(settled) <= 1.1 * settled[0] + 4, self.memory
        assert max(self.memory) <= most_mib, self.memory


def test_soak(sipgpu: Sipgpu, children: list[Any], models: dict[str, Path]):
    """Dialogs of all kinds, known and new, come and go; memory stays as it was."""
    count = 1_000_000 if SOAK else 100_000
    templates = [p.Template(script) for script in (OPTIONS, REGISTER, CALL, "REGISTER 200",
                                                   "INVITE 100 200 ACK BYE 200")]
    run = Fed(sipgpu, children, models["lenient"], lambda out: p.write_many(out, templates, count, 10_000))
    assert run.summary["messages"] == run.sent and run.summary["dialogs"] == count
    assert run.summary["verdicts"] == {"known": count // 5 * 3, "prefix": 0, "new": count // 5 * 2, "abnormal": 0}
    assert run.summary["dialogs_peak"] < 8000
    run.assert_flat(200)


def test_flood(sipgpu: Sipgpu, children: list[Any], models: dict[str, Path]):
    """A new Call-ID with each message: the table stays within its limit, and the attack is reported."""
    count = 10_000_000 if SOAK else 200_000
    template = p.Template("INVITE")

    def feed(out: Any) -> int:
        return p.write_many(out, [template], count, 100, one_source=True)

    run = Fed(sipgpu, children, models["strict"], feed)
    assert run.summary["messages"] == count and run.summary["dialogs_peak"] == 20000
    assert run.summary["ends"]["evicted"] == count - 20000
    assert run.summary["alerts"]["flood"] >= 1 and run.summary["alerts"]["scan"] >= 1
    assert run.summary["alerts"]["half_open"] >= 1
    run.assert_flat(200)
