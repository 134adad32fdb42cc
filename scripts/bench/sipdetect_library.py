"""libsipdetect on NumPy arrays, by ctypes: for tests/e2e/peers/test_detectors.py and bench_detectors.py."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np


class Verdict(ctypes.Structure):
    """sipdetect_verdict (include/sipgpu/sipdetect.h)."""

    _fields_ = [("position", ctypes.c_int32), ("best_class", ctypes.c_int32), ("probability", ctypes.c_float),
                ("scored", ctypes.c_int8), ("from_file", ctypes.c_int8), ("known_prefix", ctypes.c_int8),
                ("known_dialog", ctypes.c_int8), ("skewness", ctypes.c_double), ("kurtosis", ctypes.c_double),
                ("train_dialogs", ctypes.c_int64), ("too_long", ctypes.c_int8), ("untyped", ctypes.c_int8),
                ("abnormal_beginning", ctypes.c_int8), ("abnormal", ctypes.c_int8),
                ("abnormal_either", ctypes.c_int8), ("low_cluster", ctypes.c_int8), ("reserved", ctypes.c_int8 * 2)]


class WorkerOptions(ctypes.Structure):
    """sipdetect_worker_options."""

    _fields_ = [("batch", ctypes.c_int), ("recompute", ctypes.c_int), ("defer", ctypes.c_int),
                ("memory_limit", ctypes.c_size_t), ("on_memory", ctypes.c_void_p), ("user", ctypes.c_void_p)]


class Library:
    """The shared library at a path."""

    def __init__(self, path: Path):
        self.c = ctypes.CDLL(str(path))
        for name in ("version", "error", "simd_levels", "precision", "simd", "type_name"):
            getattr(self.c, f"sipdetect_{name}").restype = ctypes.c_char_p
        self.c.sipdetect_limits.restype = None
        for name in ("close", "worker_close", "dialog_close", "dialog_reset"):
            getattr(self.c, f"sipdetect_{name}").restype = None

    @property
    def version(self) -> str:
        return self.c.sipdetect_version().decode()

    @property
    def simd_levels(self) -> list[str]:
        return self.c.sipdetect_simd_levels().decode().split()

    def check(self, status: int) -> None:
        if status != 0:
            raise RuntimeError(self.c.sipdetect_error().decode())


class Model:
    """An open .sipm with one worker; close() it, or use it in a with statement."""

    def __init__(self, library: Library, path: Path, simd: str = "auto", batch: int = 64, recompute: bool = False):
        self.library, self.c = library, library.c
        self.model, self.worker, self.dialog = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
        library.check(self.c.sipdetect_open(ctypes.byref(self.model), str(path).encode(), simd.encode()))
        options = WorkerOptions(batch=batch, recompute=recompute)
        library.check(self.c.sipdetect_worker_open(ctypes.byref(self.worker), self.model, ctypes.byref(options)))
        library.check(self.c.sipdetect_dialog_open(ctypes.byref(self.dialog), self.model))
        self.length = self.c.sipdetect_max_length(self.model)
        self.classes = self.c.sipdetect_classes(self.model)
        self.simd = self.c.sipdetect_simd(self.model).decode()
        self.precision = self.c.sipdetect_precision(self.model).decode()

    def close(self) -> None:
        self.c.sipdetect_dialog_close(self.dialog)
        self.c.sipdetect_worker_close(self.worker)
        self.c.sipdetect_close(self.model)

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prepare(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray, ctypes.Array]:
        """What run() takes: types [count, L], lengths, and room for the verdicts."""
        types = np.ascontiguousarray(tokens, np.uint16)
        return types, np.count_nonzero(types, axis=1).astype(np.uint16), (Verdict * len(types))()

    def run(self, prepared: tuple[np.ndarray, np.ndarray, ctypes.Array]) -> ctypes.Array:
        types, lengths, verdicts = prepared
        self.library.check(self.c.sipdetect_score(
            self.worker, types.ctypes.data_as(ctypes.c_void_p), lengths.ctypes.data_as(ctypes.c_void_p),
            len(types), ctypes.c_size_t(types.shape[1]), verdicts))
        return verdicts

    def score(self, tokens: np.ndarray) -> dict[str, np.ndarray]:
        """The verdicts on sequences [count, L], a column for each field."""
        return columns(self.run(self.prepare(tokens)))

    def probabilities(self, tokens: np.ndarray) -> np.ndarray:
        types, lengths, _ = self.prepare(tokens)
        out = np.empty((len(types), self.classes), np.float32)
        self.library.check(self.c.sipdetect_probabilities(
            self.worker, types.ctypes.data_as(ctypes.c_void_p), lengths.ctypes.data_as(ctypes.c_void_p),
            len(types), ctypes.c_size_t(types.shape[1]), out.ctypes.data_as(ctypes.c_void_p)))
        return out

    def push(self, dialog: tuple[int, ...]) -> dict[str, np.ndarray]:
        """The verdicts after each message of one dialog."""
        verdicts = (Verdict * len(dialog))()
        self.c.sipdetect_dialog_reset(self.dialog)
        for type_id, verdict in zip(dialog, verdicts):
            self.library.check(self.c.sipdetect_push(self.worker, self.dialog, ctypes.c_uint16(type_id),
                                                     ctypes.byref(verdict)))
        return columns(verdicts)


def columns(verdicts: ctypes.Array) -> dict[str, np.ndarray]:
    """An array for each field."""
    table = np.ctypeslib.as_array(verdicts)
    return {name: table[name].copy() for name, *_ in Verdict._fields_ if name != "reserved"}
