"""`sipgpu experiment`: runs in folders of their own, tables that agree with `eval` and `detect`, going on, refusing."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from conftest import Sipgpu, settings

WORDS = settings(model__units=12, model__forget_bias=3, train__epochs=4, train__batch_size=190,
                 train__learning_rate=0.01)
RUNS = {"model1.0_seed1", "model1.0_seed2", "model2.1_seed1", "model2.1_seed2"}


@pytest.fixture(scope="module")
def experiment(sipgpu: Sipgpu, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("experiment") / "out"
    result = sipgpu.ok("experiment", "--corpus", corpus, "--out", folder, "--models", "1.0,2.1", "--seeds", 2,
                       "--jobs", 2, *WORDS)
    assert "Table V" in result.out and "Table VI" in result.out
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def test_files(experiment: Path) -> None:
    names = {path.name for path in experiment.iterdir()}
    assert {"runs.csv", "table5.csv", "table5.md", "table6.csv", "table6.md", "provenance.json"} <= names
    assert {path.name for path in (experiment / "runs").iterdir() if path.is_dir()} == RUNS
    assert all((experiment / "runs" / name / "model.h5").exists() for name in RUNS)
    assert len(rows(experiment / "runs.csv")) == 4


def test_paper_stands_beside_ours(experiment: Path) -> None:
    five, six = ((experiment / name).read_text(encoding="utf-8") for name in ("table5.md", "table6.md"))
    assert all(figure in five for figure in ("100.00%", "92.80%", "93.54%"))
    assert all(figure in six for figure in ("99.45%", "3.95%", "69.61%"))


def test_runs_agree_with_eval(sipgpu: Sipgpu, corpus: Path, experiment: Path) -> None:
    for run in rows(experiment / "runs.csv"):
        folder = experiment / "runs" / f"model{run['model']}_seed{run['seed']}"
        splits = sipgpu.ok("eval", "--model", folder / "model.h5", "--corpus", corpus, "--json").json["splits"]
        shares = [float(run[f"p_d_{name}"]) for name in ("train", "validation", "test")]
        assert shares == pytest.approx([splits[name]["p_d"]["value"] for name in ("train", "validation", "test")],
                                       abs=1e-6)


def test_again_keeps_what_is_there(sipgpu: Sipgpu, corpus: Path, experiment: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in experiment.glob("runs/*/model.h5")}
    table = (experiment / "table6.csv").read_bytes()
    sipgpu.ok("experiment", "--corpus", corpus, "--out", experiment, "--models", "1.0,2.1", "--seeds", 2, *WORDS)
    assert {path: path.stat().st_mtime_ns for path in experiment.glob("runs/*/model.h5")} == before
    assert (experiment / "table6.csv").read_bytes() == table


def test_other_settings_are_refused(sipgpu: Sipgpu, corpus: Path, experiment: Path) -> None:
    sipgpu.refuses("experiment", "--corpus", corpus, "--out", experiment, "--models", "1.0,2.1", "--seeds", 2, *WORDS,
                   "--set", "train.learning_rate=0.02", names=("train.learning_rate",), alone=False)
