#!/usr/bin/env python3
"""Judges dialogs by an exported model, through libsipdetect and ctypes; nothing else is needed.

    sipgpu export --model model.h5 --out model.sipm
    printf 'INVITE 100 180 200 ACK BYE 200\nBYE BYE\n' | examples/sipdetect.py model.sipm

Reads one dialog per line, as names of message types separated by spaces, and prints for each: the verdict (known, prefix, new
or abnormal, as `sipgpu watch` gives them), the message that raised the alarm or -, skewness and kurtosis of the
network's outputs, and how many dialogs of the train split begin like this.

The library is found by the system; the variable LIBSIPDETECT names another.
"""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import POINTER, byref, c_char_p, c_double, c_float, c_int8, c_int32, c_int64, c_void_p


class Verdict(ctypes.Structure):
    """sipdetect_verdict of sipdetect.h."""

    _fields_ = [("position", c_int32), ("best_class", c_int32), ("probability", c_float),
                *((name, c_int8) for name in ("scored", "from_file", "known_prefix", "known_dialog")),
                ("skewness", c_double), ("kurtosis", c_double), ("train_dialogs", c_int64),
                *((name, c_int8) for name in ("too_long", "untyped", "abnormal_beginning", "abnormal",
                                              "abnormal_either", "low_cluster")),
                ("reserved", c_int8 * 2)]


def load_library() -> ctypes.CDLL:
    library = ctypes.CDLL(os.environ.get("LIBSIPDETECT", "libsipdetect.so.0"))
    library.sipdetect_error.restype = c_char_p
    library.sipdetect_open.argtypes = [POINTER(c_void_p), c_char_p, c_char_p]
    library.sipdetect_worker_open.argtypes = [POINTER(c_void_p), c_void_p, c_void_p]
    library.sipdetect_dialog_open.argtypes = [POINTER(c_void_p), c_void_p]
    library.sipdetect_push_name.argtypes = [c_void_p, c_void_p, c_char_p, POINTER(Verdict)]
    library.sipdetect_end.argtypes = [c_void_p, c_void_p, POINTER(Verdict)]
    for name in ("close", "worker_close", "dialog_close", "dialog_reset"):
        function = getattr(library, f"sipdetect_{name}")
        function.argtypes, function.restype = [c_void_p], None
    return library


class Detector:
    """A model, and a worker and a dialog to use it with."""

    def __init__(self, path: str):
        self.library = load_library()
        self.model, self.worker, self.dialog = c_void_p(), c_void_p(), c_void_p()
        self._check(self.library.sipdetect_open(byref(self.model), path.encode(), None))
        self._check(self.library.sipdetect_worker_open(byref(self.worker), self.model, None))
        self._check(self.library.sipdetect_dialog_open(byref(self.dialog), self.model))

    def _check(self, status: int) -> None:
        if status != 0:
            sys.exit(f"sipdetect: {self.library.sipdetect_error().decode()}")

    def judge(self, names: list[str]) -> tuple[str, int, Verdict]:
        """Verdict, the message that raised the alarm (0: none), and what is known at the end."""
        verdict, alarm = Verdict(), 0
        self.library.sipdetect_dialog_reset(self.dialog)
        for name in names:
            self._check(self.library.sipdetect_push_name(self.worker, self.dialog, name.encode(), byref(verdict)))
            if verdict.abnormal_beginning == 1 and not alarm:
                alarm = verdict.position
        self._check(self.library.sipdetect_end(self.worker, self.dialog, byref(verdict)))
        if verdict.abnormal == 1 and not verdict.known_prefix and not alarm:
            alarm = verdict.position
        word = ("abnormal" if alarm else "known" if verdict.known_dialog else "prefix" if verdict.known_prefix
                else "new")
        return word, alarm, verdict

    def close(self) -> None:
        self.library.sipdetect_dialog_close(self.dialog)
        self.library.sipdetect_worker_close(self.worker)
        self.library.sipdetect_close(self.model)


def main() -> None:
    if len(sys.argv) != 2:
        print("usage: sipdetect.py MODEL.sipm < DIALOGS", file=sys.stderr)
        sys.exit(2)
    detector = Detector(sys.argv[1])
    for line in sys.stdin:
        word, alarm, v = detector.judge(line.split())
        moments = f"{v.skewness:.4f}\t{v.kurtosis:.4f}" if v.scored else "-\t-"
        print(f"{word}\t{alarm or '-'}\t{moments}\t{v.train_dialogs}")
    detector.close()


if __name__ == "__main__":
    main()
