"""`sipgpu experiment`: runs in folders of their own, tables that agree with `eval` and `detect`, going on, refusing.

Runs are threads of one process; each must give what `train` gives alone, bit for bit.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import h5py
import pytest
from conftest import Sipgpu, assert_same_tensors, history, settings

WORDS = settings(model__units=12, model__forget_bias=3, train__epochs=4, train__batch_size=190,
                 train__learning_rate=0.01, train__checkpoint_every=1)
RUNS = {"model1.0_seed1", "model1.0_seed2", "model2.1_seed1", "model2.1_seed2"}
# Longer runs with something of everything that must survive an interruption.
LONG = settings(model__units=48, model__forget_bias=3, train__epochs=40, train__batch_size=93, train__eval_every=5,
                train__keep_best=True, train__clip_norm=1, train__lr_schedule="cosine", train__checkpoint_every=1)
LONG_RUNS = ("model1.1_seed1", "model1.1_seed2", "model1.1_seed3")


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
    assert names == {"runs.csv", "table5.csv", "table6.csv", "comparison.csv", "paired.csv", "together.csv", "early.csv",
                     "early_position.csv", "history.csv", "moments.csv", "roc.csv", "corpus.json", "provenance.json", "runs",
                     "records", "model1.0.ini", "model2.1.ini"}
    assert {path.name for path in (experiment / "runs").iterdir() if path.is_dir()} == RUNS
    assert all((experiment / "runs" / name / "model.h5").exists() for name in RUNS)
    assert len(rows(experiment / "runs.csv")) == 4


def test_paper_stands_beside_ours(experiment: Path) -> None:
    five, six = ({row["paper"] for row in rows(experiment / name)} for name in ("table5.csv", "table6.csv"))
    assert five == {"1", "0.928", "0.9354"}
    assert six == {"0.9945", "0.0395", "0.6961", "0", ""}


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


def test_finished_runs_come_with_their_settings(sipgpu: Sipgpu, corpus: Path, experiment: Path, tmp_path: Path) -> None:
    """Runs that `train` finished alone, or whose settings were lost, are as good as those trained here."""
    before = (experiment / "model1.0.ini").read_text(encoding="utf-8")
    shutil.copytree(experiment / "runs/model1.0_seed1", tmp_path / "out/runs/model1.0_seed1")
    sipgpu.ok("experiment", "--corpus", corpus, "--out", tmp_path / "out", "--models", "1.0", "--seeds", 1, "--jobs", 2, *WORDS)
    after = (tmp_path / "out/model1.0.ini").read_text(encoding="utf-8")
    assert re.split(r"\[engine\]", before)[0] == re.split(r"\[engine\]", after)[0]
    # What was not trained now is known by its own record.
    made, trained = (json.loads((tmp_path / "out" / name / "provenance.json").read_text(encoding="utf-8"))
                     for name in (".", "runs/model1.0_seed1"))
    assert made["runs"] == [{"run": "model1.0_seed1", **{key: trained[key] for key in (
        "tool", "commit", "date", "processor", "engine", "seconds")}}]


def test_other_settings_are_refused(sipgpu: Sipgpu, corpus: Path, experiment: Path) -> None:
    sipgpu.refuses("experiment", "--corpus", corpus, "--out", experiment, "--models", "1.0,2.1", "--seeds", 2, *WORDS,
                   "--set", "train.learning_rate=0.02", names=("train.learning_rate",), alone=False)


# ---- records ----


def files(folder: Path) -> dict[str, bytes]:
    """Everything that an experiment computes: not how long it took, nor by which command and threads."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".csv" or path.name == "corpus.json"}


def without_pooled(folder: Path, name: str) -> list[dict[str, str]]:
    """The rows of a table that records without full outputs give: no run is pooled with others."""
    table = [dict(row) for row in rows(folder / name) if row.get("combined") not in ("mean", "envelope")]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in table]


def assert_same_but_pooled(a: Path, b: Path) -> None:
    assert files(a).keys() == files(b).keys()
    for name in files(a):
        if name.endswith(".csv"):
            assert without_pooled(a, name) == without_pooled(b, name), name
    for name in ("comparison.csv", "together.csv", "roc.csv"):
        assert not any(row["combined"] in ("mean", "envelope") for row in rows(a / name))


def recorded(experiment: Path, folder: Path, *runs: str) -> Path:
    """A folder in which of these runs there is only the record."""
    (folder / "records").mkdir(parents=True)
    for run in runs:
        shutil.copy(experiment / f"records/{run}.h5", folder / "records")
    return folder


def test_records_stand_for_runs(sipgpu: Sipgpu, corpus: Path, experiment: Path, tmp_path: Path) -> None:
    folder = recorded(experiment, tmp_path / "out", *RUNS)
    sipgpu.ok("experiment", "--corpus", corpus, "--out", folder, "--models", "1.0,2.1", "--seeds", 2, "--jobs", 2, *WORDS)
    assert_same_but_pooled(folder, experiment)
    assert not (folder / "runs").exists() or not any((folder / "runs").iterdir())
    made, again = (json.loads((path / "provenance.json").read_text(encoding="utf-8")) for path in (experiment, folder))
    assert made["runs"] == again["runs"] and len(made["runs"]) == 4


def test_how_often_checkpoints_are_written_is_no_matter(sipgpu: Sipgpu, corpus: Path, experiment: Path, tmp_path: Path) -> None:
    folder = recorded(experiment, tmp_path / "out", *RUNS)
    sipgpu.ok("experiment", "--corpus", corpus, "--out", folder, "--models", "1.0,2.1", "--seeds", 2, *WORDS,
              *settings(train__checkpoint_seconds=5, train__checkpoint_every=2))
    assert_same_but_pooled(folder, experiment)


def test_new_runs_join_records(sipgpu: Sipgpu, corpus: Path, experiment: Path, tmp_path: Path) -> None:
    folder = recorded(experiment, tmp_path / "out", "model1.0_seed1", "model2.1_seed1", "model2.1_seed2")
    sipgpu.ok("experiment", "--corpus", corpus, "--out", folder, "--models", "1.0,2.1", "--seeds", 2, "--jobs", 2, *WORDS)
    assert {path.name for path in (folder / "runs").iterdir()} == {"model1.0_seed2"}
    assert_same_but_pooled(folder, experiment)


def test_records_are_slim(experiment: Path) -> None:
    """What the tables of the run read, and nothing that only pooling takes."""
    for name in RUNS:
        with h5py.File(experiment / f"records/{name}.h5") as f:
            assert set(f["answers"]) == {"argmax", "p_max", "skewness", "kurtosis"} and "params" not in f


def frozen(experiment: Path, folder: Path) -> Path:
    """The experiment without its runs and records: frozen files, and the tables that cannot be made again."""
    folder.mkdir()
    for name in ("moments.csv", "history.csv", "roc.csv"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((experiment / name).read_bytes()))
    for name in ("comparison.csv", "paired.csv", "together.csv", "early.csv", "early_position.csv"):
        shutil.copy(experiment / name, folder)
    provenance = json.loads((experiment / "provenance.json").read_text(encoding="utf-8"))
    provenance["settings"] = {model: (experiment / f"model{model}.ini").read_text(encoding="utf-8") for model in ("1.0", "2.1")}
    (folder / "provenance.json").write_text(json.dumps(provenance), encoding="utf-8")
    return folder


def test_frozen_results(sipgpu: Sipgpu, corpus: Path, experiment: Path, tmp_path: Path) -> None:
    folder = frozen(experiment, tmp_path / "out")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    words = ["experiment", "--corpus", corpus, "--out", folder, "--models", "1.0,2.1", "--jobs", 2, *WORDS]
    result = sipgpu.ok(*words, "--seeds", 2, "--tables")
    assert "frozen" in result.err and "Table VI" in result.out
    for name in ("runs.csv", "table5.csv", "table6.csv"):
        assert (folder / name).read_bytes() == (experiment / name).read_bytes(), name
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert not any((folder / name).exists() for name in ("moments.csv", "history.csv", "roc.csv", "runs", "records"))
    assert "2 of 6 runs" not in sipgpu.ok(*words, "--seeds", 2).err  # all are there: nothing to train
    assert "4 of 6 runs are complete" in sipgpu.ok(*words, "--seeds", 3, "--tables").err
    sipgpu.refuses(*words, "--seeds", 3, names=("frozen", "--out"))
    assert not (folder / "runs").exists()
    sipgpu.refuses(*words, "--seeds", 2, "--tables", "--set", "train.learning_rate=0.02", names=("train.learning_rate",))
    moments = folder / "moments.csv.gz"
    moments.write_bytes(moments.read_bytes()[:-30])
    sipgpu.refuses(*words, "--seeds", 2, "--tables", names=("moments.csv.gz",))


def test_tables_of_what_is_there(sipgpu: Sipgpu, corpus: Path, experiment: Path, tmp_path: Path) -> None:
    """Nothing is trained, however much is asked for: the tables are those of the runs that are there."""
    there = ("model1.0_seed1", "model2.1_seed1", "model2.1_seed2")
    folder = recorded(experiment, tmp_path / "out", *there)
    words = ("--corpus", corpus, "--models", "1.0,1.1,2.1", "--jobs", 2, "--tables", *WORDS)
    result = sipgpu.ok("experiment", "--out", folder, "--seeds", 3, *words)
    assert "3 of 9 runs are complete" in result.err and "Table V" in result.out
    assert not (folder / "runs").exists()
    assert [f"model{row['model']}_seed{row['seed']}" for row in rows(folder / "runs.csv")] == list(there)
    assert {path.stem for path in folder.glob("*.ini")} == {"model1.0", "model2.1"}
    assert (folder / "together.csv").exists()
    assert {row["combined"] for row in rows(folder / "roc.csv")} == {"", "max"}
    for name in ("history.csv", "moments.csv", "roc.csv"):
        ours, theirs = ([row for row in without_pooled(path, name) if row["model"] == "2.1"] for path in (folder, experiment))
        assert ours == theirs and ours
    assert len(json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["runs"]) == 3
    sipgpu.refuses("experiment", "--out", tmp_path / "none", "--seeds", 1, *words, names=("no run is complete",))
    alone = recorded(experiment, tmp_path / "alone", there[0])
    shutil.copy(folder / "together.csv", alone)  # of an experiment with more runs
    sipgpu.ok("experiment", "--out", alone, "--seeds", 1, *words)
    assert not (alone / "together.csv").exists()
    assert {row["combined"] for row in rows(alone / "roc.csv")} == {""}


def test_records_hold_no_paths(corpus: Path, experiment: Path) -> None:
    for name in RUNS:
        data = (experiment / f"records/{name}.h5").read_bytes()
        assert str(corpus).encode() not in data and str(experiment).encode() not in data


def test_a_record_of_other_settings_is_refused(sipgpu: Sipgpu, corpus: Path, experiment: Path, tmp_path: Path) -> None:
    folder = recorded(experiment, tmp_path / "out", "model1.0_seed1")
    words = ["experiment", "--corpus", corpus, "--out", folder, "--models", "1.0", "--seeds", 1, *WORDS]
    sipgpu.refuses(*words, "--set", "train.learning_rate=0.02", names=("model1.0_seed1.h5", "train.learning_rate"))
    assert not (folder / "runs").exists()
    sipgpu.ok(*words, "--set", "train.learning_rate=0.02", "--force")
    assert (folder / "runs/model1.0_seed1/model.h5").exists()
    assert (folder / "records/model1.0_seed1.h5").read_bytes() != (experiment / "records/model1.0_seed1.h5").read_bytes()


def test_a_record_of_another_corpus_is_refused(sipgpu: Sipgpu, experiment: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    sipgpu.ok("corpus", "synth", "--preset", "small", "--seed", 5, "--out", other)
    folder = recorded(experiment, tmp_path / "out", "model1.0_seed1")
    sipgpu.refuses("experiment", "--corpus", other, "--out", folder, "--models", "1.0", "--seeds", 1, *WORDS,
                   names=("model1.0_seed1.h5", "the corpus"))


def test_a_damaged_record_is_refused(sipgpu: Sipgpu, corpus: Path, experiment: Path, tmp_path: Path) -> None:
    folder = recorded(experiment, tmp_path / "out", "model1.0_seed1")
    record = folder / "records/model1.0_seed1.h5"
    words = ["experiment", "--corpus", corpus, "--out", folder, "--models", "1.0", "--seeds", 1, *WORDS]
    record.write_bytes(record.read_bytes()[:5000])
    sipgpu.refuses(*words, names=(record,))
    shutil.copy(experiment / "runs/model1.0_seed1/model.h5", record)
    sipgpu.refuses(*words, names=(record, "sipgpu-record"))


# ---- runs side by side ----

SHARE = max(len(os.sched_getaffinity(0)) // 3, 1)  # threads of each of three runs at a time


def start_words(corpus: Path, folder: Path, *words: object) -> list[object]:
    return ["experiment", "--corpus", corpus, "--out", folder, "--device", "cpu", *words]


def without_seconds(path: Path) -> list[dict[str, str]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows(path)]


def attributes(path: Path) -> dict[str, dict[str, object]]:
    with h5py.File(path) as f:
        found = {"/": dict(f.attrs)}
        f.visititems(lambda name, item: found.update({name: dict(item.attrs)}))
    return found


def assert_same_runs(a: Path, b: Path) -> None:
    """The runs in two folders of experiments ended in the same way, bit for bit."""
    names = sorted(path.name for path in (a / "runs").iterdir())
    assert names == sorted(path.name for path in (b / "runs").iterdir()) and names
    for name in names:
        left, right = a / "runs" / name, b / "runs" / name
        assert history(left) == history(right)
        for file in ("model.h5", "checkpoint.h5"):
            assert_same_tensors(left / file, right / file)
        one, other = attributes(left / "model.h5"), attributes(right / "model.h5")
        assert one.keys() == other.keys()
        for key in one:  # all but how many runs there were at a time
            assert re.sub(r"jobs = \d+", "", str(one[key])) == re.sub(r"jobs = \d+", "", str(other[key])), key


def assert_same_tables(a: Path, b: Path) -> None:
    tables = sorted(path.name for path in a.iterdir() if path.suffix == ".csv")
    assert tables == sorted(path.name for path in b.iterdir() if path.suffix == ".csv")
    assert len(tables) >= 5
    for name in tables:
        if name == "history.csv":
            assert without_seconds(a / name) == without_seconds(b / name)
        else:
            assert (a / name).read_bytes() == (b / name).read_bytes(), name


@pytest.fixture(scope="module")
def beside(sipgpu: Sipgpu, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs of which three are trained at a time."""
    folder = tmp_path_factory.mktemp("beside") / "out"
    result = sipgpu.ok(*start_words(corpus, folder, "--models", "1.0,2.1", "--seeds", 2, "--jobs", 3, *WORDS))
    assert "4 of 4 runs to train, 3 at a time, on cpu" in result.err
    assert not re.search(r"^(corpus|network|trained|next)", result.err, re.MULTILINE)  # those are in the logs
    assert result.out.startswith("Table V: P_D\n") and "P_D of known" not in result.out
    return folder


def test_runs_are_those_that_train_makes_alone(sipgpu: Sipgpu, corpus: Path, beside: Path, tmp_path: Path) -> None:
    """With the settings that the experiment wrote, `train` gives the same bits; one run beside another changes none."""
    for run in RUNS:
        model, seed = run.split("_seed")
        sipgpu.ok("train", "--config", beside / f"{model}.ini", "--seed", seed, "--out", tmp_path / "runs" / run)
        ours, alone = ((folder / run / "provenance.json").read_text(encoding="utf-8") for folder in (beside / "runs", tmp_path / "runs"))
        assert json.loads(ours)["command"][:2] == ["sipgpu", "experiment"] and json.loads(alone)["command"][1] == "train"
    assert_same_runs(beside, tmp_path)


def test_runs_one_after_the_other_are_the_same(sipgpu: Sipgpu, corpus: Path, beside: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    sipgpu.ok(*start_words(corpus, folder, "--models", "1.0,2.1", "--seeds", 2, "--jobs", 1, "--threads", SHARE, *WORDS))
    assert_same_runs(beside, folder)
    assert_same_tables(beside, folder)


def test_cores_are_divided(sipgpu: Sipgpu, corpus: Path, beside: Path, tmp_path: Path) -> None:
    for run in RUNS:
        assert f"threads = {SHARE}\n" in (beside / "runs" / run / "config.ini").read_text(encoding="utf-8")
    sipgpu.ok(*start_words(corpus, tmp_path / "out", "--models", "1.0", "--seeds", 2, "--jobs", 2, "--threads", 1, *WORDS))
    assert "threads = 1\n" in (tmp_path / "out/runs/model1.0_seed2/config.ini").read_text(encoding="utf-8")


def test_each_run_has_a_log(beside: Path) -> None:
    for run in RUNS:
        text = (beside / "runs" / run / "log.txt").read_text(encoding="utf-8")
        assert text.startswith("corpus ") and "P_D of known" in text and str(beside / "runs" / run) in text
        assert not any(other in text for other in RUNS - {run})


def test_quiet_experiments_still_write_logs(sipgpu: Sipgpu, corpus: Path, beside: Path, tmp_path: Path) -> None:
    result = sipgpu.ok(*start_words(corpus, tmp_path, "--models", "1.0", "--seeds", 1, "--threads", SHARE, *WORDS), "--quiet")
    assert result.err == ""
    shapes = {re.sub(r"[\d.]+", "#", (folder / "runs/model1.0_seed1/log.txt").read_text(encoding="utf-8").replace(str(folder), "OUT"))
              for folder in (tmp_path, beside)}
    assert len(shapes) == 1


# ---- interruption ----


def wait_for_runs(process: subprocess.Popen[str], folder: Path, names: tuple[str, ...], lines: int) -> None:
    """Waits until the histories of these runs have so many lines."""
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        paths = [folder / "runs" / name / "history.csv" for name in names]
        if all(path.exists() and path.read_bytes().count(b"\n") >= lines for path in paths):
            return
        time.sleep(0.002)
    raise AssertionError(f"the runs were not seen; exit code {process.poll()}")


@pytest.fixture(scope="module")
def unbroken(sipgpu: Sipgpu, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken") / "out"
    sipgpu.ok(*start_words(corpus, folder, "--models", "1.1", "--seeds", 3, "--jobs", 2, *LONG))
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_experiments_go_on(sipgpu: Sipgpu, corpus: Path, unbroken: Path, tmp_path: Path, children: list,
                                       number: signal.Signals) -> None:
    folder = tmp_path / "out"
    words = start_words(corpus, folder, "--models", "1.1", "--seeds", 3, "--jobs", 2, *LONG)
    process = sipgpu.start(*words)
    children.append(process)
    wait_for_runs(process, folder, LONG_RUNS[:2], 3)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and out == ""
    assert "the same command continues them" in err.splitlines()[-1]
    assert "warning" not in err  # a run that was asked to stop has not failed
    for run in LONG_RUNS[:2]:
        assert (folder / "runs" / run / "checkpoint.h5").exists()
        assert "continue with --resume" in (folder / "runs" / run / "log.txt").read_text(encoding="utf-8").splitlines()[-1]
    assert not (folder / "runs" / LONG_RUNS[2] / "checkpoint.h5").exists()  # none was started
    assert not list(folder.glob("runs/*/model.h5"))
    sipgpu.ok(*words)
    log = (folder / "runs" / LONG_RUNS[0] / "log.txt").read_text(encoding="utf-8")
    assert "continue with --resume" in log and "resuming after epoch" in log  # appended
    assert_same_runs(folder, unbroken)
    assert_same_tables(folder, unbroken)


def test_a_killed_experiment_goes_on(sipgpu: Sipgpu, corpus: Path, unbroken: Path, tmp_path: Path, children: list) -> None:
    """A crash ends all runs; each resumes from its own checkpoint."""
    folder = tmp_path / "out"
    words = start_words(corpus, folder, "--models", "1.1", "--seeds", 3, "--jobs", 2, *LONG)
    process = sipgpu.start(*words)
    children.append(process)
    while process.poll() is None and not all((folder / "runs" / run / "checkpoint.h5").exists() for run in LONG_RUNS[:2]):
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=60)
    sipgpu.ok(*words)
    for run in LONG_RUNS[:2]:
        assert "resuming after epoch" in (folder / "runs" / run / "log.txt").read_text(encoding="utf-8")
    for run in LONG_RUNS:
        assert history(folder / "runs" / run) == history(unbroken / "runs" / run)
        assert_same_tensors(folder / "runs" / run / "model.h5", unbroken / "runs" / run / "model.h5")


def test_a_second_signal_ends_all_at_once(sipgpu: Sipgpu, corpus: Path, tmp_path: Path, children: list) -> None:
    folder = tmp_path / "out"
    log = folder / "runs/model1.0_seed1/log.txt"
    log.parent.mkdir(parents=True)
    os.mkfifo(log)
    pipe = os.open(log, os.O_RDWR | os.O_NONBLOCK)
    try:  # a full pipe: the run waits with its first line, and cannot come to look at the flag
        while True:
            os.write(pipe, b"x" * 4096)
    except BlockingIOError:
        pass
    process = sipgpu.start(*start_words(corpus, folder, "--models", "1.0", "--seeds", 1, *WORDS))
    children.append(process)
    deadline = time.monotonic() + 60
    while not (folder / "model1.0.ini").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    os.close(pipe)
    assert process.returncode == -signal.SIGINT


# ---- failure ----


def test_a_run_that_fails_leaves_the_others(sipgpu: Sipgpu, corpus: Path, beside: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    broken = folder / "runs/model1.0_seed2"
    broken.mkdir(parents=True)
    (broken / "checkpoint.h5").write_text("not a checkpoint", encoding="utf-8")
    result = sipgpu(*start_words(corpus, folder, "--models", "1.0,2.1", "--seeds", 2, "--jobs", 4, *WORDS))
    assert result.code == 1
    warning, = (line for line in result.err.splitlines() if line.startswith("warning: "))
    assert str(broken) in warning and "not an HDF5 file" in warning
    assert "1 of 4 runs failed" in result.err.splitlines()[-1]
    assert (broken / "log.txt").read_text(encoding="utf-8").splitlines()[-1].startswith("sipgpu: ")
    assert not (broken / "model.h5").exists()
    assert "Table V" in result.out and len(rows(folder / "runs.csv")) == 3
    for run in RUNS - {broken.name}:
        assert_same_tensors(folder / "runs" / run / "model.h5", beside / "runs" / run / "model.h5")


def test_a_log_that_cannot_be_written_stops_all(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    (folder / "runs" / LONG_RUNS[1] / "log.txt").mkdir(parents=True)
    line = sipgpu.refuses(*start_words(corpus, folder, "--models", "1.1", "--seeds", 3, "--jobs", 2, *LONG),
                          names=("cannot write", LONG_RUNS[1], "log.txt"), alone=False)
    assert "directory" in line
    assert not list(folder.glob("runs/*/model.h5"))
