"""Models of every padding and depth, and the dialogs that they are asked about.

Test files import these fixtures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import ROOT, Sipgpu, settings
from detector_model import read_answers
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


@pytest.fixture(scope="session")
def scores(sipgpu: Sipgpu, model: Path, tokens: np.ndarray,
           tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """What `score` says of the dialogs in fp32, by column, and `abnormal_either`."""
    with h5py.File(model) as f:
        names = [""] + [name.decode() for name in f["alphabet"][()]]
    path = tmp_path_factory.mktemp("scores") / "dialogs.csv"
    path.write_text("".join(",".join(names[t] for t in row if t) + "\n" for row in tokens), encoding="utf-8")
    rows, either = (read_answers(sipgpu.ok("score", "--model", model, "--separator", "comma", "--device", "cpu",
                                           "--precision", "fp32", "--threads", 2, "--rule", rule, path).out)
                    for rule in ("both", "either"))
    columns = {name: np.array([row[name] for row in rows])
               for name in ("class", "probability", "skewness", "kurtosis", "abnormal")}
    return columns | {"abnormal_either": np.array([row["abnormal"] for row in either])}


def run_example(package: str) -> dict[str, Any]:
    """Runs the Python of docs/export.md that imports the package, here; returns its names."""
    text = (ROOT / "docs/export.md").read_text(encoding="utf-8")
    blocks = [block.split("\n```")[0] for block in text.split("```python\n")[1:]]
    code, = [block for block in blocks if f"import {package}\n" in block]
    names: dict[str, Any] = {}
    exec(compile(code, "docs/export.md", "exec"), names)  # pylint: disable=exec-used
    return names
