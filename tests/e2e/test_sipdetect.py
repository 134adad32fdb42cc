"""libsipdetect from outside: the library as it is built and installed, its examples, and its verdicts beside those of
`sipgpu watch` on the same packets."""
from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import random
import shutil
import struct
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import packets as p
import pytest
from conftest import ROOT, Sipgpu, changing, settings

PRECISIONS = ("fp32", "bf16", "int8")
SIP_TYPES = "INVITE ACK BYE CANCEL REGISTER OPTIONS 100 180 200 401 486 487".split()


def run(*words: Any, **options: Any) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, timeout=300,
                          **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def export(sipgpu: Sipgpu, model: Path, to: Path, weights: str = "fp32") -> Path:
    if "export" not in sipgpu("--help").out:
        pytest.skip("this program has no command export")
    sipgpu.ok("export", "--model", model, "--out", to, "--weights", weights)
    return to


@pytest.fixture(scope="session")
def library(sipgpu: Sipgpu) -> Path:
    found = sorted(sipgpu.program.resolve().parent.rglob("libsipdetect.so.0"))
    assert found, f"no libsipdetect.so.0 below {sipgpu.program.parent}"
    return found[0]


@pytest.fixture(scope="module")
def sipm(sipgpu: Sipgpu, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The well-trained small run, exported in each precision.  Tests must not change them."""
    folder = tmp_path_factory.mktemp("sipm")
    return {name: export(sipgpu, trained / "model.h5", folder / f"{name}.sipm", name) for name in PRECISIONS}


@pytest.fixture(scope="module")
def example(library: Path) -> ModuleType:
    """examples/sipdetect.py as a module."""
    os.environ["LIBSIPDETECT"] = str(library)
    spec = importlib.util.spec_from_file_location("sipdetect_example", ROOT / "examples/sipdetect.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Truth:
    """What the model file says of the train split."""

    def __init__(self, model: Path):
        with h5py.File(model) as f:
            names = [name.decode() for name in f["alphabet"][:]]
            rows = zip(f["classes/sequence"][:], f["classes/length"][:], f["classes/train_count"][:])
            self.dialogs = {tuple(names[t - 1] for t in row[:n]): int(count) for row, n, count in rows}
            self.names = names
            self.longest = int(f.attrs["max_length"])

    def begin_like(self, dialog: list[str]) -> int:
        return sum(count for other, count in self.dialogs.items() if other[:len(dialog)] == tuple(dialog))

    def sample(self, count: int) -> list[list[str]]:
        """Known dialogs, beginnings of them, and others."""
        draw, found = random.Random(5), []
        for _ in range(count):
            dialog = list(draw.choice(list(self.dialogs)))
            kind = draw.randrange(4)
            dialog = dialog[:draw.randint(1, len(dialog))] if kind else dialog
            dialog += [draw.choice(self.names) for _ in range(draw.randint(1, 4))] if kind == 3 else []
            found.append(dialog)
        return found


# ---- files ----


def test_the_same_model_gives_the_same_bytes(sipgpu: Sipgpu, trained: Path, sipm: dict[str, Path], tmp_path: Path):
    (tmp_path / "other folder").mkdir()
    again = export(sipgpu, trained / "model.h5", tmp_path / "other folder" / "x.sipm", "int8")
    assert again.read_bytes() == sipm["int8"].read_bytes()


def test_the_file_reads_as_documented(trained: Path, sipm: dict[str, Path]):
    """By a reader that knows nothing but the description in sipm_format.h."""
    truth, data = Truth(trained / "model.h5"), sipm["fp32"].read_bytes()
    magic, size, _, version, count = struct.unpack_from("<8sQQII", data)
    assert (magic, size, version) == (b"\x89SIPM\r\n\x1a", len(data), 1)
    table = {number: (at, bytes_) for number, _, at, bytes_ in struct.iter_unpack("<IIQQ", data[32:32 + 24 * count])}

    def section(number: int, kind: str) -> tuple[Any, ...]:
        at, size = table[number]
        return struct.unpack_from(f"<{size // struct.calcsize(kind)}{kind}", data, at)

    assert section(1, "I")[:4] == (len(truth.names), truth.longest, 96, len(truth.dialogs))
    at, size = table[2]
    assert data[at:at + size].decode().split("\0") == [*truth.names, ""]
    start, types, train = section(4, "I"), section(5, "H"), section(6, "Q")
    dialogs = {tuple(truth.names[t - 1] for t in types[a:b]): n for a, b, n in zip(start, start[1:], train)}
    assert dialogs == truth.dialogs
    first, types, passing = section(7, "I"), section(8, "H"), section(10, "Q")
    beginnings = [[]] + [None] * (len(types) - 1)
    for node, begin in enumerate(beginnings):
        for child in range(first[node], first[node + 1]):
            beginnings[child] = begin + [truth.names[types[child] - 1]]
    assert len(beginnings) == 1 + len({d[:k] for d, n in truth.dialogs.items() if n for k in range(1, len(d) + 1)})
    for begin, n in zip(beginnings, passing):
        assert truth.begin_like(begin) == n


def test_bad_files_get_one_line(sipgpu: Sipgpu, sipm: dict[str, Path], library: Path, tmp_path: Path):
    good = sipm["fp32"].read_bytes()
    bad = {"cut.sipm": good[:-1], "flipped.sipm": good[:999] + bytes([good[999] ^ 4]) + good[1000:],
           "other.sipm": b"\x89HDF\r\n\x1a\n" + good[8:], "empty.sipm": b""}
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
    for path in [*(tmp_path / name for name in bad), tmp_path / "none.sipm", tmp_path]:
        done = subprocess.run([ROOT / "examples/sipdetect.py", path], capture_output=True, text=True, check=False,
                              env={**os.environ, "LIBSIPDETECT": str(library)}, stdin=subprocess.DEVNULL)
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and str(path) in done.stderr, done.stderr


def test_targets_that_cannot_be_written(sipgpu: Sipgpu, trained: Path, sipm: dict[str, Path], tmp_path: Path):
    words = ("export", "--model", trained / "model.h5", "--out")
    sipgpu.refuses(*words, tmp_path / "none" / "m.sipm", names=("none",), alone=False)
    sipgpu.refuses(*words, sipm["fp32"], names=("--force",))
    if os.path.exists("/dev/full") and shutil.which("bash"):
        line = f"ulimit -f 8; trap '' XFSZ; {sipgpu.program} export --model {trained}/model.h5 --out {tmp_path}/m.sipm"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
        assert done.returncode == 1 and "too large" in done.stderr.splitlines()[-1].lower(), done.stderr
    assert not list(tmp_path.iterdir())


# ---- the library as others get it ----


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library alone, built by clang where that is there, in a prefix."""
    folder = tmp_path_factory.mktemp("alone")
    compiler = shutil.which("clang") or shutil.which("cc")
    run("cmake", "-S", ROOT / "src/sipdetect", "-B", folder / "build", "-G", "Ninja",
        f"-DCMAKE_C_COMPILER={compiler}", "-DCMAKE_C_FLAGS=-Werror", f"-DCMAKE_INSTALL_PREFIX={folder}/prefix",
        "-DCMAKE_INSTALL_LIBDIR=lib")
    run("cmake", "--build", folder / "build", "-j", "2")
    run("cmake", "--install", folder / "build")
    return folder / "prefix"


def symbols(*words: Any) -> set[str]:
    return {line.split()[-1].split("@")[0] for line in run("nm", *words, "--defined-only").splitlines()
            if len(line.split()) == 3}


def test_only_the_public_names_are_there(installed: Path, library: Path):
    header = (ROOT / "include/sipgpu/sipdetect.h").read_text(encoding="utf-8")
    for path in (installed / "lib/libsipdetect.so", library):
        names = symbols("-D", path)
        assert all(name.startswith("sipdetect_") and f"{name}(" in header for name in names), names
        assert header.count("SIPDETECT_API ") == len(names) + 1  # the macro itself
        needs = [line.split()[-1] for line in run("readelf", "-d", path).splitlines() if "(NEEDED)" in line]
        assert {need.strip("[]").split(".")[0] for need in needs} <= {"libc", "libm", "ld-linux-x86-64", "libasan",
                                                                      "libubsan"}, needs
    assert symbols("-g", installed / "lib/libsipdetect.a") == symbols("-D", installed / "lib/libsipdetect.so")


CONSUMER = """cmake_minimum_required(VERSION 3.16)
project(consumer LANGUAGES C CXX)
find_package(sipdetect 0.1 REQUIRED)
add_executable(shared main.c)
target_link_libraries(shared PRIVATE sipdetect::sipdetect)
add_executable(static main.c)
target_link_libraries(static PRIVATE sipdetect::static)
add_executable(cpp main.cpp)
target_link_libraries(cpp PRIVATE sipdetect::sipdetect)
"""
CPP = """#include <sipgpu/sipdetect.h>
#include <cstdio>
int main()
{
    sipdetect_verdict verdict{};
    sipdetect_model *model = nullptr;
    if (sipdetect_open(&model, "/nonexistent", nullptr) != SIPDETECT_E_IO || model || verdict.scored)
        return 1;
    std::printf("%s\\n", sipdetect_version());
}
"""


def test_consumers(installed: Path, sipm: dict[str, Path], tmp_path: Path):
    (tmp_path / "CMakeLists.txt").write_text(CONSUMER, encoding="ascii")
    (tmp_path / "main.cpp").write_text(CPP, encoding="ascii")
    shutil.copyfile(ROOT / "examples/sipdetect.c", tmp_path / "main.c")
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={installed}",
        "-DCMAKE_C_FLAGS=-Wall -Wextra -Wpedantic -Werror", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wpedantic -Werror")
    run("cmake", "--build", tmp_path / "build", "-j", "2")
    assert run(tmp_path / "build/cpp").startswith("0.1")
    flags = run("pkg-config", "--cflags", "--libs", "sipdetect",
                env={**os.environ, "PKG_CONFIG_PATH": str(installed / "lib/pkgconfig")}).split()
    run("cc", "-o", tmp_path / "by_pkg_config", tmp_path / "main.c", *flags, f"-Wl,-rpath,{installed}/lib")
    told = {run(program, sipm["fp32"], input="BYE BYE\n")
            for program in (tmp_path / "build/shared", tmp_path / "build/static", tmp_path / "by_pkg_config")}
    assert len(told) == 1


def test_the_manual_page_names_every_function(installed: Path):
    page = installed / "share/man/man3/sipdetect.3"
    text = page.read_text(encoding="utf-8")
    header = (ROOT / "include/sipgpu/sipdetect.h").read_text(encoding="utf-8")
    for name in symbols("-D", installed / "lib/libsipdetect.so"):
        assert f"{name}(" in text, name
    for field in header.split("/* What is known of a dialog")[1].split("} sipdetect_verdict;")[0].split("\n"):
        words = field.split(";")[0].split()
        if len(words) == 2 and words[0].endswith(("_t", "float", "double")) and "reserved" not in words[1]:
            assert words[1] in text, words[1]
    if not shutil.which("groff"):
        pytest.skip("groff is not installed")
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z", page], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr


# ---- verdicts ----


def test_examples_agree(installed: Path, library: Path, sipm: dict[str, Path], trained: Path, tmp_path: Path):
    """In C and in Python, on the installed library and on the one beside the program."""
    truth = Truth(trained / "model.h5")
    dialogs = truth.sample(150) + [["BYE"] * 3, ["INVITE", "FOO", "ACK"], [truth.names[0]] * (truth.longest + 2)]
    text = "".join(" ".join(dialog) + "\n" for dialog in dialogs)
    flags = [f"-I{installed}/include", f"-L{installed}/lib", f"-Wl,-rpath,{installed}/lib", "-lsipdetect"]
    run("cc", "-Wall", "-Wextra", "-Werror", "-o", tmp_path / "sipdetect", ROOT / "examples/sipdetect.c", *flags)
    for path in sipm.values():
        in_c = run(tmp_path / "sipdetect", path, input=text)
        assert in_c == run(ROOT / "examples/sipdetect.py", path, input=text,
                           env={**os.environ, "LIBSIPDETECT": str(library)})
        lines = [line.split("\t") for line in in_c.splitlines()]
        assert len(lines) == len(dialogs)
        for dialog, (verdict, alarm, *_, train) in zip(dialogs, lines):
            known = truth.begin_like(dialog)
            assert int(train) == (known if "FOO" not in dialog else 0)
            assert (verdict == "abnormal") == (alarm != "-")
            if known:  # nothing known is abnormal
                assert verdict == ("known" if truth.dialogs.get(tuple(dialog)) else "prefix")
            else:
                assert verdict in ("new", "abnormal")
    assert {line[0] for line in lines} == {"known", "prefix", "new", "abnormal"}


def scripts(count: int) -> list[str]:
    """Random dialogs that go on as the known ones for a while; some with a type that no model knows."""
    draw, found = random.Random(8), []
    known = ["INVITE 100 180 200 ACK BYE 200", "REGISTER 401 REGISTER 200", "INVITE 100 486 ACK", "OPTIONS 200"]
    for _ in range(count):
        words = draw.choice(known).split()
        words = words[:draw.randint(1, len(words))]
        words += [draw.choice(SIP_TYPES + ["202", "PRACK"]) for _ in range(draw.randint(0, 5))]
        found.append(" ".join(words))
    return found


def test_verdicts_are_those_of_watch(sipgpu: Sipgpu, example: ModuleType, tmp_path: Path):
    """The same packets through `watch` and, as raw SIP text, through the library: the same alerts, message by
    message."""
    known = ["INVITE 100 180 200 ACK BYE 200", "REGISTER 401 REGISTER 200", "INVITE 100 486 ACK", "OPTIONS 200",
             "INVITE 100 180 CANCEL 200/CANCEL 487/INVITE ACK"]
    train = p.calls(*(p.call(f"train{n}@a", known[n % len(known)], 2 * n) for n in range(60)))
    sipgpu.ok("corpus", "import", "--pcap", p.write_pcap(tmp_path / "train.pcap", train), "--out",
              tmp_path / "train.h5", "--train", 1, "--validation", 0, "--test", 0, "--max-length", 12)
    sipgpu.ok("train", "--corpus", tmp_path / "train.h5", "--out", tmp_path / "run",
              *settings(model__units=24, train__epochs=30, train__batch_size=6, train__learning_rate=0.01))
    model = tmp_path / "run/model.h5"
    with changing(model) as f:  # limits that no known dialog's score lies at
        f["prefix_thresholds"][:] = 0.999
        for moment in ("skewness", "kurtosis"):
            f["thresholds"].attrs[moment] = 0.9995
    detector = example.Detector(str(export(sipgpu, model, tmp_path / "m.sipm")))
    calls = [p.call(f"{n}@a", script, 2 * n) for n, script in enumerate(scripts(500))]
    capture = p.write_pcap(tmp_path / "calls.pcap", p.calls(*calls))
    eve = tmp_path / "eve.json"
    sipgpu.ok("watch", "-m", model, "-r", capture, "--eve", eve, "--json", "--quiet-s", 0, "--detectors", "network",
              "--precision", "fp32")
    told = alerts_of(eve)
    beginnings = wholes = untyped = 0
    for number, call in enumerate(calls):
        mine, whole, last = alerts_of_library(example, detector, call)
        theirs = told.get(f"{number}@a", {})
        untyped += "unknown_type" in mine
        assert theirs.get("unknown_type") == mine.get("unknown_type"), call
        if "sequence" in mine:  # while it went on
            beginnings += 1
            assert theirs.get("sequence") == mine["sequence"], call
        elif "sequence" in theirs:  # when it was over: whether that was seen depends on the protocol
            wholes += 1
            assert whole and theirs["sequence"] == last, call
    detector.close()
    assert beginnings > 20 and untyped > 20 and beginnings < 480
    assert wholes + beginnings <= sum("sequence" in alerts for alerts in told.values())


def alerts_of(eve: Path) -> dict[str, dict[str, int]]:
    """Position of a dialog's alerts, by reason."""
    found: dict[str, dict[str, int]] = {}
    for line in eve.read_text(encoding="utf-8").splitlines():
        alert = json.loads(line)
        found.setdefault(alert["sip"]["call_id"], {})[alert["anomaly"]["reason"]] = alert["anomaly"]["position"]
    return found


def alerts_of_library(example: ModuleType, detector: Any, call: list[p.Message]) -> tuple[dict[str, int], bool, int]:
    """The same by the library; whether the whole dialog is abnormal; its length."""
    push, verdict, found = detector.library.sipdetect_push_sip, example.Verdict(), {}
    push.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t,
                     ctypes.POINTER(example.Verdict)]
    detector.library.sipdetect_dialog_reset(detector.dialog)
    was_untyped = False
    for message in call:
        before = verdict.position
        assert push(detector.worker, detector.dialog, message.data, len(message.data), ctypes.byref(verdict)) == 0
        if verdict.untyped and not was_untyped:
            found["unknown_type"] = verdict.position
            was_untyped = True
        if verdict.position > before and verdict.abnormal_beginning == 1:
            found.setdefault("sequence", verdict.position)
    detector.library.sipdetect_end(detector.worker, detector.dialog, ctypes.byref(verdict))
    return found, verdict.abnormal == 1 and not verdict.known_prefix, verdict.position
