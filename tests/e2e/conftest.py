"""Fixtures of the end-to-end tests: the program under test, a small corpus, a small trained run.

The program is the one named by the variable SIPGPU, by default build/release/sipgpu.
"""

from __future__ import annotations

import csv
import ctypes
import ctypes.util
import json
import os
import shutil
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator

import h5py
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]

# Settings that reach P_D(train) >= 0.99 on the small corpus within seconds.
GOOD_SETTINGS = {
    "model.units": 96,
    "model.forget_bias": 5,
    "train.batch_size": 48,
    "train.epochs": 120,
    "train.learning_rate": 0.003,
    "train.lr_schedule": "cosine",
    "train.clip_norm": 1,
}


@dataclass
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Sipgpu:
    """Runs the program; its threads wait without spinning, so that tests can share few cores."""

    def __init__(self, program: Path):
        self.program = program
        self.environment = dict(os.environ, OMP_WAIT_POLICY="passive", LC_ALL="C")

    def words(self, *words: Any) -> list[str]:
        return [str(self.program), *(str(word) for word in words)]

    def __call__(self, *words: Any, prefix: tuple[str, ...] = (), env: dict[str, str] | None = None,
                 cwd: Path | None = None) -> Result:
        done = subprocess.run([*prefix, *self.words(*words)], capture_output=True, text=True, timeout=300, cwd=cwd,
                              stdin=subprocess.DEVNULL, env={**self.environment, **(env or {})}, check=False)
        return Result(done.returncode, done.stdout, done.stderr)

    def ok(self, *words: Any, **options: Any) -> Result:
        """Runs a command that must succeed."""
        result = self(*words, **options)
        assert result.code == 0, result.err
        return result

    def start(self, *words: Any, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(self.words(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env={**self.environment, **(env or {})})

    def refuses(self, *words: Any, names: tuple[Any, ...], code: int = 1, alone: bool = True, **options: Any) -> str:
        """Runs a command that must fail with one line on stderr that holds `names`; returns the line.

        With alone=False other lines may come before it: the command had begun its work.
        """
        result = self(*words, **options)
        assert result.code == code, (result.code, result.err)
        *before, line = result.err.splitlines()
        assert line.startswith("sipgpu: ") and len(line) < 500, result.err
        assert not any(other.startswith("sipgpu: ") for other in before), result.err
        assert not alone or not before, result.err
        for name in names:
            assert str(name) in line, f"{name!r} is not in {line!r}"
        return line


def settings(**keys: Any) -> list[str]:
    """settings(model__units=8) is ["--set", "model.units=8"]."""
    words = []
    for key, value in keys.items():
        words += ["--set", f"{key.replace('__', '.', 1)}={str(value).lower() if isinstance(value, bool) else value}"]
    return words


def tensors(path: Path, *groups: str) -> dict[str, np.ndarray]:
    """All datasets below the groups of a file, by their full name."""
    found: dict[str, np.ndarray] = {}

    def visit(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset) and (not groups or name.split("/")[0] in groups):
            found[name] = item[()]

    with h5py.File(path, "r") as f:
        f.visititems(visit)
    return found


def assert_same_tensors(a: Path, b: Path, *groups: str) -> None:
    """The datasets below the groups are the same, bit for bit."""
    left, right = tensors(a, *groups), tensors(b, *groups)
    assert left.keys() == right.keys() and left
    for name in left:
        assert left[name].tobytes() == right[name].tobytes(), f"{name} of {a} and {b} differ"


DIGEST_BLOCK = 512


class Xxh128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def digest_block(data: bytes) -> bytes:
    """What stands in a model file before `data` (docs/files.md)."""
    library = ctypes.CDLL(ctypes.util.find_library("xxhash"))
    library.XXH3_128bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    library.XXH3_128bits.restype = Xxh128
    digest = library.XXH3_128bits(data, len(data))
    block = b"\x89SIPH\r\n\x1a" + len(data).to_bytes(8, "little")
    return (block + digest.high.to_bytes(8, "big") + digest.low.to_bytes(8, "big")).ljust(DIGEST_BLOCK, b"\0")


@contextmanager
def changing(path: Path) -> Iterator[h5py.File]:
    """The HDF5 file, open to be changed; its digest, if it has one, is right again afterwards."""
    with h5py.File(path, "r+") as f:
        digest = f.userblock_size == DIGEST_BLOCK
        yield f
    if digest:
        data = path.read_bytes()[DIGEST_BLOCK:]
        path.write_bytes(digest_block(data) + data)


def history(folder: Path) -> list[dict[str, str]]:
    """The lines of history.csv, without the seconds."""
    with open(folder / "history.csv", encoding="utf-8", newline="") as f:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(f)]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes: to see that nothing was written or lost."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="session")
def sipgpu() -> Sipgpu:
    program = Path(os.environ.get("SIPGPU", ROOT / "build/release/sipgpu"))
    if not program.is_file():
        pytest.exit(f"{program} is missing: build it with scripts/setup, or name another in SIPGPU", returncode=1)
    return Sipgpu(program)


@pytest.fixture(scope="session")
def corpus(sipgpu: Sipgpu, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small corpus: 1900 dialogs of 150 classes.  Tests must not change it."""
    path = tmp_path_factory.mktemp("corpus") / "small.h5"
    sipgpu.ok("corpus", "synth", "--preset", "small", "--seed", 1, "--out", path)
    return path


@pytest.fixture(scope="session")
def trained(sipgpu: Sipgpu, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a well-trained small run.  Tests must not change it."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    keys = {key.replace(".", "__"): value for key, value in GOOD_SETTINGS.items()}
    sipgpu.ok("train", "--corpus", corpus, "--out", folder, *settings(**keys))
    return folder


@pytest.fixture(scope="session")
def quick_run(sipgpu: Sipgpu, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a complete run of two epochs.  Tests must not change it."""
    folder = tmp_path_factory.mktemp("quick") / "run"
    sipgpu.ok("train", "--corpus", corpus, "--out", folder,
              *settings(model__units=8, train__epochs=2, train__batch_size=93))
    return folder


@pytest.fixture(scope="session")
def fault(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, str]]:
    """fault(plan) is an environment in which writing checkpoints goes wrong as fault.c says; FAULT_FILE=... may follow."""
    library = tmp_path_factory.mktemp("fault") / "fault.so"
    source = Path(__file__).with_name("fault.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return lambda plan, **more: {"LD_PRELOAD": str(library), "FAULT": plan, **{key: str(more[key]) for key in more}}


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[Path, Callable[[h5py.File], Any]], Path]:
    """edited(file, change) is a copy of the HDF5 file that `change` has been at."""

    def edit(path: Path, change: Callable[[h5py.File], Any]) -> Path:
        copy = tmp_path / f"edited_{path.name}"
        shutil.copyfile(path, copy)
        with changing(copy) as f:
            change(f)
        return copy

    return edit


@pytest.fixture
def children():
    """A list of processes to end when the test is over."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()
