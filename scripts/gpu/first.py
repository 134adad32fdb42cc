"""gpu_check first: are the engines right, and how fast is a step?"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from gpu.bench import bench_train, network
from gpu.check import ENGINES, PRECISIONS, ROOT, Check, Stage
from gpu.children import Child, Failed, OutOfTime, Skip
from gpu.devices import DEVICES, clocks_of

# Unit tests that take SIPGPU_TEST_DEVICE: against PyTorch's values, and the rest.
REFERENCE_TEST = "engine_test_reference"
MORE_TESTS = ("engine_test_engine", "engine_test_steps", "train_test_trainer")
# Engine and precision, and what they are compared with, in fp32: the CPU takes long for its steps.
AGREEMENTS = (("cuda", "fp32", "cpu"), ("cuda", "bf16", "cuda"), ("cuda", "tf32", "cuda"), ("cudnn", "fp32", "cuda"),
              ("cudnn", "bf16", "cuda"))
BOUNDS = {"fp32": 1e-4, "tf32": 2e-3, "bf16": 3e-2}  # of differences of losses

# ---- unit tests ----


def count_cmocka(child: Child, name: str) -> dict[str, Any]:
    """Numbers of tests in cmocka's output, and its lines about failures."""
    result: dict[str, Any] = {}
    for word in ("passed", "failed", "skipped"):
        numbers = re.findall(rf"^\[  {word.upper()} *\] (\d+) test", child.log, re.MULTILINE)
        result[word] = sum(map(int, numbers))
    lines = [line.rstrip() for line in child.log.splitlines()
             if re.match(r"\[ +(ERROR|FAILED|LINE) +\]|skipped: ", line) and not re.search(r"\] \d+ test", line)]
    result["lines"] = list(dict.fromkeys(lines))[:40]
    if child.code != 0 and not result["failed"]:
        result["failed"] = 1
        result["lines"].append(f"{name} {child.how()}: {child.last_line()}")
    return result


def kernel_tests(check: Check) -> list[Path]:
    return sorted(path for path in check.tests.rglob("kernels_test_*_device") if os.access(path, os.X_OK))


def test_environment(check: Check, engine: str) -> dict[str, str]:
    """The program sets CUBLAS_WORKSPACE_CONFIG by itself; the tests are other programs."""
    return {"CUBLAS_WORKSPACE_CONFIG": ":4096:2", **check.environment, "SIPGPU_TEST_DATA": str(ROOT / "tests/data"),
            "SIPGPU_TEST_DEVICE": check.device(engine)}


def run_test(check: Check, path: Path, engine: str) -> dict[str, Any]:
    child = check.call([path], 60, env=test_environment(check, engine or "cuda"), merged=True)
    if child.cut:
        raise OutOfTime(f"during {path.name} {engine}".rstrip())
    result = count_cmocka(child, path.name)
    lines = " | ".join(result["lines"][:3])
    if result["failed"]:
        result["failure"] = f"{result['failed']} failed: {lines}"
    elif not result["passed"]:
        result["failure"] = "no test ran"
    elif engine and result["skipped"] and not check.options.emulated:  # a case that the engine refuses
        result["failure"] = f"{result['skipped']} skipped: {lines}"
    return result


def run_tests(check: Check, entry: dict[str, Any], names: tuple[str, ...], kernels: list[Path]) -> None:
    engines = [engine for engine in ENGINES if check.usable.get(engine)]
    entry["not_run"] = [f"{engine}: {check.why_not[engine]}" for engine in ENGINES if engine not in engines]
    runs = [(path, "") for path in kernels]
    runs += [(check.tests / name, engine) for name in names for engine in engines]
    for path, engine in runs:
        check.part(entry, f"{path.name} {engine}".strip(), lambda p=path, e=engine: run_test(check, p, e))


def stage_tests(check: Check, entry: dict[str, Any]) -> None:
    """Kernels against their twins on the host; engines against values in float64."""
    kernels = [] if check.options.emulated else kernel_tests(check)  # those programs hold the real kernels
    if not kernels and not check.options.emulated:
        entry["error"] = f"no kernels_test_*_device in {check.tests}"
    run_tests(check, entry, (REFERENCE_TEST,), kernels)


def stage_more_tests(check: Check, entry: dict[str, Any]) -> None:
    names = MORE_TESTS[:1] if check.options.quick else MORE_TESTS
    run_tests(check, entry, tuple(name for name in names if (check.tests / name).exists()), [])


# ---- speed ----


def has_unique(check: Check) -> bool:
    """Whether this program can merge equal dialogs without sharing prefixes."""
    return "unique" in check.call([check.program, "bench", "train", "--help"], 20).out


def stage_bench(check: Check, entry: dict[str, Any]) -> None:
    """The most important first: what targets ask for, then what the paper's runs are planned by."""
    big, small = check.shape.batches
    unique = has_unique(check)
    jobs: list[tuple[str, dict[str, Any]]] = [
        ("cuda", {"batch": big}),
        ("cuda graphs", {"batch": big, "graphs": True}),
        ("cuda small", {"batch": small}),
        ("cuda unique", {"batch": big, "batching": "unique"}),
        ("cudnn dense", {"engine": "cudnn", "batch": big, "batching": "dense"}),
        ("cudnn unique", {"engine": "cudnn", "batch": big, "batching": "unique"}),
        ("cuda many", {"batch": big, "seeds": check.shape.seeds}),
        ("cuda many, 2 layers", {"batch": big, "layers": 2, "seeds": check.shape.seeds}),
        ("cuda small graphs", {"batch": small, "graphs": True}),
        ("cuda 2 layers", {"batch": big, "layers": 2}),
        *((f"cuda {precision}", {"batch": big, "precision": precision}) for precision in ("tf32", "fp32")),
        ("cudnn small", {"engine": "cudnn", "batch": small, "batching": "dense"}),
    ]
    entry["not_run"] = []
    for name, job in jobs:
        engine = job.get("engine", "cuda")
        if job.get("graphs") and check.options.emulated:
            entry["not_run"].append(f"{name}: the emulation has no graphs")
        elif job.get("batching") == "unique" and not unique:
            entry["not_run"].append(f"{name}: this program has no --batching unique")
        elif not check.usable.get(engine):
            entry["not_run"].append(f"{name}: {check.why_not[engine]}")
        else:
            check.part(entry, name, lambda job=job: bench_train(check, **job))


# Arguments of gpu_torch.py.  The peer of our bf16 is the faster of its bf16 and fp16.
TORCH_JOBS = [
    ("16 bits, graphs", {"precision": "bf16,fp16", "mode": "graphs"}),
    ("16 bits, eager", {"precision": "bf16,fp16", "mode": "eager"}),
]
MORE_TORCH_JOBS = [
    ("16 bits, small batch", {"precision": "bf16,fp16", "mode": "graphs", "batch": 1}),
    ("tf32, fp32", {"precision": "tf32,fp32", "mode": "graphs"}),
    ("16 bits, compiled", {"precision": "bf16,fp16", "mode": "compile"}),
]


def run_torch(check: Check, precision: str, mode: str, batch: int = 0) -> dict[str, Any]:
    answer = check.temporary / "torch.json"
    answer.unlink(missing_ok=True)
    seconds = max(3.0, check.left() - 4)
    words = [check.options.python, ROOT / "scripts/bench/gpu_torch.py", "--corpus", check.corpus, "--json", "--out", answer,
             "--device", "cpu" if check.options.emulated else f"cuda:{check.index}", "--batch",
             check.shape.batches[batch], "--layers", 1, "--precision", precision, "--rows", "padded,unique", "--mode",
             mode, "--seconds", f"{seconds:.0f}", "--mode-seconds", 20, *check.shape.torch]
    with clocks_of(check) as clocks:
        child = check.call(words, seconds + 3, env=dict(os.environ, LC_ALL="C"))  # PyTorch finds its own libraries
    try:
        report = json.loads(answer.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        report = {"cells": []}
    ways = [way for cell in report["cells"] for way in cell["modes"].values()]
    if child.timed_out or any(way.get("failed") == "no time left" for way in ways):
        report["incomplete"] = True
    if child.timed_out or child.code != 0:
        report["note"] = f"gpu_torch.py {child.how()}: {child.last_line()}"
    return {**report, "clocks": dict(clocks)}


def run_torch_jobs(check: Check, entry: dict[str, Any], jobs: list[tuple[str, dict[str, Any]]]) -> None:
    """That the peer fails here is noted, and is no failure of ours."""
    for name, job in jobs:
        check.part(entry, name, lambda job=job: run_torch(check, **job))
        got = entry["parts"][name]
        if got.get("note"):
            entry["note"] = got["note"]
        if not got.get("cells"):  # as little in the other jobs
            raise Skip(got.get("note", "gpu_torch.py measured nothing"))


def stage_torch(check: Check, entry: dict[str, Any]) -> None:
    run_torch_jobs(check, entry, TORCH_JOBS)


def stage_more_torch(check: Check, entry: dict[str, Any]) -> None:
    before = check.report["stages"].get("pytorch", {})
    if before.get("status") == "skipped":
        raise Skip(before["reason"])
    run_torch_jobs(check, entry, MORE_TORCH_JOBS)


def stage_ceilings(check: Check, entry: dict[str, Any]) -> None:
    def measure(precision: str) -> dict[str, Any]:
        with clocks_of(check) as clocks:
            got = check.sipgpu("bench", "device", "--device", check.device("cuda"), "--precision", precision,
                               *check.shape.ceilings)
        return {**{key: got[key] for key in ("copy_gbs", "gemm_gflops", "moments_gbs")}, "gpu": dict(clocks)}

    for precision in PRECISIONS:
        check.part(entry, precision, lambda precision=precision: measure(precision))


# ---- bits and agreement ----

SAME: list[tuple[str, dict[str, Any]]] = [
    ("cuda bf16 again", {}),
    ("cuda bf16 as graphs", {"graphs": "on"}),
    ("cuda fp32 again", {"precision": "fp32"}),
    ("cuda bf16 as graphs, 2 layers, dropout", {"graphs": "on", "layers": 2, "more": ["--dropout", 0.5]}),
    ("cuda bf16 as graphs, small batch, mask", {"graphs": "on", "batch": 1, "more": ["--padding", "mask"]}),
    ("cuda tf32 as graphs", {"precision": "tf32", "graphs": "on"}),
]


def compare(check: Check, device: str, precision: str, other: str, other_precision: str, graphs: str = "off",
            layers: int = 1, batch: int = 0, steps: int = 0, more: list[Any] | None = None) -> dict[str, Any]:
    got = check.sipgpu("bench", "compare", "--device", check.device(device), "--with", other, "--precision", precision,
                       "--with-precision", other_precision, "--graphs", graphs, "--steps",
                       steps or check.shape.compare_steps,
                       *network(check, layers, check.shape.batches[batch]), *(more or []), limit=60)
    kept = ("engine", "with", "steps", "loss", "loss_difference", "weights_difference", "identical")
    return {key: got[key] for key in kept if key in got}


def stage_bits(check: Check, entry: dict[str, Any]) -> None:
    """The same seed twice, launched kernel by kernel and as graphs.  These are updated from step to step, and there
    are products of libraries that such an update silently gets wrong: batches differ here, and so must what the graph
    computes."""
    def same(precision: str = "bf16", **rest: Any) -> dict[str, Any]:
        got = compare(check, "cuda", precision, check.device("cuda"), precision, steps=check.shape.same_steps, **rest)
        if not got["identical"]:
            got["failure"] = (f"not the same bits: losses {got['loss_difference']:.2e}, weights "
                              f"{got['weights_difference']:.2e} apart")
        return got

    for name, job in SAME:
        if not (job.get("graphs") and check.options.emulated):  # that has none
            check.part(entry, name, lambda job=job: same(**job))


def stage_agreement(check: Check, entry: dict[str, Any]) -> None:
    """Steps of cuda in fp32 against the CPU's, and of everything else against those."""
    def agree(engine: str, precision: str, other: str) -> dict[str, Any]:
        got = compare(check, engine, precision, other if other == "cpu" else check.device(other), "fp32")
        if not got["loss_difference"] <= BOUNDS[precision]:  # not "greater than": a NaN must not pass
            got["failure"] = f"losses {got['loss_difference']} apart: expected at most {BOUNDS[precision]}"
        return got

    entry["not_run"] = []
    for engine, precision, other in AGREEMENTS:
        if check.usable.get(engine):
            check.part(entry, f"{engine} {precision}", lambda e=engine, p=precision, o=other: agree(e, p, o))
        else:
            entry["not_run"].append(f"{engine} {precision}: {check.why_not[engine]}")


# ---- cuDNN ----


def stage_probe(check: Check, entry: dict[str, Any]) -> None:
    program = check.tests / ("cudnn_probe_emulated" if check.options.emulated else "cudnn_probe")

    def probe() -> dict[str, Any]:
        child = check.call([program, "--device", check.index, *check.shape.probe], 60)
        rows = []
        for line in child.out.splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:  # the last one, cut short
                break
        result = {"head": rows[0] if rows else None, "ways": rows[1:]}
        if child.cut:
            result["incomplete"] = True
        elif child.code != 0 or child.timed_out:
            result["failure"] = str(child.failure("cudnn_probe"))
        return result

    if not program.exists():
        raise Failed(f"{program} is missing")
    check.part(entry, "ways", probe)


STAGES = [
    DEVICES,
    Stage("tests", stage_tests, 34, "kernels against their twins, both engines against values in float64"),
    Stage("bench", stage_bench, 56, "steps of the engines cuda and cudnn", fills=True),
    Stage("pytorch", stage_torch, 50, "the same steps in PyTorch, padded and on unique rows", fills=True),
    Stage("bits", stage_bits, 26, "the same seed gives the same bits, also as graphs"),
    Stage("agreement", stage_agreement, 26, "five steps: cuda against the CPU, and the others against that"),
    Stage("ceilings", stage_ceilings, 9, "copy, one large product, moments"),
    Stage("probe", stage_probe, 9, "what cuDNN's LSTM accepts, and its time", fills=True),
    Stage("unit", stage_more_tests, 3, "unit tests of the engines, in the time left", fills=True),
    Stage("more", stage_more_torch, 3, "PyTorch on small batches, in tf32 and fp32, and compiled, in the time left",
          fills=True),
]
