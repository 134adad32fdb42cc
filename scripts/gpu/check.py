"""One call of gpu_check: its folder, its time, its stages and the parts that they are made of.

A stage is made of parts.  What a part found is in the report as soon as it ends, and a call in the same folder
keeps the parts that were ok and runs the others.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from gpu.children import GRACE, Child, Failed, OutOfTime, Skip, end
from gpu.libraries import find_cuda_libraries

ROOT = Path(__file__).resolve().parent.parent.parent
VERSION = 2  # of the JSON
ENGINES = ("cuda", "cudnn")
PRECISIONS = ("bf16", "tf32", "fp32")
STOPPING = 2 * GRACE + 2  # seconds at the end, in which what hangs is ended and the table is printed


@dataclass
class Shape:
    """What is run: the paper's shape, or a tiny one that shows that everything works."""

    corpus: list[str]
    network: list[str]  # of bench, in place of the corpus
    batches: tuple[int, int]
    seeds: int  # at the same time
    steps: list[str]  # of bench train
    compare_steps: int  # with the CPU
    same_steps: int  # with itself
    epochs: int
    training: list[str]  # settings of experiments
    ceilings: list[str]
    probe: list[str]
    torch: list[str]
    checkpoint_grace: float  # seconds for runs that are asked to end: ten checkpoints of two layers are 3.5 GB


TINY_NETWORK = ["--dialogs", "300", "--classes", "40", "--length", "12", "--units", "24"]
PAPER = Shape(corpus=["--preset", "paper"], network=[], batches=(933, 93), seeds=10, steps=[], compare_steps=5,
              same_steps=20, epochs=500, training=[], ceilings=[], probe=[], torch=[], checkpoint_grace=25)
TINY = Shape(corpus=["--preset", "small"], network=TINY_NETWORK, batches=(32, 16), seeds=2,
             steps=["--steps", "3", "--warmup", "1"], compare_steps=3, same_steps=3, epochs=2,
             training=["--set", "model.units=24", "--set", "train.batch_size=93", "--set", "train.epochs=2"],
             ceilings=["--size", "64", "--rows", "50", "--classes", "40", "--repeats", "2"],
             probe=["--units", "24", "--rows", "16", "--steps", "12", "--repeats", "2"],
             torch=["--units", "24", "--steps", "2"], checkpoint_grace=GRACE)


@dataclass
class Stage:
    name: str
    run: Callable[["Check", dict[str, Any]], None]
    seconds: float  # its share of the time
    what: str  # for the budget
    on_gpu: bool = True
    always: bool = False  # also if it was complete in an earlier call
    fills: bool = False  # does as much as there is time for: no failure if it is cut


def process_age() -> float:
    """Seconds since this process began, so that starting Python counts as well."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK"))
    return 0.0


@dataclass
class Check:
    """One call."""

    options: argparse.Namespace
    name: str  # first, paper
    temporary: Path
    start: float = field(default_factory=lambda: time.monotonic() - process_age())
    stage_end: float = 0
    log: Any = None
    process: subprocess.Popen | None = None
    grace: float = GRACE  # of the command that runs
    report: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.deadline = self.start + self.options.seconds - min(STOPPING, self.options.seconds / 4)
        self.shape = TINY if self.options.quick else PAPER
        self.index = self.options.device.partition(":")[2] or "0"
        self.out = self.options.out.resolve()
        self.work = self.out / "work"
        self.work.mkdir(parents=True, exist_ok=True)
        self.usable: dict[str, bool] = {}
        self.why_not: dict[str, str] = {}
        self.bundled = (ROOT / "bin/sipgpu").exists()  # an archive, with bin/, tests/, lib/sipgpu/
        build = ROOT if self.bundled else self.options.build.resolve()
        self.program = build / ("bin/sipgpu" if self.bundled else "sipgpu")
        self.tests = build / "tests"
        self.modules = ROOT / "lib/sipgpu" if self.bundled else build
        self.corpus = self.work / "corpus.h5"
        if not self.program.exists():
            sys.exit(f"gpu_check: {self.program} is missing: build it with scripts/setup")
        self.environment = {**os.environ, "LC_ALL": "C"}
        self.libraries: dict[str, Any] = {"source": "emulated"}
        if self.options.emulated:
            self.environment["SIPGPU_MODULES"] = str(Path(self.options.emulated).resolve())
        else:
            self.libraries = find_cuda_libraries(self.options.python, self.temporary)
            paths = [*self.libraries["paths"], *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
            if paths:
                self.environment["LD_LIBRARY_PATH"] = ":".join(paths)

    # ---- the report ----

    def begin(self, command: list[str]) -> None:
        """Goes on with the report of an earlier call, if there is one."""
        path = self.out / f"{self.name}.json"
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        call = {"date": now, "command": command, "limit_seconds": self.options.seconds}
        head = {"format": "sipgpu-gpu-check", "version": VERSION, "name": self.name, "device": self.options.device,
                "quick": self.options.quick, "emulated": bool(self.options.emulated)}
        if path.exists():
            try:
                self.report = json.loads(path.read_text(encoding="utf-8"))
                different = [key for key, value in head.items() if self.report.get(key) != value]
                self.report["calls"].append(call)
            except (ValueError, KeyError, AttributeError, TypeError):
                sys.exit(f"gpu_check: {path} is damaged: remove it, or name another folder with --out")
            if different:
                sys.exit(f"gpu_check: {path} is of another call ({', '.join(different)}): name another folder "
                         "with --out")
            for key in ("ok", "interrupted"):
                self.report.pop(key, None)
        else:
            self.report = {**head, "calls": [call], "stages": {}, "targets": []}

    def call_entry(self) -> dict[str, Any]:
        return self.report["calls"][-1]

    def save(self) -> None:
        self.call_entry()["seconds"] = round(time.monotonic() - self.start, 1)
        part = self.out / f"{self.name}.json.part"
        part.write_text(json.dumps(self.report, indent=1) + "\n", encoding="utf-8")
        part.replace(self.out / f"{self.name}.json")

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.start:6.1f} s  {text}", file=sys.stderr, flush=True)

    def device(self, engine: str) -> str:
        return f"{engine}:{self.index}"

    def parts(self, stage: str) -> dict[str, Any]:
        return self.report["stages"].get(stage, {}).get("parts", {})

    # ---- children ----

    def left(self) -> float:
        """Seconds that the stage has left."""
        return min(self.stage_end, self.deadline) - time.monotonic()

    def call(self, words: list[Any], limit: float, env: dict[str, str] | None = None, merged: bool = False,
             grace: float = GRACE) -> Child:
        """Runs a command; its stderr (or, merged, everything) goes straight to the log.  One that is asked to end
        may take `grace` seconds for it, which are within the stage's time as far as they are more than GRACE."""
        left = self.left() - (grace - GRACE)
        words = [str(word) for word in words]
        if left < 0.2:
            raise OutOfTime(f"before {' '.join(words)[-80:]}")
        self.log.write(f"$ {' '.join(words)}\n".encode())
        self.log.flush()
        place, begun = self.log.tell(), time.monotonic()
        with tempfile.TemporaryFile() as out:
            try:
                self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=self.log if merged else out,
                                                stderr=self.log, env=env or self.environment, cwd=self.temporary,
                                                start_new_session=True)
            except OSError as error:
                raise Failed(f"cannot run {words[0]}: {error.strerror}") from error
            timed_out, self.grace = False, grace
            try:
                self.process.wait(min(limit, left))
            except subprocess.TimeoutExpired:
                timed_out = True
                end(self.process, grace)
            child = Child(self.process.returncode if self.process.returncode is not None else -signal.SIGKILL, "", "",
                          time.monotonic() - begun, timed_out, timed_out and left < limit)
            self.process = None
            out.seek(0)
            child.out = out.read().decode(errors="replace")
        self.log.seek(place)
        child.log = self.log.read().decode(errors="replace")
        self.log.seek(0, os.SEEK_END)
        self.log.write(f"{child.out}\n[{child.how()} after {child.seconds:.1f} s]\n\n".encode())
        self.log.flush()
        return child

    def sipgpu(self, *words: Any, limit: float = 60, grace: float = GRACE) -> Any:
        """The JSON object that a command of the program prints."""
        child = self.call([self.program, *words, "--json"], limit, grace=grace)
        if child.cut:
            raise OutOfTime(f"during sipgpu {' '.join(str(word) for word in words)[:80]}")
        if child.code != 0 or child.timed_out:
            raise child.failure(f"sipgpu {' '.join(str(word) for word in words[:2])}")
        try:
            return json.loads(child.out)
        except ValueError as error:
            raise Failed(f"sipgpu {words[0]} printed no JSON: {child.out[:100]!r}") from error

    # ---- parts ----

    def part(self, entry: dict[str, Any], name: str, step: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """What a part of a stage found; None if it failed.  One that was ok in an earlier call is not run again."""
        parts = entry.setdefault("parts", {})
        if parts.get(name, {}).get("status") == "ok":
            return parts[name]
        result: dict[str, Any] = {"status": "running"}
        parts[name] = result
        self.save()
        begun = time.monotonic()
        try:
            result.update(step())
            result["status"] = "failed" if result.get("failure") else "cut" if result.get("incomplete") else "ok"
        except Failed as reason:
            result.update(status="failed", failure=str(reason))
        except BaseException:  # its time is over, or somebody has interrupted
            result["status"] = "cut"
            raise
        finally:
            result["seconds"] = round(time.monotonic() - begun, 1)
            self.save()
        return result if result["status"] == "ok" else None

    # ---- stages ----

    def is_complete(self, stage: Stage) -> bool:
        return not stage.always and self.report["stages"].get(stage.name, {}).get("status") == "ok"

    def print_budget(self, stages: list[Stage]) -> None:
        print(f"gpu_check {self.name}: at most {self.options.seconds:.0f} s in all, to {self.out}\n")
        for stage in stages:
            limit = "complete" if self.is_complete(stage) else f"{self.share(stage, stages):.0f} s"
            print(f"  {stage.name:10} {limit:>8}  {stage.what}")
        print(f"  {'stopping':10} {min(STOPPING, self.options.seconds / 4):>6.0f} s  kept for ending what hangs\n\n"
              "Time that a stage leaves goes to the next one.", flush=True)

    def share(self, stage: Stage, stages: list[Stage]) -> float:
        """Of the whole time, for those that are not complete."""
        total = sum(other.seconds for other in stages if not self.is_complete(other))
        return stage.seconds / total * (self.deadline - self.start)

    def run_stages(self, stages: list[Stage]) -> None:
        mark = self.start
        todo = [stage for stage in stages if not self.is_complete(stage)]
        shares = [self.share(stage, stages) for stage in todo]
        for stage, share in zip(todo, shares):
            mark += share
            # Nothing can be done before the devices are known, so they may take longer.
            self.run_stage(stage, mark if stage.on_gpu else max(mark, (self.start + self.deadline) / 2))

    def run_stage(self, stage: Stage, mark: float) -> None:
        entry = self.report["stages"].setdefault(stage.name, {})
        for key in ("reason", "error"):
            entry.pop(key, None)
        entry["status"] = "running"
        begun, self.stage_end = time.monotonic(), mark
        entry["limit_seconds"] = round(max(0, min(mark, self.deadline) - begun), 1)
        self.save()
        self.log.write(f"===== {stage.name}\n\n".encode())
        cut = None
        try:
            if stage.on_gpu and not self.usable.get("cuda"):
                raise Skip(f"no GPU: {self.why_not.get('cuda', 'the devices are not known')}")
            if self.left() < 0.2:
                raise OutOfTime("before it began")
            stage.run(self, entry)
        except Skip as reason:
            entry["reason"] = str(reason)
        except OutOfTime as where:
            cut = f"its time, {entry['limit_seconds']:.0f} s, was over {where}"
            entry["reason"] = cut
        except Failed as reason:
            entry["error"] = str(reason)
        except Exception as error:  # an error of this script must not cost the other stages either
            entry["error"] = f"{type(error).__name__}: {error}"
            self.log.write(traceback.format_exc().encode())
        found = {part["status"] for part in entry.get("parts", {}).values()}
        entry["status"] = ("failed" if entry.get("error") or "failed" in found else "cut" if cut or "cut" in found
                           else "skipped" if "reason" in entry else "ok")
        entry["seconds"] = round(entry.get("seconds", 0) + time.monotonic() - begun, 1)
        self.save()
        why = "; ".join(failures(entry)) or entry.get("reason", "")
        self.say(f"{stage.name}: {entry['status']}" + (f": {why[:200]}" if why else ""))

    def ended_well(self, stages: list[Stage]) -> bool:
        """Every stage ran to its end or could not run here, and no check failed."""
        def well(stage: Stage) -> bool:
            entry = self.report["stages"].get(stage.name, {"status": "cut"})
            return entry["status"] in ("ok", "skipped") or (stage.fills and entry["status"] == "cut")

        return all(well(stage) for stage in stages)


def failures(entry: dict[str, Any]) -> list[str]:
    texts = [f"{name}: {part['failure']}" for name, part in entry.get("parts", {}).items() if part.get("failure")]
    return [*filter(None, [entry.get("error")]), *texts]


def over(a: float | None, b: float | None) -> float | None:
    return a / b if a is not None and b else None
