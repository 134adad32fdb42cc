"""compute-sanitizer over kernel tests and tiny training steps."""

from __future__ import annotations

import os
import re
import shutil
from typing import Any

from gpu.check import TINY_NETWORK, Check
from gpu.children import OutOfTime, Skip
from gpu.first import kernel_tests, test_environment

REFUSED = r"Device not supported|not supported on this|Unable to (?:find|load|attach)|LibraryNotLoaded"
FINDING = r"^=+ ((?:Invalid|Race|Error:|Uninitialized|Barrier|Divergent|Misaligned|Out-of|Potential|Program hit).*)"
OUR_KERNEL = r"^=+ (?!.*Host Frame).*\bat .*\.cuh?:\d+"  # built with line numbers, unlike those of libraries
ANY_KERNEL = r"^=+ (?!.*Host Frame).*\bat \S+"


def sanitized_commands(check: Check) -> list[tuple[str, str, list[Any]]]:
    """(tool, title, command) of what runs under the sanitizer, races first: nothing else can show them."""
    kernels: list[tuple[str, list[Any]]] = [(path.name, [path]) for path in kernel_tests(check)]
    steps: list[tuple[str, list[Any]]] = []
    cases = [("cuda", 2, ["--dropout", "0.5"]), ("cuda", 1, []), ("cudnn", 2, ["--dropout", "0.5"]), ("cudnn", 1, []),
             ("cuda", 1, ["--dropout", "0.5", "--graphs", "on"])]
    for engine, layers, more in cases:
        if check.usable.get(engine):
            words = [check.program, "bench", "train", "--device", check.device(engine), *TINY_NETWORK, "--batch", 32,
                     "--steps", 2, "--warmup", 1, "--layers", layers, *more, "--no-peak"]
            steps.append((" ".join([engine, f"layers {layers}", *more]), words))
    order = [("racecheck", kernels), ("memcheck", kernels), ("memcheck", steps), ("synccheck", kernels),
             ("racecheck", steps), ("initcheck", kernels + steps), ("synccheck", steps)]
    return [(kind, title, words) for kind, programs in order for title, words in programs]


def run_sanitizer(check: Check, tool: str, kind: str, words: list[Any]) -> dict[str, Any]:
    # What calls of CUDA return is checked by the programs; libraries let some fail on purpose.
    child = check.call([tool, "--tool", kind, "--report-api-errors", "no", "--error-exitcode", 86, "--print-limit", 20,
                        "--launch-timeout", 60, *words], 60, env=test_environment(check, "cuda"), merged=True)
    if child.cut:
        raise OutOfTime(f"during {kind}")
    refused = re.search(f"^.*(?:{REFUSED}).*$", child.log, re.MULTILINE)
    if refused:
        return {"refused": refused[0].strip("= ")[:200]}
    if child.timed_out:  # these tools are slow
        return {"note": child.how()}
    summary = re.findall(r"SUMMARY: (.*)", child.log)
    findings = list(dict.fromkeys(re.findall(FINDING, child.log, re.MULTILINE)))[:10]
    run: dict[str, Any] = {"code": child.code, "summary": summary[-1] if summary else None, "findings": findings}
    ours = re.search(OUR_KERNEL, child.log, re.MULTILINE)
    if child.code == 86 and not ours and re.search(ANY_KERNEL, child.log, re.MULTILINE):
        run["note"] = f"in library kernels: {run['summary']}"  # of cuBLAS or cuDNN only: theirs to judge
    elif child.code == 86:
        run["failure"] = f"{run['summary']}: {(findings or [''])[0]}"
    elif child.code != 0:
        run["failure"] = f"{child.how()}: {child.last_line()}"
    return run


def stage_sanitizer(check: Check, entry: dict[str, Any]) -> None:
    tool = shutil.which("compute-sanitizer", path=f"{os.environ.get('PATH', '')}:/usr/local/cuda/bin")
    if check.options.emulated:
        raise Skip("the engines are emulated")
    if not tool:
        raise Skip("compute-sanitizer is not installed")
    for kind, title, words in sanitized_commands(check):
        got = check.part(entry, f"{kind} {title}", lambda k=kind, w=words: run_sanitizer(check, tool, k, w))
        if got and got.get("refused"):
            raise Skip(f"compute-sanitizer refuses: {got['refused']}")
