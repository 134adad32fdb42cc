"""The judge of models in other programs: the network of a model file in numpy, float64, written from its definition.

Also the dialogs that all are asked about: known ones, new ones, beginnings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def lstm(x: np.ndarray, steps: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """All states [batch, L, H]; after steps[b] steps the state of row b stays as it is."""
    batch, length, _ = x.shape
    units = recurrent.shape[0]
    h, c = np.zeros((batch, units)), np.zeros((batch, units))
    states = np.zeros((batch, length, units))
    for t in range(length):
        i, f, g, o = np.split(x[:, t] @ kernel + h @ recurrent + bias, 4, axis=1)
        on = (t < steps)[:, None]
        c = np.where(on, sigmoid(f) * c + sigmoid(i) * np.tanh(g), c)
        h = np.where(on, sigmoid(o) * np.tanh(c), h)
        states[:, t] = h
    return states


def moments(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Skewness and kurtosis of each row, divided by what a one-hot row of that width has."""
    n = p.shape[1]
    d = p - p.mean(axis=1, keepdims=True)
    variance = (d**2).mean(axis=1)
    positive = np.where(variance > 0, variance, 1)
    skewness = (d**3).mean(axis=1) / positive**1.5 * np.sqrt(n - 1) / (n - 2)
    return skewness, (d**4).mean(axis=1) / positive**2 * (n - 1) / (n * n - 3 * n + 3)


@dataclass
class Network:
    """A model file."""

    layers: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
    dense: tuple[np.ndarray, np.ndarray]
    padding: str
    limits: tuple[float, float]

    @classmethod
    def read(cls, path: Path) -> "Network":
        with h5py.File(path) as f:
            def tensor(name: str) -> np.ndarray:
                return f["params"][name][()].astype(np.float64)

            layers = [(tensor(f"lstm_{n}/kernel"), tensor(f"lstm_{n}/recurrent_kernel"), tensor(f"lstm_{n}/bias"))
                      for n in range(int(f.attrs["layers"]))]
            limits = f["thresholds"].attrs
            return cls(layers, (tensor("dense/kernel"), tensor("dense/bias")), f.attrs["padding"].decode(),
                       (float(limits["skewness"]), float(limits["kurtosis"])))

    @property
    def types(self) -> int:
        return self.layers[0][0].shape[0]

    def place(self, tokens: np.ndarray) -> np.ndarray:
        """Dialogs followed by zeros as the network sees them: with padding `pre` the zeros come first."""
        if self.padding != "pre":
            return tokens
        return np.array([np.concatenate([row[row == 0], row[row != 0]]) for row in tokens])

    def one_hot(self, tokens: np.ndarray) -> np.ndarray:
        """[batch, L, M] in float32; a zero is a row of zeros."""
        return np.eye(self.types + 1, dtype=np.float32)[self.place(tokens)][:, :, 1:]

    def __call__(self, tokens: np.ndarray) -> np.ndarray:
        """The probabilities [batch, N]."""
        x = self.one_hot(tokens).astype(np.float64)
        whole = np.full(len(tokens), tokens.shape[1])
        steps = np.count_nonzero(tokens, axis=1) if self.padding == "mask" else whole
        for weights in self.layers:
            x = lstm(x, steps, *weights)
        z = x[:, -1] @ self.dense[0] + self.dense[1]
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def below(self, skewness: np.ndarray, kurtosis: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Verdicts of the rules `both` and `either`, and which rows are 1e-6 or more away from both limits."""
        low = np.array([skewness < self.limits[0], kurtosis < self.limits[1]])
        away = np.minimum(abs(skewness - self.limits[0]), abs(kurtosis - self.limits[1])) >= 1e-6
        return low.all(axis=0), low.any(axis=0), away


def dialogs(corpus: Path, count: int) -> np.ndarray:
    """`count` dialogs [count, L], zeros after the last message: every class of the corpus, then in turn a
    beginning of one, one with a message changed, and one of messages drawn at random."""
    with h5py.File(corpus) as f:
        known = f["classes/sequence"][()].astype(np.int64)
        types = len(f["alphabet"])
    rng = np.random.default_rng(1)
    rows = list(known[:count])
    while len(rows) < count:
        row = known[rng.integers(len(known))].copy()
        length = np.count_nonzero(row)
        kind = len(rows) % 3
        if kind == 0:
            row[rng.integers(1, length + 1):] = 0
        elif kind == 1:
            row[rng.integers(length)] = rng.integers(1, types + 1)
        else:
            length = rng.integers(1, len(row) + 1)
            row[:length], row[length:] = rng.integers(1, types + 1, length), 0
        rows.append(row)
    return np.array(rows)
