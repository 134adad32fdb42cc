#!/usr/bin/env python3
"""Times training steps of the paper's network in PyTorch on a GPU: the peer that scripts/gpu_check compares with.

    scripts/bench/gpu_torch.py --corpus paper.h5 --batch 933 --layers 1 --precision bf16,fp16 --json

The job as a user who wants speed would write it: nn.LSTM (cuDNN) over one-hot inputs, time first, nn.Linear on the
last step, cross-entropy, fused Adam.  What is timed:

  padded  every row of the batch is run
  unique  equal rows of a batch are run once and weighted in the loss; with dropout their states are first copied to
          the rows, since each has a mask of its own.  Loss and gradients are those of the padded batch.

Token ids, labels, weights and row numbers of all batches are on the GPU before the clock starts; so finding equal rows
costs PyTorch nothing here.  Timed is everything a step does there: picking the batch, one-hot, forward, loss, backward,
Adam.  Steps run back to back between two waits for the GPU; their time is the time between the waits over their number.

Each precision is tried in every way that runs, and the fastest counts:
  fp32   TF32 forbidden everywhere
  tf32   TF32 allowed everywhere
  bf16   the whole model in bf16, fp32 master copy.  TF32 is allowed: without it, PyTorch has cuDNN run bf16 LSTMs
         without tensor cores
  fp16   "float16": as bf16, and "autocast": weights fp32, cast in every step.  It stands here since PyTorch's autocast
         casts cuDNN's LSTMs to fp16 whichever type it is asked for (autocast_lstm in the answer shows it).  The loss is
         scaled by a constant; Adam's epsilon is scaled with it, which makes the same update and costs nothing

The 16-bit precisions are also tried with the units rounded up to a multiple of 8: a slightly larger network that
tensor cores like better.  What a bf16 step of another program is compared with is the better of bf16 and fp16
("sixteen_bit" in the answer).

  eager    plain PyTorch
  graphs   the whole step captured as one CUDA graph
  compile  forward and loss through torch.compile

Graphs and compiled code have fixed shapes: batches of unique rows are padded to the largest of them with rows of
weight 0.  Eager PyTorch runs each batch as it is.

A way that fails or takes too long is listed with its reason.  Without a GPU it runs on the CPU, for tests.
Needs torch, numpy and h5py.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import math
import os
import platform
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

# torch.compile's helper processes would outlive a time limit.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

import torch  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch_network import ROWS, Batch, Corpus, Network, loss_of, one_hot_rows  # noqa: E402

MODES = ("eager", "graphs", "compile")
PRECISIONS = ("bf16", "fp16", "tf32", "fp32")
TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "autocast": torch.float16, "": torch.float32}
LOSS_SCALE = 4096.0  # of fp16
BLOCKS = 10  # of steps, whose times show the spread
START = time.monotonic()


def listed(kind: Callable[[str], Any], allowed: tuple[str, ...] = ()) -> Callable[[str], list]:
    """A parser of comma-separated lists."""

    def parse(text: str) -> list:
        if allowed and text == "all":
            return list(allowed)
        values = [kind(word) for word in text.split(",")]
        if any(value not in allowed if allowed else value < 1 for value in values):
            raise argparse.ArgumentTypeError(f"'{text}': expected {', '.join(allowed) or 'numbers from 1 on'}")
        return values

    return parse


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True, metavar="FILE", help="a corpus that `sipgpu corpus` made")
    parser.add_argument("--batch", type=listed(int), default=[933], metavar="LIST", help="dialogs in an update [933]")
    parser.add_argument("--layers", type=listed(int), default=[1], metavar="LIST", help="LSTM layers [1]")
    parser.add_argument("--precision", type=listed(str, PRECISIONS), default=["bf16", "fp16"], metavar="LIST",
                        help="bf16, fp16, tf32, fp32 or all [bf16,fp16]")
    parser.add_argument("--rows", type=listed(str, ROWS), default=list(ROWS), metavar="LIST",
                        help="padded, unique or all [all]")
    parser.add_argument("--mode", type=listed(str, MODES), default=list(MODES), metavar="LIST",
                        help="eager, graphs, compile or all [all]")
    parser.add_argument("--units", type=int, default=0, metavar="N", help="LSTM units; 0: one for each class [0]")
    parser.add_argument("--dropout", type=float, default=0, metavar="X", help="on the last LSTM's output [0]")
    parser.add_argument("--steps", type=int, metavar="N", help="steps to time [200; 5 on the CPU]")
    parser.add_argument("--warmup", type=int, default=5, metavar="N", help="steps before them, at the least [5]")
    parser.add_argument("--warmup-seconds", type=float, metavar="S",
                        help="warm up for this time, at the least [1; 0 on the CPU]")
    parser.add_argument("--mode-seconds", type=float, default=60, metavar="S", help="limit of one way of running [60]")
    parser.add_argument("--seconds", type=float, default=3600, metavar="S", help="begin nothing after this time [3600]")
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu", metavar="DEVICE")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--out", metavar="FILE", help="keep the JSON object here too, after every measurement")
    options = parser.parse_args()
    on_gpu = options.device.startswith("cuda")
    if options.steps is None:
        options.steps = 200 if on_gpu else 5
    if options.warmup_seconds is None:
        options.warmup_seconds = 1.0 if on_gpu else 0.0
    if options.steps < 1 or options.warmup < 0:
        parser.error("expected at least 1 step, and no negative warm-up")
    return options


def allow_tf32(allowed: bool) -> None:
    """For matrix products and for cuDNN.  The newer switch where the older one is gone."""
    try:
        torch.backends.cuda.matmul.allow_tf32 = allowed
        torch.backends.cudnn.allow_tf32 = allowed
    except (AttributeError, RuntimeError):
        word = "tf32" if allowed else "ieee"
        torch.backends.cuda.matmul.fp32_precision = word
        torch.backends.cudnn.rnn.fp32_precision = word


def copy_all(to: list[torch.Tensor], source: list[torch.Tensor]) -> None:
    if hasattr(torch, "_foreach_copy_"):
        torch._foreach_copy_(to, source)
        return
    for a, b in zip(to, source):
        a.copy_(b)


class Way(NamedTuple):
    """One way to run a cell.  variant: "" (the precision itself), autocast, bfloat16, float16."""

    rows: str
    batch: int
    layers: int
    units: int
    dropout: float
    variant: str
    mode: str


class Job:
    """Training steps of one network, run in one way."""

    def __init__(self, corpus: Corpus, device: str, way: Way):
        torch.manual_seed(1)
        self.device, self.variant = device, way.variant
        self.cuda = device.startswith("cuda")
        self.batches = [batch.to(device) for batch in
                        corpus.batches(way.batch, way.rows, way.dropout > 0, fixed=way.mode != "eager")]
        self.now = Batch(*(None if part is None else part.clone() for part in self.batches[0]))
        self.network = Network(corpus.types, way.units, corpus.classes, way.layers, way.dropout).to(device)
        self.weights = list(self.network.parameters())
        self.masters = self.weights
        self.type = TYPES["" if way.variant == "autocast" else way.variant]
        if self.type != torch.float32:
            self.masters = [weight.detach().clone() for weight in self.weights]
            for master in self.masters:
                master.grad = torch.zeros_like(master)
            self.network.to(self.type)
            self.weights = list(self.network.parameters())
        self.one_hot = one_hot_rows(corpus.types).to(device, self.type)
        options: dict[str, Any] = {"fused": True, "capturable": way.mode == "graphs"} if self.cuda else {}
        self.scale = LOSS_SCALE if TYPES[way.variant] == torch.float16 else 1.0
        self.adam = torch.optim.Adam(self.masters, lr=3e-4, eps=1e-7 * self.scale, **options)
        self.loss_of = self.forward
        self.loss: torch.Tensor | None = None
        self.graph = None

    def autocast(self) -> Any:
        # A cast kept from an earlier step would belong to old weights under capture.
        return torch.autocast(self.device.split(":")[0], enabled=self.variant == "autocast", cache_enabled=False,
                              dtype=torch.float16 if self.cuda else torch.bfloat16)

    def check_type(self) -> None:
        """That the LSTM runs in the type that the way is named after."""
        with torch.no_grad(), self.autocast():
            ran = self.network.lstm(functional.embedding(self.now.ids[:1], self.one_hot))[0].dtype
        if ran != TYPES[self.variant]:
            raise RuntimeError(f"the LSTM runs in {ran} here")

    def forward(self, ids: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor | None,
                source: torch.Tensor | None) -> torch.Tensor:
        x = functional.embedding(ids, self.one_hot)
        with self.autocast():
            logits = self.network(x, source)
        return loss_of(logits.float(), labels, weight)

    def update(self, batch: Batch) -> None:
        for weight in self.weights:
            weight.grad = None
        self.loss = self.loss_of(*batch)
        (self.loss * self.scale if self.scale != 1 else self.loss).backward()
        if self.masters is self.weights:
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
                self.update(self.now)
        torch.cuda.current_stream().wait_stream(side)
        for weight in self.weights:
            weight.grad = None
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.update(self.now)

    def step(self, number: int) -> None:
        batch = self.batches[number % len(self.batches)]
        if not self.graph:
            self.update(batch)
            return
        for to, part in zip(self.now, batch):
            if part is not None:
                to.copy_(part)
        self.graph.replay()

    # ---- time ----

    def wait(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()

    def mark(self) -> Any:
        """A point in the device's time."""
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def warm_up(self, steps: int, seconds: float) -> int:
        done, start = 0, time.perf_counter()
        while done < steps or time.perf_counter() - start < seconds:
            self.step(done)
            done += 1
            if done % 8 == 0:
                self.wait()
        self.wait()
        return done

    def time(self, warmup: int, warmup_seconds: float, steps: int) -> dict[str, Any]:
        warm = self.warm_up(warmup, warmup_seconds)
        ends = sorted({round((k + 1) * steps / BLOCKS) for k in range(BLOCKS)} - {0})
        start = time.perf_counter()
        marks = [self.mark()]
        for number in range(steps):
            self.step(warm + number)
            if number + 1 in ends:
                marks.append(self.mark())
        self.wait()
        ms = 1e3 * (time.perf_counter() - start) / steps
        blocks = [(a.elapsed_time(b) if self.cuda else 1e3 * (b - a)) / (end - begin)
                  for a, b, begin, end in zip(marks, marks[1:], [0, *ends], ends)]
        loss = float(self.loss)
        if not math.isfinite(loss) or not all(bool(torch.isfinite(weight).all()) for weight in self.weights):
            raise RuntimeError("the loss or the weights are not finite")
        return {"ms": ms, "block_min_ms": min(blocks), "block_max_ms": max(blocks), "steps": steps,
                "warmup_steps": warm, "loss": loss}


# ---- all ways ----


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


def run_way(corpus: Corpus, options: argparse.Namespace, way: Way) -> dict[str, Any]:
    """Figures of one way."""
    if way.mode == "graphs" and not options.device.startswith("cuda"):
        raise RuntimeError("CUDA graphs need a GPU")
    job = Job(corpus, options.device, way)
    job.check_type()
    rows = [int(batch.ids.shape[1]) for batch in job.batches]
    figures: dict[str, Any] = {"units": way.units, "rows_run": sum(rows) / len(rows)}
    if way.mode == "compile":
        figures["lstm_compiled"] = compile_step(job)
    if way.mode == "graphs":
        job.capture()
    return {**figures, **job.time(options.warmup, options.warmup_seconds, options.steps)}


def compile_step(job: Job) -> bool:
    """Compiles forward and loss; returns whether the LSTM is part of it.  By default it is left to eager PyTorch;
    letting it in does not work for every kind of device and weights."""
    if not hasattr(torch, "compile"):
        raise RuntimeError("this PyTorch has no torch.compile")
    for lstm_too in (True, False):
        torch._dynamo.reset()
        with contextlib.suppress(AttributeError):
            torch._dynamo.config.allow_rnn = lstm_too
        job.loss_of = torch.compile(job.forward, dynamic=False)
        try:
            job.step(0)
            return lstm_too
        except TimeoutError:
            raise
        except Exception:  # the compiler's own kinds of errors
            if not lstm_too:
                raise
    return False


def ways(cell: dict[str, Any], units: int, dropout: float, mode: str) -> Iterator[tuple[str, Way]]:
    """The ways to run a cell in a mode, by name, the most promising first."""
    variants = {"bf16": ("bfloat16",), "fp16": ("float16", "autocast")}.get(cell["precision"], ("",))
    widths = [units] if variants == ("",) else dict.fromkeys([(units + 7) // 8 * 8, units])
    for width in widths:
        for variant in variants:
            name = ", ".join(word for word in (mode, variant, f"{width} units" if width != units else "") if word)
            yield name, Way(cell["rows"], cell["batch"], cell["layers"], width, dropout, variant, mode)


def make_cells(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The most important first: 16 bits before 32, so that they are there when time runs out."""
    precisions = [precision for precision in PRECISIONS if precision in options.precision]
    return [{"precision": precision, "batch": batch, "layers": layers, "rows": rows, "modes": {}, "best": None,
             "best_ms": None}
            for layers in options.layers
            for group in (PRECISIONS[:2], PRECISIONS[2:])
            for batch in options.batch
            for precision in precisions if precision in group
            for rows in options.rows]


def run_cell(corpus: Corpus, options: argparse.Namespace, cell: dict[str, Any], mode: str,
             keep: Callable[[], None]) -> None:
    """All ways to run one cell in one mode; fills in cell["modes"] and the best of them."""
    allow_tf32(cell["precision"] != "fp32")
    for name, way in ways(cell, options.units or corpus.classes, options.dropout, mode):
        if time.monotonic() - START > options.seconds:
            cell["modes"][name] = {"failed": "no time left"}
            continue
        try:
            with limit(options.mode_seconds):
                cell["modes"][name] = run_way(corpus, options, way)
        except Exception as error:  # whatever it is, the other ways still run
            text = str(error).strip().splitlines() or [type(error).__name__]
            cell["modes"][name] = {"failed": text[0][:300]}
        figures = cell["modes"][name]
        say(f"{title(cell)}: {name}: " + (f"{figures['ms']:.3f} ms" if "ms" in figures else figures["failed"]))
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


def sixteen_bit(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The better of bf16 and fp16 for each batch, depth and kind of rows."""
    best: dict[tuple, dict[str, Any]] = {}
    for cell in cells:
        key = cell["batch"], cell["layers"], cell["rows"]
        if cell["precision"] in ("bf16", "fp16") and cell["best"]:
            if key not in best or cell["best_ms"] < best[key]["best_ms"]:
                best[key] = cell
    return [{name: cell[name] for name in ("batch", "layers", "rows", "precision", "best", "best_ms")}
            for cell in best.values()]


# ---- what it ran on ----


def rounding(device: str, precision: str) -> float:
    """Relative error of an LSTM's output against float64: shows which precision really ran."""
    torch.manual_seed(2)
    allow_tf32(precision != "fp32")
    lstm, x = torch.nn.LSTM(64, 128), torch.randn(16, 32, 64)
    with torch.no_grad():
        exact = lstm.double()(x.double())[0]
        kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)
        got = lstm.to(device, kind)(x.to(device, kind))[0].double().cpu()
    return float((got - exact).norm() / exact.norm())


def autocast_lstm(device: str) -> str:
    """The type in which an LSTM runs where autocast is asked for bfloat16."""
    lstm, x = torch.nn.LSTM(8, 8).to(device), torch.zeros(1, 1, 8, device=device)
    with torch.no_grad(), torch.autocast(device.split(":")[0], dtype=torch.bfloat16):
        return str(lstm(x)[0].dtype).replace("torch.", "")


def tried(measure: Callable[[], Any]) -> Any:
    """What it returns, or why it failed: not every device has every type."""
    try:
        return measure()
    except Exception as error:
        return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


SMI = ("name", "driver_version", "power.limit", "power.max_limit", "power.draw", "clocks.sm", "clocks.mem",
       "clocks.max.sm", "temperature.gpu", "persistence_mode")


def smi(device: str) -> dict[str, str] | None:
    """Clocks, power limit and driver as nvidia-smi has them."""
    if not device.startswith("cuda"):
        return None
    properties = torch.cuda.get_device_properties(device)
    which = f"GPU-{properties.uuid}" if hasattr(properties, "uuid") else str(torch.device(device).index or 0)
    try:
        done = subprocess.run(["nvidia-smi", f"--query-gpu={','.join(SMI)}", "--format=csv,noheader", "-i", which],
                              capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return {"failed": str(error)[:300]}
    return dict(zip(SMI, (word.strip() for word in done.stdout.strip().split(","))))


def say(text: str) -> None:
    print(f"{time.monotonic() - START:6.1f} s  {text}", file=sys.stderr, flush=True)


def title(cell: dict[str, Any]) -> str:
    layers = "1 layer" if cell["layers"] == 1 else f"{cell['layers']} layers"
    return f"{cell['precision']}, batch {cell['batch']}, {layers}, {cell['rows']} rows"


def describe(options: argparse.Namespace, corpus: Corpus) -> dict[str, Any]:
    cuda = options.device.startswith("cuda")
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None,
        "device": torch.cuda.get_device_name(options.device) if cuda else platform.processor() or platform.machine(),
        "on_gpu": cuda,
        "gpu": smi(options.device),
        "timed": "steps back to back between two waits for the device, over their number: batch picked from what is "
                 "on the device beforehand (ids, labels; of unique rows also weights or row numbers), one-hot, "
                 "forward, loss, backward, Adam",
        "length": corpus.length,
        "types": corpus.types,
        "classes": corpus.classes,
        "dropout": options.dropout,
        "steps": options.steps,
        "warmup_seconds": options.warmup_seconds,
        "loss_scale": {"fp16": LOSS_SCALE},
        "error_against_float64": {precision: tried(lambda p=precision: rounding(options.device, p))
                                  for precision in options.precision},
        "autocast_lstm": tried(lambda: autocast_lstm(options.device)),
        "cells": make_cells(options),
    }


def print_table(report: dict[str, Any]) -> None:
    print(f"PyTorch {report['torch']} on {report['device']}")
    for cell in report["cells"]:
        print(title(cell))
        for name, figures in cell["modes"].items():
            print(f"  {name:32} " + (f"{figures['ms']:10.3f} ms" if "ms" in figures else figures["failed"]))
    if report["sixteen_bit"]:
        print("the better of bf16 and fp16")
        for best in report["sixteen_bit"]:
            print(f"  {title(best):48} {best['best_ms']:10.3f} ms  {best['best']}")


def main() -> None:
    options = arguments()
    warnings.filterwarnings("ignore")
    corpus = Corpus(options.corpus)
    if options.device.startswith("cuda"):
        torch.cuda.set_device(torch.device(options.device).index or 0)
    report = describe(options, corpus)

    def keep() -> None:
        report["sixteen_bit"] = sixteen_bit(report["cells"])
        report["seconds"] = time.monotonic() - START
        if options.out:
            part = Path(f"{options.out}.part")
            part.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
            part.replace(options.out)

    # Compiling takes long and seldom wins, so it comes after everything else.
    for modes in ([mode for mode in options.mode if mode != "compile"], [m for m in options.mode if m == "compile"]):
        for cell in report["cells"]:
            for mode in modes:
                run_cell(corpus, options, cell, mode, keep)
    report["gpu_after"] = smi(options.device)
    keep()
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        print_table(report)


if __name__ == "__main__":
    main()
