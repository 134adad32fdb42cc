"""`corpus import --pcap` from outside: captures made by packets.py, tshark as a second opinion, and real traffic."""
from __future__ import annotations

import csv
import gzip
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any, Callable

import h5py
import packets as p
import pytest
from conftest import Sipgpu

SHARED = Path(__file__).resolve().parents[3] / "shared/captures"

# Call-IDs of real captures whose sequence differs from what tshark says, and why.
DIFFERENCES = {
    # tshark takes the second REGISTER, without Call-ID, for a message; without one there is no dialog to put it in.
    ("zeek__testing__btest__Traces__sip__sip-junk-before-request.pcap", ""): "no Call-ID",
}

# Captures from tests of other tools that hold nothing a dialog can be made of, and what import says.
EMPTY = {
    "suricata-verify__tests__http-evader__http-evader-486__input.pcap": "the input holds no messages",
    "suricata-verify__tests__http-evader__http-evader-488__input.pcap": "the input holds no messages",
    "zeek__testing__btest__Traces__sip__sip-junk-before-request.pcap": "the input holds no messages",
}

CALL = "INVITE 100 180 200 ACK BYE 200"
REGISTER = "REGISTER 401 REGISTER 200"


class Corpus:
    """What is in a corpus file, by Call-ID."""

    def __init__(self, path: Path):
        with h5py.File(path) as f:
            self.attributes = {k: v.decode() if isinstance(v, bytes) else v for k, v in f.attrs.items()}
            self.alphabet = [name.decode() for name in f["alphabet"][:]]
            names = [name.decode() for name in f["dialogs/call_id"][:]]
            rows = zip(names, f["dialogs/sequence"][:], f["dialogs/length"][:])
            self.dialogs = {name: [self.alphabet[t - 1] for t in row[:n]] for name, row, n in rows}
            assert len(self.dialogs) == len(names)

    def whole(self) -> dict[str, list[str]]:
        """The dialogs of each Call-ID, "#2" and so on, put together."""
        joined: dict[str, list[str]] = {}
        for name, sequence in self.dialogs.items():
            bare, sign, number = name.rpartition("#")
            joined.setdefault(bare if sign and number.isdigit() else name, []).extend(sequence)
        return joined


Import = Callable[..., Corpus]


@pytest.fixture
def imported(sipgpu: Sipgpu, tmp_path: Path) -> Import:
    """imported(capture..., options=...) is the corpus made of captures."""

    def run(*captures: Any, options: tuple[Any, ...] = ()) -> Corpus:
        out = tmp_path / "imported.h5"
        words = [word for capture in captures for word in ("--pcap", capture)]
        run.report = sipgpu.ok("corpus", "import", *words, "--out", out, "--force", *options).err
        return Corpus(out)

    return run


def write(path: Path, *dialogs: list[p.Message]) -> Path:
    return p.write_pcap(path, p.calls(*dialogs))


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve calls and twelve registrations.  Tests must not change it."""
    dialogs = [p.call(f"call{n}@a", CALL, 3 * n) for n in range(12)]
    dialogs += [p.call(f"register{n}@a", REGISTER, 3 * n + 0.05) for n in range(12)]
    return write(tmp_path_factory.mktemp("capture") / "small.pcap", *dialogs)


# ---- real traffic ----


def truth_of(capture: Path) -> dict[str, list[str]]:
    sequences: dict[str, list[str]] = {}
    table = capture.with_name(capture.name.removesuffix(".gz") + ".truth.tsv")
    with open(table, encoding="utf-8", errors="replace", newline="") as f:
        for row in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE):
            sequences.setdefault(row["call_id"], []).append(row["type"])
    return sequences


REAL = sorted([*SHARED.glob("open/*.gz"), *SHARED.glob("field/*.pcap")])


@pytest.mark.skipif(not REAL, reason="no real captures here")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_reads_what_tshark_reads_in_real_traffic(sipgpu: Sipgpu, imported: Import, tmp_path: Path, path: Path):
    truth = truth_of(path)
    if path.name in EMPTY:
        sipgpu.refuses("corpus", "import", "--pcap", path, "--out", tmp_path / "none.h5", names=(EMPTY[path.name],),
                       alone=False)
        found: dict[str, list[str]] = {}
    else:
        found = imported(path).whole()
    different = {name for name in {*truth, *found} if truth.get(name) != found.get(name)}
    assert different == {name for capture, name in DIFFERENCES if capture == path.name}
    if path.parent.name == "open":
        assert len(different) <= 0.001 * len(truth)
        assert len(truth) > 600


@pytest.mark.skipif(not REAL, reason="no real captures here")
def test_sequences_of_real_traffic_by_the_other_table():
    """The two truth files agree, so that the test above compares with both."""
    for path in SHARED.glob("open/*.truth.seq.tsv"):
        with open(path, encoding="utf-8", newline="") as f:
            rows = {r["call_id"]: r["sequence"].split()
                    for r in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)}
        assert rows == truth_of(path.with_name(path.name.replace(".truth.seq.tsv", "")))


# ---- tshark as a second opinion on captures made here ----


def tshark_sequences(capture: Path) -> dict[str, list[str]]:
    fields = [word for name in ("sip.Call-ID", "sip.Method", "sip.Status-Code") for word in ("-e", name)]
    done = subprocess.run(["tshark", "-n", "-r", str(capture), "-Y", "sip && !icmp", "-T", "fields", *fields,
                           "-E", "occurrence=f"], capture_output=True, text=True, timeout=60, check=True)
    sequences: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        call_id, method, code = line.split("\t")
        sequences.setdefault(call_id, []).append(code or method)
    return sequences


def odd_records() -> list[p.Record]:
    """Calls over VLANs, IPv6, fragments, TCP in pieces, with compact and folded headers."""
    six = {"caller": ("2001:db8::1", 5060), "callee": ("2001:db8::2", 5060)}
    records = p.frames(p.call("six@a", CALL, 1, **six))
    records += [(m.time, p.ethernet(p.udp(m.source, m.destination, m.data), tags=(7, 8)))
                for m in p.call("vlan@a", CALL, 2)]
    compact = [m.edited(b"Call-ID: ", b"i: ").edited(b"\r\nVia:", b"\r\nv:").edited(b"Content-Length:", b"l:")
               for m in p.call("compact@a", CALL, 3)]
    folded = [m.edited(b"CSeq: ", b"CSeq:\r\n ").edited(b"From: ", b"From:\t") for m in p.call("folded@a", REGISTER, 4)]
    records += p.frames(compact + folded)
    for m in p.call("fragments@a", "MESSAGE 200", 5):
        data = m.data.replace(b"Content-Length: 0\r\n\r\n", b"Content-Length: 2000\r\n\r\n" + 2000 * b"x")
        records += [(m.time + n, p.ethernet(piece)) for n, piece in enumerate(fragments(m, data))]
    records += tcp_records(p.call("tcp@a", CALL, 6), 100)
    return sorted(records, key=lambda item: item[0])


def fragments(m: p.Message, data: bytes, size: int = 1200) -> list[bytes]:
    packet = p.udp(m.source, m.destination, data)
    pieces = []
    for at in range(0, len(packet) - 20, size):
        piece = packet[20 + at:20 + at + size]
        more = 0x2000 if 20 + at + size < len(packet) else 0
        header = bytearray(p.ip(m.source[0], m.destination[0], 17, piece)[:20])
        header[4:8] = (m.time % 65536).to_bytes(2, "big") + (more | at // 8).to_bytes(2, "big")
        header[10:12] = b"\0\0"
        header[10:12] = p.checksum(bytes(header)).to_bytes(2, "big")
        pieces.append(bytes(header) + piece)
    return pieces


def tcp_records(messages: list[p.Message], size: int) -> list[p.Record]:
    """Each message in segments of `size` bytes."""
    sequence: Counter[p.Address] = Counter()
    records = []
    for m in messages:
        for n, at in enumerate(range(0, len(m.data), size)):
            piece = m.data[at:at + size]
            segment = p.tcp(m.source, m.destination, 1000 + sequence[m.source], piece)
            sequence[m.source] += len(piece)
            records.append((m.time + n, p.ethernet(segment)))
    return records


ODD = {"six@a": CALL, "vlan@a": CALL, "compact@a": CALL, "folded@a": REGISTER, "fragments@a": "MESSAGE 200",
       "tcp@a": CALL}


def test_reads_odd_packets(imported: Import, tmp_path: Path):
    path = p.write_records(tmp_path / "odd.pcap", odd_records())
    assert imported(path).dialogs == {name: script.split() for name, script in ODD.items()}


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
def test_reads_what_tshark_reads_in_made_captures(imported: Import, tmp_path: Path, capture: Path):
    odd = p.write_records(tmp_path / "odd.pcap", odd_records())
    for path in (capture, odd):
        found = imported(path).dialogs
        assert found == tshark_sequences(path) and len(found) >= 6


def test_several_messages_in_a_segment(imported: Import, tmp_path: Path):
    stream = p.call("a@tcp", "OPTIONS", 0) + p.call("b@tcp", "OPTIONS", 0)
    data = b"\r\n\r\n" + stream[0].data + b"\r\n" + stream[1].data + b"\r\n\r\n"
    frame = p.ethernet(p.tcp(p.CALLER, p.CALLEE, 1, data))
    path = p.write_records(tmp_path / "tcp.pcap", [(stream[0].time, frame)])
    assert imported(path).dialogs == {"a@tcp": ["OPTIONS"], "b@tcp": ["OPTIONS"]}


def test_hep_inside_a_capture(imported: Import, tmp_path: Path):
    messages = p.call("hep@a", CALL, 1)
    wrapped = [p.Message(m.time + 5_000_000, ("203.0.113.5", 40000), ("203.0.113.9", 9060), p.hep3(m))
               for m in messages]
    assert imported(p.write_pcap(tmp_path / "hep.pcap", wrapped)).dialogs == {"hep@a": CALL.split()}


# ---- what makes a corpus ----


def test_type_rules(imported: Import, capture: Path):
    paper = imported(capture)
    assert paper.dialogs["call3@a"] == CALL.split()
    assert paper.attributes["type_rule"] == "paper/1" and paper.attributes["retransmissions"] == "keep"
    cseq = imported(capture, options=("--type-rule", "cseq"))
    assert cseq.attributes["type_rule"] == "cseq/1"
    assert cseq.dialogs["call3@a"] == "INVITE 100-INVITE 180-INVITE 200-INVITE ACK BYE 200-BYE".split()
    assert cseq.dialogs["register0@a"] == "REGISTER 401-REGISTER REGISTER 200-REGISTER".split()


def test_retransmissions(imported: Import, tmp_path: Path):
    messages = p.call("again@a", CALL, 1)
    copies = [messages[0].later(0.05), messages[0].later(0.15), messages[5].later(0.05)]
    path = write(tmp_path / "copies.pcap", messages, copies)
    kept, collapsed = imported(path), imported(path, options=("--retransmissions", "collapse"))
    assert kept.dialogs["again@a"] == "INVITE INVITE 100 INVITE 180 200 ACK BYE BYE 200".split()
    assert collapsed.dialogs["again@a"] == CALL.split()
    assert "3 copies of messages" in imported.report
    assert collapsed.attributes["retransmissions"] == "collapse"


def test_a_guesser_is_not_collapsed(imported: Import, tmp_path: Path):
    """One Call-ID and CSeq number for all attempts; branches and tags differ (as svcrack does it)."""
    messages = []
    for n in range(6):
        for m in p.call("crack@a", "REGISTER 401", n):
            messages.append(m.edited(b"z9hG4bK", b"z9hG4bK%d" % n))
    path = write(tmp_path / "crack.pcap", messages)
    assert imported(path, options=("--retransmissions", "collapse")).dialogs["crack@a"] == 6 * ["REGISTER", "401"]


def test_rare_types_become_other(imported: Import, tmp_path: Path):
    dialogs = [p.call(f"o{n}@a", "OPTIONS 200", n) for n in range(5)]
    dialogs += [p.call("rare@a", "INVITE 100 603 ACK", 9)]
    path = write(tmp_path / "rare.pcap", *dialogs)
    corpus = imported(path, options=("--types", 3))
    assert sorted(corpus.alphabet) == ["200", "OPTIONS", "OTHER"]
    assert corpus.dialogs["rare@a"] == 4 * ["OTHER"]
    assert "4 messages of 4 rare types became OTHER" in imported.report
    named = imported(path, options=("--alphabet", "INVITE,ACK,OPTIONS,200"))
    assert named.dialogs["rare@a"] == ["INVITE", "OTHER", "OTHER", "ACK"]


def test_long_dialogs(imported: Import, tmp_path: Path):
    path = write(tmp_path / "long.pcap", p.call("long@a", "INVITE 100 180 180 180 200 ACK BYE 200"),
                 p.call("short@a", "OPTIONS 200"))
    cut = imported(path, options=("--max-length", 5))
    assert cut.dialogs["long@a"] == "INVITE 100 180 180 180".split() and cut.attributes["max_length"] == 5
    assert "1 dialogs were cut to 5 messages" in imported.report
    assert set(imported(path, options=("--max-length", 5, "--truncate", "drop")).dialogs) == {"short@a"}
    assert "1 dialogs of more than 5 messages were left out" in imported.report
    assert set(imported(path, options=("--min-length", 3)).dialogs) == {"long@a"}


def test_only_dialogs_that_ended(imported: Import, tmp_path: Path):
    path = write(tmp_path / "ends.pcap", p.call("whole@a", CALL), p.call("open@a", "INVITE 100 180 200 ACK", 1),
                 p.call("ringing@a", "INVITE 100 180", 2), p.call("midst@a", "BYE 200", 3), p.call("answered@a",
                                                                                                   REGISTER, 4))
    assert len(imported(path).dialogs) == 5
    assert set(imported(path, options=("--dialogs", "ended")).dialogs) == {"whole@a", "answered@a"}
    assert "3 dialogs without an end were left out" in imported.report


def test_a_call_id_used_again_is_another_dialog(imported: Import, tmp_path: Path):
    path = write(tmp_path / "again.pcap", p.call("again@a", REGISTER), p.call("again@a", "REGISTER 200", 200),
                 p.call("again@a", "REGISTER 401", 400), p.call("soon@a", "OPTIONS 200"), p.call("soon@a",
                                                                                                 "OPTIONS 200", 20))
    corpus = imported(path)
    assert corpus.dialogs == {"again@a": REGISTER.split(), "again@a#2": ["REGISTER", "200"],
                              "again@a#3": ["REGISTER", "401"], "soon@a": 2 * ["OPTIONS", "200"]}


def test_a_call_id_that_looks_like_the_name_of_another(imported: Import, tmp_path: Path):
    """Names of dialogs stay apart whatever the wire brings; so do Call-IDs alike in what is kept of them."""
    path = write(tmp_path / "names.pcap", p.call("x#2", "OPTIONS 200"), p.call("x", REGISTER, 1),
                 p.call("x", "REGISTER 401", 300), p.call("x#2", "OPTIONS 404", 300))
    assert sorted(imported(path).dialogs.values()) == sorted(
        [["OPTIONS", "200"], REGISTER.split(), ["REGISTER", "401"], ["OPTIONS", "404"]])
    long = 1100 * "c"
    path = write(tmp_path / "long.pcap", p.call(long + "1", "OPTIONS 200"), p.call(long + "2", "REGISTER 200", 1))
    assert sorted(imported(path).dialogs.values()) == [["OPTIONS", "200"], ["REGISTER", "200"]]


def test_order_is_that_of_time(imported: Import, tmp_path: Path):
    messages = p.call("late@a", CALL)
    path = p.write_pcap(tmp_path / "late.pcap", [messages[0], messages[2], messages[1], *messages[3:]])
    assert imported(path).dialogs["late@a"] == "INVITE 180 100 200 ACK BYE 200".split()


# ---- sources ----


def test_gzip_stdin_pcapng_and_several_files(sipgpu: Sipgpu, imported: Import, tmp_path: Path, capture: Path):
    wanted = imported(capture).dialogs
    packed = tmp_path / "packed.pcap.gz"
    packed.write_bytes(gzip.compress(capture.read_bytes()))
    assert imported(packed).dialogs == wanted
    for source in (capture, packed):
        out = tmp_path / "stdin.h5"
        with open(source, "rb") as stdin:
            words = sipgpu.words("corpus", "import", "--pcap", "-", "--out", out, "--force")
            subprocess.run(words, stdin=stdin, check=True, capture_output=True, timeout=60)
        assert Corpus(out).dialogs == wanted
    messages = p.call("ng@a", CALL, 100)
    records = [(0, m.time, p.ethernet(p.udp(m.source, m.destination, m.data))) for m in messages]
    ng = p.pcapng(tmp_path / "more.pcapng", [p.LINK_ETHERNET], records)
    assert imported(ng).dialogs == {"ng@a": CALL.split()}
    assert imported(capture, ng).dialogs == {**wanted, "ng@a": CALL.split()}


def test_a_dialog_goes_on_in_the_next_file(imported: Import, tmp_path: Path):
    messages = p.call("rotated@a", CALL)
    first = p.write_pcap(tmp_path / "1.pcap", messages[:3])
    second = p.write_pcap(tmp_path / "2.pcap", messages[3:])
    assert imported(first, second).dialogs == {"rotated@a": CALL.split()}


def test_filter(imported: Import, tmp_path: Path):
    path = write(tmp_path / "two.pcap", p.call("a@a", CALL), p.call("b@a", CALL, caller=("192.0.2.9", 5062)))
    assert set(imported(path, options=("--bpf", "host 192.0.2.9")).dialogs) == {"b@a"}
    assert set(imported(path, options=("--bpf", "udp and port 5062")).dialogs) == {"b@a"}


def test_copies_of_a_span_port(imported: Import, tmp_path: Path):
    messages = p.call("span@a", CALL)
    path = write(tmp_path / "span.pcap", messages, [m.later(0.001) for m in messages])
    assert len(imported(path).dialogs["span@a"]) == 14
    assert imported(path, options=("--duplicates-ms", 10)).dialogs["span@a"] == CALL.split()


def test_a_truncated_file_gives_what_it_holds(imported: Import, tmp_path: Path, capture: Path):
    path = tmp_path / "cut.pcap"
    path.write_bytes(capture.read_bytes()[:-100])
    whole, cut = imported(capture), imported(path)
    assert "1 files that end within a record" in imported.report
    assert sum(map(len, cut.dialogs.values())) == sum(map(len, whole.dialogs.values())) - 1
    packed = tmp_path / "cut.pcap.gz"
    packed.write_bytes(gzip.compress(capture.read_bytes())[:-300])
    assert 0 < len(imported(packed).dialogs) <= len(whole.dialogs)
    assert "1 files that end within a record" in imported.report


# ---- what is refused ----


def refuses_to_import(sipgpu: Sipgpu, tmp_path: Path, *words: Any, names: tuple[Any, ...], code: int = 1,
                      alone: bool = True) -> None:
    out = tmp_path / "none.h5"
    before = sorted(tmp_path.iterdir())
    sipgpu.refuses("corpus", "import", *words, "--out", out, names=names, code=code, alone=alone)
    assert sorted(tmp_path.iterdir()) == before


def test_wrong_files(sipgpu: Sipgpu, tmp_path: Path, capture: Path):
    def bad(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    for path in (bad("text.pcap", b"this is no capture, but a text of some length\n"), bad("empty.pcap", b""),
                 bad("head.pcap", capture.read_bytes()[:10]), bad("gzip.pcap",
                                                                  gzip.compress(b"no capture either" * 9))):
        refuses_to_import(sipgpu, tmp_path, "--pcap", path, names=(path,))
        refuses_to_import(sipgpu, tmp_path, "--pcap", capture, "--pcap", path, names=(path,), alone=False)
    refuses_to_import(sipgpu, tmp_path, "--pcap", tmp_path / "missing.pcap", names=(tmp_path / "missing.pcap",))
    refuses_to_import(sipgpu, tmp_path, "--pcap", tmp_path, names=(tmp_path,))
    refuses_to_import(sipgpu, tmp_path, "--pcap", bad("bare.pcap", p.pcap_bytes([])), names=("no messages",),
                      alone=False)
    packed = bytearray(gzip.compress(capture.read_bytes()))
    packed[len(packed) // 2:] = b"\xff" * (len(packed) - len(packed) // 2)
    damaged = bad("damage.pcap.gz", bytes(packed))
    refuses_to_import(sipgpu, tmp_path, "--pcap", damaged, names=(damaged,), alone=False)


def test_mixed_link_types(sipgpu: Sipgpu, tmp_path: Path):
    m = p.call("mixed@a", "OPTIONS")[0]
    packet = p.udp(m.source, m.destination, m.data)
    path = p.pcapng(tmp_path / "mixed.pcapng", [p.LINK_ETHERNET, p.LINK_RAW],
                    [(0, m.time, p.ethernet(packet)), (1, m.time, packet)])
    refuses_to_import(sipgpu, tmp_path, "--pcap", path, names=(path,), alone=False)


def test_wrong_words(sipgpu: Sipgpu, tmp_path: Path, capture: Path):
    refuses_to_import(sipgpu, tmp_path, "--pcap", capture, "--bpf", "hots 1.2.3.4", names=("hots 1.2.3.4",), code=2)
    refuses_to_import(sipgpu, tmp_path, "--pcap", capture, tmp_path / "table.csv", names=("not both",), code=2)
    refuses_to_import(sipgpu, tmp_path, "--pcap", capture, "--type-rule", "guess", names=("guess", "paper|cseq"),
                      code=2)
    refuses_to_import(sipgpu, tmp_path, "--pcap", capture, "--max-length", 3, "--truncate", "drop",
                      names=("no",), alone=False)
    out = tmp_path / "kept.h5"
    out.write_bytes(b"precious")
    sipgpu.refuses("corpus", "import", "--pcap", capture, "--out", out, names=(out, "--force"))
    assert out.read_bytes() == b"precious"
