#!/usr/bin/env python3
"""Times training steps of the paper's network in PyTorch on a GPU: the peer that scripts/gpu_check compares with.

    scripts/gpu_torch.py --corpus paper.h5 --batch 933 --layers 1 --precision bf16 --json

The job as a user who wants speed would write it: nn.LSTM (cuDNN) over the padded one-hot batch, time first, nn.Linear
on the last step, cross-entropy, fused Adam.  The token ids of all batches are on the GPU before the clock starts.
Timed is everything a step does there: picking the batch, one-hot, forward, loss, backward, Adam.

Each precision is tried in every way that runs, and the fastest counts:
  fp32   TF32 forbidden everywhere
  tf32   TF32 allowed everywhere
  bf16   "autocast" (weights fp32, cast in every step) and "bfloat16" (the whole model in bf16, fp32 master copy),
         each also with the units rounded up to a multiple of 8: a slightly larger network that cuDNN likes better
  eager  plain PyTorch; graphs: the whole step captured as one CUDA graph; compile: forward and loss through
         torch.compile

A way that fails or takes too long is listed with its reason.  Without a GPU it runs on the CPU, for tests.
Needs torch, numpy and h5py.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import platform
import signal
import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import Any, Callable, Iterator

# torch.compile's helper processes would outlive a time limit.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

import h5py  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch.nn import functional  # noqa: E402

MODES = ("eager", "graphs", "compile")
PRECISIONS = ("fp32", "tf32", "bf16")
START = time.monotonic()


def listed(kind: Callable[[str], Any], allowed: tuple[str, ...] = ()) -> Callable[[str], list]:
    """A parser of comma-separated lists."""

    def parse(text: str) -> list:
        if allowed and text == "all":
            return list(allowed)
        values = [kind(word) for word in text.split(",")]
        if any(value not in allowed if allowed else value < 1 for value in values):
            raise argparse.ArgumentTypeError(f"'{text}': {', '.join(allowed) or 'numbers from 1 on'} is wanted")
        return values

    return parse


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True, metavar="FILE", help="a corpus that `sipgpu corpus` made")
    parser.add_argument("--batch", type=listed(int), default=[933], metavar="LIST", help="dialogs in an update [933]")
    parser.add_argument("--layers", type=listed(int), default=[1], metavar="LIST", help="LSTM layers [1]")
    parser.add_argument("--precision", type=listed(str, PRECISIONS), default=["bf16"], metavar="LIST",
                        help="fp32, tf32, bf16 or all [bf16]")
    parser.add_argument("--mode", type=listed(str, MODES), default=list(MODES), metavar="LIST",
                        help="eager, graphs, compile or all [all]")
    parser.add_argument("--units", type=int, default=0, metavar="N", help="LSTM units; 0: one for each class [0]")
    parser.add_argument("--steps", type=int, default=20, metavar="N", help="steps to time [20]")
    parser.add_argument("--warmup", type=int, default=5, metavar="N", help="steps before them [5]")
    parser.add_argument("--mode-seconds", type=float, default=60, metavar="S", help="limit of one way of running [60]")
    parser.add_argument("--seconds", type=float, default=3600, metavar="S", help="begin nothing after this time [3600]")
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu", metavar="DEVICE")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--out", metavar="FILE", help="keep the JSON object here too, after every measurement")
    return parser.parse_args()


class Corpus:
    """The train split, in an order shuffled once, as batches on the device."""

    def __init__(self, path: str):
        with h5py.File(path, "r") as f:
            train = np.flatnonzero(f["split"][:] == 0)
            self.sequence = f["dialogs/sequence"][:][train].astype(np.int64)
            self.label = f["dialogs/label"][:][train].astype(np.int64)
            self.types = len(f["alphabet"])
            self.classes = int(f.attrs["num_classes"])
        order = np.random.default_rng(1).permutation(len(train))
        self.sequence, self.label = self.sequence[order], self.label[order]

    def batches(self, size: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids [batches, length, size] and labels [batches, size] of all full batches."""
        count = len(self.label) // size
        if count < 1:
            raise ValueError(f"batch {size} is larger than the train split ({len(self.label)} dialogs)")
        ids = self.sequence[:count * size].reshape(count, size, -1).transpose(0, 2, 1)
        labels = self.label[:count * size].reshape(count, size)
        return torch.from_numpy(np.ascontiguousarray(ids)).to(device), torch.from_numpy(labels).to(device)


class Network(torch.nn.Module):
    """LSTM over all padded steps, dense layer on the last output."""

    def __init__(self, types: int, units: int, classes: int, layers: int):
        super().__init__()
        self.lstm = torch.nn.LSTM(types, units, num_layers=layers)
        self.dense = torch.nn.Linear(units, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(self.lstm(x)[0][-1])


def allow_tf32(allowed: bool) -> None:
    """For matrix products and for cuDNN.  The newer switch where the older one is gone."""
    try:
        torch.backends.cuda.matmul.allow_tf32 = allowed
        torch.backends.cudnn.allow_tf32 = allowed
    except (AttributeError, RuntimeError):
        word = "tf32" if allowed else "ieee"
        torch.backends.cuda.matmul.fp32_precision = word
        torch.backends.cudnn.rnn.fp32_precision = word


class Job:
    """Training steps of one network in one precision.  variant: "" (the precision itself), autocast, bfloat16."""

    def __init__(self, corpus: Corpus, device: str, shape: tuple[int, int, int], variant: str, capturable: bool):
        batch, layers, units = shape
        torch.manual_seed(1)
        self.device, self.variant = device, variant
        self.cuda = device.startswith("cuda")
        self.ids, self.labels = corpus.batches(batch, device)
        self.x_ids, self.y = self.ids[0].clone(), self.labels[0].clone()
        self.network = Network(corpus.types, units, corpus.classes, layers).to(device)
        self.weights = list(self.network.parameters())
        if variant == "bfloat16":
            self.masters = [weight.detach().clone() for weight in self.weights]
            for master in self.masters:
                master.grad = torch.zeros_like(master)
            self.network.bfloat16()
            self.weights = list(self.network.parameters())
        # Row 0 is padding, an all-zero vector.
        kind = torch.bfloat16 if variant == "bfloat16" else torch.float32
        self.one_hot = torch.cat([torch.zeros(1, corpus.types), torch.eye(corpus.types)]).to(device, kind)
        options: dict[str, Any] = {"fused": True, "capturable": capturable} if self.cuda else {}
        updated = self.masters if variant == "bfloat16" else self.weights
        self.adam = torch.optim.Adam(updated, lr=3e-4, eps=1e-7, **options)
        self.loss_of = self.forward
        self.loss: torch.Tensor | None = None
        self.graph = None

    def forward(self, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        x = functional.embedding(ids, self.one_hot)
        # A cast kept from an earlier step would belong to old weights under capture.
        with torch.autocast(self.device.split(":")[0], dtype=torch.bfloat16, enabled=self.variant == "autocast",
                            cache_enabled=False):
            logits = self.network(x)
        return functional.cross_entropy(logits.float(), labels)

    def update(self, ids: torch.Tensor, labels: torch.Tensor) -> None:
        for weight in self.weights:
            weight.grad = None
        self.loss = self.loss_of(ids, labels)
        self.loss.backward()
        if self.variant != "bfloat16":
            self.adam.step()
            return
        with torch.no_grad():
            copy_all([master.grad for master in self.masters], [weight.grad for weight in self.weights])
            self.adam.step()
            copy_all(self.weights, self.masters)

    def capture(self) -> None:
        """One step as a graph.  The steps before it, on another stream, let cuDNN and Adam set themselves up."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.update(self.x_ids, self.y)
        torch.cuda.current_stream().wait_stream(side)
        for weight in self.weights:
            weight.grad = None
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.update(self.x_ids, self.y)

    def step(self, number: int) -> None:
        k = number % len(self.ids)
        if not self.graph:
            self.update(self.ids[k], self.labels[k])
            return
        self.x_ids.copy_(self.ids[k])
        self.y.copy_(self.labels[k])
        self.graph.replay()

    def time(self, warmup: int, steps: int) -> dict[str, float]:
        for number in range(warmup):
            self.step(number)
        if self.cuda:
            torch.cuda.synchronize()
            marks = [torch.cuda.Event(enable_timing=True) for _ in range(steps + 1)]
        times, start = [], time.perf_counter()
        for number in range(steps):
            before = time.perf_counter()
            if self.cuda:
                marks[number].record()
            self.step(warmup + number)
            times.append(1e3 * (time.perf_counter() - before))
        if self.cuda:
            marks[steps].record()
            torch.cuda.synchronize()
            times = [a.elapsed_time(b) for a, b in zip(marks, marks[1:])]
        wall = 1e3 * (time.perf_counter() - start) / steps
        loss = float(self.loss)
        if not np.isfinite(loss):
            raise RuntimeError("the loss is not finite")
        return {"ms": statistics.median(times), "wall_ms": wall, "min_ms": min(times), "max_ms": max(times),
                "loss": loss}


def copy_all(to: list[torch.Tensor], source: list[torch.Tensor]) -> None:
    for a, b in zip(to, source):
        a.copy_(b)


@contextlib.contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Ends what runs inside by a TimeoutError."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"not done within {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_way(corpus: Corpus, options: argparse.Namespace, shape: tuple[int, int, int], variant: str,
            mode: str) -> dict[str, Any]:
    """Figures of one way to run a shape (batch, layers, units)."""
    if mode == "graphs" and not options.device.startswith("cuda"):
        raise RuntimeError("CUDA graphs need a GPU")
    job = Job(corpus, options.device, shape, variant, mode == "graphs")
    figures: dict[str, Any] = {"units": shape[2]}
    if mode == "compile":
        figures["lstm_compiled"] = compile_step(job)
    if mode == "graphs":
        job.capture()
    return {**figures, **job.time(options.warmup, options.steps)}


def compile_step(job: Job) -> bool:
    """Compiles forward and loss; returns whether the LSTM is part of it.  By default it is left to eager PyTorch;
    letting it in does not work for every kind of device and weights."""
    if not hasattr(torch, "compile"):
        raise RuntimeError("this PyTorch has no torch.compile")
    for lstm_too in (True, False):
        torch._dynamo.reset()
        with contextlib.suppress(AttributeError):
            torch._dynamo.config.allow_rnn = lstm_too
        job.loss_of = torch.compile(job.forward)
        try:
            job.step(0)
            return lstm_too
        except TimeoutError:
            raise
        except Exception:  # the compiler's own kinds of errors
            if not lstm_too:
                raise
    return False


def ways(precision: str, units: int, modes: list[str]) -> Iterator[tuple[str, int, str]]:
    """(variant, units, mode) of all ways to run a precision."""
    if precision != "bf16":
        yield from (("", units, mode) for mode in modes)
        return
    rounded = (units + 7) // 8 * 8
    for mode in modes:
        for width in dict.fromkeys([units, rounded]):
            for variant in ("autocast", "bfloat16"):
                yield variant, width, mode


def run_cell(corpus: Corpus, options: argparse.Namespace, cell: dict[str, Any], keep: Callable[[], None]) -> None:
    """All ways to run one precision, batch and depth; fills in cell["modes"] and the best of them."""
    units = options.units or corpus.classes
    allow_tf32(cell["precision"] == "tf32")
    for variant, width, mode in ways(cell["precision"], units, options.mode):
        name = ", ".join(word for word in (mode, variant, f"{width} units" if width != units else "") if word)
        if time.monotonic() - START > options.seconds:
            cell["modes"][name] = {"failed": "no time left"}
            continue
        try:
            with limit(options.mode_seconds):
                cell["modes"][name] = run_way(corpus, options, (cell["batch"], cell["layers"], width), variant, mode)
        except Exception as error:  # whatever it is, the other ways still run
            text = str(error).strip().splitlines() or [type(error).__name__]
            cell["modes"][name] = {"failed": text[0][:300]}
        figures = cell["modes"][name]
        say(f"{cell['precision']} batch {cell['batch']} layers {cell['layers']}: {name}: "
            + (f"{figures['ms']:.2f} ms" if "ms" in figures else figures["failed"]))
        ran = {key: value["ms"] for key, value in cell["modes"].items() if "ms" in value}
        if ran:
            cell["best"] = min(ran, key=ran.__getitem__)
            cell["best_ms"] = ran[cell["best"]]
        keep()
        gc.collect()
        if options.device.startswith("cuda"):
            with contextlib.suppress(RuntimeError):
                torch.cuda.synchronize()
                torch.cuda.empty_cache()


def rounding(device: str, precision: str) -> float:
    """Relative error of an LSTM's output against float64: shows which precision really ran."""
    torch.manual_seed(2)
    allow_tf32(precision == "tf32")
    lstm, x = torch.nn.LSTM(64, 128), torch.randn(16, 32, 64)
    with torch.no_grad():
        exact = lstm.double()(x.double())[0]
        kind = torch.bfloat16 if precision == "bf16" else torch.float32
        got = lstm.to(device, kind)(x.to(device, kind))[0].double().cpu()
    return float((got - exact).norm() / exact.norm())


def say(text: str) -> None:
    print(f"{time.monotonic() - START:6.1f} s  {text}", file=sys.stderr, flush=True)


def describe(options: argparse.Namespace, corpus: Corpus) -> dict[str, Any]:
    cuda = options.device.startswith("cuda")
    report: dict[str, Any] = {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None,
        "device": torch.cuda.get_device_name(options.device) if cuda else platform.processor() or platform.machine(),
        "on_gpu": cuda,
        "timed": "batch picked from ids on the device, one-hot, forward, loss, backward, Adam; median of "
                 + ("events around each step" if cuda else "wall times of steps"),
        "length": int(corpus.sequence.shape[1]),
        "types": corpus.types,
        "classes": corpus.classes,
        "steps": options.steps,
        "error_against_float64": {},
        "cells": [],
    }
    for precision in options.precision:
        try:
            report["error_against_float64"][precision] = rounding(options.device, precision)
        except Exception as error:  # some CPUs have no bf16 LSTM
            report["error_against_float64"][precision] = str(error).splitlines()[0][:300]
    return report


def print_table(report: dict[str, Any]) -> None:
    print(f"PyTorch {report['torch']} on {report['device']}")
    for cell in report["cells"]:
        print(f"{cell['precision']}, batch {cell['batch']}, {cell['layers']} layers")
        for name, figures in cell["modes"].items():
            print(f"  {name:32} " + (f"{figures['ms']:10.2f} ms" if "ms" in figures else figures["failed"]))


def main() -> None:
    options = arguments()
    warnings.filterwarnings("ignore")
    corpus = Corpus(options.corpus)
    report = describe(options, corpus)

    def keep() -> None:
        report["seconds"] = time.monotonic() - START
        if options.out:
            part = Path(f"{options.out}.part")
            part.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
            part.replace(options.out)

    for precision in options.precision:
        for layers in options.layers:
            for batch in options.batch:
                cell: dict[str, Any] = {"precision": precision, "batch": batch, "layers": layers, "modes": {},
                                        "best": None, "best_ms": None}
                report["cells"].append(cell)
                run_cell(corpus, options, cell, keep)
    keep()
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        print_table(report)


if __name__ == "__main__":
    main()
