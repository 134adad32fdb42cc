"""Bad input: one clear line on stderr that names the thing, exit 1 (2 for wrong usage), nothing written or lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Callable, Iterator

import h5py
import numpy as np
import pytest
from conftest import Result, Sipgpu, assert_same_tensors, changing, contents, history, settings

Edit = Callable[[Path, Callable[[h5py.File], object]], Path]

QUICK = settings(model__units=8, train__epochs=2, train__batch_size=93)
RUN = settings(model__units=150, train__epochs=6, train__batch_size=93, train__checkpoint_every=1)


def replace(f: h5py.File, name: str, value: np.ndarray | str | float) -> None:
    del f[name]
    f[name] = value


def put(f: h5py.File, name: str, index: tuple[int, ...] | int, value: float) -> None:
    """Sets one element; the dataset keeps its kind."""
    data = f[name][()]
    data[index] = value
    f[name][...] = data


# ---- settings ----


@pytest.mark.parametrize("text, names", [
    ("[trian]\nepochs = 3\n", (":2:", "[trian]", "[train]")),
    ("[train]\nepoch = 3\n", (":2:", "train.epoch;", "train.epochs")),
    ("[model]\nepochs = 3\n", (":2:", "model.epochs", "train.epochs")),
    ("[train]\nepochs = many\n", (":2:", "train.epochs = many", "number")),
    ("[train]\nepochs = 0\n", (":2:", "train.epochs = 0", "from 1")),
    ("[train]\nlearning_rate = -1\n", (":2:", "train.learning_rate = -1", "from 0")),
    ("[train]\nlearning_rate = nan\n", (":2:", "train.learning_rate = nan")),
    ("[model]\n\nlayers = 3\n", (":3:", "model.layers = 3", "from 1 to 2")),
    ("[model]\ndropout = 1\n", (":2:", "model.dropout = 1")),
    ("[model]\npadding = left\n", (":2:", "model.padding = left", "post|mask|pre")),
    ("[train]\nkeep_best = perhaps\n", (":2:", "train.keep_best = perhaps", "true")),
    ("[engine]\nprecision = fp16\n", (":2:", "engine.precision = fp16", "bf16")),
    ("[engine]\nthreads = -1\n", (":2:", "engine.threads = -1")),
    ("epochs = 3\n", (":1:",)),
    ("[train]\nepochs\n", (":2:",)),
    ("[train\nepochs = 3\n", (":1:",)),
])
@pytest.mark.parametrize("command", ["train", "experiment"])
def test_configuration_files(sipgpu: Sipgpu, corpus: Path, tmp_path: Path, command: str, text: str,
                             names: tuple[str, ...]) -> None:
    path = tmp_path / "bad.ini"
    path.write_text(text, encoding="utf-8")
    sipgpu.refuses(command, "--config", path, "--corpus", corpus, "--out", tmp_path / "out", names=(path, *names))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("assignment, names", [
    ("train.epochs=0", ("train.epochs = 0", "from 1")),
    ("train.epochs=1.5", ("train.epochs = 1.5", "whole number")),
    ("train.batch_size=-93", ("train.batch_size = -93",)),
    ("train.epoch=3", ("train.epoch;", "train.epochs")),
    ("trian.epochs=3", ("[trian]", "[train]")),
    ("epochs=3", ("epochs=3", "section.key=value")),
    ("train.epochs", ("train.epochs", "section.key=value")),
    ("engine.device=tpu", ("tpu", "cpu")),
    ("experiment.seeds=0", ("experiment.seeds = 0", "from 1")),
    ("experiment.name=a ;b", ("experiment.name", "after a space")),
])
def test_assignments(sipgpu: Sipgpu, corpus: Path, tmp_path: Path, assignment: str, names: tuple[str, ...]) -> None:
    for command in ("train", "experiment"):
        sipgpu.refuses(command, "--corpus", corpus, "--out", tmp_path / "out", "--set", assignment, names=names, code=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words, names", [
    (["--threads", "0"], ("--threads", "from 1")),
    (["--threads", "two"], ("--threads", "two", "number")),
    (["--device", "gpu"], ("gpu", "cpu", "cuda")),
    (["--device", "cuda:x"], ("cuda:x",)),
    (["--precision", "half"], ("half", "fp32|tf32|bf16")),
    (["--seed", "-1"], ("seed", "-1")),
    (["--thread", "2"], ("--thread", "--threads")),
    (["--corpus"], ("--corpus", "value")),
    (["more", "words"], ("more",)),
])
def test_options(sipgpu: Sipgpu, corpus: Path, tmp_path: Path, words: list[str], names: tuple[str, ...]) -> None:
    sipgpu.refuses("train", "--corpus", corpus, "--out", tmp_path / "out", *QUICK, *words, names=names, code=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [["train"], ["experiment"], ["eval"], ["detect"], ["gradients"], ["bench", "train"],
                                     ["bench", "infer"]], ids=" ".join)
def test_threads_and_device_everywhere(sipgpu: Sipgpu, corpus: Path, quick_run: Path, tmp_path: Path,
                                       command: list[str]) -> None:
    inputs = ["--corpus", corpus]
    if command[0] in ("eval", "detect", "gradients"):
        inputs += ["--model", quick_run / "model.h5"]
    if command[0] == "gradients":
        inputs += ["--rows", "0:9", "--out", tmp_path / "g.h5"]
    sipgpu.refuses(*command, *inputs, "--threads", 0, names=("--threads",), code=2)
    sipgpu.refuses(*command, *inputs, "--device", "abacus", names=("abacus", "cpu"), code=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [["--batch", 0], ["--steps", 0], ["--units", -1], ["--layers", 0], ["--dialogs", 0]])
def test_counts_of_bench(sipgpu: Sipgpu, words: list[object]) -> None:
    sipgpu.refuses("bench", "train", *words, names=(words[0], words[1]), code=2)


def test_batch_larger_than_the_split(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    sipgpu.refuses("train", "--corpus", corpus, "--out", tmp_path / "out", "--set", "train.batch_size=951",
                   names=("train.batch_size = 951", "950"), alone=False)
    assert not (tmp_path / "out").exists() or not contents(tmp_path / "out")
    sipgpu.refuses("bench", "train", "--corpus", corpus, "--batch", 951, names=("--batch 951", "950"))


def test_batch_larger_than_the_split_leaves_no_folder(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    sipgpu.refuses("train", "--corpus", corpus, "--out", tmp_path / "out", "--set", "train.batch_size=951",
                   names=("train.batch_size = 951",))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [["--set", "train.batch_size=951"], ["--device", "cuda"]])
def test_force_drops_nothing_for_a_run_that_cannot_be(sipgpu: Sipgpu, corpus: Path, quick_run: Path, tmp_path: Path,
                                                      words: list[str]) -> None:
    shutil.copytree(quick_run, tmp_path / "run")
    sipgpu.refuses("train", "--corpus", corpus, "--out", tmp_path / "run", "--force", *words, names=(), alone=False)
    assert contents(tmp_path / "run") == contents(quick_run)


def test_device_that_is_not_there(sipgpu: Sipgpu, corpus: Path, quick_run: Path) -> None:
    if any(d["usable"] for d in sipgpu.ok("devices", "--json").json if d["device"].startswith("cuda")):
        pytest.skip("there is a CUDA device")
    sipgpu.refuses("eval", "--model", quick_run / "model.h5", "--corpus", corpus, "--device", "cuda",
                   names=("device cuda",))


# ---- files that are no corpus, no model ----


def not_a_file(tmp_path: Path, kind: str, good: Path) -> Path:
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("a,b\n1,2\n", encoding="utf-8")
    elif kind == "empty":
        path.touch()
    elif kind == "truncated":
        data = good.read_bytes()
        path.write_bytes(data[: len(data) // 2])
    elif kind == "foreign":
        with h5py.File(path, "w") as f:
            f["x"] = 1
    return path


@pytest.mark.parametrize("kind, names", [
    ("missing", ("No such file",)),
    ("folder", ("is a folder",)),
    ("text", ("not an HDF5 file",)),
    ("empty", ("not an HDF5 file",)),
    ("truncated", ("damaged or truncated",)),
    ("foreign", ("format",)),
])
def test_files(sipgpu: Sipgpu, corpus: Path, quick_run: Path, tmp_path: Path, kind: str, names: tuple[str, ...]) -> None:
    bad, out, model = not_a_file(tmp_path, kind, corpus), tmp_path / "out", quick_run / "model.h5"
    sipgpu.refuses("train", "--corpus", bad, "--out", out, *QUICK, names=(bad, *names))
    sipgpu.refuses("experiment", "--corpus", bad, "--out", out, *QUICK, names=(bad, *names))
    sipgpu.refuses("eval", "--corpus", bad, "--model", model, names=(bad, *names))
    sipgpu.refuses("bench", "train", "--corpus", bad, names=(bad, *names))
    (tmp_path / "models").mkdir()
    bad = not_a_file(tmp_path / "models", kind, model)
    sipgpu.refuses("eval", "--corpus", corpus, "--model", bad, "--csv", out, names=(bad, *names))
    sipgpu.refuses("detect", "--corpus", corpus, "--model", bad, "--dialogs", out, names=(bad, *names))
    sipgpu.refuses("gradients", "--corpus", corpus, "--model", bad, "--rows", "0:9", "--out", out, names=(bad, *names))
    assert not out.exists()


def test_corpus_and_model_mixed_up(sipgpu: Sipgpu, corpus: Path, quick_run: Path) -> None:
    model = quick_run / "model.h5"
    sipgpu.refuses("eval", "--corpus", corpus, "--model", corpus, names=(corpus, "sipgpu-corpus", "sipgpu-model"))
    sipgpu.refuses("eval", "--corpus", model, "--model", model, names=(model, "sipgpu-corpus", "sipgpu-model"))


def external(name: str) -> Callable[[h5py.File], None]:
    def change(f: h5py.File) -> None:
        del f[name]
        f[name] = h5py.ExternalLink("elsewhere.h5", name)
    return change


def soft(name: str) -> Callable[[h5py.File], None]:
    def change(f: h5py.File) -> None:
        f.move(name, "/kept")
        f[name] = h5py.SoftLink("/kept")
    return change


def stored_outside(name: str) -> Callable[[h5py.File], None]:
    def change(f: h5py.File) -> None:
        data = f[name][()]
        del f[name]
        f.create_dataset(name, data.shape, data.dtype, external=[("elsewhere.bin", 0, data.nbytes)])
    return change


@pytest.mark.parametrize("change, names", [
    (lambda f: f.attrs.modify("version", 99), ("version",)),
    (lambda f: f.attrs.__delitem__("max_length"), ("max_length",)),
    (lambda f: f.attrs.modify("num_classes", 149), ("/classes/sequence",)),
    (lambda f: replace(f, "dialogs/label", f["dialogs/label"][()][:, None]), ("/dialogs/label", "dimensions")),
    (lambda f: replace(f, "dialogs/label", f["dialogs/label"][()].astype(float)), ("/dialogs/label", "type")),
    (lambda f: replace(f, "dialogs/length", f["dialogs/length"][()][:-1]), ("/dialogs/length", "size", "1900")),
    (lambda f: put(f, "dialogs/label", 7, 150), ("/dialogs/label", "row 7", "150")),
    (lambda f: put(f, "dialogs/label", 7, -1), ("/dialogs/label", "row 7", "-1")),
    (lambda f: put(f, "dialogs/sequence", (7, 0), 19), ("/dialogs/sequence", "row 7")),
    (lambda f: put(f, "classes/sequence", (7, 0), 19), ("/classes/sequence", "row 7", "19")),
    (lambda f: put(f, "classes/length", 7, 25), ("/classes/length", "row 7", "25")),
    (lambda f: put(f, "dialogs/length", 7, 60000), ("/dialogs/", "row 7")),
    (lambda f: put(f, "classes/sequence", (7, 23), 1), ("/classes/sequence", "row 7", "padding")),
    (lambda f: put(f, "dialogs/start_time", 7, np.nan), ("/dialogs/start_time", "row 7")),
    (lambda f: put(f, "split", 7, 3), ("/split", "row 7", "3")),
    (external("split"), ("/split", "links")),
    (external("dialogs"), ("/dialogs", "links")),
    (soft("dialogs/label"), ("/dialogs/label", "links")),
    (stored_outside("dialogs/label"), ("/dialogs/label", "outside")),
], ids=lambda value: "" if callable(value) else " ".join(value))
def test_damaged_corpora(sipgpu: Sipgpu, corpus: Path, quick_run: Path, tmp_path: Path, edited: Edit,
                         change: Callable[[h5py.File], object], names: tuple[str, ...]) -> None:
    bad = edited(corpus, change)
    sipgpu.refuses("train", "--corpus", bad, "--out", tmp_path / "out", *QUICK, names=(bad, *names))
    sipgpu.refuses("detect", "--corpus", bad, "--model", quick_run / "model.h5", "--dialogs", tmp_path / "out",
                   names=(bad, *names))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change, names", [
    (lambda f: f.attrs.modify("version", 99), ("version",)),
    (lambda f: f.attrs.modify("units", 9), ("/params/lstm_0/",)),
    (lambda f: f.attrs.modify("units", -1), ("units",)),
    (lambda f: f.attrs.modify("layers", 2), ("/params/lstm_1/",)),
    (lambda f: f.attrs.modify("padding", b"left"), ("padding", "left")),
    (lambda f: f.__delitem__("params/dense/bias"), ("/params/dense/bias",)),
    (lambda f: replace(f, "params/dense/bias", np.zeros(149, np.float32)), ("/params/dense/bias", "149")),
    (lambda f: replace(f, "params/dense/bias", np.zeros(150, np.int32)), ("/params/dense/bias", "type")),
    (lambda f: put(f, "params/lstm_0/recurrent_kernel", (3, 4), np.nan), ("lstm_0/recurrent_kernel",)),
    (lambda f: put(f, "params/dense/kernel", (3, 4), np.inf), ("dense/kernel",)),
    (external("params/dense/kernel"), ("/params/dense/kernel", "links")),
    (soft("params/lstm_0"), ("/params/lstm_0", "links")),
    (stored_outside("params/dense/kernel"), ("/params/dense/kernel", "outside")),
    (lambda f: put(f, "classes/sequence", (7, 0), 19), ("class 7", "message type")),
    (lambda f: put(f, "classes/length", 7, 99), ("class 7", "length")),
    (lambda f: f.__delitem__("alphabet"), ("/alphabet",)),
], ids=lambda value: "" if callable(value) else " ".join(value))
def test_damaged_models(sipgpu: Sipgpu, corpus: Path, quick_run: Path, tmp_path: Path, edited: Edit,
                        change: Callable[[h5py.File], object], names: tuple[str, ...]) -> None:
    bad = edited(quick_run / "model.h5", change)
    sipgpu.refuses("eval", "--model", bad, "--corpus", corpus, "--csv", tmp_path / "out.csv", names=(bad, *names))
    sipgpu.refuses("gradients", "--model", bad, "--corpus", corpus, "--rows", "0:9", "--out", tmp_path / "g.h5",
                   names=(bad, *names))
    assert not (tmp_path / "out.csv").exists() and not (tmp_path / "g.h5").exists()


# ---- things that do not fit together ----


def test_other_alphabet(sipgpu: Sipgpu, corpus: Path, quick_run: Path, edited: Edit) -> None:
    def rename(f: h5py.File) -> None:
        names = list(f["alphabet"].asstr()[()])
        names[3] = "PUBLISH"
        kind = f["alphabet"].dtype
        del f["alphabet"]
        f.create_dataset("alphabet", data=names, dtype=kind)

    other = edited(corpus, rename)
    for command in (["eval"], ["detect"], ["gradients", "--rows", "0:9", "--out", other.parent / "g.h5"]):
        sipgpu.refuses(*command, "--model", quick_run / "model.h5", "--corpus", other, names=("PUBLISH",))


def test_longer_dialogs_than_the_model_takes(sipgpu: Sipgpu, quick_run: Path, tmp_path: Path) -> None:
    longer = tmp_path / "longer.h5"
    sipgpu.ok("corpus", "synth", "--preset", "small", "--out", longer, *settings(synth__max_length=40))
    sipgpu.refuses("eval", "--model", quick_run / "model.h5", "--corpus", longer, names=("24",), alone=False)


@pytest.mark.parametrize("command, empty, name", [("train", 0, "train"), ("experiment", 0, "train"),
                                                  ("experiment", 2, "test"), ("detect", 2, "test"),
                                                  ("detect", 0, "train")])
def test_empty_split(sipgpu: Sipgpu, corpus: Path, quick_run: Path, tmp_path: Path, edited: Edit, command: str,
                     empty: int, name: str) -> None:
    def drain(f: h5py.File) -> None:
        split = f["split"][()]
        split[split == empty] = 1
        f["split"][...] = split

    words = ["--model", quick_run / "model.h5"] if command == "detect" else QUICK
    sipgpu.refuses(command, "--corpus", edited(corpus, drain), "--out", tmp_path / "out", *words, names=(name,),
                   alone=False)
    assert not (tmp_path / "out").exists() or not contents(tmp_path / "out")


@pytest.mark.parametrize("rows", ["5:5", "9:5", "-1:5", "5", "a:b", "5:", ":5"])
def test_rows_of_gradients(sipgpu: Sipgpu, corpus: Path, quick_run: Path, tmp_path: Path, rows: str) -> None:
    sipgpu.refuses("gradients", "--model", quick_run / "model.h5", "--corpus", corpus, "--rows", rows, "--out",
                   tmp_path / "g.h5", names=("--rows", rows), code=2)
    assert not list(tmp_path.iterdir())


def test_rows_beyond_the_corpus(sipgpu: Sipgpu, corpus: Path, quick_run: Path, tmp_path: Path) -> None:
    sipgpu.refuses("gradients", "--model", quick_run / "model.h5", "--corpus", corpus, "--rows", "0:1901", "--out",
                   tmp_path / "g.h5", names=("--rows 0:1901", "1900"))


@pytest.mark.parametrize("mask, names", [
    ("{}:keep", ("/keep", "size")),
    ("{}:other", ("/other",)),
    ("{}", ("--mask",)),
    ("absent.h5:keep", ("absent.h5", "No such file")),
])
def test_masks_of_gradients(sipgpu: Sipgpu, corpus: Path, quick_run: Path, tmp_path: Path, mask: str,
                            names: tuple[str, ...]) -> None:
    with h5py.File(tmp_path / "mask.h5", "w") as f:
        f["keep"] = np.ones((9, 7), np.float32)
    word = mask.format(tmp_path / "mask.h5")
    sipgpu.refuses("gradients", "--model", quick_run / "model.h5", "--corpus", corpus, "--rows", "0:9", "--mask", word,
                   "--out", tmp_path / "g.h5", names=names, code=1 if ":" in mask else 2)
    assert not (tmp_path / "g.h5").exists()


def test_experiment_of_unknown_models(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    sipgpu.refuses("experiment", "--corpus", corpus, "--out", tmp_path / "out", "--models", "1.0,3.0", names=("3.0",
                                                                                                         "2.1"))
    assert not (tmp_path / "out").exists()


def test_detect_makes_no_folder_for_nothing(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    sipgpu.refuses("detect", "--corpus", corpus, "--model", tmp_path / "absent.h5", "--out", tmp_path / "out",
                   names=("absent.h5",))
    assert not (tmp_path / "out").exists()


# ---- files that exist stay ----


@pytest.mark.parametrize("words, name", [
    (["eval", "--csv"], "classes.csv"),
    (["detect", "--dialogs"], "dialogs.csv"),
    (["gradients", "--rows", "0:9", "--out"], "g.h5"),
    (["corpus", "synth", "--preset", "small", "--out"], "c.h5"),
])
def test_files_are_not_overwritten(sipgpu: Sipgpu, corpus: Path, quick_run: Path, tmp_path: Path, words: list[str],
                                   name: str) -> None:
    path = tmp_path / name
    path.write_text("mine", encoding="utf-8")
    inputs = [] if words[0] == "corpus" else ["--model", quick_run / "model.h5", "--corpus", corpus]
    sipgpu.refuses(*words, path, *inputs, names=(path, "--force"))
    assert path.read_text(encoding="utf-8") == "mine"
    sipgpu.ok(*words, path, *inputs, "--force")
    assert path.read_bytes() != b"mine"


# ---- resuming what is not the same run ----


@pytest.fixture(scope="module")
def broken_off(sipgpu: Sipgpu, corpus: Path, fault: Callable[..., dict[str, str]],
               tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was killed while it put its second checkpoint in place.  Tests copy it."""
    folder = tmp_path_factory.mktemp("broken_off") / "run"
    assert sipgpu("train", "--corpus", corpus, "--out", folder, *RUN, env=fault("rename:2:kill")).code \
        == -signal.SIGKILL
    for path in folder.glob("*.tmp*"):
        path.unlink()
    return folder


@pytest.fixture
def broken(broken_off: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(broken_off, tmp_path / "run"))


@pytest.mark.parametrize("keys", [
    {"train__learning_rate": 0.01}, {"model__units": 64}, {"model__padding": "mask"},
    {"train__seed": 5, "train__clip_norm": 1},
], ids=lambda keys: " ".join(keys))
def test_resume_with_other_settings(sipgpu: Sipgpu, corpus: Path, broken: Path, keys: dict[str, object]) -> None:
    before = contents(broken)
    sipgpu.refuses("train", "--corpus", corpus, "--out", broken, *RUN, *settings(**keys), "--resume", alone=False,
                   names=(broken / "checkpoint.h5", *(key.replace("__", ".") for key in keys)))
    assert contents(broken) == before


def test_resume_with_another_corpus(sipgpu: Sipgpu, broken: Path, tmp_path: Path) -> None:
    other, before = tmp_path / "other.h5", contents(broken)
    sipgpu.ok("corpus", "synth", "--preset", "small", "--seed", 2, "--out", other)
    sipgpu.refuses("train", "--corpus", other, "--out", broken, *RUN, "--resume", alone=False,
                   names=(broken / "checkpoint.h5", "another corpus"))
    assert contents(broken) == before


def test_resume_of_a_complete_run_with_other_settings(sipgpu: Sipgpu, corpus: Path, quick_run: Path) -> None:
    sipgpu.refuses("train", "--corpus", corpus, "--out", quick_run, *QUICK, "--set", "train.learning_rate=0.5",
                   "--resume", names=("train.learning_rate",), alone=False)


@pytest.mark.parametrize("change, names", [
    (lambda f: f.__delitem__("optimizer"), ("without optimizer state",)),
    (lambda f: put(f, "optimizer/v/dense/bias", 3, np.nan), ("dense/bias",)),
    (lambda f: put(f, "params/dense/bias", 3, np.nan), ("dense/bias",)),
    (lambda f: f["training"].attrs.modify("update", -5), ("update",)),
    (lambda f: f["training"].attrs.modify("epoch", 10**15), ("epoch",)),
], ids=["no optimizer", "NaN in v", "NaN in params", "negative update", "absurd epoch"])
def test_resume_from_a_damaged_checkpoint(sipgpu: Sipgpu, corpus: Path, broken: Path,
                                          change: Callable[[h5py.File], object], names: tuple[str, ...]) -> None:
    with changing(broken / "checkpoint.h5") as f:
        change(f)
    before = contents(broken)
    sipgpu.refuses("train", "--corpus", corpus, "--out", broken, *RUN, "--resume", alone=False,
                   names=(broken / "checkpoint.h5", *names))
    assert contents(broken) == before


def test_resume_from_a_truncated_checkpoint(sipgpu: Sipgpu, corpus: Path, broken: Path) -> None:
    os.truncate(broken / "checkpoint.h5", 100_000)
    before = contents(broken)
    sipgpu.refuses("train", "--corpus", corpus, "--out", broken, *RUN, "--resume", alone=False,
                   names=(broken / "checkpoint.h5", "truncated"))
    assert contents(broken) == before


def test_divergence_says_where_and_what_helps(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    words = settings(model__units=16, train__batch_size=93, train__learning_rate=10, train__epochs=400,
                     train__epsilon=1e-30, train__beta1=0, train__beta2=0, train__checkpoint_every=1)
    result = sipgpu("train", "--corpus", corpus, "--out", tmp_path / "run", *words)
    if result.code == 0:
        pytest.skip("this processor gets through without overflow")
    line = result.err.splitlines()[-1]
    assert result.code == 1
    assert all(word in line for word in ("not finite", "epoch", "step", "train.learning_rate", "train.clip_norm"))
    assert not (tmp_path / "run/model.h5").exists()


# ---- disks and rights ----


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small file system takes root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


def warnings(result: Result) -> list[str]:
    return [line for line in result.err.splitlines() if line.startswith("warning: ")]


@pytest.mark.parametrize("size, kept, complete", [
    ("2m", True, True),  # one checkpoint of 1.5 MB fits, two do not, nor does it and the model of 0.5 MB and another
    ("1800k", True, False),
    ("1200k", False, True),
], ids=["one checkpoint", "no room for the model", "no room for a checkpoint"])
def test_full_disk(sipgpu: Sipgpu, corpus: Path, tmp_path: Path, small_disk: Path, size: str, kept: bool,
                   complete: bool) -> None:
    """Training goes on, says it once, keeps the last good checkpoint; what counts is whether the model can be written."""
    folder = small_disk / "run"
    resize(small_disk, size)
    result = sipgpu("train", "--corpus", corpus, "--out", folder, *RUN)
    warning, = warnings(result)
    assert all(part in warning for part in (str(folder / "checkpoint.h5"), "No space left on device"))
    assert "intact" in warning if kept else "no checkpoint" in warning
    assert len(history(folder)) == 6
    assert (folder / "checkpoint.h5").exists() == kept and (folder / "model.h5").exists() == complete
    assert not list(folder.glob("*.tmp*"))
    if kept:
        sipgpu.ok("eval", "--model", folder / "checkpoint.h5", "--corpus", corpus)
    resize(small_disk, "8m")
    if complete:
        assert result.code == 0
    else:
        line = result.err.splitlines()[-1]
        assert result.code == 1 and line.startswith("sipgpu: ")
        assert str(folder / "model.h5") in line and "No space left on device" in line
        sipgpu.ok("train", "--corpus", corpus, "--out", folder, *RUN, "--resume")
    sipgpu.ok("train", "--corpus", corpus, "--out", tmp_path / "unbroken", *RUN)
    assert history(folder) == history(tmp_path / "unbroken")
    assert_same_tensors(folder / "model.h5", tmp_path / "unbroken/model.h5", "params")


def size_of_temporary(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("checkpoint.h5.*"))


def test_a_checkpoint_takes_the_last_room(sipgpu: Sipgpu, corpus: Path, tmp_path: Path, small_disk: Path,
                                          fault: Callable[..., dict[str, str]],
                                          children: list[subprocess.Popen[str]]) -> None:
    """For as long as it is being written, history.csv cannot grow: that waits, and the run goes on."""
    folder, go_on, ballast = small_disk / "run", tmp_path / "go_on", small_disk / "ballast"
    words = ["--corpus", corpus, *RUN, *settings(train__epochs=500, model__units=8)]
    process = sipgpu.start("train", "--out", folder, *words, env=fault("fsync:1:wait", FAULT_UNTIL=go_on))
    children.append(process)
    written, deadline = -1, time.monotonic() + 60
    while written <= 0 or written != (written := size_of_temporary(folder)):
        assert time.monotonic() < deadline
        written = size_of_temporary(folder)
        time.sleep(0.1)
    with open(ballast, "wb", buffering=0) as f, contextlib.suppress(OSError):
        while f.write(bytes(4096)):
            pass
    seen = -1
    while seen != (seen := len(history(folder))):
        time.sleep(1)
    assert seen < 500 and process.poll() is None
    ballast.unlink()
    go_on.touch()
    err = process.communicate(timeout=120)[1]
    assert process.returncode == 0, err
    assert [int(line["epoch"]) for line in history(folder)] == list(range(1, 501))


def test_the_folder_goes_away(sipgpu: Sipgpu, corpus: Path, tmp_path: Path, fault: Callable[..., dict[str, str]],
                              children: list[subprocess.Popen[str]]) -> None:
    """While a checkpoint is being written and training goes on."""
    folder, go_on = tmp_path / "run", tmp_path / "go_on"
    process = sipgpu.start("train", "--corpus", corpus, "--out", folder, *RUN, "--set", "train.epochs=1000",
                           env=fault("write:1:wait", FAULT_UNTIL=go_on))
    children.append(process)
    deadline = time.monotonic() + 60
    while not list(folder.glob("checkpoint.h5.*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    shutil.rmtree(folder.rename(tmp_path / "gone"))
    go_on.touch()
    err = process.communicate(timeout=120)[1]
    assert process.returncode == 1 and not folder.exists()
    assert [line for line in err.splitlines() if line.startswith("sipgpu: ")] == err.splitlines()[-1:]
    assert str(folder) in err.splitlines()[-1] and "No such file" in err.splitlines()[-1]
    assert sum(line.startswith("warning: ") for line in err.splitlines()) <= 1


def test_full_disk_from_the_start(sipgpu: Sipgpu, corpus: Path, quick_run: Path, small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(2**21 - 2**12))
    before = contents(small_disk)
    model = ["--model", quick_run / "model.h5", "--corpus", corpus]
    for words in (["corpus", "synth", "--preset", "small", "--out", small_disk / "c.h5"],
                  ["gradients", *model, "--rows", "0:9", "--out", small_disk / "g.h5"],
                  ["detect", *model, "--dialogs", small_disk / "d.csv"]):
        sipgpu.refuses(*words, names=(words[-1], "No space left on device"), alone=False)
        assert contents(small_disk) == before


def test_full_standard_output(sipgpu: Sipgpu, corpus: Path, quick_run: Path) -> None:
    command = sipgpu.words("eval", "--model", quick_run / "model.h5", "--corpus", corpus)
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1 and "standard output" in done.stderr


@pytest.fixture
def another_user(sipgpu: Sipgpu, corpus: Path, quick_run: Path) -> Iterator[tuple[Sipgpu, tuple[str, ...], Path]]:
    """The program for someone without special rights, how to become that one, and a folder of copies to read."""
    if os.getuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("there is no setpriv to give up root with")
    prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") if os.getuid() == 0 else ()
    with tempfile.TemporaryDirectory(prefix="sipgpu-e2e-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copy(sipgpu.program, folder / "sipgpu")
        shutil.copy(corpus, folder / "corpus.h5")
        shutil.copy(quick_run / "model.h5", folder / "model.h5")
        locked = (folder / "locked", folder / "locked/run")
        for path in locked:
            path.mkdir()
        for path in reversed(locked):
            path.chmod(0o555)
        yield Sipgpu(folder / "sipgpu"), prefix, folder
        for path in locked:
            path.chmod(0o755)


def test_folder_that_cannot_be_written(another_user: tuple[Sipgpu, tuple[str, ...], Path]) -> None:
    program, prefix, folder = another_user
    corpus, model, locked = folder / "corpus.h5", folder / "model.h5", folder / "locked"
    for out in (locked / "run", locked / "new"):
        program.refuses("train", "--corpus", corpus, "--out", out, *QUICK, prefix=prefix,
                        names=(out, "Permission denied"))
    program.refuses("gradients", "--model", model, "--corpus", corpus, "--rows", "0:9", "--out", locked / "g.h5",
                    prefix=prefix, names=(locked / "g.h5", "Permission denied"))
    program.refuses("detect", "--model", model, "--corpus", corpus, "--out", locked / "d", prefix=prefix, alone=False,
                    names=(locked / "d", "Permission denied"))
    program.refuses("corpus", "synth", "--preset", "small", "--out", locked / "c.h5", prefix=prefix,
                    names=(locked / "c.h5", "Permission denied"))
    assert not contents(locked)


def test_file_that_cannot_be_read(another_user: tuple[Sipgpu, tuple[str, ...], Path]) -> None:
    program, prefix, folder = another_user
    (folder / "corpus.h5").chmod(0)
    program.refuses("eval", "--model", folder / "model.h5", "--corpus", folder / "corpus.h5", prefix=prefix,
                    names=(folder / "corpus.h5", "Permission denied"))


def test_out_is_a_file(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    sipgpu.refuses("train", "--corpus", corpus, "--out", tmp_path / "file", *QUICK, names=(tmp_path / "file",))
    sipgpu.refuses("train", "--corpus", corpus, "--out", tmp_path / "file/run", *QUICK, names=(tmp_path / "file/run",))
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"
