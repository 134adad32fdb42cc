"""The paper's network and its batches in PyTorch, for gpu_torch.py and bench_torch.py.

A batch is padded (every row is run) or holds its unique rows, which are run once: without dropout they are weighted in
the loss; with dropout their states are copied to the rows, since each has a mask of its own.  Loss and gradients are
the same.  Needs torch, numpy and h5py.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

import h5py
import numpy as np
import torch
from torch.nn import functional

ROWS = ("padded", "unique")


class Batch(NamedTuple):
    """Rows to run and heads of the dense layer, which are the same unless `source` says which row a head takes."""

    ids: torch.Tensor  # [length, rows] tokens, 0: padding
    labels: torch.Tensor  # [heads]
    weight: Optional[torch.Tensor] = None  # [heads] share in the loss; None: all the same
    source: Optional[torch.Tensor] = None  # [heads] a row, whose state is the head's before dropout

    def to(self, device: str) -> Batch:
        return Batch(*(None if part is None else part.to(device) for part in self))


class Corpus:
    """The train split, in an order shuffled once."""

    def __init__(self, path: str):
        with h5py.File(path, "r") as f:
            train = np.flatnonzero(f["split"][:] == 0)
            self.sequence = f["dialogs/sequence"][:][train].astype(np.int64)
            self.label = f["dialogs/label"][:][train].astype(np.int64)
            self.types = len(f["alphabet"])
            self.classes = int(f.attrs["num_classes"])
        order = np.random.default_rng(1).permutation(len(train))
        self.sequence, self.label = self.sequence[order], self.label[order]
        self.length = int(self.sequence.shape[1])

    def batches(self, size: int, rows: str, dropout: bool = False, fixed: bool = False) -> list[Batch]:
        """All full batches, padded or unique.  `fixed`: all of one shape, that of the one with the most rows."""
        count = len(self.label) // size
        if count < 1:
            raise ValueError(f"batch {size} is larger than the train split ({len(self.label)} dialogs)")
        parts = [slice(k * size, (k + 1) * size) for k in range(count)]
        if rows == "padded":
            return [Batch(time_first(self.sequence[part]), torch.from_numpy(self.label[part])) for part in parts]
        found = [unique_rows(self.sequence[part], self.label[part]) for part in parts]
        most = max(len(ids) for ids, _, _, _ in found)
        return [unique_batch(*one, dropout, most - len(one[0]) if fixed else 0) for one in found]


def time_first(ids: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(ids.T))


def unique_rows(sequence: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The unique (sequence, label) pairs: sequences, labels and counts; and which of them each row is."""
    pairs, source, count = np.unique(np.column_stack([sequence, label]), axis=0, return_inverse=True,
                                     return_counts=True)
    return pairs[:, :-1], pairs[:, -1], count, source.reshape(-1)


def unique_batch(ids: np.ndarray, label: np.ndarray, count: np.ndarray, source: np.ndarray, dropout: bool,
                 more: int) -> Batch:
    """`more`: rows of padding to add, which the loss does not see."""
    ids = np.pad(ids, ((0, more), (0, 0)))
    if dropout:
        return Batch(time_first(ids), torch.from_numpy(label[source]), None, torch.from_numpy(source))
    weight = np.pad(count / count.sum(), (0, more))
    return Batch(time_first(ids), torch.from_numpy(np.pad(label, (0, more))), torch.from_numpy(weight).float())


class Network(torch.nn.Module):
    """LSTM over all steps, dropout and dense layer on the last output."""

    def __init__(self, types: int, units: int, classes: int, layers: int, dropout: float = 0):
        super().__init__()
        self.lstm = torch.nn.LSTM(types, units, num_layers=layers)
        self.drop = torch.nn.Dropout(dropout) if dropout > 0 else torch.nn.Identity()
        self.dense = torch.nn.Linear(units, classes)

    def forward(self, x: torch.Tensor, source: torch.Tensor | None = None) -> torch.Tensor:
        state = self.lstm(x)[0][-1]
        return self.dense(self.drop(state if source is None else state.index_select(0, source)))


def one_hot_rows(types: int) -> torch.Tensor:
    """Row m is the input for token m; row 0, padding, is all zero."""
    return torch.cat([torch.zeros(1, types), torch.eye(types)])


def loss_of(logits: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
    if weight is None:
        return functional.cross_entropy(logits, labels)
    return (functional.cross_entropy(logits, labels, reduction="none") * weight).sum()
