"""Models of every padding and depth, and the dialogs that they are asked about.

Test files import these fixtures.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, Sipgpu, settings
from network import dialogs

PADDINGS = ("post", "mask", "pre")
DIALOGS = 2000


KINDS = [f"{padding}{layers}" for padding in PADDINGS for layers in (1, 2)]
TRAINED: dict[str, Path] = {}  # each file of tests that imports the fixture has one of its own


@pytest.fixture(scope="session", params=KINDS)
def model(request: pytest.FixtureRequest, sipgpu: Sipgpu, corpus: Path,
          tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file, trained long enough to be sure of some dialogs and unsure of others; those of two layers
    have dropout."""
    kind = request.param
    if kind not in TRAINED:
        folder, layers = tmp_path_factory.mktemp(kind) / "run", int(kind[-1])
        sipgpu.ok("train", "--corpus", corpus, "--out", folder,
                  *settings(model__padding=kind[:-1], model__layers=layers, model__units=48,
                            model__dropout=0.5 if layers == 2 else 0, model__forget_bias=5, train__epochs=20,
                            train__batch_size=48, train__learning_rate=0.003))
        TRAINED[kind] = folder / "model.h5"
    return TRAINED[kind]


@pytest.fixture(scope="session")
def tokens(corpus: Path) -> np.ndarray:
    """[2000, L]: known dialogs, new ones, beginnings, each followed by zeros."""
    return dialogs(corpus, DIALOGS)


class Score(ctypes.Structure):
    """sipgpu_score of include/sipgpu/sipgpu.h."""

    _fields_ = [("best_class", ctypes.c_int32), ("probability", ctypes.c_float), ("skewness", ctypes.c_double),
                ("kurtosis", ctypes.c_double), ("known", ctypes.c_int8), ("below_both", ctypes.c_int8),
                ("below_either", ctypes.c_int8)]


class Options(ctypes.Structure):
    _fields_ = [("device", ctypes.c_char_p), ("precision", ctypes.c_char_p), ("threads", ctypes.c_int)]


def engine_scores(program: Path, model: Path, tokens: np.ndarray) -> np.ndarray:
    """What libsipgpu, beside the program, says in fp32: a record array of Score."""
    library = ctypes.CDLL(str(program.parent / "libsipgpu.so"))
    handle = ctypes.c_void_p()
    options = Options(b"cpu", b"fp32", 2)
    assert library.sipgpu_open(ctypes.byref(handle), str(model).encode(), ctypes.byref(options)) == 0
    rows = np.ascontiguousarray(tokens, np.uint16)
    lengths = np.count_nonzero(rows, axis=1).astype(np.uint16)
    scores = (Score * len(rows))()
    result = library.sipgpu_score_dialogs(handle, rows.ctypes.data_as(ctypes.c_void_p),
                                          lengths.ctypes.data_as(ctypes.c_void_p), len(rows),
                                          ctypes.c_size_t(rows.shape[1]), scores)
    library.sipgpu_close(handle)
    assert result == 0
    return np.ctypeslib.as_array(scores)


@pytest.fixture(scope="session")
def scores(sipgpu: Sipgpu, model: Path, tokens: np.ndarray) -> np.ndarray:
    return engine_scores(sipgpu.program, model, tokens)


def run_example(package: str) -> dict[str, Any]:
    """Runs the Python of docs/export.md that imports the package, here; returns its names."""
    text = (ROOT / "docs/export.md").read_text(encoding="utf-8")
    blocks = [block.split("\n```")[0] for block in text.split("```python\n")[1:]]
    code, = [block for block in blocks if f"import {package}\n" in block]
    names: dict[str, Any] = {}
    exec(compile(code, "docs/export.md", "exec"), names)  # pylint: disable=exec-used
    return names
