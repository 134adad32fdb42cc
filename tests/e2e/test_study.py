"""scripts/study_stability: what it runs, keeps and goes on with, and that its tables say what the runs say."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

import pytest
from conftest import ROOT, Sipgpu, assert_same_tensors, contents, history, settings, tensors

sys.path.insert(0, str(ROOT / "scripts"))
from report.study import plan as study_plan, results as study_results  # noqa: E402

SCRIPT = ROOT / "scripts/study_stability"
PLAN = """\
[corpus]
preset = small
seed = 1
[base]
model.units = {units}
train.batch_size = 190
train.learning_rate = 0.01
train.epochs = {epochs}
train.eval_every = 2
train.checkpoint_every = 1000
train.prefix_limits = false
{precision}
[words]
plain =
high = model.forget_bias=3
clip = train.clip_norm=1
deep = model.layers=2
seed2 = train.seed=2
[centres]
plain = nothing changed
[models]
1.0 =
2.0 = deep
[panels]
{panels}
[runs: first]
{first}
[runs: second]
{second}
"""


class Study:
    """The script with a plan of its own in a folder of its own."""

    def __init__(self, folder: Path, sipgpu: Sipgpu, corpus: Path):
        self.folder, self.corpus = folder, corpus
        self.environment = dict(sipgpu.environment, SIPGPU=str(sipgpu.program))
        self.runs, self.out, self.config = folder / "runs", folder / "out", folder / "study.ini"
        self.plan()

    def plan(self, first: str = "plain\nplain high", second: str = "plain clip seed2", units: int = 8, epochs: int = 3,
             panels: str = "", precision: str = "engine.precision = fp32") -> None:
        self.config.write_text(PLAN.format(first=first, second=second, units=units, epochs=epochs, panels=panels,
                                           precision=precision),
                               encoding="utf-8")

    def words(self, *words: object) -> list[str]:
        return [sys.executable, str(SCRIPT), "--config", str(self.config), "--corpus", str(self.corpus), "--runs",
                str(self.runs), "--out", str(self.out), "--jobs", "2", *map(str, words)]

    def __call__(self, *words: object, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(self.words(*words), capture_output=True, text=True, timeout=120, check=False,
                              stdin=subprocess.DEVNULL, env={**self.environment, **environment})
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def refuses(self, *words: object, name: str, **environment: str) -> None:
        (line,) = self(*words, code=1, **environment).stderr.splitlines()
        assert line.startswith("study_stability: ") and name in line, line

    def start(self, *words: object, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(self.words(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=self.environment | environment)

    def table(self, name: str = "runs") -> list[dict[str, str]]:
        with open(self.out / f"{name}.csv", encoding="utf-8", newline="") as f:
            return list(csv.DictReader(f))

    def run(self, name: str) -> Path:
        (folder,) = [path for path in self.runs.iterdir() if path.is_dir() and path.name.rpartition("-")[0] == name]
        return folder


@pytest.fixture
def study(tmp_path: Path, sipgpu: Sipgpu, corpus: Path) -> Study:
    return Study(tmp_path, sipgpu, corpus)


def wait_for(condition, what: str) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


# ---- what the tables say ----

def test_tables_say_what_the_runs_say(study: Study) -> None:
    study()
    rows = study.table()
    assert [row["run"] for row in rows] == ["plain", "plain+high", "plain+clip+seed2"]
    assert [(row["centre"], row["changes"]) for row in rows] == [("plain", ""), ("plain", "high"), ("plain", "clip")]
    assert [row["model.forget_bias"] for row in rows] == ["1", "3", "1"]
    assert [row["train.seed"] for row in rows] == ["1", "1", "2"]
    for row in rows:
        lines = history(study.run(row["run"]))
        assert (row["state"], row["epochs"], row["updates"]) == ("complete", "3", lines[-1]["update"])
        assert (row["final_loss"], row["test_pd"]) == (lines[-1]["loss"], lines[-1]["test_pd"])
        assert float(row["least_loss"]) == min(float(line["loss"]) for line in lines)
        curve = [line for line in study.table("curves") if line["run"] == row["run"]]
        assert [(c["epoch"], c["loss"], c["train_pd"]) for c in curve] == [
            (line["epoch"], line["loss"], line["train_pd"]) for line in lines if line["train_pd"]]
    text = (study.out / "study.md").read_text(encoding="utf-8")
    assert "3 complete runs of 3" in text and "| plain clip seed2 | fp32 | 3 |" in text
    assert str(study.folder) not in text + (study.out / "provenance.json").read_text(encoding="utf-8")


def detection_section(study: Study) -> str:
    return (study.out / "study.md").read_text(encoding="utf-8").partition("## What the detectors")[2].partition("## All")[0]


def test_detection_is_that_of_detect(study: Study, sipgpu: Sipgpu) -> None:
    study("--only", "high")
    (row,) = study.table()
    sipgpu.ok("detect", "--model", study.run("plain+high") / "model.h5", "--corpus", study.corpus, "--out", study.folder / "d")
    with open(study.folder / "d/comparison.csv", encoding="utf-8", newline="") as f:
        said = {line["detector"]: line for line in csv.DictReader(f)}
    for ours, detector in (("threshold", "threshold_both"), ("kmeans", "kmeans")):
        for share in ("pd", "pfa"):
            assert float(row[f"{ours}_{share}"]) == pytest.approx(float(said[detector][share.replace("p", "p_", 1)]))
    # The limit on the skewness, found again from the moments: known dialogs below it are at most 3.95%.
    with open(study.folder / "d/moments.csv", encoding="utf-8", newline="") as f:
        moments = [(float(line["skewness"]), line["known"] == "1", int(line["dialogs"])) for line in csv.DictReader(f)
                   if line["split"] == "test"]
    known, new = (sum(n for _, k, n in moments if k == which) for which in (True, False))
    limits = [0.0, *sorted({score for score, _, _ in moments}), 2.0]
    below = [[sum(n for score, k, n in moments if k == which and score < limit) for which in (True, False)] for limit in limits]
    assert float(row["pd_at_paper_pfa"]) == pytest.approx(max(d / new for fa, d in below if fa / known <= 0.0395))
    assert f"| plain high | {100 * float(row['train_pd']):.2f} | {float(row['lambda']):.6f} |" in detection_section(study)


def test_detection_is_measured_once(study: Study, sipgpu: Sipgpu) -> None:
    done = study("--only", "high", SIPGPU=wrapper(study, sipgpu, "out of memory", refused="detect*"))
    assert "plain+high: no figures of detection: sipgpu: out of memory" in done.stderr
    assert study.table()[0]["lambda"] == "" and not detection_section(study)
    study("--report")
    measured = study.table()[0]["lambda"]
    assert measured and detection_section(study)
    done = study("--report", SIPGPU=wrapper(study, sipgpu, "out of memory", refused="detect*"))
    assert not done.stderr and study.table()[0]["lambda"] == measured
    kept = study.run("plain+high") / "detection.json"
    assert json.loads(kept.read_text(encoding="utf-8"))["lambda"] == float(measured)
    kept.write_text("{", encoding="utf-8")
    study("--report")
    assert study.table()[0]["lambda"] == measured


def test_figure(study: Study) -> None:
    pytest.importorskip("matplotlib")
    study.plan(panels="forget bias = high")
    study()
    assert (study.out / "study.png").read_bytes().startswith(b"\x89PNG")


def line(epoch: int, loss: float, pd: str) -> dict[str, str]:
    return {"epoch": str(epoch), "loss": str(loss), "train_pd": pd}


@pytest.mark.parametrize("lines, said", [
    ([line(1, 4, ""), line(2, 3.9, "0.2")], "plateau"),
    ([line(1, 4, ""), line(2, 1.5, "0.6")], "short of 1"),
    ([line(1, 2, ""), line(2, 3.9, "0.2")], "diverged"),
    ([line(1, 2, ""), line(2, 0.1, "1.0"), line(3, 3.9, "0.9")], "reached 1"),
])
def test_outcome(tmp_path: Path, lines: list[dict[str, str]], said: str) -> None:
    run = study_plan.Run("run", ("run",), "", {}, folder=tmp_path)
    assert study_results.outcome(run, lines, 3.7) == said


def test_levels() -> None:
    lines = [line(1, 1, ""), line(2, 1, "0.95"), line(3, 1, ""), line(4, 1, "0.9990"), line(6, 1, "1.00000000")]
    assert [study_results.reached(lines, level).get("epoch") for level in study_results.LEVELS] == ["2", "4", "4", "6"]
    assert study_results.reached(lines[:2], "0.99") == {}


# ---- what is kept, and what goes on ----

def test_complete_runs_are_kept(study: Study) -> None:
    study("--only", "high")
    before = contents(study.run("plain+high"))
    assert [row["run"] for row in study.table()] == ["plain+high"]
    study()
    assert contents(study.run("plain+high")) == before
    assert len(study.table()) == 3


def test_a_run_is_kept_by_its_settings(study: Study) -> None:
    study("--only", "high")
    before = contents(study.run("plain+high"))
    study.config.write_text(study.config.read_text(encoding="utf-8").replace("high", "forgetful"), encoding="utf-8")
    study("--only", "forgetful")
    assert contents(study.run("plain+high")) == before and study.table()[0]["run"] == "plain+forgetful"
    study.plan(epochs=4)
    study("--only", "high")
    assert [row["epochs"] for row in study.table()] == ["4"]
    assert len(list(study.runs.glob("plain+high-*"))) == 2


def assert_goes_on(study: Study, sipgpu: Sipgpu) -> None:
    """After an interruption: the study ends where it would have ended without."""
    ends = time.monotonic() + 60
    while True:  # orphans may be saving their checkpoints
        done = subprocess.run(study.words(), capture_output=True, text=True, timeout=120, env=study.environment, check=False)
        if done.returncode == 0 or "in use" not in done.stderr or time.monotonic() > ends:
            break
        time.sleep(0.1)
    assert done.returncode == 0, done.stderr
    assert [row["state"] for row in study.table()] == ["complete"] * 2
    sipgpu.ok("train", "--corpus", study.corpus, "--out", study.folder / "straight", *LONG)
    assert_same_tensors(study.run("plain+high") / "model.h5", study.folder / "straight/model.h5", "params")
    assert history(study.run("plain+high")) == history(study.folder / "straight")


LONG = settings(model__units=32, model__forget_bias=3, train__batch_size=190, train__learning_rate=0.01, train__epochs=60,
                train__eval_every=2, train__checkpoint_every=1000, train__prefix_limits=False, engine__precision="fp32")


def begun(study: Study, epochs: int):
    def both() -> bool:
        files = list(study.runs.glob("*/history.csv"))
        return len(files) == 2 and all(len(path.read_bytes().splitlines()) > epochs for path in files)

    return both


def stopped(process: subprocess.Popen[str]) -> list[int]:
    """The children of a process that have stopped."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text(encoding="utf-8").rpartition(")")[2].split()[:2]
        except OSError:  # it has ended
            continue
        if int(parent) == process.pid and state == "T":
            found.append(int(stat.parent.name))
    return found


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_goes_on_after_a_signal(study: Study, sipgpu: Sipgpu, fault: Callable[[str], dict[str, str]], children: list,
                                number: int, code: int) -> None:
    study.plan(first="plain\nplain high", second="", units=32, epochs=60)
    process = study.start(**fault("history:4:stop"))
    children.append(process)
    wait_for(lambda: len(stopped(process)) == 2, "three epochs of both runs")
    assert begun(study, 3)()
    runs = stopped(process)
    process.send_signal(number)
    for run in runs:
        os.kill(run, signal.SIGCONT)
    process.communicate(timeout=60)
    assert process.returncode == code
    if code == 130:
        rows = study.table()
        assert [row["state"] for row in rows] == ["unfinished"] * 2
        assert all(3 <= int(row["epochs"]) < 60 for row in rows)
        assert all((study.run(row["run"]) / "checkpoint.h5").exists() for row in rows)
        assert " of 60 |" in (study.out / "study.md").read_text(encoding="utf-8")
    assert_goes_on(study, sipgpu)


def test_runs_end_with_a_study_that_is_killed(study: Study, children: list) -> None:
    study.plan(units=32, epochs=100000)
    process = study.start()
    children.append(process)
    wait_for(begun(study, 1), "the runs to begin")
    process.kill()
    process.communicate(timeout=60)
    with open(study.runs / "lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the runs hold it until they have saved their checkpoints
    assert len(list(study.runs.glob("*/checkpoint.h5"))) == 2 and not list(study.runs.glob("*/model.h5"))


def test_budget(study: Study) -> None:
    study.plan(first="plain\nplain high", second="", units=64, epochs=3000)
    epochs = []
    for _ in range(2):
        done = study("--budget", 1.5)
        assert "budget" in done.stdout and [row["state"] for row in study.table()] == ["unfinished"] * 2
        epochs.append([int(row["epochs"]) for row in study.table()])
    assert epochs[1][0] > epochs[0][0] and epochs[1][1] > epochs[0][1]


def test_two_studies_in_one_folder(study: Study, children: list) -> None:
    study.plan(units=32, epochs=1000)
    process = study.start()
    children.append(process)
    wait_for(begun(study, 1), "the runs to begin")
    study.refuses(name="in use")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)


# ---- runs that were trained elsewhere ----

@pytest.fixture
def elsewhere(study: Study) -> Study:
    """A study of three runs, of which only the results are left."""
    study()
    shutil.rmtree(study.runs)
    return study


def test_recorded_runs_are_kept(elsewhere: Study) -> None:
    before, curves = elsewhere.table(), elsewhere.table("curves")
    text = (elsewhere.out / "study.md").read_text(encoding="utf-8")
    assert elsewhere("--list").stdout.count("recorded") == 3
    elsewhere()
    assert [path for path in elsewhere.runs.iterdir() if path.is_dir()] == []
    assert (elsewhere.table(), elsewhere.table("curves")) == (before, curves)
    assert (elsewhere.out / "study.md").read_text(encoding="utf-8") == text


def test_new_runs_join_recorded_ones(elsewhere: Study) -> None:
    was = json.loads((elsewhere.out / "provenance.json").read_text(encoding="utf-8"))
    was["processor"] = ["another one"]
    (elsewhere.out / "provenance.json").write_text(json.dumps(was), encoding="utf-8")
    before = {row["run"]: row for row in elsewhere.table()}
    elsewhere.plan(second="plain clip seed2\nplain clip")
    elsewhere()
    after = {row["run"]: row for row in elsewhere.table()}
    assert before.items() <= after.items() and after.keys() - before.keys() == {"plain+clip"}
    assert elsewhere.run("plain+clip") and not list(elsewhere.runs.glob("plain+high-*"))
    now = json.loads((elsewhere.out / "provenance.json").read_text(encoding="utf-8"))
    assert "another one" in now["processor"] and len(now["processor"]) == 2
    assert (now["first_complete"], now["runs_complete"]) == (was["first_complete"], 4)


def test_a_recorded_run_is_known_by_its_settings(elsewhere: Study) -> None:
    config = elsewhere.config.read_text(encoding="utf-8")
    elsewhere.config.write_text(config.replace("high", "forgetful"), encoding="utf-8")
    elsewhere("--report")
    assert [row["run"] for row in elsewhere.table()] == ["plain", "plain+forgetful", "plain+clip+seed2"]
    elsewhere.config.write_text(config.replace("forget_bias=3", "forget_bias=4"), encoding="utf-8")
    elsewhere("--only", "high")
    assert {row["run"]: row["model.forget_bias"] for row in elsewhere.table()}["plain+high"] == "4"
    assert elsewhere.run("plain+high")


def test_recorded_runs_can_be_trained_anew(elsewhere: Study) -> None:
    before = elsewhere.table()
    elsewhere("--anew")
    assert len(list(elsewhere.runs.glob("*/model.h5"))) == 3
    times = ("seconds",)
    assert [{**row, **dict.fromkeys(times)} for row in elsewhere.table()] == [{**row, **dict.fromkeys(times)} for row in before]


def test_nothing_is_taken_from_another_corpus(elsewhere: Study, sipgpu: Sipgpu) -> None:
    elsewhere.corpus = elsewhere.folder / "other.h5"
    sipgpu.ok("corpus", "synth", "--preset", "small", "--seed", 2, "--out", elsewhere.corpus)
    assert "recorded" not in elsewhere("--list").stdout


def test_damaged_results_are_refused(elsewhere: Study) -> None:
    (elsewhere.out / "runs.csv").write_text("run,state\nplain,complete\n", encoding="utf-8")
    elsewhere("--report")  # a row without the settings is of no run
    assert not list(elsewhere.runs.glob("*-*"))
    (elsewhere.out / "provenance.json").write_text("{", encoding="utf-8")
    elsewhere.refuses(name="does not hold results of a study")


def test_precision_is_what_products_were_computed_in(study: Study) -> None:
    study.plan(precision="")
    study("--only", "high")
    (row,) = study.table()
    said = json.loads((study.run("plain+high") / "provenance.json").read_text(encoding="utf-8"))["engine"]
    assert f"precision={row['engine.precision']}," in said
    assert f"| plain high | {row['engine.precision']} | 3 |" in (study.out / "study.md").read_text(encoding="utf-8")
    shutil.rmtree(study.runs)
    assert study("--list").stdout.count("recorded") == 1, "precision = auto takes what another machine made of it"


# ---- runs that fail ----

def wrapper(study: Study, sipgpu: Sipgpu, message: str, refused: str = '"train "*forget_bias=3*') -> str:
    """A program that fails with the message on the words refused: training with forget bias 3."""
    path = study.folder / "sipgpu"
    path.write_text(f"""#!/bin/sh
case "$*" in *dump-config*) ;; {refused}) echo "sipgpu: {message}" >&2; exit 1 ;; esac
exec "{sipgpu.program}" "$@"
""", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_not_finite_is_a_result(study: Study, sipgpu: Sipgpu) -> None:
    program = wrapper(study, sipgpu, "loss or gradient is not finite at epoch 2, step 3; lower train.learning_rate")
    study(SIPGPU=program)
    rows = study.table()
    assert [(row["state"], row["outcome"] == "diverged") for row in rows] == [
        ("complete", False), ("not finite", True), ("complete", False)]
    log = (study.run("plain+high") / "train.log").read_bytes()
    study(SIPGPU=program)
    assert (study.run("plain+high") / "train.log").read_bytes() == log, "a diverged run is not tried again"


def test_a_failure_is_told_and_tried_again(study: Study, sipgpu: Sipgpu) -> None:
    done = study(code=1, SIPGPU=wrapper(study, sipgpu, "cannot write model.h5: No space left on device"))
    assert "study_stability: plain+high: sipgpu: cannot write model.h5: No space left" in done.stderr
    assert [row["run"] for row in study.table()] == ["plain", "plain+clip+seed2"]
    study()
    assert len(study.table()) == 3


# ---- choosing ----

def test_list_and_only(study: Study) -> None:
    listed = study("--list").stdout
    assert "3 runs, 0 done" in listed and "model.forget_bias=3" in listed and not study.runs.exists()
    assert [text in study("--list", "--only", "*high").stdout for text in ("plain+high", "clip")] == [True, False]
    # A whole name is that run alone; part of one is every run that has it.
    assert "1 runs, 0 done" in study("--list", "--only", "plain").stdout
    assert "3 runs, 0 done" in study("--list", "--only", "plai").stdout
    study("--only", "clip")
    assert "3 runs, 1 done" in study("--list").stdout


def test_units(study: Study) -> None:
    study("--units", 12, "--only", "high")
    assert [row["model.units"] for row in study.table()] == ["12"]


def test_report_alone_trains_nothing(study: Study) -> None:
    study("--only", "high")
    shutil.rmtree(study.out)
    study("--report")
    assert [row["run"] for row in study.table()] == ["plain+high"]


def test_the_corpus_is_made(study: Study, corpus: Path) -> None:
    study.corpus = study.folder / "made" / "small.h5"
    study("--only", "high")
    assert tensors(study.corpus).keys() == tensors(corpus).keys()
    assert_same_tensors(study.corpus, corpus)


def test_refusals(study: Study) -> None:
    study.refuses("--only", "nonsense", name="nonsense")
    study.refuses("--config", study.folder / "absent.ini", name="absent.ini")
    study.refuses(name="absent", SIPGPU=str(study.folder / "absent"))
    study.plan(first="plain wrong")
    study.refuses(name="wrong")
    study.plan(first="plain", second="plain clip\nplain clip clip")
    study.refuses(name="are the same run")
    study.plan()
    text = study.config.read_text(encoding="utf-8")
    study.config.write_text(text.replace("forget_bias=3", "forget_bias=x"), encoding="utf-8")
    study.refuses(name="forget_bias")
    study.config.write_text(text.replace("forget_bias=3", "forget_bias"), encoding="utf-8")
    study.refuses(name="section.key=value")
    study.config.write_text("[corpus]\npreset = small\n", encoding="utf-8")
    study.refuses(name="seed")
    study.config.write_text("no ini\n", encoding="utf-8")
    study.refuses(name="study.ini")
    study.config.write_bytes(b"[corpus]\n\xff\xfe = 3\n")
    study.refuses(name="study.ini")
    assert not study.runs.exists()


def test_the_real_plan(sipgpu: Sipgpu, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """configs/study.ini: the program takes every run, and the printed settings are those of configs/paper-literal.ini."""
    monkeypatch.setenv("SIPGPU", str(sipgpu.program))
    plan = study_plan.Plan(str(ROOT / "configs/study.ini"), None)
    plan.corpus.path = str(corpus)
    plan.corpus.make()
    plan.settle(tmp_path)
    runs = {run.name: run for run in plan.runs}
    own = set(plan.base) | {"data.corpus"}
    for name, config in (("literal", ()), ("literal+batch93", ("batch93",))):
        files = [word for file in ("model1.0", "paper-literal", *config) for word in ("--config", ROOT / f"configs/{file}.ini")]
        dump = sipgpu.ok("train", *files, "--dump-config").out
        printed, studied = study_plan.read_settings(dump), runs[name].settings
        assert printed.keys() == studied.keys() and own < set(printed)
        assert {key: studied[key] for key in set(studied) - own} == {key: printed[key] for key in set(printed) - own}
