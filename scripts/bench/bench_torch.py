#!/usr/bin/env python3
"""Times training steps of the paper's network in PyTorch and in sipgpu, alternating in one run.

    scripts/bench/bench_torch.py --corpus paper.h5 --out results/bench_torch.json

PyTorch gets the batch as a user would write it: one-hot input, nn.LSTM, nn.Linear on the last step, cross-entropy,
Adam; in fp32, and in bf16 by autocast where that runs.  It runs the padded batch, and ("unique") the batch's unique
rows with weights, which gives the same loss and gradients; finding them is not timed.  sipgpu runs `sipgpu bench train`
on the same corpus with the same batch size, network and threads, sharing prefixes (its default) and, to tell the two
savings apart, also with `--batching unique`.  A ratio is taken in each round; medians are shown, and the range.

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

ROOT = Path(__file__).resolve().parents[2]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True, metavar="FILE", help="a corpus that `sipgpu corpus` made")
    parser.add_argument("--batch", type=int, default=933, metavar="N", help="dialogs in an update [933]")
    parser.add_argument("--units", type=int, default=0, metavar="N", help="LSTM units; 0: one for each class [0]")
    parser.add_argument("--layers", type=int, default=1, metavar="N", help="LSTM layers [1]")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), metavar="N",
                        help="threads of both; all cores if left out")
    parser.add_argument("--precision", default="fp32,bf16", metavar="LIST", help="of both [fp32,bf16]")
    parser.add_argument("--rows", default="padded,unique", metavar="LIST",
                        help="what PyTorch runs: padded, unique or both [padded,unique]")
    parser.add_argument("--dropout", type=float, default=0, metavar="X", help="on the last LSTM's output, of both [0]")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds [3]")
    parser.add_argument("--steps", type=int, default=1, metavar="N", help="PyTorch steps in a round [1]")
    parser.add_argument("--sipgpu-steps", type=int, default=8, metavar="N", help="sipgpu steps in a round [8]")
    parser.add_argument("--sipgpu", default=str(ROOT / "build/release/sipgpu"), metavar="PROGRAM")
    parser.add_argument("--out", metavar="FILE", help="also write all figures as JSON")
    options = parser.parse_args()
    options.precision = options.precision.split(",")
    if not set(options.precision) <= {"fp32", "bf16"}:
        parser.error("--precision takes fp32, bf16 or both")
    options.rows = options.rows.split(",")
    if not set(options.rows) <= {"padded", "unique"}:
        parser.error("--rows takes padded, unique or both")
    for name in ("batch", "layers", "threads", "rounds", "steps", "sipgpu_steps"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    return options


OPTIONS = arguments() if __name__ == "__main__" else None
if OPTIONS:  # before the libraries start their threads
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(OPTIONS.threads)

import torch  # noqa: E402
from torch_network import Corpus, Network, loss_of, one_hot_rows  # noqa: E402


class Trainer:
    """Training steps of one network in PyTorch, in one precision, on padded or unique rows."""

    def __init__(self, corpus: Corpus, options: argparse.Namespace, precision: str, rows: str):
        torch.manual_seed(1)
        self.precision, self.steps = precision, 0
        self.batches = corpus.batches(options.batch, rows, options.dropout > 0)
        self.one_hot = one_hot_rows(corpus.types)
        self.network = Network(corpus.types, options.units or corpus.classes, corpus.classes, options.layers,
                               options.dropout)
        self.adam = torch.optim.Adam(self.network.parameters(), lr=3e-4, eps=1e-7)

    def run(self) -> float:
        """One update; returns its milliseconds."""
        batch = self.batches[self.steps % len(self.batches)]
        x = self.one_hot[batch.ids]
        self.steps += 1
        start = time.perf_counter()
        self.adam.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.precision == "bf16"):
            logits = self.network(x, batch.source)
        loss = loss_of(logits.float(), batch.labels, batch.weight)
        loss.backward()
        self.adam.step()
        if not torch.isfinite(loss):
            raise RuntimeError("the loss is not finite")
        return 1e3 * (time.perf_counter() - start)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def time_sipgpu(options: argparse.Namespace, precision: str, batching: str) -> dict:
    command = [options.sipgpu, "bench", "train", "--json", "--no-peak", "--corpus", options.corpus,
               "--batch", options.batch, "--units", options.units, "--layers", options.layers,
               "--dropout", options.dropout, "--precision", precision, "--batching", batching, "--threads",
               options.threads, "--steps", options.sipgpu_steps, "--device", "cpu"]
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(result.stderr.strip())
    return json.loads(result.stdout)


def peer_name(precision: str, rows: str) -> str:
    return f"pytorch {precision}" + (" unique" if rows == "unique" else "")


def open_trainers(corpus: Corpus, options: argparse.Namespace) -> tuple[dict[str, Trainer], dict[str, str]]:
    """A warm trainer for each precision and kind of rows that runs here, by name, and why others do not."""
    trainers, refused = {}, {}
    for precision in options.precision:
        for rows in options.rows:
            name = peer_name(precision, rows)
            trainer = Trainer(corpus, options, precision, rows)
            say(f"{name}: warming up")
            try:
                say(f"{name}: first step {trainer.run():.0f} ms")
                trainers[name] = trainer
            except RuntimeError as error:
                refused[name] = str(error).splitlines()[0]
                say(f"{name}: does not run here: {refused[name]}")
    return trainers, refused


def measure_round(number: int, trainers: dict[str, Trainer], options: argparse.Namespace,
                  counts: dict[str, float]) -> dict[str, float]:
    """Median milliseconds of each, by "pytorch fp32", "pytorch fp32 unique", "sipgpu fp32", ...  `counts` receives
    the rows of a step."""
    times: dict[str, float] = {}

    def took(name: str, ms: float) -> None:
        times[name] = ms
        say(f"round {number}: {name} {ms:.1f} ms")

    for precision in options.precision:
        for batching in ("trie", "unique"):
            report = time_sipgpu(options, precision, batching)
            took(f"sipgpu {precision}" + (" unique" if batching == "unique" else ""), report["step_ms"])
            counts.update({key: report[key] for key in ("rows_dense", "rows_unique", "rows_trie")})
        for rows in options.rows:
            name = peer_name(precision, rows)
            if name in trainers:
                took(name, statistics.median(trainers[name].run() for _ in range(options.steps)))
    return times


def ratios(times: dict[str, float]) -> dict[str, float]:
    """How many times as fast sipgpu is, within one round; PyTorch's best and ours over the precisions; and what
    prefixes add to unique rows."""
    pairs = {}
    ours = min((name for name in times if name.startswith("sipgpu")), key=times.__getitem__)
    for end in ("", " unique"):
        theirs = [f"pytorch {precision}{end}" for precision in ("fp32", "bf16") if f"pytorch {precision}{end}" in times]
        for name in theirs:
            pairs[f"{name} / sipgpu {name.split()[1]}"] = name, f"sipgpu {name.split()[1]}"
        if theirs:
            pairs[f"pytorch best{end} / sipgpu best"] = min(theirs, key=times.__getitem__), ours
    for precision in ("fp32", "bf16"):
        pairs[f"sipgpu {precision} unique / sipgpu {precision}"] = f"sipgpu {precision} unique", f"sipgpu {precision}"
    return {name: times[a] / times[b] for name, (a, b) in pairs.items() if a in times and b in times}


def columns(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    return {name: [row[name] for row in rows if name in row] for name in rows[0]}


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in columns(rows).items()}


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def main(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    corpus = Corpus(options.corpus)
    if options.batch > len(corpus.label):
        sys.exit(f"--batch {options.batch} is larger than the train split ({len(corpus.label)} dialogs)")
    trainers, refused = open_trainers(corpus, options)
    counts: dict[str, float] = {}
    rounds = [measure_round(number + 1, trainers, options, counts) for number in range(options.rounds)]
    in_rounds = [ratios(times) for times in rounds]
    report = {
        "processor": processor(),
        "threads": options.threads,
        "torch": torch.__version__,
        "sipgpu": subprocess.run([options.sipgpu, "version"], capture_output=True, text=True,
                                 check=True).stdout.splitlines()[0],
        "shape": {"batch": options.batch, "length": corpus.length, "types": corpus.types,
                  "units": options.units or corpus.classes, "layers": options.layers, "classes": corpus.classes,
                  "dropout": options.dropout},
        "rows": counts,
        "step_ms": medians(rounds),
        "ratio": medians(in_rounds),
        "ratio_range": {name: [min(values), max(values)] for name, values in columns(in_rounds).items()},
        "not_run": refused,
        "rounds": rounds,
    }
    shape = report["shape"]
    print(f"{report['processor']}, {options.threads} threads, PyTorch {torch.__version__}, {report['sipgpu']}")
    print(", ".join(f"{key} {value}" for key, value in shape.items()))
    print(", ".join(f"{key} {value:.0f}" for key, value in counts.items()))
    for name, value in report["step_ms"].items():
        print(f"  {name:42} {value:10.1f} ms")
    for name, value in report["ratio"].items():
        low, high = report["ratio_range"][name]
        print(f"  {name:42} {value:10.2f} x ({low:.2f} to {high:.2f})")
    if options.out:
        Path(options.out).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(OPTIONS)
