"""scripts/make_report --reproduction: figures come from the experiment's files, and verdicts follow from the figures."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed (Debian: python3-matplotlib)")
from conftest import ROOT, Sipgpu, settings  # noqa: E402

VERDICTS = {"reproduced", "reproduced under a stated reading", "not reproduced", "contradictory", "not testable", "not run"}
FILES = ("table5.csv", "table6.csv", "runs.csv")


def run(folder: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(ROOT / "scripts/make_report"), "--reproduction", str(folder), *map(str, options)],
                          capture_output=True, text=True, check=False)


def statements(text: str) -> list[dict[str, str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    heads, _, *cells = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in lines)
    return [dict(zip(heads, line)) for line in cells]


def find(text: str, part: str) -> dict[str, str]:
    found, = (s for s in statements(text) if part in s["the paper"])
    return found


@pytest.fixture(scope="module")
def experiment(sipgpu: Sipgpu, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reproduction") / "out"
    sipgpu.ok("experiment", "--corpus", corpus, "--out", folder, "--models", "1.0,1.1,2.0,2.1", "--seeds", 2, "--jobs", 2,
              *settings(model__units=12, model__forget_bias=3, train__epochs=3, train__batch_size=190,
                        experiment__early="false"))
    return folder


@pytest.fixture
def doctored(experiment: Path, tmp_path: Path) -> Callable[..., Path]:
    """doctored(file, change): a copy of the experiment with each row of one table changed."""

    def copy(name: str, change: Callable[[dict[str, str]], None], folder: Path = experiment) -> Path:
        out = tmp_path / f"copy{len(list(tmp_path.iterdir()))}"
        shutil.copytree(folder, out, ignore=shutil.ignore_patterns("runs"))
        with open(out / name, newline="", encoding="utf-8") as f:
            table = list(csv.DictReader(f))
        for row in table:
            change(row)
        with open(out / name, "w", newline="", encoding="utf-8") as f:
            writer = csv.DictWriter(f, list(table[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)
        return out

    return copy


def test_page(experiment: Path) -> None:
    result = run(experiment)
    assert result.returncode == 0 and result.stderr == ""
    made = statements(result.stdout)
    assert len(made) > 15
    kinds = [s["verdict"].strip("*").split(" (")[0] for s in made]
    assert set(kinds) <= VERDICTS
    together, = (line for line in result.stdout.splitlines() if line.startswith("Together: "))
    for kind in set(kinds):
        assert f"{kinds.count(kind)} {kind}" in together
    assert "contradictory" in find(result.stdout, "101 times per epoch")["verdict"]
    assert "5 updates" in find(result.stdout, "101 times per epoch")["ours"]
    assert "3 epochs" in find(result.stdout, "fully learn")["our reading"]  # never called 500
    assert "forget_bias 3" in find(result.stdout, "fully learn")["our reading"]


def test_figures_are_the_tables(experiment: Path) -> None:
    text = run(experiment).stdout
    with open(experiment / "table5.csv", newline="", encoding="utf-8") as f:
        for row in csv.DictReader(f):
            part = "fully learn" if row["split"] == "train" else f"P_D({row['split']}) ="
            assert f"{row['model']}: {100 * float(row['mean']):.2f}% (2 runs" in find(text, part)["ours"]
    with open(experiment / "table6.csv", newline="", encoding="utf-8") as f:
        rows = {(r["detector"], r["model"], r["metric"]): r for r in csv.DictReader(f)}
    for detector, part in (("kmeans", "K-means: P_D"), ("threshold_both", "Threshold: P_D")):
        ours = find(text, part)["ours"]
        assert f"P_D {100 * float(rows[detector, '1.0', 'p_d']['mean']):.2f}% (2 runs" in ours
        assert f"P_FA {100 * float(rows[detector, '1.0', 'p_fa']['mean']):.2f}% (2 runs" in ours


def test_verdicts_follow_from_the_figures(experiment: Path, doctored: Callable[..., Path]) -> None:
    paper = {"train": "1", "validation": "0.927996", "test": "0.935403"}

    def as_printed(row: dict[str, str]) -> None:
        row.update({key: paper[row["split"]] for key in ("mean", "min", "max", "ensemble", "ceiling")})

    folder = doctored("table5.csv", as_printed)
    text = run(folder).stdout
    reading = "**reproduced under a stated reading**"  # its settings are not the printed ones
    for part in ("fully learn", "P_D(validation) =", "P_D(test) =", "at least 93%", "no advantage", "Only dialogs that are not"):
        assert find(text, part)["verdict"] == reading

    def one_model_short(row: dict[str, str]) -> None:
        if row["model"] == "2.1":
            row.update(mean="0.9353", ensemble="0.9353")

    text = run(doctored("table5.csv", one_model_short, folder)).stdout
    assert find(text, "P_D(test) =")["verdict"] == "**not reproduced**"

    def paper_6(row: dict[str, str]) -> None:
        shares = {"p_d": {"kmeans": "0.696133", "threshold_both": "0.994475"}, "p_fa": {"kmeans": "0", "threshold_both": "0.039489"}}
        row["mean"] = shares[row["metric"]].get(row["detector"], row["mean"])

    text = run(doctored("table6.csv", paper_6)).stdout
    for part in ("K-means: P_D", "Threshold: P_D", "detects more than K-means"):
        assert find(text, part)["verdict"] == reading

    def one_alarm_more(row: dict[str, str]) -> None:
        paper_6(row)
        if row["detector"] == "threshold_both" and row["metric"] == "p_fa":
            row["mean"] = str(208 / 5242)

    text = run(doctored("table6.csv", one_alarm_more)).stdout
    assert find(text, "Threshold: P_D")["verdict"] == "**not reproduced**"


def test_the_printed_recipe_needs_no_reading(doctored: Callable[..., Path]) -> None:
    folder = doctored("table5.csv", lambda row: row.update(mean="1") if row["split"] == "train" else None)
    ini = folder / "model1.0.ini"
    printed = {"forget_bias": "1", "epochs": "500", "batch_size": "933", "units": "0"}
    lines = [f"{line.split(' = ')[0]} = {printed[line.split(' = ')[0]]}" if line.split(" = ")[0] in printed else line
             for line in ini.read_text(encoding="utf-8").splitlines()]
    ini.write_text("\n".join(lines) + "\n", encoding="utf-8")
    statement = find(run(folder).stdout, "fully learn")
    assert statement["verdict"] == "**reproduced**" and "the printed recipe" in statement["our reading"]


def test_printed_limits(experiment: Path) -> None:
    """Moments of the paper's lambda and more are no detection: the same counts as from the moments themselves."""
    with open(experiment / "moments.csv", newline="", encoding="utf-8") as f:
        dialogs = [row for row in csv.DictReader(f) if (row["model"], row["seed"], row["split"]) == ("1.0", "1", "test")
                   for _ in range(int(row["dialogs"]))]
    new, known = ([row for row in dialogs if row["known"] == answer] for answer in "01")
    p_d, p_fa = (sum(float(r["skewness"]) < 0.999828 and float(r["kurtosis"]) < 0.999759 for r in rows) / len(rows)
                 for rows in (new, known))
    ours = find(run(experiment).stdout, "Threshold:")["ours"]
    assert f"with the paper's lambda, the first run has P_D {100 * p_d:.2f}% and P_FA {100 * p_fa:.2f}%" in ours
    # What a score has at 3.95%, again from the moments.
    for score, name in (("skewness", "skewness"), ("p_max", "largest output")):
        limits = [0.0, *sorted({float(r[score]) for r in dialogs}), 2.0]
        flagged = [[sum(float(r[score]) < limit for r in rows) / len(rows) for rows in (new, known)] for limit in limits]
        most = max(p_d for p_d, p_fa in flagged if p_fa <= 0.0395)
        assert re.search(rf"{100 * most:.2f}% by the {name}", ours), (score, most, ours)


def test_other_paddings_are_told(experiment: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    shutil.copytree(experiment, folder)
    lines = (folder / "table6.csv").read_text(encoding="utf-8").splitlines()
    more = [line.replace(",1.0,", ",1.0-pre,").replace(line.split(",")[5], "0.125") for line in lines if ",1.0," in line]
    (folder / "table6.csv").write_text("\n".join([*lines, *more]) + "\n", encoding="utf-8")
    for part in ("Threshold: P_D", "K-means: P_D"):
        before, after = (find(run(path).stdout, part) for path in (experiment, folder))
        assert "1.0-pre" not in before["ours"] and "1.0-mask" not in after["ours"]
        assert re.search(r"zeros before the dialog \(model 1.0-pre\): P_D 12.50% .*P_FA 12.50%", after["ours"]), after["ours"]
        assert after["verdict"] == before["verdict"]


def test_runs_together(experiment: Path, doctored: Callable[..., Path]) -> None:
    with open(experiment / "comparison.csv", newline="", encoding="utf-8") as f:
        rows = {(r["detector"], r["model"], r["combined"]): r for r in csv.DictReader(f)}
    for detector, title in (("kmeans", "K-means"), ("threshold_both", "Threshold")):
        ours = find(run(experiment).stdout, f"{title}, over the multiple run")["ours"]
        for model, ways in (("1.0", ("max", "envelope", "mean")), ("all", ("envelope", "mean"))):
            for way in ways:
                row = rows[detector, model, way]
                assert f"P_D {100 * float(row['p_d']):.2f}%, P_FA {100 * float(row['p_fa']):.2f}%" in ours
        assert "model 1.0, 2 runs: the run with the largest output" in ours and "all models, 8 runs: the largest" in ours

    def reaches(way: str, p_fa: str = "0.039489") -> str:
        def change(row: dict[str, str]) -> None:
            if row["detector"] == "threshold_both" and row["model"] == "1.0":
                row.update({"p_d": "0.994475", "p_fa": p_fa} if row["combined"] == way else {"p_d": "0.5", "p_fa": "0.5"})
        return find(run(doctored("comparison.csv", change)).stdout, "Threshold, over the multiple run")["verdict"]

    for way in ("max", "envelope"):
        assert reaches(way) == "**reproduced under a stated reading**"
    assert reaches("envelope", str(208 / 5242)) == reaches("mean") == "**not reproduced**"


def test_models_that_were_not_run(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    sipgpu.ok("experiment", "--corpus", corpus, "--out", folder, "--models", "1.0", "--seeds", 1,
              *settings(model__units=8, train__epochs=1, train__batch_size=190))
    text = run(folder).stdout
    assert "1.1, 2.0, 2.1: not run" in find(text, "fully learn")["ours"]
    assert find(text, "fully learn")["verdict"] == "**not reproduced (of 1.0 alone)**"
    assert find(text, "10 times")["verdict"] == find(text, "Threshold, over the")["verdict"] == "**not run**"
    assert "(1 run)" in find(text, "P_D(test) =")["ours"]


def test_a_shorter_experiment_beside_it(experiment: Path, sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    """Figures of models that the first lacks come from the other one, and change no verdict but on comparing the models."""
    folder = tmp_path / "out"
    sipgpu.ok("experiment", "--corpus", corpus, "--out", folder, "--models", "1.0", "--seeds", 1,
              *settings(model__units=8, train__epochs=4, train__batch_size=190))
    alone, beside = run(folder).stdout, run(folder, "--shorter", experiment).stdout
    with open(experiment / "table5.csv", newline="", encoding="utf-8") as f:
        means = {(row["split"], row["model"]): f"{100 * float(row['mean']):.2f}%" for row in csv.DictReader(f)}
    for part, split in (("fully learn", "train"), ("P_D(validation) =", "validation"), ("P_D(test) =", "test")):
        told = "after 3 epochs " + ", ".join(f"{model}: {means[split, model]}" for model in ("1.0", "1.1", "2.0", "2.1"))
        assert told in find(beside, part)["ours"] and "after 3" not in find(alone, part)["ours"]
    compared = find(beside, "no advantage")
    assert "all four after 3 epochs" in compared["our reading"] and f"2.1: {means['test', '2.1']}" in compared["ours"]
    best = max(means["test", model] for model in ("1.0", "1.1", "2.0", "2.1"))
    assert ("not" in compared["verdict"]) == (best != means["test", "1.0"])
    assert str(experiment) in beside and "after 3" not in run(experiment, "--shorter", folder).stdout
    for one, other in zip(statements(alone), statements(beside)):
        assert one["verdict"] == other["verdict"] or "no advantage" in one["the paper"]
    (folder / "out").mkdir()
    result = run(folder, "--shorter", folder / "out")
    assert result.returncode == 1 and result.stdout == "" and str(folder / "out/table5.csv") in result.stderr


@pytest.mark.parametrize("name", [*FILES, "comparison.csv", "corpus.json", "provenance.json", "model1.0.ini"])
def test_missing_files(doctored: Callable[..., Path], name: str) -> None:
    folder = doctored("runs.csv", lambda row: None)
    (folder / name).unlink()
    result = run(folder)
    assert result.returncode == 1 and result.stdout == ""
    assert len(result.stderr.splitlines()) == 1 and name in result.stderr


def test_damaged_files(doctored: Callable[..., Path]) -> None:
    folder = doctored("runs.csv", lambda row: None)
    (folder / "corpus.json").write_text("{", encoding="utf-8")
    (other := doctored("table5.csv", lambda row: row.update(mean="many"))).exists()
    for path in (folder, other):
        result = run(path)
        assert result.returncode == 1 and result.stdout == "" and len(result.stderr.splitlines()) == 1
