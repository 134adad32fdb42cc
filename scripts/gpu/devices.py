"""The machine: what it is, what can be used, and the state of its GPU while something runs."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Iterator

from gpu.check import ENGINES, Check, Stage
from gpu.children import Failed

SMI_KEYS = ("name", "driver_version", "clocks.sm", "clocks.mem", "clocks.max.sm", "clocks.max.mem", "power.draw",
            "power.limit", "temperature.gpu", "utilization.gpu", "memory.total", "memory.used", "persistence_mode",
            "mig.mode.current")
SAMPLED = ("clocks.sm", "clocks.mem", "power.draw", "temperature.gpu", "utilization.gpu")


def read_smi(check: Check) -> dict[str, str]:
    """The GPU's state as nvidia-smi reads it; settings are left alone."""
    if not shutil.which("nvidia-smi"):
        return {}
    query = [f"--id={check.index}", f"--query-gpu={','.join(SMI_KEYS)}", "--format=csv,noheader"]
    child = check.call(["nvidia-smi", *query], 20)
    values = child.out.strip().split(", ")
    return dict(zip(SMI_KEYS, values)) if child.code == 0 and len(values) == len(SMI_KEYS) else {}


def number(text: str) -> float | None:
    with contextlib.suppress(ValueError):
        return float(text)
    return None  # [N/A]


def medians(lines: list[str]) -> dict[str, float]:
    """Of the samples in which the GPU was half as busy as it ever was, at least."""
    whole = [line.split(",") for line in lines if line.count(",") == len(SAMPLED) - 1]
    samples = [dict(zip(SAMPLED, map(number, values))) for values in whole]
    busiest = max((sample["utilization.gpu"] or 0 for sample in samples), default=0)
    busy = [sample for sample in samples if (sample["utilization.gpu"] or 0) >= 0.5 * busiest]
    result: dict[str, float] = {"samples": len(busy)}
    for key in SAMPLED:
        values = [sample[key] for sample in busy if sample[key] is not None]
        if values:
            result[key] = statistics.median(values)
    return result if busy else {}


@contextlib.contextmanager
def clocks_of(check: Check) -> Iterator[dict[str, float]]:
    """Clocks, power and temperature while what is inside runs: a dictionary that is filled at the end."""
    result: dict[str, float] = {}
    if not shutil.which("nvidia-smi"):
        yield result
        return
    with tempfile.TemporaryFile("w+") as out:
        query = [f"--id={check.index}", f"--query-gpu={','.join(SAMPLED)}", "--format=csv,noheader,nounits", "-lms",
                 "250"]
        with subprocess.Popen(["nvidia-smi", *query], stdin=subprocess.DEVNULL, stdout=out,
                              stderr=subprocess.DEVNULL) as sampler:
            try:
                yield result
            finally:
                sampler.kill()
        out.seek(0)
        result.update(medians(out.readlines()))


def resolved_libraries(check: Check) -> dict[str, dict[str, str]]:
    """Which file each library of the modules is, under the environment they will run in."""
    found: dict[str, dict[str, str]] = {}
    folder = Path(check.environment.get("SIPGPU_MODULES", check.modules))
    for engine in ENGINES:
        module = folder / f"sipgpu_{engine}.so"
        if module.exists():
            text = check.call(["ldd", module], 20).out
            rows = re.findall(r"^\s*(\S+) => (.+?)(?: \(0x\w+\))?$", text, re.MULTILINE)
            found[engine] = {name: os.path.realpath(path) if path[0] == "/" else path for name, path in rows}
    return found


def processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def find_usable(check: Check, devices: list[Any]) -> None:
    for engine in ENGINES:
        fitting = [item for item in devices if item.get("device") in (engine, check.device(engine))]
        check.usable[engine] = any(item.get("usable") for item in fitting)
        texts = [str(item.get("description")) for item in fitting]
        check.why_not[engine] = texts[0] if texts else f"`sipgpu devices` does not list {check.device(engine)}"


def same_as_before(check: Check, entry: dict[str, Any], tool: str) -> None:
    """Figures of another program or another GPU do not go into one report."""
    now = {"tool": tool, "description": check.why_not["cuda"] if check.usable["cuda"] else None}
    before = entry.get("identity")
    if before and before["description"] and before != now:
        sys.exit(f"gpu_check: {check.out / check.name}.json is of {before['tool']} on {before['description']}: name "
                 "another folder with --out")
    entry["identity"] = now


def make_corpus(check: Check) -> None:
    if check.corpus.exists():
        return
    part = check.corpus.with_suffix(".part.h5")
    part.unlink(missing_ok=True)
    child = check.call([check.program, "corpus", "synth", *check.shape.corpus, "--seed", 1, "--out", part], 60)
    if child.code != 0 or child.timed_out:
        raise child.failure("corpus synth")
    part.replace(check.corpus)


def stage_devices(check: Check, entry: dict[str, Any]) -> None:
    entry["version"] = check.sipgpu("version")
    entry["devices"] = check.sipgpu("devices", limit=60)
    find_usable(check, entry["devices"])
    same_as_before(check, entry, str(entry["version"].get("tool")))
    entry["usable"] = check.usable
    entry["machine"] = {"processor": processor(), "threads": len(os.sched_getaffinity(0)), "kernel": platform.release(),
                        "glibc": " ".join(platform.libc_ver()), "python": platform.python_version()}
    make_corpus(check)
    entry["libraries"] = {**check.libraries, "resolved": resolved_libraries(check)}
    entry["gpu"] = read_smi(check)
    if entry["gpu"]:
        check.call(["nvidia-smi", "-q", f"--id={check.index}"], 20)  # for the log
    if entry["gpu"] and not check.usable["cuda"] and not check.options.emulated:
        raise Failed(f"nvidia-smi sees {entry['gpu']['name']}, but: {check.why_not['cuda']}")


DEVICES = Stage("devices", stage_devices, 16, "version, engines, driver, libraries, clocks as found; makes the corpus",
                on_gpu=False, always=True)
