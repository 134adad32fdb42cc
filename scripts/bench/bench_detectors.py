#!/usr/bin/env python3
"""Times libsipdetect beside onnxruntime and Keras: one core, one thread each, in turns, on the same dialogs.

    scripts/bench/bench_detectors.py [--model model.h5] [--corpus corpus.h5] [--rounds N] [--out results/detectors]

Two workloads, each one dialog at a time and 64 at a time:
  unknown  dialogs that no train dialog begins like, all different; libsipdetect runs its network for all of them
  corpus   the test split of the corpus as it comes; libsipdetect has the answers for known dialogs in its file
Also measured: what bf16 and int8 weights change, one message of a known dialog, and opening a model.

Without --model it makes the paper's corpus (`corpus synth --preset paper`) and trains a full-width model 1.0 with
padding `mask`, which a few epochs are enough for.  Times are those of the process on its core, since a core is
seldom alone; wall times are in the JSON.  Writes detectors.json and detectors.md into --out.

Needs onnxruntime, keras with a backend (KERAS_BACKEND, jax if it is not set), h5py and NumPy: those of the virtual
environment that `scripts/test --peers` makes are found.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "build/peers"
PRECISIONS = ("fp32", "bf16", "int8")
TRAINING = {"model.padding": "mask", "model.forget_bias": 3, "train.batch_size": 93, "train.learning_rate": 0.001,
            "train.lr_schedule": "cosine", "train.clip_norm": 1, "train.eval_every": 5}
SHARE = 0.999  # of verdicts that fewer bits must leave alone


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", metavar="FILE", help="a trained model (.h5); one is trained if left out")
    parser.add_argument("--corpus", metavar="FILE", help="the corpus it was trained on; made if left out")
    parser.add_argument("--epochs", type=int, default=15, metavar="N", help="of the training, without --model [15]")
    parser.add_argument("--units", type=int, default=0, metavar="N",
                        help="LSTM units, without --model; 0: one for each class [0]")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds [5]")
    parser.add_argument("--singles", type=int, default=8, metavar="N",
                        help="unknown dialogs in a round, one at a time [8]")
    parser.add_argument("--slice", type=int, default=64, metavar="N",
                        help="dialogs of the corpus in a round; 64 at a time: four times as many [64]")
    parser.add_argument("--agreement", type=int, default=1500, metavar="N",
                        help="dialogs of each kind whose verdicts are compared [1500]")
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)), metavar="N",
                        help="the core to measure on [the first]")
    parser.add_argument("--sipgpu", default=str(ROOT / "build/release/sipgpu"), metavar="PROGRAM")
    parser.add_argument("--work", metavar="DIR", help="folder for corpus, models and exports; kept [a temporary one]")
    parser.add_argument("--out", default=str(ROOT / "results/detectors"), metavar="DIR")
    options = parser.parse_args()
    for name in ("epochs", "rounds", "singles", "slice", "agreement"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1")
    if options.model and not options.corpus:
        parser.error("--model wants the --corpus that it was trained on")
    return options


def use_peers() -> None:
    """Goes on in the virtual environment of the peers if they are not here."""
    if all(importlib.util.find_spec(name) for name in ("onnxruntime", "keras", "h5py", "numpy")):
        return
    python = PEERS / "bin/python3"
    if Path(sys.prefix) == PEERS or not python.exists():
        sys.exit("bench_detectors: onnxruntime, keras, h5py and numpy are wanted; `scripts/test --peers` installs them")
    os.execv(python, [str(python), *sys.argv])


OPTIONS = arguments() if __name__ == "__main__" else None
if OPTIONS:  # before the libraries start their threads
    use_peers()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    os.environ.setdefault("KERAS_BACKEND", "jax")
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

sys.path[:0] = [str(ROOT / "scripts/bench"), str(ROOT / "tests/e2e")]
import h5py  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
import sipdetect_library  # noqa: E402
from detector_model import Model  # noqa: E402


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(*words: Any, threads: int | None = None) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS" or threads}
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, text=True, check=False,
                          env={**environment, "OMP_WAIT_POLICY": "passive"})
    if done.returncode != 0:
        sys.exit(f"bench_detectors: {' '.join(map(str, words))} failed")
    return done.stdout


# ---- models ----


def make_model(options: argparse.Namespace, work: Path) -> tuple[Path, Path]:
    """Model and corpus, made where they are not given (or not there from before, with --work)."""
    corpus = Path(options.corpus) if options.corpus else work / "paper.h5"
    if not corpus.exists():
        run(options.sipgpu, "corpus", "synth", "--preset", "paper", "--seed", 1, "--quiet", "--out", corpus)
    if options.model:
        return Path(options.model), corpus
    folder = work / f"mask_{options.units}_{options.epochs}"
    if not (folder / "model.h5").exists():
        say(f"training for {options.epochs} epochs")
        settings = {**TRAINING, "model.units": options.units, "train.epochs": options.epochs}
        run(options.sipgpu, "train", "--corpus", corpus, "--out", folder, "--quiet",
            *(word for key, value in settings.items() for word in ("--set", f"{key}={value}")))
    return folder / "model.h5", corpus


def export(options: argparse.Namespace, model: Path, work: Path) -> tuple[dict[str, Path], dict[str, Any]]:
    """The model in each form, and what `sipgpu export` said of it; with --work, those from before that are newer
    than the model and the program stay."""
    paths = {name: work / f"model_{name}.sipm" for name in PRECISIONS}
    paths |= {"onnx": work / "model.onnx", "keras": work / "model.keras"}
    told, newest = {}, max(Path(p).stat().st_mtime for p in (model, options.sipgpu))
    for name, path in paths.items():
        said = path.with_name(path.name + ".json")
        if path.exists() and said.exists() and said.stat().st_mtime > newest:
            told[name] = json.loads(said.read_text(encoding="utf-8"))
            continue
        say(f"exporting {path.name}")
        weights = ["--weights", name] if name in PRECISIONS else []
        told[name] = json.loads(run(options.sipgpu, "export", "--json", "--force", "--model", model, *weights,
                                    "--out", path))
        said.write_text(json.dumps(told[name]), encoding="utf-8")
    return paths, told


# ---- contenders: prepare(tokens) gives a function that scores them, from memory to memory ----


class Sipdetect:
    """libsipdetect; `recompute` keeps it from its table of known beginnings."""

    def __init__(self, library: sipdetect_library.Library, path: Path, recompute: bool):
        self.model = sipdetect_library.Model(library, path, batch=64, recompute=recompute)

    def prepare(self, tokens: np.ndarray) -> Callable[[], Any]:
        prepared = self.model.prepare(tokens)
        return lambda: self.model.run(prepared)

    def probabilities(self, tokens: np.ndarray) -> np.ndarray:
        return self.model.probabilities(tokens)


class Onnxruntime:
    """The exported graph: all outputs, moments and verdict too."""

    def __init__(self, path: Path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def prepare(self, tokens: np.ndarray) -> Callable[[], Any]:
        feed = {"tokens": np.ascontiguousarray(tokens, np.int64)}
        return lambda: self.session.run(None, feed)

    def probabilities(self, tokens: np.ndarray) -> np.ndarray:
        return self.session.run(["probabilities"], {"tokens": np.ascontiguousarray(tokens, np.int64)})[0]


class Keras:
    """The exported network, called the quicker of two ways; one-hot input is made before the clock runs."""

    def __init__(self, path: Path, model: Model):
        self.network = keras.saving.load_model(path)
        self.padding, self.length = model.padding, model.length
        self.one_hot = np.vstack([np.zeros(len(model.names)), np.eye(len(model.names))]).astype(np.float32)
        self.ways: dict[int, Callable[[np.ndarray], np.ndarray]] = {}  # by rows

    def by_step(self, inputs: np.ndarray) -> np.ndarray:
        return self.network.predict_on_batch(inputs)

    def by_call(self, inputs: np.ndarray) -> np.ndarray:
        return keras.ops.convert_to_numpy(self.network(inputs, training=False))

    def quickest(self, inputs: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Chosen by a call each, after one that may compile."""
        if len(inputs) not in self.ways:
            times = {}
            for way in (self.by_step, self.by_call):
                way(inputs)
                times[way] = timed(lambda way=way: way(inputs))[0]
            self.ways[len(inputs)] = min(times, key=times.__getitem__)
        return self.ways[len(inputs)]

    def prepare(self, tokens: np.ndarray) -> Callable[[], Any]:
        if self.padding == "pre":
            tokens = np.array([np.roll(row, self.length - np.count_nonzero(row)) for row in tokens])
        inputs = self.one_hot[tokens]
        way = self.quickest(inputs)
        return lambda: way(inputs)

    def probabilities(self, tokens: np.ndarray) -> np.ndarray:
        return np.asarray(self.prepare(tokens)())


# ---- measuring ----


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    """Milliseconds of the process and of the wall."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return 1e3 * (time.process_time() - cpu), 1e3 * (time.perf_counter() - wall)


def time_dialogs(contender: Any, tokens: np.ndarray, batch: int) -> tuple[float, float]:
    """The same for one dialog: the mean over all of them, `batch` at a time."""
    calls = [contender.prepare(tokens[first:first + batch]) for first in range(0, len(tokens), batch)]
    times = [timed(call) for call in calls]
    return sum(cpu for cpu, _ in times) / len(tokens), sum(wall for _, wall in times) / len(tokens)


def measure(contenders: dict[str, Any], slices: list[np.ndarray], batch: int, title: str) -> dict[str, Any]:
    """Every contender on the same dialogs, in turns: milliseconds for one dialog, by round."""
    rounds: list[dict[str, float]] = []
    walls: list[dict[str, float]] = []
    for number, tokens in enumerate(slices):
        names = list(contenders)
        names = names[number % len(names):] + names[:number % len(names)]
        pairs = {name: time_dialogs(contenders[name], tokens, batch) for name in names}
        rounds.append({name: pairs[name][0] for name in contenders})
        walls.append({name: pairs[name][1] for name in contenders})
        say(f"{title}, round {number + 1}: " + ", ".join(f"{n} {t:.3g} ms" for n, t in rounds[-1].items()))
    return {"batch": batch, "dialogs": [len(tokens) for tokens in slices], "ms": rounds, "wall_ms": walls,
            "typical_ms": {name: statistics.median(r[name] for r in rounds) for name in contenders}}


def ratio(measured: dict[str, Any], slow: str, fast: str) -> float:
    """How many times as fast: the median over rounds; of the corpus, whose parts differ, over all rounds."""
    if measured["workload"] == "corpus":
        return measured["typical_ms"][slow] / measured["typical_ms"][fast]
    return statistics.median(r[slow] / r[fast] for r in measured["ms"])


def average_corpus(speed: list[dict[str, Any]]) -> None:
    """The corpus' rounds are different dialogs, some with more known ones than others: their mean counts."""
    for m in speed:
        if m["workload"] == "corpus":
            m["typical_ms"] = {name: statistics.mean(r[name] for r in m["ms"]) for name in m["typical_ms"]}


def unknown_dialogs(model: Model, count: int, seed: int) -> list[tuple[int, ...]]:
    """Different dialogs that no train dialog begins like: train dialogs with changes."""
    rng, found = random.Random(seed), {}
    while len(found) < count:
        dialog = rng.choice(model.train)
        while dialog in model.beginnings:
            dialog = model.mutated(dialog, rng)
        found[dialog] = None
    return list(found)


def test_split(model: Model, path: Path) -> np.ndarray:
    """The test dialogs of a corpus in its order, as tokens."""
    with h5py.File(path) as f:
        if [name.decode() for name in f["alphabet"][:]] != model.names:
            sys.exit(f"bench_detectors: {path} has another alphabet than the model")
        rows = f["dialogs/sequence"][:][f["split"][:] == 2]
    tokens = np.zeros((len(rows), model.length), np.int64)
    tokens[:, :rows.shape[1]] = rows
    return tokens


def slices_of(tokens: np.ndarray, size: int, count: int) -> list[np.ndarray]:
    """`count` runs of neighbours, spread over the whole."""
    size = min(size, len(tokens))
    starts = np.linspace(0, len(tokens) - size, count).astype(int)
    return [tokens[start:start + size] for start in starts]


def agreement(library: sipdetect_library.Library, paths: dict[str, Path], tokens: np.ndarray) -> dict[str, Any]:
    """Shares of verdicts (and of classes) that fewer bits leave as they are; the network runs for all."""
    found = {}
    for name in PRECISIONS:
        with sipdetect_library.Model(library, paths[name], recompute=True) as model:
            found[name] = model.score(tokens)
    base = found["fp32"]
    return {name: {"dialogs": len(tokens), "abnormal_fp32": float(np.mean(base["abnormal"] == 1)),
                   "verdict": float(np.mean(f["abnormal"] == base["abnormal"])),
                   "verdict_either": float(np.mean(f["abnormal_either"] == base["abnormal_either"])),
                   "class": float(np.mean(f["best_class"] == base["best_class"])),
                   "probability_max": float(np.abs(f["probability"] - base["probability"]).max())}
            for name, f in found.items() if name != "fp32"}


def time_library(paths: dict[str, Path], library: Path, work: Path) -> dict[str, Any]:
    """Opening a model and pushing messages, by bench_detectors.c."""
    program = work / "bench_detectors"
    run("cc", "-O2", "-D_GNU_SOURCE", "-I", ROOT / "include", "-o", program, ROOT / "scripts/bench/bench_detectors.c",
        library, f"-Wl,-rpath,{library.parent}")
    return {name: json.loads(run(program, paths[name], 20, 200000)) for name in PRECISIONS}


# ---- the report ----


def version_of(path: str) -> str:
    return run(path, "version").splitlines()[0]


def provenance(options: argparse.Namespace, library: sipdetect_library.Library) -> dict[str, Any]:
    backend = keras.backend.backend()
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    commit = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"],
                            capture_output=True, text=True, check=False).stdout.strip()
    return {"made": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "command": " ".join(["scripts/bench/bench_detectors.py", *sys.argv[1:]]), "commit": commit or "unknown",
            "sipgpu": version_of(options.sipgpu), "libsipdetect": library.version,
            "onnxruntime": onnxruntime.__version__,
            "keras": f"{keras.__version__} ({backend} {importlib.metadata.version(backend)})",
            "processor": cpu.group(1) if cpu else platform.processor(), "core": options.core,
            "cores": os.cpu_count(), "kernel": platform.release(), "load_at_start": os.getloadavg()}


def figures(result: dict[str, Any]) -> list[dict[str, Any]]:
    """What was aimed at, what came out, whether it was reached."""
    rows = []

    def add(what: str, value: float, target: float, more_is_better: bool, unit: str) -> None:
        reached = value >= target if more_is_better else value < target
        rows.append({"figure": what, "value": value, "target": target, "more_is_better": more_is_better,
                     "unit": unit, "reached": bool(reached)})

    for m in result["speed"]:
        where = f"{m['workload']}, {m['batch']} at a time"
        add(f"{where}: libsipdetect fp32 against onnxruntime", ratio(m, "onnxruntime", "fp32"), 2, True, "x")
        add(f"{where}: libsipdetect fp32 against Keras", ratio(m, "keras", "fp32"), 5, True, "x")
    for m in result["speed"]:
        if m["workload"] == "unknown":
            for name in ("bf16", "int8"):
                add(f"unknown, {m['batch']} at a time: {name} against libsipdetect fp32", ratio(m, "fp32", name), 3,
                    True, "x")
    for kind, by_precision in result["agreement"].items():
        for name, a in by_precision.items():
            add(f"verdicts of {name} equal to fp32's, {kind}", 100 * a["verdict"], 100 * SHARE, True, "%")
    for name in PRECISIONS:
        library = result["library"][name]
        add(f"message of a known dialog, {name}, median", library["push_ns"]["median"] / 1e3, 1, False, "us")
        add(f"opening the model, {name}, median", library["open_ms"]["median"], 20, False, "ms")
    return rows


def markdown(result: dict[str, Any]) -> str:
    p, s = result["provenance"], result["shape"]
    lines = ["# Detectors on one core", "",
             f"{p['processor']}, core {p['core']}; {p['sipgpu']}, libsipdetect {p['libsipdetect']} (" +
             ", ".join(f"{name} on {level}" for name, level in s["simd"].items()) + "), "
             f"onnxruntime {p['onnxruntime']}, Keras {p['keras']}.  Commit {p['commit']}, {p['made']}, load "
             f"{p['load_at_start'][0]:.1f} at the start and {p['load_at_end'][0]:.1f} at the end.  Made by "
             f"`{p['command']}`.", "",
             f"Model: {s['layers']} LSTM layer{'s' * (s['layers'] > 1)} of {s['units']} units, {s['classes']} classes, "
             f"L {s['length']}, padding {s['padding']}.  `unknown`: different dialogs that no train dialog begins "
             "like, by the network alone.  `corpus`: the test split as it comes; libsipdetect has known dialogs in "
             f"its file ({100 * s['known_share']:.1f}% of those measured one at a time).  64 at a time, libsipdetect "
             "computes equal beginnings once.  The others compute all steps of all dialogs.", "",
             "## Milliseconds a dialog", "",
             "Time on the core: medians over rounds for `unknown`, means for `corpus`, whose parts differ.", "",
             "| workload | at a time | " + " | ".join(result["contenders"]) + " |",
             "|---|---|" + "---|" * len(result["contenders"])]
    for m in result["speed"]:
        lines.append(f"| {m['workload']} | {m['batch']} | " +
                     " | ".join(f"{m['typical_ms'][name]:.4g}" for name in result["contenders"]) + " |")
    lines += ["", "fp32, bf16 and int8 are libsipdetect.", "", "## Figures", "", "| figure | value | target | |",
              "|---|---|---|---|"]
    for f in result["figures"]:
        sign = "at least" if f["more_is_better"] else "under"
        lines.append(f"| {f['figure']} | {f['value']:.4g} {f['unit']} | {sign} {f['target']:g} {f['unit']} | "
                     f"{'reached' if f['reached'] else 'missed'} |")
    cold = ", ".join(f"{name} {result['library'][name]['open_cold_ms']['median']:.3g} ms" for name in PRECISIONS)
    lines += ["", "Ratios are medians of those within a round for `unknown`, and of the means for `corpus`.  "
              f"Opening reads and checks the whole file, which the system holds in memory; when it does not: {cold}.  "
              f"The clock's own {result['library']['fp32']['clock_ns']:.0f} ns are in the time of a message.", ""]
    return "\n".join(lines)


def check_contenders(contenders: dict[str, Any], tokens: np.ndarray) -> float:
    """All fp32 contenders compute the same; warms them up."""
    base = contenders["onnxruntime"].probabilities(tokens)
    worst = 0.0
    for name in ("fp32", "keras"):
        worst = max(worst, float(np.abs(contenders[name].probabilities(tokens) - base).max()))
    if worst > 1e-4:
        sys.exit(f"bench_detectors: the detectors do not compute the same, probabilities differ by {worst:.2g}")
    for contender in contenders.values():
        for batch in (1, len(tokens)):
            contender.prepare(tokens[:batch])()
    return worst


def bench(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    path, corpus = make_model(options, work)
    with h5py.File(path) as f:
        if "thresholds" not in f:
            sys.exit(f"bench_detectors: {path} has no limits to judge by: its training is not complete")
    paths, told = export(options, path, work)
    os.sched_setaffinity(0, {options.core})
    shared = sorted(Path(options.sipgpu).resolve().parent.rglob("libsipdetect.so"))
    if not shared:
        sys.exit(f"bench_detectors: no libsipdetect.so below the folder of {options.sipgpu}")
    library, model = sipdetect_library.Library(shared[0]), Model(path)
    start = provenance(options, library)
    peers = {"onnxruntime": Onnxruntime(paths["onnx"]), "keras": Keras(paths["keras"], model)}
    by_network = {name: Sipdetect(library, paths[name], recompute=True) for name in PRECISIONS} | peers
    as_shipped = {name: Sipdetect(library, paths[name], recompute=False) for name in PRECISIONS} | peers
    test = test_split(model, corpus)
    needed = options.rounds * (options.singles + 64)
    unknown = model.tokens(unknown_dialogs(model, needed, seed=1))
    say("warming up")
    difference = check_contenders(by_network, unknown[:64])
    ones, batches = unknown[:options.rounds * options.singles], unknown[options.rounds * options.singles:]
    plan = [("unknown", by_network, np.split(ones, options.rounds), 1),
            ("unknown", by_network, np.split(batches, options.rounds), 64),
            ("corpus", as_shipped, slices_of(test, options.slice, options.rounds), 1),
            ("corpus", as_shipped, slices_of(test, 4 * options.slice, options.rounds), 64)]
    speed = [{"workload": name, **measure(contenders, slices, batch, f"{name}, {batch} at a time")}
             for name, contenders, slices, batch in plan]
    average_corpus(speed)
    say("comparing verdicts")
    some = np.random.default_rng(1).permutation(len(test))[:options.agreement]
    result: dict[str, Any] = {
        "provenance": start,
        "shape": {"layers": len(model.network.layers), "units": model.network.dense[0].shape[0],
                  "classes": len(model.classes), "length": model.length, "padding": model.padding,
                  "simd": {name: by_network[name].model.simd for name in PRECISIONS},
                  "known_share": float(np.mean([tuple(int(t) for t in row if t) in model.known
                                                for row in np.concatenate(plan[2][2])]))},
        "contenders": list(by_network), "fp32_difference": difference, "export": told, "speed": speed,
        "agreement": {"test split": agreement(library, paths, test[some]),
                      "unknown dialogs": agreement(library, paths,
                                                   model.tokens(unknown_dialogs(model, options.agreement, seed=2)))},
        "library": time_library(paths, shared[0], work),
    }
    start["load_at_end"] = os.getloadavg()
    result["figures"] = figures(result)
    return result


def main(options: argparse.Namespace) -> None:
    work = Path(options.work or tempfile.mkdtemp(prefix="bench_detectors."))
    work.mkdir(parents=True, exist_ok=True)
    try:
        result = bench(options, work)
    finally:
        if not options.work:
            shutil.rmtree(work, ignore_errors=True)
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "detectors.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (out / "detectors.md").write_text(markdown(result), encoding="utf-8")
    print(markdown(result), end="")


if __name__ == "__main__":
    main(OPTIONS)
