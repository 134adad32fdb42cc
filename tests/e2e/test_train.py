"""`sipgpu train`: what it reaches, what it writes, and that an interrupted run ends as an unbroken one does."""

from __future__ import annotations

import json
import math
import random
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable

import h5py
import numpy as np
import pytest
from conftest import (GOOD_SETTINGS, Result, Sipgpu, assert_same_tensors, contents, history, settings, tensors)

# A run that has something of everything that must survive an interruption: dropout, momentum, best weights.
RUN = settings(model__units=48, model__dropout=0.5, model__forget_bias=3, train__epochs=24, train__batch_size=93,
               train__eval_every=5, train__checkpoint_every=1, train__keep_best=True, train__clip_norm=1,
               train__lr_schedule="cosine")
# The same, with checkpoints by time instead, as often as the writer gets them done: within epochs, too.
BY_TIME = [*RUN, *settings(train__checkpoint_every=0, train__checkpoint_seconds=1e-6)]
RUN_FILES = {"best.h5", "checkpoint.h5", "config.ini", "history.csv", "model.h5", "provenance.json"}


def train(sipgpu: Sipgpu, corpus: Path, folder: Path, *words: object) -> Result:
    return sipgpu.ok("train", "--corpus", corpus, "--out", folder, *words)


def quick(**keys: object) -> list[str]:
    """Settings of a run of about a quarter of a second."""
    return settings(**{"model__units": 16, "train__epochs": 2, "train__batch_size": 93, **keys})


def attributes(path: Path, group: str) -> dict[str, object]:
    with h5py.File(path) as f:
        return dict(f[group].attrs)


# ---- what it reaches ----


def test_small_run_learns_the_corpus(sipgpu: Sipgpu, corpus: Path, trained: Path) -> None:
    splits = sipgpu.ok("eval", "--json", "--model", trained / "model.h5", "--corpus", corpus).json["splits"]
    assert splits["train"]["p_d"]["value"] >= 0.99
    assert splits["test"]["p_d"]["value"] >= splits["test"]["ceiling"]["value"] - 0.01
    assert splits["test"]["ceiling"]["value"] < 1  # otherwise the line above says little


def test_evaluation_agrees_with_the_history(sipgpu: Sipgpu, corpus: Path, trained: Path) -> None:
    splits = sipgpu.ok("eval", "--json", "--model", trained / "model.h5", "--corpus", corpus).json["splits"]
    last = history(trained)[-1]
    for name in ("train", "validation", "test"):
        assert splits[name]["p_d"]["value"] == pytest.approx(float(last[f"{name}_pd"]), abs=1e-6)


@pytest.mark.parametrize("layers, dropout", [(1, 0.5), (2, 0), (2, 0.5)], ids=["model 1.1", "model 2.0", "model 2.1"])
def test_other_models(sipgpu: Sipgpu, corpus: Path, tmp_path: Path, layers: int, dropout: float) -> None:
    words = quick(model__layers=layers, model__dropout=dropout, model__forget_bias=3, train__epochs=6)
    train(sipgpu, corpus, tmp_path / "run", *words)
    losses = [float(line["loss"]) for line in history(tmp_path / "run")]
    assert losses[-1] < losses[0] < math.log(150) + 0.1
    assert len(tensors(tmp_path / "run/model.h5", "params")) == 3 * layers + 2
    assert sipgpu.ok("eval", "--json", "--model", tmp_path / "run/model.h5", "--corpus", corpus).json["splits"]


@pytest.mark.parametrize("padding", ["mask", "pre"])
def test_other_paddings(sipgpu: Sipgpu, corpus: Path, tmp_path: Path, padding: str) -> None:
    train(sipgpu, corpus, tmp_path / "run", *quick(model__padding=padding, model__units=48, train__epochs=40))
    assert float(history(tmp_path / "run")[-1]["train_pd"]) > 0.5  # no plateau: the dialog's end is near
    assert attributes(tmp_path / "run/model.h5", "/")["padding"] == padding.encode()


def test_batchings_are_the_same_mathematics(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    for batching in ("trie", "unique", "dense"):
        train(sipgpu, corpus, tmp_path / batching, *quick(train__batching=batching, train__epochs=1), "--precision",
              "fp32")
    losses = [float(history(tmp_path / batching)[0]["loss"]) for batching in ("trie", "unique", "dense")]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-4)


# ---- what the result depends on ----


@pytest.mark.parametrize("words", [
    settings(model__units=96, model__dropout=0.5),
    settings(model__units=33, model__layers=2),
    settings(model__units=48, model__layers=2, model__padding="mask", engine__precision="bf16"),
    settings(model__units=0, train__clip_norm=1),
], ids=["1 layer", "2 layers", "bf16, mask", "150 units"])
def test_thread_count_does_not_matter(sipgpu: Sipgpu, corpus: Path, tmp_path: Path, words: list[str]) -> None:
    for threads in (1, 2):
        train(sipgpu, corpus, tmp_path / f"threads{threads}", *quick(), *words, "--threads", threads)
    assert_same_tensors(tmp_path / "threads1/model.h5", tmp_path / "threads2/model.h5", "params")
    assert history(tmp_path / "threads1") == history(tmp_path / "threads2")


def test_seed_decides(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        train(sipgpu, corpus, tmp_path / name, *quick(model__dropout=0.5), "--seed", seed)
    assert_same_tensors(tmp_path / "a/model.h5", tmp_path / "b/model.h5", "params")
    assert history(tmp_path / "a") == history(tmp_path / "b") != history(tmp_path / "c")


# ---- what it writes ----


def test_history(trained: Path) -> None:
    lines = history(trained)
    epochs, batches = GOOD_SETTINGS["train.epochs"], math.ceil(950 / GOOD_SETTINGS["train.batch_size"])
    assert [int(line["epoch"]) for line in lines] == list(range(1, epochs + 1))
    assert [int(line["update"]) for line in lines] == [batches * e for e in range(1, epochs + 1)]
    for line in lines:
        evaluated = int(line["epoch"]) % 10 == 0
        assert all((line[f"{split}_pd"] != "") == evaluated for split in ("train", "validation", "test"))
        share = (int(line["update"]) - 1) / (epochs * batches)
        rate = GOOD_SETTINGS["train.learning_rate"] * 0.5 * (1 + math.cos(math.pi * share))
        assert float(line["learning_rate"]) == pytest.approx(rate, rel=1e-6)
        assert 0 <= float(line["running_pd"]) <= 1 and float(line["loss"]) > 0 and float(line["gradient_norm"]) > 0


def test_history_seconds_grow(trained: Path) -> None:
    with open(trained / "history.csv", encoding="utf-8") as f:
        seconds = [float(line.rstrip().rsplit(",", 1)[1]) for line in list(f)[1:]]
    assert seconds == sorted(seconds) and seconds[0] > 0


def test_last_batch_can_be_dropped(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    train(sipgpu, corpus, tmp_path / "run", *quick(train__last_batch="drop"))
    assert int(history(tmp_path / "run")[-1]["update"]) == 2 * (950 // 93)


def test_provenance(sipgpu: Sipgpu, corpus: Path, quick_run: Path) -> None:
    provenance = json.loads((quick_run / "provenance.json").read_text(encoding="utf-8"))
    assert provenance["command"][:2] == ["sipgpu", "train"] and str(corpus) in provenance["command"]
    assert {"tool", "commit", "date", "processor", "engine", "libraries", "seconds"} <= provenance.keys()
    assert "precision=" in provenance["engine"]
    evaluation = sipgpu.ok("eval", "--json", "--model", quick_run / "model.h5", "--corpus", corpus).json
    assert provenance["corpus_digest"] == evaluation["corpus_digest"] and evaluation["trained_on_this_corpus"]


def test_config_makes_the_run_again(sipgpu: Sipgpu, quick_run: Path, tmp_path: Path) -> None:
    sipgpu.ok("train", "--config", quick_run / "config.ini", "--out", tmp_path / "again")
    assert_same_tensors(quick_run / "model.h5", tmp_path / "again/model.h5", "params")
    assert (quick_run / "config.ini").read_bytes() == (tmp_path / "again/config.ini").read_bytes()
    assert attributes(quick_run / "model.h5", "training")["config"].decode() == \
        (quick_run / "config.ini").read_text(encoding="utf-8")


def test_json_on_stdout(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    result = train(sipgpu, corpus, tmp_path / "run", *quick(), "--json").json
    assert result["command"] == "train" and result["epochs"] == 2 and result["updates"] == 22
    assert set(result["splits"]) == {"train", "validation", "test"}


def test_keep_best(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    words = quick(train__keep_best=True, train__eval_every=1, train__epochs=12, train__learning_rate=0.02,
                  model__padding="mask")
    train(sipgpu, corpus, tmp_path / "run", *words)
    best = max(history(tmp_path / "run"), key=lambda line: (float(line["validation_pd"]), -float(line["loss"])))
    training = attributes(tmp_path / "run/best.h5", "training")
    assert training["epoch"] == int(best["epoch"])
    assert training["best_pd"] == pytest.approx(float(best["validation_pd"]), abs=1e-6)
    assert attributes(tmp_path / "run/model.h5", "training")["epoch"] == int(best["epoch"])
    assert_same_tensors(tmp_path / "run/model.h5", tmp_path / "run/best.h5", "params")


def test_stop_when_train_pd(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    words = quick(train__stop_when_train_pd=0.3, train__eval_every=2, train__epochs=60, model__padding="mask")
    train(sipgpu, corpus, tmp_path / "run", *words)
    lines = history(tmp_path / "run")
    shares = [float(line["train_pd"]) for line in lines if line["train_pd"]]
    assert len(lines) < 60 and shares[-1] >= 0.3 and all(share < 0.3 for share in shares[:-1])


# ---- going on ----


@pytest.fixture(scope="module")
def unbroken(sipgpu: Sipgpu, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    train(sipgpu, corpus, folder, *RUN)
    return folder


def assert_same_run(folder: Path, unbroken: Path, *, checkpoint: bool = True) -> None:
    """The run in the folder ended as the unbroken one did, bit for bit."""
    assert history(folder) == history(unbroken)
    assert_same_tensors(folder / "model.h5", unbroken / "model.h5")
    if checkpoint:
        assert_same_tensors(folder / "checkpoint.h5", unbroken / "checkpoint.h5")
    for group in ("training", "thresholds"):
        a, b = attributes(folder / "model.h5", group), attributes(unbroken / "model.h5", group)
        for settings_text in (a, b):  # how often checkpoints are due makes no difference
            settings_text.pop("config", None)
        assert a == b


def wait_for_epoch(process: subprocess.Popen[str], folder: Path, epoch: int) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        path = folder / "history.csv"
        if path.exists() and path.read_bytes().count(b"\n") > epoch:
            return
        time.sleep(0.002)
    raise AssertionError(f"epoch {epoch} was not seen; exit code {process.poll()}")


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_resume_after_a_signal(sipgpu: Sipgpu, corpus: Path, unbroken: Path, tmp_path: Path, children: list,
                               number: signal.Signals) -> None:
    folder = tmp_path / "run"
    process = sipgpu.start("train", "--corpus", corpus, "--out", folder, *RUN)
    children.append(process)
    wait_for_epoch(process, folder, random.randrange(1, 12))
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "continue with --resume" in err.splitlines()[-1] and str(folder / "checkpoint.h5") in err
    assert not (folder / "model.h5").exists()
    # The settings are in the folder: --resume needs no others.
    assert "resuming after epoch" in sipgpu.ok("train", "--out", folder, "--resume").err
    assert_same_run(folder, unbroken)


def test_resume_after_kills_at_any_moment(sipgpu: Sipgpu, corpus: Path, unbroken: Path, tmp_path: Path,
                                          children: list) -> None:
    folder = tmp_path / "run"
    for _ in range(6):
        process = sipgpu.start("train", "--corpus", corpus, "--out", folder, *RUN, "--resume")
        children.append(process)
        time.sleep(random.uniform(0.05, 0.5))
        process.kill()
        process.communicate()
    train(sipgpu, corpus, folder, *RUN, "--resume")
    assert_same_run(folder, unbroken)


@pytest.mark.parametrize("plan", ["write:2:kill", "fsync:2:kill", "rename:2:kill", "write:1:kill"])
@pytest.mark.parametrize("words", [RUN, BY_TIME], ids=["by epochs", "by time"])
def test_resume_after_a_kill_within_a_checkpoint(sipgpu: Sipgpu, corpus: Path, unbroken: Path, tmp_path: Path,
                                                 fault: Callable[..., dict[str, str]], plan: str,
                                                 words: list[str]) -> None:
    folder = tmp_path / "run"
    # However busy the disk is, there is a second checkpoint before training ends.
    result = sipgpu("train", "--corpus", corpus, "--out", folder, *words,
                    env=fault(plan, FAULT_HISTORY_UNTIL=str(folder / "checkpoint.h5")))
    assert result.code == -signal.SIGKILL
    assert list(folder.glob("checkpoint.h5.*")), "the kill came too early or too late"
    train(sipgpu, corpus, folder, *words, "--resume")
    assert_same_run(folder, unbroken, checkpoint=words is RUN)


def test_checkpoints_by_time_lie_within_epochs(sipgpu: Sipgpu, corpus: Path, unbroken: Path, tmp_path: Path,
                                               fault: Callable[..., dict[str, str]]) -> None:
    """Killed again and again, each time while the second checkpoint is put in place."""
    folder, updates, batches = tmp_path / "run", [], math.ceil(950 / 93)
    for _ in range(500):
        result = sipgpu("train", "--corpus", corpus, "--out", folder, *BY_TIME, "--resume", env=fault("rename:2:kill"))
        updates += re.findall(r"resuming after epoch \d+, update (\d+)", result.err)
        if result.code == 0:
            break
        assert result.code == -signal.SIGKILL
    assert any(int(update) % batches for update in updates), updates
    assert_same_run(folder, unbroken, checkpoint=False)
    assert not (folder / "checkpoint.h5").exists()


@pytest.mark.parametrize("plan", ["write:2:full", "fsync:2:full", "rename:2:full"])
def test_a_checkpoint_that_fails_leaves_the_one_before(sipgpu: Sipgpu, corpus: Path, unbroken: Path, tmp_path: Path,
                                                       fault: Callable[..., dict[str, str]], plan: str) -> None:
    """Training goes on."""
    folder = tmp_path / "run"
    result = sipgpu.ok("train", "--corpus", corpus, "--out", folder, *RUN, env=fault(plan))
    warning, = (line for line in result.err.splitlines() if line.startswith("warning: "))
    assert all(part in warning for part in (str(folder / "checkpoint.h5"), "intact", "No space left on device"))
    assert {path.name for path in folder.iterdir()} == RUN_FILES
    assert_same_run(folder, unbroken, checkpoint=False)
    assert sipgpu.ok("eval", "--model", folder / "checkpoint.h5", "--corpus", corpus)


def test_a_checkpoint_that_fails_is_tried_again(sipgpu: Sipgpu, corpus: Path, unbroken: Path, tmp_path: Path,
                                                fault: Callable[..., dict[str, str]]) -> None:
    result = train_with(sipgpu, corpus, tmp_path / "run", fault("write:1:full"))
    assert "no checkpoint yet" in result.err and "can be written again" in result.err
    assert_same_run(tmp_path / "run", unbroken)


def train_with(sipgpu: Sipgpu, corpus: Path, folder: Path, env: dict[str, str], *words: object) -> Result:
    """A run of RUN in this environment, which completes."""
    return sipgpu.ok("train", "--corpus", corpus, "--out", folder, *RUN, *words, env=env)


@pytest.mark.parametrize("plan", ["write:0:full", "rename:0:full"])
def test_checkpoints_that_always_fail(sipgpu: Sipgpu, corpus: Path, unbroken: Path, tmp_path: Path,
                                      fault: Callable[..., dict[str, str]], plan: str) -> None:
    """Said once, and the run completes."""
    folder = tmp_path / "run"
    result = train_with(sipgpu, corpus, folder, fault(plan))
    assert sum("No space left on device" in line for line in result.err.splitlines()) == 1
    assert {path.name for path in folder.iterdir()} == RUN_FILES - {"checkpoint.h5"}
    assert_same_run(folder, unbroken, checkpoint=False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_when_checkpoints_fail(sipgpu: Sipgpu, corpus: Path, tmp_path: Path, children: list,
                                        fault: Callable[..., dict[str, str]], number: signal.Signals) -> None:
    folder = tmp_path / "run"
    process = sipgpu.start("train", "--corpus", corpus, "--out", folder, *RUN, *settings(train__epochs=100000),
                           env=fault("write:0:full"))
    children.append(process)
    wait_for_epoch(process, folder, 2)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    line = err.splitlines()[-1]
    assert line.startswith("sipgpu: ") and str(folder / "checkpoint.h5") in line and "not saved" in line
    assert "--resume" not in line  # there is nothing to go on from


def test_training_goes_on_while_a_checkpoint_is_written(sipgpu: Sipgpu, corpus: Path, unbroken: Path, tmp_path: Path,
                                                        children: list, fault: Callable[..., dict[str, str]]) -> None:
    """The first write does not come back until all epochs are done."""
    folder, go_on = tmp_path / "run", tmp_path / "go_on"
    process = sipgpu.start("train", "--corpus", corpus, "--out", folder, *RUN,
                           env=fault("write:1:wait", FAULT_UNTIL=go_on))
    children.append(process)
    wait_for_epoch(process, folder, 24)
    wait_until(lambda: list(folder.glob("checkpoint.h5.*")))
    assert not (folder / "checkpoint.h5").exists()
    go_on.touch()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert_same_run(folder, unbroken)


def test_a_kill_while_training_is_far_ahead(sipgpu: Sipgpu, corpus: Path, unbroken: Path, tmp_path: Path,
                                            children: list, fault: Callable[..., dict[str, str]]) -> None:
    """The checkpoint is of long ago, the history and perhaps the best weights are newer."""
    folder = tmp_path / "run"
    process = sipgpu.start("train", "--corpus", corpus, "--out", folder, *RUN,
                           env=fault("write:2:wait", FAULT_UNTIL=tmp_path / "never"))
    children.append(process)
    wait_for_epoch(process, folder, 20)
    wait_until(lambda: (folder / "checkpoint.h5").exists() and list(folder.glob("checkpoint.h5.*")))
    process.kill()
    process.communicate()
    train(sipgpu, corpus, folder, *RUN, "--resume")
    assert_same_run(folder, unbroken)


def test_a_signal_waits_for_what_is_being_written(sipgpu: Sipgpu, corpus: Path, unbroken: Path, tmp_path: Path,
                                                  children: list, fault: Callable[..., dict[str, str]]) -> None:
    folder, go_on = tmp_path / "run", tmp_path / "go_on"
    process = sipgpu.start("train", "--corpus", corpus, "--out", folder, *RUN,
                           env=fault("rename:1:wait", FAULT_UNTIL=go_on))
    children.append(process)
    wait_for_epoch(process, folder, 2)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    go_on.touch()
    _, err = process.communicate(timeout=60)
    assert process.returncode in (0, 1), err
    if process.returncode:  # not at its end already
        assert "continue with --resume" in err.splitlines()[-1]
        train(sipgpu, corpus, folder, *RUN, "--resume")
    assert_same_run(folder, unbroken)


@pytest.mark.parametrize("plan", ["write:1:full", "rename:1:full", "write:1:kill", "rename:1:kill", "rename:2:kill"])
def test_best_weights_that_fail_are_not_lost(sipgpu: Sipgpu, corpus: Path, unbroken: Path, tmp_path: Path,
                                             fault: Callable[..., dict[str, str]], plan: str) -> None:
    """No checkpoint knows of a best that is not on the disk: a resumed run would end with an older one."""
    folder = tmp_path / "run"
    result = sipgpu("train", "--corpus", corpus, "--out", folder, *RUN, env=fault(plan, FAULT_FILE="best.h5"))
    assert result.code in (0, -signal.SIGKILL), result.err
    if (folder / "checkpoint.h5").exists() and result.code:
        best = attributes(folder / "best.h5", "training")["best_pd"] if (folder / "best.h5").exists() else -1
        assert attributes(folder / "checkpoint.h5", "training")["best_pd"] <= best
    if result.code:
        train(sipgpu, corpus, folder, *RUN, "--resume")
    assert_same_run(folder, unbroken)


def test_best_weights_that_cannot_be_written(sipgpu: Sipgpu, corpus: Path, unbroken: Path, tmp_path: Path,
                                             fault: Callable[..., dict[str, str]]) -> None:
    folder = tmp_path / "run"
    sipgpu.refuses("train", "--corpus", corpus, "--out", folder, *RUN, alone=False,
                   names=(folder / "best.h5", "No space left on device"), env=fault("write:0:full", FAULT_FILE="best.h5"))
    assert not (folder / "model.h5").exists() and not (folder / "best.h5").exists()
    train(sipgpu, corpus, folder, *RUN, "--resume")
    assert_same_run(folder, unbroken)


@pytest.mark.parametrize("words", [RUN, BY_TIME], ids=["by epochs", "by time"])
@pytest.mark.parametrize("plan", ["write:1:full", "rename:1:full", "write:1:kill", "rename:1:kill"])
def test_a_model_that_cannot_be_written(sipgpu: Sipgpu, corpus: Path, unbroken: Path, tmp_path: Path,
                                        fault: Callable[..., dict[str, str]], plan: str, words: list[str]) -> None:
    """What there is to go on from stays until the model is in place."""
    folder = tmp_path / "run"
    result = sipgpu("train", "--corpus", corpus, "--out", folder, *words, env=fault(plan, FAULT_FILE="model.h5"))
    if plan.endswith("full"):
        line = result.err.splitlines()[-1]
        assert result.code == 1 and str(folder / "model.h5") in line and "No space left on device" in line
    else:
        assert result.code == -signal.SIGKILL
    assert (folder / "checkpoint.h5").exists() and not (folder / "model.h5").exists()
    assert "resuming after epoch" in train(sipgpu, corpus, folder, *words, "--resume").err
    assert_same_run(folder, unbroken, checkpoint=words is RUN)
    assert (folder / "checkpoint.h5").exists() == (words is RUN)


@pytest.mark.parametrize("keys, kept", [
    ({}, False), ({"train__checkpoint_seconds": 1e-6}, False), ({"train__checkpoint_seconds": 0}, False),
    ({"train__checkpoint_every": 1000}, True), ({"train__checkpoint_every": 1, "train__checkpoint_seconds": 0}, True),
], ids=str)
def test_a_complete_run_keeps_a_checkpoint_if_asked(sipgpu: Sipgpu, corpus: Path, tmp_path: Path,
                                                    keys: dict[str, object], kept: bool) -> None:
    train(sipgpu, corpus, tmp_path / "run", *quick(train__epochs=10, **keys))
    assert (tmp_path / "run/checkpoint.h5").exists() == kept
    if kept:
        assert attributes(tmp_path / "run/checkpoint.h5", "training")["epoch"] == 10


def test_how_often_checkpoints_are_due_may_change(sipgpu: Sipgpu, corpus: Path, unbroken: Path, tmp_path: Path,
                                                  fault: Callable[..., dict[str, str]]) -> None:
    folder = tmp_path / "run"
    assert sipgpu("train", "--corpus", corpus, "--out", folder, *RUN, env=fault("rename:2:kill")).code < 0
    train(sipgpu, corpus, folder, *BY_TIME, *settings(train__checkpoint_seconds=3600), "--resume")
    assert_same_run(folder, unbroken, checkpoint=False)
    assert not (folder / "checkpoint.h5").exists()


def test_resume_leaves_no_litter(sipgpu: Sipgpu, corpus: Path, tmp_path: Path,
                                 fault: Callable[..., dict[str, str]]) -> None:
    folder = tmp_path / "run"
    sipgpu("train", "--corpus", corpus, "--out", folder, *RUN, env=fault("write:2:kill"))
    train(sipgpu, corpus, folder, *RUN, "--resume")
    assert {path.name for path in folder.iterdir()} == RUN_FILES


def test_resume_after_a_torn_history_line(sipgpu: Sipgpu, corpus: Path, unbroken: Path, tmp_path: Path,
                                          fault: Callable[..., dict[str, str]]) -> None:
    folder = tmp_path / "run"
    sipgpu("train", "--corpus", corpus, "--out", folder, *RUN, env=fault("rename:2:kill"))
    with open(folder / "history.csv", "a", encoding="utf-8") as f:
        f.write("99,121,0.3")
    train(sipgpu, corpus, folder, *RUN, "--resume")
    assert_same_run(folder, unbroken)


def test_resume_between_the_last_checkpoint_and_the_model(sipgpu: Sipgpu, unbroken: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(unbroken, folder)
    (folder / "model.h5").unlink()
    sipgpu.ok("train", "--out", folder, "--resume")
    assert_same_run(folder, unbroken)


def test_resume_after_an_early_stop(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    """Killed after the last checkpoint, before the model: the goal was reached, there is nothing more to train."""
    words = quick(train__stop_when_train_pd=0.3, train__eval_every=2, train__epochs=60, model__padding="mask",
                  train__checkpoint_every=1)
    train(sipgpu, corpus, tmp_path / "run", *words)
    shutil.copytree(tmp_path / "run", tmp_path / "again")
    (tmp_path / "again/model.h5").unlink()
    told = sipgpu.ok("train", "--out", tmp_path / "again", "--resume").err
    assert "resuming after epoch" in told and "loss" not in told
    assert history(tmp_path / "again") == history(tmp_path / "run")
    assert_same_tensors(tmp_path / "again/model.h5", tmp_path / "run/model.h5", "params")


def test_a_longer_run_is_the_same_run_so_far(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    train(sipgpu, corpus, tmp_path / "long", *quick(train__epochs=6))
    train(sipgpu, corpus, tmp_path / "short", *quick(train__epochs=3, train__checkpoint_every=1))
    (tmp_path / "short/model.h5").unlink()
    result = train(sipgpu, corpus, tmp_path / "short", *quick(train__epochs=6), "--resume")
    assert "resuming after epoch 3" in result.err
    assert_same_tensors(tmp_path / "long/model.h5", tmp_path / "short/model.h5", "params")


def test_resume_with_nothing_there_starts(sipgpu: Sipgpu, corpus: Path, quick_run: Path, tmp_path: Path) -> None:
    words = settings(model__units=8, train__epochs=2, train__batch_size=93)
    train(sipgpu, corpus, tmp_path / "run", *words, "--resume")
    assert_same_tensors(quick_run / "model.h5", tmp_path / "run/model.h5", "params")


def test_resume_of_a_complete_run_changes_nothing(sipgpu: Sipgpu, quick_run: Path) -> None:
    before = contents(quick_run)
    assert "is complete" in sipgpu.ok("train", "--out", quick_run, "--resume").err
    assert contents(quick_run) == before


def test_a_used_folder_is_not_trained_into(sipgpu: Sipgpu, corpus: Path, quick_run: Path) -> None:
    before = contents(quick_run)
    sipgpu.refuses("train", "--corpus", corpus, "--out", quick_run, *quick(), names=(quick_run, "--resume", "--force"))
    assert contents(quick_run) == before


def test_force_trains_anew(sipgpu: Sipgpu, corpus: Path, quick_run: Path, tmp_path: Path) -> None:
    shutil.copytree(quick_run, tmp_path / "run")
    train(sipgpu, corpus, tmp_path / "run", *quick(train__epochs=3), "--force")
    assert len(history(tmp_path / "run")) == 3


def test_weights_are_finite_and_moved(quick_run: Path, sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    train(sipgpu, corpus, tmp_path / "still", *settings(model__units=8, train__epochs=2, train__batch_size=93,
                                                        train__learning_rate=0))
    start, moved = tensors(tmp_path / "still/model.h5", "params"), tensors(quick_run / "model.h5", "params")
    for name, value in moved.items():
        assert np.isfinite(value).all() and (value != start[name]).any(), name
