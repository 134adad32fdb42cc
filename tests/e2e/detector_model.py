"""A trained model read from its .h5 file, and the network and its detectors in NumPy, in double precision.

Shared by the tests of what scores dialogs: `sipgpu score`, libsipdetect, and exported models.
"""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path
from typing import Any

import h5py
import numpy as np


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))


class Model:
    """The model of a file: alphabet, train dialogs, limits, centroids, and the network."""

    def __init__(self, path: Path):
        with h5py.File(path) as f:
            self.padding = f.attrs["padding"].decode()
            self.length = int(f.attrs["max_length"])
            self.layers = int(f.attrs["layers"])
            self.names = [name.decode() for name in f["alphabet"][:]]
            self.weights = {f"{group}/{name}": data[()].astype(np.float64)
                            for group, items in f["params"].items() for name, data in items.items()}
            sequences, lengths = f["classes/sequence"][:], f["classes/length"][:]
            self.classes = [tuple(int(t) for t in row[:n]) for row, n in zip(sequences, lengths)]
            self.train = [c for c, n in zip(self.classes, f["classes/train_count"][:]) if n > 0]
            limits = f["thresholds"].attrs
            self.limits = (float(limits["skewness"]), float(limits["kurtosis"]))
            self.prefix_limits = f["prefix_thresholds"][:] if "prefix_thresholds" in f else None
            self.centroids = f["kmeans/centroids"][:] if "kmeans/centroids" in f else None
        self.known = set(self.train)
        self.beginnings = {c[:k] for c in self.train for k in range(1, len(c) + 1)}

    def text(self, dialog: tuple[int, ...]) -> list[str]:
        return [self.names[t - 1] for t in dialog]

    def tokens(self, dialogs: list[tuple[int, ...]]) -> np.ndarray:
        """[count, L], zeros after the last message, as every exported model takes them."""
        tokens = np.zeros((len(dialogs), self.length), np.int64)
        for row, dialog in zip(tokens, dialogs):
            row[:len(dialog)] = dialog
        return tokens

    def _layer(self, index: int, inputs: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """States [count, L, H] of an LSTM; a row's state stands still where `steps` [count, L] is false."""
        recurrent, bias = self.weights[f"lstm_{index}/recurrent_kernel"], self.weights[f"lstm_{index}/bias"]
        units = recurrent.shape[0]
        h = np.zeros((len(inputs), units))
        c, states = h.copy(), np.zeros((*steps.shape, units))
        for t in range(steps.shape[1]):
            i, f, g, o = np.split(inputs[:, t] + h @ recurrent + bias, 4, axis=1)
            new_c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            new_h = sigmoid(o) * np.tanh(new_c)
            c, h = (np.where(steps[:, t, None], new, old) for new, old in ((new_c, c), (new_h, h)))
            states[:, t] = h
        return states

    def probabilities(self, dialogs: list[tuple[int, ...]]) -> np.ndarray:
        """[count, N], by the network."""
        tokens = self.tokens(dialogs)
        if self.padding == "pre":
            tokens = np.array([np.roll(row, self.length - len(d)) for row, d in zip(tokens, dialogs)])
        steps = tokens > 0 if self.padding == "mask" else np.ones(tokens.shape, bool)
        kernel = self.weights["lstm_0/kernel"]
        states = self._layer(0, np.vstack([np.zeros(kernel.shape[1]), kernel])[tokens], steps)
        if self.layers == 2:
            states = self._layer(1, states @ self.weights["lstm_1/kernel"], steps)
        logits = states[:, -1] @ self.weights["dense/kernel"] + self.weights["dense/bias"]
        exp = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exp / exp.sum(axis=1, keepdims=True)

    @staticmethod
    def moments(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Normalised skewness and kurtosis of each row (docs/detection.md)."""
        p = probabilities.astype(np.float64)
        n = p.shape[1]
        d = p - p.mean(axis=1, keepdims=True)
        m2, m3, m4 = ((d**k).mean(axis=1) for k in (2, 3, 4))
        return m3 / m2**1.5 / ((n - 2) / np.sqrt(n - 1)), m4 / m2**2 / ((n * n - 3 * n + 3) / (n - 1))

    def _limits(self, lengths: list[int] | None) -> np.ndarray:
        """Of whole dialogs; of those that go on if `lengths` is given, where one of L messages is whole."""
        if lengths is None:
            return np.array(self.limits)
        return np.array([self.prefix_limits[n - 1] if n < self.length else self.limits for n in lengths])

    def below(self, skewness: np.ndarray, kurtosis: np.ndarray, lengths: list[int] | None = None) -> np.ndarray:
        """[count, 2]: which moments are below their limits; those for beginnings if `lengths` is given."""
        return np.stack([skewness, kurtosis], axis=1) < self._limits(lengths)

    def margin(self, skewness: np.ndarray, kurtosis: np.ndarray, lengths: list[int] | None = None) -> np.ndarray:
        """[count]: how far from a limit the nearer moment is."""
        return np.abs(np.stack([skewness, kurtosis], axis=1) - self._limits(lengths)).min(axis=1)

    def low_cluster(self, skewness: np.ndarray, kurtosis: np.ndarray) -> np.ndarray:
        distance = np.hypot(skewness[:, None] - self.centroids[:, 0], kurtosis[:, None] - self.centroids[:, 1])
        return distance[:, 0] <= distance[:, 1]

    def dialogs(self, count: int, seed: int) -> list[tuple[int, ...]]:
        """A third each: train dialogs, dialogs that none of them is, beginnings of train dialogs."""
        rng, found = random.Random(seed), []
        for number in range(count):
            dialog = rng.choice(self.train)
            if number % 3 == 1:
                while dialog in self.known:
                    dialog = self.mutated(dialog, rng)
            elif number % 3 == 2:
                dialog = dialog[:rng.randint(1, len(dialog))]
            found.append(dialog)
        return found

    def mutated(self, dialog: tuple[int, ...], rng: random.Random) -> tuple[int, ...]:
        """One message more, less, changed, or exchanged with the next."""
        d, at = list(dialog), rng.randrange(len(dialog))
        what = rng.randrange(4)
        if what == 0 and len(d) < self.length:
            d.insert(at, rng.randint(1, len(self.names)))
        elif what == 1 and len(d) > 1:
            del d[at]
        elif what == 2:
            d[at] = rng.randint(1, len(self.names))
        elif at + 1 < len(d):
            d[at], d[at + 1] = d[at + 1], d[at]
        return tuple(d)

    def write_lines(self, path: Path, dialogs: list[tuple[int, ...]]) -> Path:
        """The dialogs as `sipgpu score` reads them."""
        path.write_text("".join(",".join(self.text(d)) + "\n" for d in dialogs), encoding="utf-8")
        return path


def read_answers(text: str) -> list[dict[str, Any]]:
    """The CSV of `sipgpu score`: numbers as numbers, verdicts as True, False, or None for an empty cell."""
    rows: list[dict[str, Any]] = []
    for row in csv.DictReader(io.StringIO(text)):
        for key in ("length", "class"):
            row[key] = int(row[key]) if row[key] else None
        for key in ("probability", "skewness", "kurtosis"):
            row[key] = float(row[key]) if row[key] else None
        for key in ("known", "known_prefix", "abnormal", "low_cluster"):
            row[key] = {"": None, "0": False, "1": True}[row[key]]
        rows.append(row)
    return rows


def column(rows: list[dict[str, Any]], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows])
