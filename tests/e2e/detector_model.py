"""A trained model read from its .h5 file: the network (network.py) and its detectors in NumPy, in double precision.

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
from network import Network, moments


class Model:
    """The model of a file: alphabet, train dialogs, limits, centroids, and the network."""

    def __init__(self, path: Path):
        self.network = Network.read(path)
        self.padding = self.network.padding
        with h5py.File(path) as f:
            self.length = int(f.attrs["max_length"])
            self.names = [name.decode() for name in f["alphabet"][:]]
            sequences, lengths = f["classes/sequence"][:], f["classes/length"][:]
            self.classes = [tuple(int(t) for t in row[:n]) for row, n in zip(sequences, lengths)]
            self.train = [c for c, n in zip(self.classes, f["classes/train_count"][:]) if n > 0]
            self.prefix_limits = f["prefix_thresholds"][:] if "prefix_thresholds" in f else None
            self.centroids = f["kmeans/centroids"][:] if "kmeans/centroids" in f else None
        self.limits = self.network.limits
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

    def probabilities(self, dialogs: list[tuple[int, ...]]) -> np.ndarray:
        """[count, N], by the network."""
        return self.network(self.tokens(dialogs))

    @staticmethod
    def moments(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Normalised skewness and kurtosis of each row (docs/detection.md)."""
        return moments(probabilities.astype(np.float64))

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

    def _distances(self, skewness: np.ndarray, kurtosis: np.ndarray) -> np.ndarray:
        """[count, 2]: to the two centroids, the low one first."""
        return np.hypot(skewness[:, None] - self.centroids[:, 0], kurtosis[:, None] - self.centroids[:, 1])

    def low_cluster(self, skewness: np.ndarray, kurtosis: np.ndarray) -> np.ndarray:
        distance = self._distances(skewness, kurtosis)
        return distance[:, 0] <= distance[:, 1]

    def cluster_margin(self, skewness: np.ndarray, kurtosis: np.ndarray) -> np.ndarray:
        """[count]: how much farther the other centroid is."""
        return np.abs(np.diff(self._distances(skewness, kurtosis), axis=1)[:, 0])

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
