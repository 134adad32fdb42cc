"""The digest in front of models and checkpoints (docs/files.md): any tool reads the file, and no damage goes unnoticed."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import DIGEST_BLOCK, Sipgpu, assert_same_tensors, contents, digest_block, settings

RUN = settings(model__units=8, train__epochs=4, train__batch_size=93, train__checkpoint_every=1, train__keep_best=True,
               train__eval_every=1)


@pytest.fixture(scope="module")
def run(sipgpu: Sipgpu, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digest") / "run"
    sipgpu.ok("train", "--corpus", corpus, "--out", folder, *RUN)
    return folder


@pytest.mark.parametrize("name", ["model.h5", "best.h5", "checkpoint.h5"])
def test_it_is_what_others_compute(run: Path, name: str) -> None:
    data = (run / name).read_bytes()
    assert data[:DIGEST_BLOCK] == digest_block(data[DIGEST_BLOCK:])
    with h5py.File(run / name) as f:
        assert f.userblock_size == DIGEST_BLOCK and f.attrs["format"] == b"sipgpu-model"
        assert np.isfinite(f["params/dense/kernel"][()]).all()


def test_flipped_bits(sipgpu: Sipgpu, corpus: Path, run: Path, tmp_path: Path) -> None:
    """60 bits over the whole file: of 60, most used to be accepted, and some gave other figures."""
    good, bad = (run / "model.h5").read_bytes(), tmp_path / "bad.h5"
    for number in range(60):
        data = bytearray(good)
        place = number * 9 if number < 20 else random.randrange(len(data))
        data[place] ^= 1 << number % 8
        bad.write_bytes(data)
        sipgpu.refuses("eval", "--model", bad, "--corpus", corpus, names=(bad, "damaged"))


def test_bytes_missing_or_added(sipgpu: Sipgpu, corpus: Path, run: Path, tmp_path: Path) -> None:
    good, bad = (run / "model.h5").read_bytes(), tmp_path / "bad.h5"
    for data in (good[:7], good[:511], good[:512], good[:600], good[:-1], good + b"\0", good + good):
        bad.write_bytes(data)
        for words in (("eval", "--corpus", corpus), ("export", "--out", tmp_path / "m.sipm")):
            sipgpu.refuses(*words, "--model", bad, names=(bad, "damaged"))
    assert not (tmp_path / "m.sipm").exists()


def test_damaged_checkpoints(sipgpu: Sipgpu, corpus: Path, run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    (folder / "model.h5").unlink()
    data = bytearray((folder / "checkpoint.h5").read_bytes())
    data[len(data) // 2] ^= 16
    (folder / "checkpoint.h5").write_bytes(data)
    before = contents(folder)
    sipgpu.refuses("train", "--corpus", corpus, "--out", folder, *RUN, "--resume", alone=False,
                   names=(folder / "checkpoint.h5", "damaged"))
    assert contents(folder) == before


def test_files_without_one(sipgpu: Sipgpu, corpus: Path, run: Path, tmp_path: Path) -> None:
    """An older model, or one that another program wrote: read, and said so."""
    plain, model = tmp_path / "plain.h5", run / "model.h5"
    plain.write_bytes(model.read_bytes()[DIGEST_BLOCK:])
    with h5py.File(model) as a, h5py.File(tmp_path / "copied.h5", "w") as b:
        for name in a:
            a.copy(name, b)
        b.attrs.update(a.attrs)
    wanted = sipgpu.ok("eval", "--json", "--model", model, "--corpus", corpus)
    assert "no digest" not in wanted.err
    for path in (plain, tmp_path / "copied.h5"):
        assert_same_tensors(path, model)
        got = sipgpu.ok("eval", "--json", "--model", path, "--corpus", corpus)
        assert got.json["splits"] == wanted.json["splits"]
        assert f"{path} has no digest" in got.err


def test_a_checkpoint_without_one_is_gone_on_with(sipgpu: Sipgpu, corpus: Path, run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    (folder / "model.h5").unlink()
    path = folder / "checkpoint.h5"
    path.write_bytes(path.read_bytes()[DIGEST_BLOCK:])
    assert "no digest" in sipgpu.ok("train", "--corpus", corpus, "--out", folder, *RUN, "--resume").err
    assert_same_tensors(folder / "model.h5", run / "model.h5")
