#!/usr/bin/env python3
"""Times training steps of the paper's network in PyTorch and in sipgpu, alternating in one run.

    scripts/bench_torch.py --corpus paper.h5 --out results/bench_torch.json

PyTorch gets the padded batch as a user would write it: one-hot input, nn.LSTM, nn.Linear on the last step,
cross-entropy, Adam; in fp32, and in bf16 by autocast where that runs.  sipgpu runs `sipgpu bench train` on the
same corpus with the same batch size, network and threads.  A ratio is taken in each round; the medians are shown.

Needs torch, numpy and h5py (Debian: python3-torch python3-numpy python3-h5py).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True, metavar="FILE", help="a corpus that `sipgpu corpus` made")
    parser.add_argument("--batch", type=int, default=933, metavar="N", help="dialogs in an update [933]")
    parser.add_argument("--units", type=int, default=0, metavar="N", help="LSTM units; 0: one for each class [0]")
    parser.add_argument("--layers", type=int, default=1, metavar="N", help="LSTM layers [1]")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), metavar="N",
                        help="threads of both; all cores if left out")
    parser.add_argument("--precision", default="fp32,bf16", metavar="LIST", help="of both [fp32,bf16]")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds [3]")
    parser.add_argument("--steps", type=int, default=1, metavar="N", help="PyTorch steps in a round [1]")
    parser.add_argument("--sipgpu-steps", type=int, default=8, metavar="N", help="sipgpu steps in a round [8]")
    parser.add_argument("--sipgpu", default=str(ROOT / "build/release/sipgpu"), metavar="PROGRAM")
    parser.add_argument("--out", metavar="FILE", help="also write all figures as JSON")
    options = parser.parse_args()
    options.precision = options.precision.split(",")
    if not set(options.precision) <= {"fp32", "bf16"}:
        parser.error("--precision takes fp32, bf16 or both")
    for name in ("batch", "layers", "threads", "rounds", "steps", "sipgpu_steps"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    return options


OPTIONS = arguments() if __name__ == "__main__" else None
if OPTIONS:  # before the libraries start their threads
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(OPTIONS.threads)

import h5py  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402


class Network(torch.nn.Module):
    """LSTM over all padded steps, dense layer on the last output."""

    def __init__(self, types: int, units: int, classes: int, layers: int):
        super().__init__()
        self.lstm = torch.nn.LSTM(types, units, num_layers=layers, batch_first=True)
        self.dense = torch.nn.Linear(units, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(self.lstm(x)[0][:, -1])


class Corpus:
    """The train split of a corpus, in an order shuffled once."""

    def __init__(self, path: str):
        with h5py.File(path) as f:
            train = np.flatnonzero(f["split"][:] == 0)
            self.sequence = f["dialogs/sequence"][:][train].astype(np.int64)
            self.label = f["dialogs/label"][:][train].astype(np.int64)
            self.types = len(f["alphabet"])
            self.classes = int(f.attrs["num_classes"])
        self.order = np.random.default_rng(1).permutation(len(train))
        # Row 0 is padding, an all-zero vector.
        self.one_hot = torch.cat([torch.zeros(1, self.types), torch.eye(self.types)])

    def batch(self, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows = self.order[np.arange(step * size, (step + 1) * size) % len(self.order)]
        return self.one_hot[torch.from_numpy(self.sequence[rows])], torch.from_numpy(self.label[rows])


class Trainer:
    """Training steps of one network in PyTorch, in one precision."""

    def __init__(self, corpus: Corpus, options: argparse.Namespace, precision: str):
        torch.manual_seed(1)
        self.corpus, self.size, self.precision, self.step = corpus, options.batch, precision, 0
        self.network = Network(corpus.types, options.units or corpus.classes, corpus.classes, options.layers)
        self.adam = torch.optim.Adam(self.network.parameters(), lr=3e-4, eps=1e-7)

    def run(self) -> float:
        """One update; returns its milliseconds."""
        x, y = self.corpus.batch(self.step, self.size)
        self.step += 1
        start = time.perf_counter()
        self.adam.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.precision == "bf16"):
            logits = self.network(x)
        loss = torch.nn.functional.cross_entropy(logits.float(), y)
        loss.backward()
        self.adam.step()
        if not torch.isfinite(loss):
            raise RuntimeError("the loss is not finite")
        return 1e3 * (time.perf_counter() - start)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def time_sipgpu(options: argparse.Namespace, precision: str) -> dict:
    command = [options.sipgpu, "bench", "train", "--json", "--no-peak", "--corpus", options.corpus,
               "--batch", options.batch, "--units", options.units, "--layers", options.layers,
               "--precision", precision, "--threads", options.threads, "--steps", options.sipgpu_steps]
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(result.stderr.strip())
    return json.loads(result.stdout)


def open_trainers(corpus: Corpus, options: argparse.Namespace) -> tuple[dict[str, Trainer], dict[str, str]]:
    """A warm trainer for each precision that runs here, and why others do not."""
    trainers, refused = {}, {}
    for precision in options.precision:
        trainer = Trainer(corpus, options, precision)
        say(f"pytorch {precision}: warming up")
        try:
            say(f"pytorch {precision}: first step {trainer.run():.0f} ms")
            trainers[precision] = trainer
        except RuntimeError as error:
            refused[precision] = str(error).splitlines()[0]
            say(f"pytorch {precision}: does not run here: {refused[precision]}")
    return trainers, refused


def measure_round(number: int, trainers: dict[str, Trainer], options: argparse.Namespace) -> dict[str, float]:
    """Median milliseconds of each, by "pytorch fp32", "sipgpu fp32", ..."""
    times: dict[str, float] = {}
    for precision in options.precision:
        name = f"sipgpu {precision}"
        times[name] = time_sipgpu(options, precision)["step_ms"]
        say(f"round {number}: {name} {times[name]:.1f} ms")
        if precision in trainers:
            name = f"pytorch {precision}"
            times[name] = statistics.median(trainers[precision].run() for _ in range(options.steps))
            say(f"round {number}: {name} {times[name]:.1f} ms")
    return times


def ratios(times: dict[str, float]) -> dict[str, float]:
    """How many times as fast sipgpu is, within one round."""
    best = min((name for name in times if name.startswith("pytorch")), key=times.__getitem__, default=None)
    pairs = {
        "pytorch fp32 / sipgpu fp32": ("pytorch fp32", "sipgpu fp32"),
        "pytorch fp32 / sipgpu bf16": ("pytorch fp32", "sipgpu bf16"),
        "pytorch best / sipgpu bf16": (best, "sipgpu bf16"),
        "pytorch best / sipgpu fp32": (best, "sipgpu fp32"),
    }
    return {name: times[a] / times[b] for name, (a, b) in pairs.items() if a in times and b in times}


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(row[name] for row in rows if name in row) for name in rows[0]}


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def main(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    corpus = Corpus(options.corpus)
    if options.batch > len(corpus.order):
        sys.exit(f"--batch {options.batch} is larger than the train split ({len(corpus.order)} dialogs)")
    trainers, refused = open_trainers(corpus, options)
    rounds = [measure_round(number + 1, trainers, options) for number in range(options.rounds)]
    report = {
        "processor": processor(),
        "threads": options.threads,
        "torch": torch.__version__,
        "sipgpu": subprocess.run([options.sipgpu, "version"], capture_output=True, text=True,
                                 check=True).stdout.splitlines()[0],
        "shape": {"batch": options.batch, "length": corpus.sequence.shape[1], "types": corpus.types,
                  "units": options.units or corpus.classes, "layers": options.layers, "classes": corpus.classes},
        "step_ms": medians(rounds),
        "ratio": medians([ratios(times) for times in rounds]),
        "not_run": refused,
        "rounds": rounds,
    }
    shape = report["shape"]
    print(f"{report['processor']}, {options.threads} threads, PyTorch {torch.__version__}, {report['sipgpu']}")
    print(", ".join(f"{key} {value}" for key, value in shape.items()))
    for name, value in report["step_ms"].items():
        print(f"  {name:30} {value:10.1f} ms")
    for name, value in report["ratio"].items():
        print(f"  {name:30} {value:10.2f} x")
    if options.out:
        Path(options.out).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(OPTIONS)
