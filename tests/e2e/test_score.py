"""`sipgpu score`: what it says of dialogs is what the network of the model file says, in NumPy; in every form
of input, in order, as a stream."""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import Sipgpu, settings
from detector_model import Model, column, read_answers

NOT_SCORED = ("class", "probability", "skewness", "kurtosis", "known", "known_prefix", "abnormal", "low_cluster")


def score(sipgpu: Sipgpu, model: Path, *words: object, code: int = 0, **options: object) -> list[dict]:
    result = sipgpu("score", "--model", model, "--precision", "fp32", *words, **options)
    assert result.code == code, result.err
    return read_answers(result.out)


def feed(sipgpu: Sipgpu, model: Path, text: str | bytes, *words: object) -> str:
    """The output for a text on standard input."""
    data = text.encode() if isinstance(text, str) else text
    done = subprocess.run(sipgpu.words("score", "--model", model, *words), input=data, capture_output=True,
                          timeout=120, env=sipgpu.environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def peak_memory(process: subprocess.Popen) -> int:
    """Waits for a process that must succeed; the kilobytes it had at its peak."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss


@pytest.fixture(scope="module")
def model(trained: Path) -> Path:
    return trained / "model.h5"


@pytest.fixture(scope="module")
def quick(quick_run: Path) -> Path:
    return quick_run / "model.h5"


@pytest.fixture(scope="module")
def dialogs(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, ...]]]:
    """600 dialogs as lines: known, unknown, beginnings."""
    m = Model(model)
    found = m.dialogs(600, seed=1)
    return m.write_lines(tmp_path_factory.mktemp("dialogs") / "dialogs.csv", found), found


# ---- what it says ----


def check_answers(m: Model, rows: list[dict], dialogs: list[tuple[int, ...]], partial: bool, rule: str) -> None:
    p = m.probabilities(dialogs)
    skewness, kurtosis = m.moments(p)
    assert np.abs(column(rows, "probability") - p.max(axis=1)).max() < 1e-5
    best = column(rows, "class")
    assert np.all(p[np.arange(len(p)), best] >= p.max(axis=1) - 1e-5)
    assert np.abs(column(rows, "skewness") - skewness).max() < 1e-5
    assert np.abs(column(rows, "kurtosis") - kurtosis).max() < 1e-5
    assert [r["known"] for r in rows] == [d in m.known for d in dialogs]
    assert [r["known_prefix"] for r in rows] == [d in m.beginnings for d in dialogs]
    lengths = [len(d) for d in dialogs] if partial else None
    below = m.below(skewness, kurtosis, lengths)
    abnormal = below.all(axis=1) if rule == "both" else below.any(axis=1)
    if partial:  # as watch: a beginning of train dialogs is normal
        abnormal &= [d not in m.beginnings for d in dialogs]
    certain = m.margin(skewness, kurtosis, lengths) > 1e-5
    assert certain.sum() > 0.5 * len(rows)
    assert np.array_equal(column(rows, "abnormal")[certain], abnormal[certain])
    assert 0 < abnormal.sum() < len(rows)
    if partial:
        assert all(r["low_cluster"] is None for r in rows)
    else:
        clear = m.cluster_margin(skewness, kurtosis) > 1e-5
        assert clear.sum() > 0.5 * len(rows)
        assert np.array_equal(column(rows, "low_cluster")[clear], m.low_cluster(skewness, kurtosis)[clear])


@pytest.mark.parametrize("partial", [False, True], ids=["whole", "partial"])
@pytest.mark.parametrize("rule", ["both", "either"])
def test_answers_are_those_of_the_network(sipgpu: Sipgpu, model: Path, dialogs: tuple, partial: bool,
                                          rule: str) -> None:
    path, found = dialogs
    rows = score(sipgpu, model, "--rule", rule, *(["--partial"] if partial else []), path)
    assert [r["id"] for r in rows] == [str(n + 1) for n in range(len(found))]
    assert [r["length"] for r in rows] == [len(d) for d in found]
    assert all(r["file"] == str(path) and r["note"] == "" for r in rows)
    check_answers(Model(model), rows, found, partial, rule)


@pytest.mark.parametrize("padding", ["post", "mask", "pre"])
@pytest.mark.parametrize("layers", [1, 2])
def test_other_networks(sipgpu: Sipgpu, corpus: Path, tmp_path: Path, padding: str, layers: int) -> None:
    sipgpu.ok("train", "--corpus", corpus, "--out", tmp_path / "run",
              *settings(model__units=24, model__layers=layers, model__padding=padding, model__forget_bias=3,
                        train__epochs=4, train__batch_size=93, train__learning_rate=0.01))
    m = Model(tmp_path / "run/model.h5")
    found = m.dialogs(150, seed=2)
    rows = score(sipgpu, tmp_path / "run/model.h5", m.write_lines(tmp_path / "dialogs.csv", found))
    p = m.probabilities(found)
    skewness, kurtosis = m.moments(p)
    assert np.abs(column(rows, "probability") - p.max(axis=1)).max() < 1e-5
    assert np.abs(column(rows, "skewness") - skewness).max() < 1e-5
    assert np.abs(column(rows, "kurtosis") - kurtosis).max() < 1e-5


def test_verdicts_on_the_test_split_are_those_of_detect(sipgpu: Sipgpu, model: Path, corpus: Path,
                                                        tmp_path: Path) -> None:
    sipgpu.ok("detect", "--precision", "fp32", "--model", model, "--corpus", corpus, "--dialogs",
              tmp_path / "verdicts.csv")
    verdicts = {line.split(",")[0]: line.split(",") for line in
                (tmp_path / "verdicts.csv").read_text(encoding="utf-8").splitlines()[1:]}
    head = (tmp_path / "verdicts.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    rows = {r["id"]: r for r in score(sipgpu, model, corpus)}
    assert len(rows) == 1900 and len(verdicts) == 570
    for number, line in verdicts.items():
        expected, row = dict(zip(head, line)), rows[number]
        assert row["abnormal"] == (expected["abnormal"] == "1")
        assert row["known"] == (expected["known"] == "1")
        assert row["class"] == int(expected["argmax"])
        assert row["probability"] == pytest.approx(float(expected["p_max"]), abs=1e-5)


# ---- forms of input and output ----


def test_corpus_lines_and_messages_say_the_same(sipgpu: Sipgpu, model: Path, corpus: Path, tmp_path: Path) -> None:
    m, order = Model(model), random.Random(3)
    with h5py.File(corpus) as f:
        sequences, lengths = f["dialogs/sequence"][:200], f["dialogs/length"][:200]
    found = [tuple(int(t) for t in s[:n]) for s, n in zip(sequences, lengths)]
    messages = [f"call{d},{1000 + 60 * d + t},{name}" for d, dialog in enumerate(found)
                for t, name in enumerate(m.text(dialog))]
    order.shuffle(messages)
    first = list(dict.fromkeys(int(line[4:line.index(",")]) for line in messages))
    (tmp_path / "messages.csv").write_text("\n".join(["Call-ID,time,message", *messages]), encoding="utf-8")
    (tmp_path / "bare.tsv").write_text("\n".join(messages).replace(",", "\t") + "\n", encoding="utf-8")

    def plain(rows: list[dict]) -> list[tuple]:
        return [tuple(v for k, v in r.items() if k not in ("file", "id")) for r in rows]

    lines = score(sipgpu, model, m.write_lines(tmp_path / "lines.csv", found))
    tabs = tmp_path / "lines.tsv"
    tabs.write_text((tmp_path / "lines.csv").read_text(encoding="utf-8").replace(",", "\t"), encoding="utf-8")
    close = pytest.approx
    for rows, numbers in ((score(sipgpu, model, corpus)[:200], range(200)),
                          (score(sipgpu, model, tabs), range(200)),
                          (score(sipgpu, model, tmp_path / "messages.csv"), first),
                          (score(sipgpu, model, "--columns", "call_id,time,message", tmp_path / "bare.tsv"), first)):
        for row, number in zip(plain(rows), numbers, strict=True):
            assert row == tuple(close(v, abs=1e-5) if isinstance(v, float) else v for v in plain(lines)[number])
    assert [r["id"] for r in score(sipgpu, model, tmp_path / "messages.csv")] == [f"call{n}" for n in first]


def test_order_is_kept_whatever_the_batch(sipgpu: Sipgpu, model: Path, dialogs: tuple) -> None:
    path, _ = dialogs
    base = score(sipgpu, model, path)
    for batch in (1, 7, 65536):
        rows = score(sipgpu, model, "--batch", batch, path)
        assert [(r["id"], r["length"], r["known"]) for r in rows] == [(r["id"], r["length"], r["known"]) for r in base]
        assert np.abs(column(rows, "probability") - column(base, "probability")).max() < 1e-5


def test_json_says_what_csv_says(sipgpu: Sipgpu, model: Path, dialogs: tuple) -> None:
    path, found = dialogs
    m = Model(model)
    rows = score(sipgpu, model, "--names", path)
    objects = [json.loads(line) for line in
               sipgpu.ok("score", "--model", model, "--precision", "fp32", "--names", "--json", path).out.splitlines()]
    assert len(rows) == len(objects) == len(found)
    for row, o in zip(rows, objects):
        assert o.pop("class_dialog") == row.pop("class_dialog").split(" ") == m.text(m.classes[o["class"]])
        assert row.pop("note") == ""
        assert o == row


def test_several_files_and_standard_input(sipgpu: Sipgpu, quick: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("INVITE,100\nBYE", encoding="utf-8")
    (tmp_path / "b.csv").write_text("\ufeffOPTIONS;200\r\n", encoding="utf-8")
    out = feed(sipgpu, quick, "CANCEL\n", tmp_path / "a.csv", "-", tmp_path / "b.csv")
    assert [(Path(r["file"]).name, r["id"], r["length"]) for r in read_answers(out)] == [
        ("a.csv", "1", 2), ("a.csv", "2", 1), ("-", "1", 1), ("b.csv", "1", 2)]
    assert feed(sipgpu, quick, "") == feed(sipgpu, quick, "\n\r\n") == out.splitlines()[0] + "\n"


# ---- dialogs that cannot be scored ----


def test_what_cannot_be_scored_is_noted(sipgpu: Sipgpu, quick: Path) -> None:
    m = Model(quick)
    longest = ",".join(["INVITE"] * m.length)
    lines = ["INVITE,100", "INVITE,FOO,BAR", longest, longest + ",ACK", ",,", "INVITE,,ACK", "INVITE,200 OK,ACK,,",
             "invite,SIP/2.0 100 Trying", "INVITE,1000", "INVITE,\x1b[31m", "," * 1000, "A" * (1 << 20) + ",B"]
    rows = read_answers(feed(sipgpu, quick, "\n".join(lines)))
    notes = ["", "unknown message 'FOO', number 2", "", f"longer than the model's {m.length} messages", "no messages",
             "unknown message '', number 2", "", "", "unknown message '1000', number 2",
             "unknown message '?[31m', number 2", "no messages", "cannot be read: longer than 1 MiB"]
    assert [r["note"] for r in rows] == notes
    assert [r["length"] for r in rows] == [2, 3, m.length, m.length + 1, 0, 3, 3, 2, 2, 2, 0, 0]
    for row in rows:
        assert all((row[key] is None) == (row["note"] != "") for key in NOT_SCORED)
    objects = [json.loads(line) for line in feed(sipgpu, quick, "\n".join(lines), "--json").splitlines()]
    assert [o.get("note", "") for o in objects] == notes


def test_binary_input_is_answered_line_by_line(sipgpu: Sipgpu, quick: Path) -> None:
    rng = random.Random(4)
    for data in (bytes(rng.randrange(256) for _ in range(20000)), b"\0\0\n\xff\xfe,\n", b'"' * 999, b"\t" * 70000):
        out = subprocess.run(sipgpu.words("score", "--model", quick), input=data, capture_output=True, timeout=60,
                             env=sipgpu.environment, check=True).stdout
        assert out.isascii() and out.startswith(b"file,id,")


def test_a_line_without_end_takes_no_memory(sipgpu: Sipgpu, quick: Path) -> None:
    with open("/dev/zero", "rb") as zeros, \
            subprocess.Popen(["head", "-c", "600000000"], stdin=zeros, stdout=subprocess.PIPE) as data, \
            subprocess.Popen(sipgpu.words("score", "--model", quick, "--quiet", "--threads", 1), stdin=data.stdout,
                             stdout=subprocess.PIPE, env=sipgpu.environment) as process:
        out = process.stdout.read().decode()
        kilobytes = peak_memory(process)
    assert [r["note"] for r in read_answers(out)] == ["cannot be read: a zero byte"]
    assert kilobytes < 400_000


def test_rare_messages_fold_as_the_alphabet_says(sipgpu: Sipgpu, tmp_path: Path) -> None:
    lines = ["call_id,time,message"] + [f"c{n},{n + t / 10},{name}" for n in range(40) for t, name in
                                        enumerate(["INVITE", "200", "ACK", ("BYE", "INFO", "CANCEL")[n % 3], "200"])]
    (tmp_path / "m.csv").write_text("\n".join(lines), encoding="utf-8")
    sipgpu.ok("corpus", "import", "--alphabet", "INVITE,200,ACK,BYE,CANCEL", "--out", tmp_path / "c.h5", tmp_path / "m.csv")
    sipgpu.ok("train", "--corpus", tmp_path / "c.h5", "--out", tmp_path / "run",
              *settings(model__units=8, train__epochs=1, train__batch_size=8))
    text = "INVITE,200,ACK,INFO,200\nINVITE,200,ACK,OTHER,200\nINVITE,200,ACK,PUBLISH,200\n"
    rows = read_answers(feed(sipgpu, tmp_path / "run/model.h5", text, "--precision", "fp32"))
    assert all(r["known"] for r in rows)
    assert len({(r["probability"], r["skewness"]) for r in rows}) == 1


def test_strict_ends_at_the_first(sipgpu: Sipgpu, quick: Path, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("INVITE\nINVITE,100\nFOO\nBYE\n", encoding="utf-8")
    result = sipgpu("score", "--model", quick, "--quiet", "--strict", tmp_path / "d.csv")
    assert result.code == 1 and [r["id"] for r in read_answers(result.out)] == ["1", "2"]
    assert result.err.splitlines()[-1] == (f"sipgpu: {tmp_path}/d.csv, dialog 3: unknown message 'FOO', number 1 "
                                           "(--strict)")


def test_fail_on_abnormal(sipgpu: Sipgpu, model: Path, dialogs: tuple, tmp_path: Path) -> None:
    path, _ = dialogs
    rows = score(sipgpu, model, path)
    abnormal = [r for r in rows if r["abnormal"]]
    result = sipgpu("score", "--model", model, "--precision", "fp32", "--fail-on-abnormal", path)
    assert result.code == 1 and read_answers(result.out) == rows
    assert f"{len(abnormal)} of {len(rows)} dialogs are abnormal" in result.err.splitlines()[-1]
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "fine.csv").write_text("".join(lines[int(r["id"]) - 1] for r in rows if not r["abnormal"]),
                                       encoding="utf-8")
    score(sipgpu, model, "--fail-on-abnormal", tmp_path / "fine.csv")


# ---- as a stream ----


def test_lines_are_answered_as_they_come(sipgpu: Sipgpu, quick: Path) -> None:
    with subprocess.Popen(sipgpu.words("score", "--model", quick, "--quiet"), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, env=sipgpu.environment, bufsize=0) as process:
        try:
            out = b""
            for number in range(1, 6):
                process.stdin.write(b"INVITE,100\nOPTIO" if number == 1 else b"NS,200\nOPTIO")
                until = time.monotonic() + 30
                while out.count(b"\n") < number + 1 and time.monotonic() < until:
                    if select.select([process.stdout], [], [], 1)[0]:
                        out += os.read(process.stdout.fileno(), 65536)
                assert out.count(b"\n") == number + 1
            process.stdin.write(b"NS")
            out += process.communicate(timeout=30)[0]
        finally:
            process.kill()
    rows = read_answers(out.decode())
    assert [r["length"] for r in rows] == [2, 2, 2, 2, 2, 1] and rows[-1]["note"] == ""


def test_memory_does_not_grow_with_the_stream(sipgpu: Sipgpu, quick: Path) -> None:
    m, rng = Model(quick), random.Random(6)

    def peak(lines: int) -> int:
        """Kilobytes, for that many random dialogs, nearly all of them different."""
        with subprocess.Popen(sipgpu.words("score", "--model", quick, "--quiet", "--threads", 1),
                              stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              env={**sipgpu.environment, "ASAN_OPTIONS": "quarantine_size_mb=1"}) as process:
            for _ in range(lines // 1000):
                text = "".join(",".join(rng.choices(m.names, k=6)) + "\n" for _ in range(1000))
                process.stdin.write(text.encode())
            process.stdin.close()
            return peak_memory(process)

    few, many = peak(100_000), peak(400_000)
    assert many < few + 8192, (few, many)


def test_closed_output_ends_it(sipgpu: Sipgpu, quick: Path, tmp_path: Path) -> None:
    (tmp_path / "many.csv").write_text("INVITE,100\n" * 100_000, encoding="utf-8")
    with subprocess.Popen(sipgpu.words("score", "--model", quick, "--quiet", tmp_path / "many.csv"),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=sipgpu.environment) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read().splitlines()[-1] == "sipgpu: cannot write the results to standard output"
        assert process.wait(timeout=60) == 1


# ---- bad input ----


def test_wrong_usage(sipgpu: Sipgpu, quick: Path, corpus: Path) -> None:
    sipgpu.refuses("score", corpus, names=("--model",), code=2)
    sipgpu.refuses("score", "--model", quick, "--rule", "none", corpus, names=("--rule", "both"), code=2)
    sipgpu.refuses("score", "--model", quick, "--batch", 0, corpus, names=("batch",), code=2)
    sipgpu.refuses("score", "--model", quick, "--columns", "time,message", corpus, names=("call_id",), code=2)
    assert "known_prefix" in sipgpu.ok("score", "--help").out


def test_bad_files(sipgpu: Sipgpu, quick: Path, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.h5").write_bytes(b"")
    (tmp_path / "text.h5").write_text("no model\n", encoding="utf-8")
    (tmp_path / "short.h5").write_bytes(quick.read_bytes()[:5000])
    for bad in ("missing.h5", "empty.h5", "text.h5", "short.h5", "."):
        assert sipgpu.refuses("score", "--model", tmp_path / bad, corpus, names=(tmp_path / bad,))
    sipgpu.refuses("score", "--model", corpus, corpus, names=(corpus,))
    sipgpu.refuses("score", "--model", quick, tmp_path / "missing.csv", names=("missing.csv",))
    sipgpu.refuses("score", "--model", quick, tmp_path, names=(tmp_path, "folder"))
    sipgpu.refuses("score", "--quiet", "--model", quick, quick, names=(quick,), alone=False)
    (tmp_path / "none.csv").write_text("call_id,time,message\n,,\nx,y,z\n", encoding="utf-8")
    sipgpu.refuses("score", "--quiet", "--model", quick, tmp_path / "none.csv", names=("none.csv",), alone=False)


def test_a_corpus_on_a_pipe(sipgpu: Sipgpu, quick: Path, corpus: Path) -> None:
    done = subprocess.run(sipgpu.words("score", "--quiet", "--model", quick), input=corpus.read_bytes(),
                          capture_output=True, timeout=60, env=sipgpu.environment, check=False)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[-1] == "sipgpu: -: a corpus cannot be read from a pipe"


def test_models_without_limits(sipgpu: Sipgpu, quick: Path, corpus: Path, edited) -> None:
    bare = edited(quick, lambda f: [f.__delitem__(name) for name in ("thresholds", "prefix_thresholds", "kmeans")])
    rows = score(sipgpu, bare, corpus)
    assert all(r["abnormal"] is None and r["low_cluster"] is None and r["skewness"] is not None for r in rows)
    sipgpu.refuses("score", "--model", bare, "--fail-on-abnormal", corpus, names=(bare, "limits"), alone=False)
    sipgpu.refuses("score", "--model", bare, "--partial", corpus, names=(bare, "--partial"), alone=False)


def test_full_disk(sipgpu: Sipgpu, quick: Path, corpus: Path) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(sipgpu.words("score", "--quiet", "--model", quick, corpus), stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=60, env=sipgpu.environment, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "sipgpu: cannot write the results to standard output"


# ---- exported models (.sipm) ----


@pytest.fixture(scope="module")
def sipm(sipgpu: Sipgpu, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sipm") / "model.sipm"
    sipgpu.ok("export", "--model", model, "--format", "sipm", "--out", path)
    return path


@pytest.mark.parametrize("words", [[], ["--partial"], ["--rule", "either"], ["--partial", "--rule", "either"],
                                   ["--recompute"], ["--simd", "generic"]], ids=" ".join)
def test_exported_models_say_the_same(sipgpu: Sipgpu, model: Path, sipm: Path, dialogs: tuple,
                                      words: list[str]) -> None:
    path, found = dialogs
    m = Model(model)
    plain = [w for w in words if w not in ("--recompute", "--simd", "generic")]
    expected = score(sipgpu, model, *plain, path)
    rows = read_answers(sipgpu.ok("score", "--model", sipm, *words, path).out)
    assert [r["id"] for r in rows] == [r["id"] for r in expected]
    for name in ("probability", "skewness", "kurtosis"):
        assert np.abs(column(rows, name) - column(expected, name)).max() < 1e-5
    for name in ("length", "known", "known_prefix"):
        assert np.array_equal(column(rows, name), column(expected, name))
    certain = m.margin(column(expected, "skewness"), column(expected, "kurtosis"),
                       [len(d) for d in found] if "--partial" in words else None) > 1e-5
    assert np.array_equal(column(rows, "abnormal")[certain], column(expected, "abnormal")[certain])


def test_exported_models_read_the_same_input(sipgpu: Sipgpu, model: Path, sipm: Path, corpus: Path) -> None:
    text = "INVITE,200 OK,ACK\ninvite,FOO\n\n,,\n" + ",".join(["BYE"] * 99) + "\nOPTIONS,200,,\n"
    assert ([{k: r[k] for k in ("id", "length", "class", "known", "note", "class_dialog")}
             for r in read_answers(feed(sipgpu, sipm, text, "--names"))] ==
            [{k: r[k] for k in ("id", "length", "class", "known", "note", "class_dialog")}
             for r in read_answers(feed(sipgpu, model, text, "--names", "--precision", "fp32"))])
    rows = read_answers(sipgpu.ok("score", "--model", sipm, "--batch", 5000, corpus).out)
    assert len(rows) == 1900 and column(rows, "known").sum() >= 950


def test_options_of_the_other_kind_of_model(sipgpu: Sipgpu, quick: Path, sipm: Path, corpus: Path) -> None:
    for words in (["--device", "cpu"], ["--precision", "fp32"], ["--threads", 2]):
        sipgpu.refuses("score", "--model", sipm, *words, corpus, names=(words[0], sipm), code=2)
    for words in (["--simd", "generic"], ["--recompute"]):
        sipgpu.refuses("score", "--model", quick, *words, corpus, names=(words[0], quick), code=2)
    sipgpu.refuses("score", "--model", sipm, "--simd", "mmx", corpus, names=("mmx",))


def test_damaged_exported_models(sipgpu: Sipgpu, sipm: Path, corpus: Path, tmp_path: Path) -> None:
    data, rng = sipm.read_bytes(), random.Random(8)
    flipped = bytearray(data)
    flipped[rng.randrange(len(data))] ^= 1
    for number, bad in enumerate((b"", data[:40], data[:-1], data + b"\0", bytes(flipped), b"no model\n")):
        path = tmp_path / f"bad{number}.sipm"
        path.write_bytes(bad)
        sipgpu.refuses("score", "--model", path, corpus, names=(path,))
    (tmp_path / "renamed.bin").write_bytes(data)  # what a file is, is in it
    sipgpu.ok("score", "--model", tmp_path / "renamed.bin", corpus)
