"""`sipgpu corpus merge`: every dialog is there, and what does not go together is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import h5py
import numpy as np
from conftest import Sipgpu


def test_merge_keeps_every_dialog(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    other, merged = tmp_path / "other.h5", tmp_path / "merged.h5"
    sipgpu.ok("corpus", "synth", "--preset", "small", "--seed", 7, "--out", other)
    sipgpu.ok("corpus", "merge", corpus, other, "--out", merged)

    def dialogs(path: Path) -> list[tuple[str, ...]]:
        with h5py.File(path) as f:
            names = [name.decode() for name in f["alphabet"][()]]
            rows = zip(f["dialogs/sequence"][()], f["dialogs/length"][()])
            return sorted(tuple(names[t - 1] for t in row[:length]) for row, length in rows)

    assert dialogs(merged) == sorted(dialogs(corpus) + dialogs(other))
    with h5py.File(merged) as f:
        assert f.attrs["num_classes"] == len(set(dialogs(merged)))
        assert set(f["split"][()]) == {0, 1, 2}


def test_merge_refuses(sipgpu: Sipgpu, corpus: Path, tmp_path: Path, edited: Callable) -> None:
    out = tmp_path / "merged.h5"
    sipgpu.refuses("corpus", "merge", corpus, "--out", out, names=("needs CORPUS CORPUS...",), code=2)
    sipgpu.refuses("corpus", "merge", corpus, tmp_path / "none.h5", "--out", out, names=("none.h5",))
    other = edited(corpus, lambda f: f.attrs.__setitem__("type_rule", np.bytes_("cseq/1")))
    sipgpu.refuses("corpus", "merge", corpus, other, "--out", out, names=(other, "cseq/1", "paper/1"))
    other = edited(corpus, lambda f: f.attrs.__setitem__("retransmissions", np.bytes_("collapse")))
    sipgpu.refuses("corpus", "merge", corpus, other, "--out", out, names=(other, "retransmissions"))
    other = edited(corpus, lambda f: f.attrs.__setitem__("type_rule", np.bytes_("colour")))
    sipgpu.refuses("corpus", "merge", corpus, other, "--out", out, names=(other, "colour"))
    assert not out.exists()
