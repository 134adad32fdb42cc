"""results/: what is kept of the full-size experiments is what comes out of their records and frozen files, and docs/reproduction.md
is what is printed of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Sipgpu

RESULTS = ROOT / "results"
COMMANDS = {
    "paper": ("configs/experiment.ini", "--models", "1.0,1.1,2.0,2.1,1.0-pre,1.0-mask", "--seeds", 2),
    "paper120": ("configs/experiment120.ini", "--seeds", 1),
    "multiple_run": ("configs/multiple_run.ini",),
}


@pytest.fixture(scope="module")
def whole(sipgpu: Sipgpu, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the folders, made whole again as results/README.md says; the provenance is that of the repository."""
    top = tmp_path_factory.mktemp("results")
    sipgpu.ok("corpus", "synth", "--preset", "paper", "--seed", 1, "--out", top / "paper.h5")
    for name, (config, *words) in COMMANDS.items():
        folder = top / "results" / name
        for part in ("records",) if name == "paper" else ("moments.csv.gz", "history.csv.gz", "roc.csv.gz", "provenance.json"):
            source = RESULTS / name / part
            folder.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
        sipgpu.ok("experiment", "--config", ROOT / config, "--corpus", top / "paper.h5", *words, "--out", folder, "--tables")
        shutil.copy(RESULTS / name / "provenance.json", folder)
        for path in RESULTS.joinpath(name).glob("*.csv"):  # of frozen runs, what cannot be made again
            if not (folder / path.name).exists():
                shutil.copy(path, folder)
    return top


def report(top: Path, *words: str) -> str:
    pytest.importorskip("matplotlib")
    done = subprocess.run([sys.executable, ROOT / "scripts/make_report", *words], cwd=top, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_tables_are_those_that_are_kept(whole: Path, name: str) -> None:
    kept = sorted(path.name for path in RESULTS.joinpath(name).glob("*.csv"))
    assert {"table5.csv", "table6.csv", "comparison.csv", "paired.csv"} <= set(kept)
    for file in kept:
        assert (whole / "results" / name / file).read_bytes() == (RESULTS / name / file).read_bytes(), file


@pytest.mark.parametrize("name", COMMANDS)
def test_markdown_is_that_of_the_tables(whole: Path, name: str) -> None:
    report(whole, "--tables", f"results/{name}")
    for file in ("tables.md", "comparison.md"):
        assert (whole / "results" / name / file).read_text(encoding="utf-8") == (RESULTS / name / file).read_text(encoding="utf-8")


def test_statements_are_those_of_the_results(whole: Path) -> None:
    printed = report(whole, "--reproduction", "results/paper", "--shorter", "results/paper120")
    assert printed == (ROOT / "docs/reproduction.md").read_text(encoding="utf-8")


def test_every_folder_says_how_it_is_made_whole() -> None:
    told = (RESULTS / "README.md").read_text(encoding="utf-8")
    tracked = subprocess.run(["git", "-C", str(ROOT), "ls-files", "results"], capture_output=True, text=True, check=False)
    if tracked.returncode != 0:
        pytest.skip("not a git repository")
    folders = {Path(line).parts[1] for line in tracked.stdout.split() if len(Path(line).parts) > 2}
    assert folders and all(f"`{folder}`" in told for folder in folders)
