"""scripts/gpu_check: without a GPU, on emulated engines, and with programs that fail and hang; scripts/bench/gpu_torch.py."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Sipgpu

sys.path.insert(0, str(ROOT / "scripts"))
from gpu import paper  # noqa: E402
from gpu.devices import medians  # noqa: E402

STAGES = {
    "first": ["devices", "tests", "bench", "pytorch", "bits", "agreement", "ceilings", "probe", "unit", "more"],
    "paper": ["devices", "rate", "train", "pack", "sanitizer"],
}

# Stands for the program, the tests and the interpreter that has PyTorch.  FAULT says which command does what.
FAKE = r"""
import json, os, signal, sys, time

name, words = os.path.basename(sys.argv[0]), sys.argv[1:]
command = " ".join([name, *words])
with open(os.environ["CALLS"], "a") as calls:
    calls.write(command + "\n")

def after(option, default=None):
    return words[words.index(option) + 1] if option in words else default

def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)

def run_folder(seed):
    return os.path.join(after("--out"), "runs", "model" + after("--models") + "_seed" + str(seed))

def seeds():
    return range(1, int(after("--seeds")) + 1)

for rule in filter(None, os.environ.get("FAULT", "").split(";")):
    pattern, _, fault = rule.partition("=")
    if pattern not in command:
        continue
    if fault == "slow":  # an experiment that leaves checkpoints when it is asked to end
        for seed in seeds():
            write(run_folder(seed) + "/history.csv", "epoch\n" + "1\n" * (20 + seed))
        def stop(number, frame):
            time.sleep(0.5)
            for seed in seeds():
                write(run_folder(seed) + "/checkpoint.h5", "here")
            sys.exit(1)
        signal.signal(signal.SIGTERM, stop)
        time.sleep(100)
    if fault == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(100)
    if fault == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == "garbage":
        print("no JSON")
        sys.exit(0)
    if fault == "fail":
        print("sipgpu: it went wrong", file=sys.stderr)
        sys.exit(1)

def torch():
    ms = {("padded", "bf16"): 7.0, ("padded", "fp16"): 6.0, ("unique", "bf16"): 2.5, ("unique", "fp16"): 3.0}
    cells = [{"precision": p, "batch": int(after("--batch")), "layers": 1, "rows": rows, "best": after("--mode"),
              "best_ms": ms.get((rows, p), 9.0), "modes": {after("--mode"): {"ms": ms.get((rows, p), 9.0)}}}
             for p in after("--precision").split(",") for rows in after("--rows").split(",")]
    if os.environ.get("TORCH_CUT"):
        cells[-1].update(best=None, best_ms=None, modes={"graphs": {"failed": "no time left"}})
    write(after("--out"), json.dumps({"torch": "2", "cells": cells}))
    return {}

def bench():
    n, cuda = int(after("--seeds")), after("--device").startswith("cuda")
    step = (1.0 if after("--graphs") == "on" else 1.5) if cuda else 6.0
    step *= float(os.environ.get("SLOWER", "1")) * int(after("--layers"))
    return {"engine": "fake", "step_ms": step * n, "step_ms_per_seed": step, "step_ms_median": step, "gflops": 399000,
            "product_gflops": 420000, "product_share": 0.8, "steps": 200, "rows": 9769, "versions": {"cublas": "13"}}

def experiment():
    for seed in seeds():
        write(run_folder(seed) + "/history.csv", "epoch\n" + "1\n" * 500)
        write(run_folder(seed) + "/model.h5", "model")
        write(run_folder(seed) + "/provenance.json", '{"seconds": 11.5}')
        write(os.path.join(after("--out"), "records", "model%s_seed%d.h5" % (after("--models"), seed)),
              "r" * int(os.environ.get("RECORD_BYTES", "100")))
    return {"runs": [{"seed": seed, "p_d": {"train": 0.999, "test": 0.93}} for seed in seeds()]}

def answer():
    if name == "interpreter":
        return [] if words[0] == "-c" else torch()
    if words[0] == "version":
        return {"tool": "sipgpu 0.2.0 (%s)" % os.environ.get("COMMIT", "0123456789ab")}
    if words[0] == "devices":
        return [{"device": d, "usable": True, "description": "a fake"} for d in ("cpu", "cuda:0", "cudnn:0")]
    if words[:2] == ["bench", "compare"]:
        same = after("--precision") == after("--with-precision") and after("--device") == after("--with")
        return {"loss": [[1, 1]], "loss_difference": 0 if same else float(os.environ.get("DIFFERENCE", "1e-6")),
                "weights_difference": 0, "identical": same and
                os.environ.get("DIFFERENT") not in ("1", after("--graphs") == "on" and "graphs")}
    if words[:2] == ["bench", "device"]:
        return {"copy_gbs": 4000, "gemm_gflops": 700000, "moments_gbs": 3000}
    if words[:2] == ["bench", "train"]:
        return "trie, unique or dense" if "--help" in words else bench()
    if words[0] == "experiment":
        return experiment()
    if words[:2] == ["corpus", "synth"]:
        print("made it", file=sys.stderr)
        write(after("--out"), "")

if "_test_" in name:
    print("[  PASSED  ] 7 test(s).")
elif name == "cudnn_probe":
    print('{"cudnn": "9.19.0", "sm": 90}')
    for accepted in (True, False):
        print(json.dumps({"algorithm": "standard", "type": "bf16", "bias": "single", "accepted": accepted,
                          "forward_ms": 2.0, "data_ms": 3.0, "weights_ms": 1.0}))
else:
    print(json.dumps(answer()))
"""


class GpuCheck:
    """Runs the script; `report` is the JSON of the last call."""

    def __init__(self, folder: Path):
        self.out = folder / "out"
        self.report: dict[str, Any] = {}
        self.seconds = 0.0

    def __call__(self, name: str, *words: Any, script: Path = ROOT / "scripts/gpu_check",
                 env: dict[str, str] | None = None, limit: float = 120) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", **(env or {})}
        begun = time.monotonic()
        done = subprocess.run([sys.executable, str(script), name, "--out", str(self.out), *map(str, words)],
                              capture_output=True, text=True, timeout=limit, env=environment, check=False)
        self.seconds = time.monotonic() - begun
        if (self.out / f"{name}.json").exists():
            self.report = json.loads((self.out / f"{name}.json").read_text(encoding="utf-8"))
        return done

    @property
    def status(self) -> dict[str, str]:
        return {name: entry["status"] for name, entry in self.report["stages"].items()}

    @property
    def met(self) -> dict[str, bool | None]:
        return {row["name"]: row["met"] for row in self.report["targets"]}

    def parts(self, stage: str) -> dict[str, Any]:
        return self.report["stages"][stage].get("parts", {})

    def failures(self, stage: str) -> list[str]:
        return [part["failure"] for part in self.parts(stage).values() if "failure" in part]


@pytest.fixture
def gpu_check(tmp_path: Path) -> GpuCheck:
    return GpuCheck(tmp_path)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """An unpacked archive in which every program is the fake."""
    top = tmp_path / "sipgpu"
    programs = ["bin/sipgpu", "bin/interpreter", "tests/engine_test_reference", "tests/engine_test_engine",
                "tests/kernels_test_level_device", "tests/cudnn_probe", "bin/compute-sanitizer"]
    for program in programs:
        path = top / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!{sys.executable} -S\n{FAKE}", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    # What the sanitizer says of a clean program.
    (top / "bin/compute-sanitizer").write_text("#!/bin/sh\necho '========= ERROR SUMMARY: 0 errors'\n",
                                               encoding="utf-8")
    shutil.copytree(ROOT / "scripts/gpu", top / "scripts/gpu", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "scripts/gpu_check", top / "scripts/gpu_check")
    return top


def fake_environment(bundle: Path, **env: str) -> dict[str, str]:
    return {"CALLS": str(bundle / "calls"), "PATH": f"{bundle / 'bin'}:{os.environ['PATH']}", **env}


def run_fake(gpu_check: GpuCheck, bundle: Path, name: str, *words: Any,
             **env: str) -> subprocess.CompletedProcess[str]:
    (bundle / "calls").write_text("", encoding="utf-8")
    return gpu_check(name, "--python", bundle / "bin/interpreter", *words, script=bundle / "scripts/gpu_check",
                     env=fake_environment(bundle, **env))


def calls(bundle: Path) -> list[str]:
    return (bundle / "calls").read_text(encoding="utf-8").splitlines()


def leftovers(bundle: Path) -> str:
    return subprocess.run(["pgrep", "-f", str(bundle)], capture_output=True, text=True, check=False).stdout


def assert_complete(report: dict[str, Any], name: str) -> None:
    """What docs/gpu.md promises of every report."""
    assert report["format"] == "sipgpu-gpu-check" and report["version"] == 2 and report["name"] == name
    assert {"device", "quick", "emulated", "calls", "stages", "targets", "ok"} <= report.keys()
    assert {"date", "command", "limit_seconds", "seconds"} == report["calls"][-1].keys()
    assert list(report["stages"]) == STAGES[name]
    for stage, entry in report["stages"].items():
        assert entry["status"] in ("ok", "failed", "cut", "skipped"), stage
        assert entry["seconds"] >= 0 and entry["limit_seconds"] >= 0
        assert entry["status"] != "skipped" or entry["reason"]
        for part in entry.get("parts", {}).values():
            assert part["status"] in ("ok", "failed", "cut") and part["seconds"] >= 0
            assert (part["status"] == "failed") == ("failure" in part)
    for row in report["targets"]:
        assert row.keys() == {"name", "wanted", "value", "measured", "met"}


# ---- the real program ----


@pytest.mark.parametrize("name", ["first", "paper"])
def test_without_gpu(gpu_check: GpuCheck, sipgpu: Sipgpu, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    done = gpu_check(name, "--build", sipgpu.program.parent, "--emulated", tmp_path / "empty")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_complete(gpu_check.report, name)
    need_gpu = [stage for stage in STAGES[name][1:]]
    assert gpu_check.status == {"devices": "ok", **dict.fromkeys(need_gpu, "skipped")}
    for stage in need_gpu:
        assert gpu_check.report["stages"][stage]["reason"].startswith("no GPU: ")
    assert not any(gpu_check.met.values())
    devices = gpu_check.report["stages"]["devices"]
    assert devices["machine"]["processor"] and devices["version"]["tool"].startswith("sipgpu ")


def test_rehearsal_of_both_calls(gpu_check: GpuCheck, sipgpu: Sipgpu, tmp_path: Path) -> None:
    """On the emulated engines, one call after the other, then each once more; and the records at home."""
    modules = sipgpu.program.parent / "emulated"
    if not (modules / "sipgpu_cuda.so").exists():
        pytest.skip("there are no emulated engines in this build")
    words = ("--build", sipgpu.program.parent, "--emulated", modules, "--quick", "--python", sys.executable)
    done = gpu_check("first", *words, limit=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_complete(gpu_check.report, "first")
    assert {status for stage, status in gpu_check.status.items() if stage not in ("pytorch", "more")} == {"ok"}
    assert done.stdout.startswith("gpu_check first: at most 240 s in all")  # the budget
    assert all(re.search(rf"^  {stage} +\d+ s  \w", done.stdout, re.MULTILINE) for stage in STAGES["first"])
    tests = gpu_check.parts("tests")
    assert len(tests) == 2 and sum(part["passed"] for part in tests.values()) > 20
    bench = gpu_check.parts("bench")
    assert {"cuda", "cuda unique", "cudnn dense", "cudnn unique", "cuda many, 2 layers"} <= bench.keys()
    assert all(part["step_ms"] > 0 and part["versions"]["cublas"] for part in bench.values())
    assert [part["identical"] for part in gpu_check.parts("bits").values()] == [True, True]
    assert len(gpu_check.parts("agreement")) == 5
    accepted = [way["accepted"] for way in gpu_check.parts("probe")["ways"]["ways"]]
    assert len(accepted) == 40 and 0 < sum(accepted) < 40
    assert gpu_check.met["the same seed gives the same bits"] is True

    done = gpu_check("paper", *words, limit=430)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_complete(gpu_check.report, "paper")
    assert gpu_check.status == {**dict.fromkeys(STAGES["paper"], "ok"), "sanitizer": "skipped"}
    assert {part["source"] for part in gpu_check.parts("rate").values()} == {"first"}
    runs = gpu_check.parts("train")
    assert list(runs) == ["model1.0", "model1.1", "literal", "model2.0", "model2.1"]
    assert [len(run["runs"]) for run in runs.values()] == [2, 2, 1, 2, 2]
    # Tiny shapes say nothing about speed.
    assert gpu_check.met["2 seeds of model 1.0, 2 epochs each"] is None

    for name in ("first", "paper"):  # nothing is left to do
        before = json.loads((gpu_check.out / f"{name}.json").read_text(encoding="utf-8"))
        assert gpu_check(name, *words).returncode == 0
        assert len(gpu_check.report["calls"]) == 2 and gpu_check.report["calls"][1]["seconds"] < 20
        for stage in before["stages"]:
            if stage not in ("devices", "pytorch", "more"):
                assert gpu_check.parts(stage) == before["stages"][stage].get("parts", {})

    home = tmp_path / "home"
    with tarfile.open(gpu_check.out / "records1.tar") as tar:
        tar.extractall(home)
    tables = sipgpu.ok("experiment", "--tables", "--json", "--config", ROOT / "configs/experiment.ini", "--corpus",
                       gpu_check.out / "work/corpus.h5", "--precision", "bf16", "--seeds", 2, "--out",
                       home / "experiment", "--set", "model.units=24", "--set", "train.batch_size=93", "--set",
                       "train.epochs=2").json
    there = {run["seed"]: run["p_d"] for run in runs["model1.0"]["runs"]}
    at_home = {run["seed"]: run["p_d"] for run in tables["runs"] if run["model"] == "1.0"}
    assert len(tables["runs"]) == 8 and at_home == there


def test_a_device_that_dies(gpu_check: GpuCheck, sipgpu: Sipgpu) -> None:
    """One line for what fails, exit 1; the same call goes on once the device is back."""
    modules = sipgpu.program.parent / "emulated"
    if not (modules / "sipgpu_cuda.so").exists():
        pytest.skip("there are no emulated engines in this build")
    words = ("--build", sipgpu.program.parent, "--emulated", modules, "--quick", "--stages")
    done = gpu_check("first", *words, "bits,ceilings", env={"CUDA_EMULATOR_FAIL_AFTER": "60"})
    assert done.returncode == 1
    assert gpu_check.status["bits"] == "failed"
    for failure in gpu_check.failures("bits"):
        assert "launch failure" in failure and "\n" not in failure
    assert gpu_check("first", *words, "bits,ceilings").returncode == 0
    assert gpu_check.status == dict.fromkeys(("devices", "bits", "ceilings"), "ok")

    assert gpu_check("paper", *words, "rate,train", env={"CUDA_EMULATOR_FAIL_AFTER": "900"}).returncode == 1
    assert gpu_check.status["train"] == "failed"
    assert all("all " in text and "launch failure" in text for text in gpu_check.failures("train"))
    assert gpu_check("paper", *words, "rate,train,pack").returncode == 0
    assert all(part["complete_runs"] == part["seeds"] for part in gpu_check.parts("train").values())
    assert gpu_check.report["stages"]["pack"]["records"] == 9


# ---- the fake ----


def test_all_targets(gpu_check: GpuCheck, bundle: Path) -> None:
    done = run_fake(gpu_check, bundle, "first")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_complete(gpu_check.report, "first")
    assert set(gpu_check.status.values()) == {"ok"}, gpu_check.report
    assert all(gpu_check.met.values()), gpu_check.met
    values = {row["name"]: row["value"] for row in gpu_check.report["targets"]}
    # The faster of bf16 and fp16 over the faster of launches and graphs.
    assert values["batch 933, 16 bits: PyTorch on padded rows / cuda"] == pytest.approx(6.0)
    assert values["batch 933, 16 bits: PyTorch on unique rows / cuda"] == pytest.approx(2.5)
    # No limits that cut the warm-up short, and no environment of its own.
    bench = [call for call in calls(bundle) if "bench train" in call and "--help" not in call]
    assert len(bench) == 13 and not any("--steps" in call or "--warmup" in call for call in bench)
    log = (gpu_check.out / "first.log").read_text()
    parts = dict(zip(STAGES["first"], re.split(r"^===== .*$", log, flags=re.MULTILINE)[1:]))
    assert all("[ended with status 0" in text for text in parts.values())

    done = run_fake(gpu_check, bundle, "paper")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_complete(gpu_check.report, "paper")
    assert set(gpu_check.status.values()) == {"ok"} and all(gpu_check.met.values()), gpu_check.report
    assert [part["complete_runs"] for part in gpu_check.parts("train").values()] == [10, 10, 1, 10, 10]
    trained = [call for call in calls(bundle) if " experiment " in call]
    assert all("--jobs 10" in call for call in trained if "paper-literal" not in call)
    assert "configs/paper-literal.ini --config" in trained[2] and "configs/batch93.ini" in trained[2]
    with tarfile.open(gpu_check.out / "records1.tar") as tar:
        assert len(tar.getnames()) == 41 and "literal/records/model1.0_seed1.h5" in tar.getnames()


@pytest.mark.parametrize("fault", ["fail", "crash", "garbage"])
def test_failing_command(gpu_check: GpuCheck, bundle: Path, fault: str) -> None:
    """The other parts run; the next call runs only what failed."""
    words = ("first", "--stages", "agreement,ceilings")
    broken = "bench compare --device cuda:0 --with cuda:0 --precision bf16 --with-precision fp32"
    assert run_fake(gpu_check, bundle, *words, FAULT=f"{broken}={fault}").returncode == 1
    assert gpu_check.status == {"devices": "ok", "agreement": "failed", "ceilings": "ok"}
    assert {name: part["status"] for name, part in gpu_check.parts("agreement").items()} == {
        "cuda fp32": "ok", "cuda bf16": "failed", "cuda tf32": "ok", "cudnn fp32": "ok", "cudnn bf16": "ok"}
    expected = {"fail": "it went wrong", "crash": "SIGSEGV", "garbage": "no JSON"}[fault]
    assert expected in gpu_check.failures("agreement")[0]
    done = run_fake(gpu_check, bundle, *words)
    assert done.returncode == 0 and "complete" in done.stdout
    assert gpu_check.status == {"devices": "ok", "agreement": "ok", "ceilings": "ok"}
    again = [call for call in calls(bundle) if " bench " in call]
    assert len(again) == 1 and "compare" in again[0] and "--precision bf16" in again[0]


def test_wrong_figures(gpu_check: GpuCheck, bundle: Path) -> None:
    done = run_fake(gpu_check, bundle, "first", "--stages", "bits,agreement", DIFFERENCE="nan", DIFFERENT="1")
    assert done.returncode == 1
    assert len(gpu_check.failures("bits")) == 6 and len(gpu_check.failures("agreement")) == 5
    assert all("not the same bits" in text for text in gpu_check.failures("bits"))
    assert gpu_check.met["cuda fp32 and cpu fp32: losses of five steps"] is False
    assert gpu_check.met["the same seed gives the same bits"] is False
    assert gpu_check.met["and so it does as graphs"] is False


def test_bounds_of_precisions(gpu_check: GpuCheck, bundle: Path) -> None:
    run_fake(gpu_check, bundle, "first", "--stages", "agreement", DIFFERENCE="1e-3")
    assert {name for name, part in gpu_check.parts("agreement").items() if part["status"] == "failed"} == {
        "cuda fp32", "cudnn fp32"}


def test_wrong_graphs(gpu_check: GpuCheck, bundle: Path) -> None:
    """Whatever a graph gets wrong is found, though kernels launched one by one are right."""
    assert run_fake(gpu_check, bundle, "first", "--stages", "bits", DIFFERENT="graphs").returncode == 1
    assert len(gpu_check.failures("bits")) == 4
    assert gpu_check.met["the same seed gives the same bits"] is True
    assert gpu_check.met["and so it does as graphs"] is False


def test_failing_unit_test(gpu_check: GpuCheck, bundle: Path) -> None:
    program = bundle / "tests/engine_test_engine"
    program.write_text("#!/bin/sh\necho '[ RUN      ] test_that'\necho '[  ERROR   ] --- 0x1 != 0x2' >&2\n"
                       "echo '[  PASSED  ] 3 test(s).'\necho '[  FAILED  ] 1 test(s), listed below:' >&2\nexit 1\n",
                       encoding="utf-8")
    (bundle / "tests/kernels_test_level_device").write_text("#!/bin/sh\nkill -11 $$\n", encoding="utf-8")
    assert run_fake(gpu_check, bundle, "first", "--stages", "tests,unit").returncode == 1
    assert "SIGSEGV" in gpu_check.failures("tests")[0]
    assert [part["passed"] for part in gpu_check.parts("tests").values()] == [0, 7, 7]
    assert len(gpu_check.failures("unit")) == 2 and all("0x1 != 0x2" in text for text in gpu_check.failures("unit"))
    row = gpu_check.report["targets"][0]
    assert row["met"] is False and row["value"] == 3


def test_sanitizer_findings(gpu_check: GpuCheck, bundle: Path) -> None:
    tool = bundle / "bin/compute-sanitizer"
    words = ("paper", "--stages", "sanitizer")
    tool.write_text("#!/bin/sh\ncase $* in *racecheck*kernels*) ;; *) exit 0 ;; esac\n"
                    "echo '========= Error: Race reported between Read access at kernel(int)+0x10 in level.cu:7'\n"
                    "echo '========= RACECHECK SUMMARY: 1 hazard displayed'\nexit 86\n", encoding="utf-8")
    assert run_fake(gpu_check, bundle, *words).returncode == 1
    assert gpu_check.met["compute-sanitizer"] is False
    failures = gpu_check.failures("sanitizer")
    assert len(failures) == 1 and "Race reported" in failures[0]
    assert "failure" in gpu_check.parts("sanitizer")["racecheck kernels_test_level_device"]
    # cuBLAS' own kernels are not ours to judge.
    shutil.rmtree(gpu_check.out)
    tool.write_text("#!/bin/sh\ncase $* in *initcheck*cudnn*) ;; *) exit 0 ;; esac\n"
                    "echo '========= Uninitialized __global__ memory read of size 4 bytes'\n"
                    "echo '=========     at void gemmk1_kernel<float>(T1)+0x100'\n"
                    "echo '=========         Host Frame: sg_launch in level.cu:7'\nexit 86\n", encoding="utf-8")
    assert run_fake(gpu_check, bundle, *words).returncode == 0
    assert sum("note" in part for part in gpu_check.parts("sanitizer").values()) == 2
    shutil.rmtree(gpu_check.out)
    tool.write_text("#!/bin/sh\necho '========= Error: Device not supported. Please refer to ...'; exit 1\n",
                    encoding="utf-8")
    assert run_fake(gpu_check, bundle, *words).returncode == 0
    assert "refuses" in gpu_check.report["stages"]["sanitizer"]["reason"]


def test_peer_that_fails_is_no_failure_of_ours(gpu_check: GpuCheck, bundle: Path) -> None:
    assert run_fake(gpu_check, bundle, "first", "--stages", "pytorch,more", FAULT="gpu_torch=fail").returncode == 0
    assert gpu_check.status == {"devices": "ok", "pytorch": "skipped", "more": "skipped"}
    assert "it went wrong" in gpu_check.report["stages"]["pytorch"]["reason"]
    assert sum("gpu_torch.py" in call for call in calls(bundle)) == 1


def test_peer_that_had_too_little_time_is_run_again(gpu_check: GpuCheck, bundle: Path) -> None:
    assert run_fake(gpu_check, bundle, "first", "--stages", "pytorch", TORCH_CUT="1").returncode == 0
    assert gpu_check.status["pytorch"] == "cut" and len(gpu_check.parts("pytorch")) == 2
    assert run_fake(gpu_check, bundle, "first", "--stages", "pytorch").returncode == 0
    assert gpu_check.status["pytorch"] == "ok" and sum("gpu_torch.py" in call for call in calls(bundle)) == 2


# ---- time ----


def test_hanging_command(gpu_check: GpuCheck, bundle: Path) -> None:
    """It ignores SIGTERM, too.  The stage ends, those after it run, the limit holds, start and table included."""
    done = run_fake(gpu_check, bundle, "first", "--seconds", 24, "--stages", "ceilings,probe",
                    FAULT="bench device=hang")
    assert done.returncode == 1
    assert gpu_check.status == {"devices": "ok", "ceilings": "cut", "probe": "ok"}
    assert "was over during sipgpu bench device" in gpu_check.report["stages"]["ceilings"]["reason"]
    assert gpu_check.seconds < 24 and gpu_check.report["calls"][0]["seconds"] < 24
    assert leftovers(bundle) == "", "something is left running"


def test_little_time(gpu_check: GpuCheck, bundle: Path) -> None:
    """What is later is left out, and the report says so; what does as much as it can has not failed."""
    done = run_fake(gpu_check, bundle, "first", "--seconds", 12, FAULT="engine_test_reference=hang;gpu_torch=hang")
    assert done.returncode == 1
    assert_complete(gpu_check.report, "first")
    assert gpu_check.seconds < 12 + 8 and leftovers(bundle) == ""
    assert gpu_check.status["tests"] == "cut" and gpu_check.status["more"] == "cut"
    assert gpu_check.report["stages"]["more"]["reason"].endswith("was over before it began")


def start(bundle: Path, out: Path, *words: str, **env: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(bundle / "scripts/gpu_check"), *words, "--out", str(out), "--python",
                             str(bundle / "bin/interpreter")], env={**os.environ, **fake_environment(bundle, **env)},
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def wait_for_call(bundle: Path, text: str) -> None:
    for _ in range(400):
        if (bundle / "calls").exists() and text in (bundle / "calls").read_text(encoding="utf-8"):
            return
        time.sleep(0.05)
    raise AssertionError(f"{text} was not called")


def test_interrupted(gpu_check: GpuCheck, bundle: Path) -> None:
    """What was measured until then is in the report, no child is left, and the same call goes on."""
    with start(bundle, gpu_check.out, "first", "--stages", "bits,ceilings", FAULT="bench device=hang") as process:
        wait_for_call(bundle, "bench device")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM
    report = json.loads((gpu_check.out / "first.json").read_text(encoding="utf-8"))
    assert report["interrupted"] == "SIGTERM" and report["stages"]["bits"]["status"] == "ok"
    assert leftovers(bundle) == ""
    assert run_fake(gpu_check, bundle, "first", "--stages", "bits,ceilings").returncode == 0
    assert gpu_check.report["ok"] and "interrupted" not in gpu_check.report
    assert not any("compare" in call for call in calls(bundle))


def test_killed(gpu_check: GpuCheck, bundle: Path) -> None:
    """As a machine's own time limit does it, without a word before."""
    with start(bundle, gpu_check.out, "first", "--stages", "bits,ceilings",
               FAULT="bench compare --device cuda:0 --with cuda:0 --precision fp32=hang") as process:
        wait_for_call(bundle, "--precision fp32")
        os.killpg(process.pid, signal.SIGKILL)
        subprocess.run(["pkill", "-KILL", "-f", str(bundle / "bin/sipgpu")], check=False)
        process.wait(20)
    report = json.loads((gpu_check.out / "first.json").read_text(encoding="utf-8"))
    parts = report["stages"]["bits"]["parts"]
    done = [name for name, part in parts.items() if part["status"] == "ok"]
    assert done and parts["cuda fp32 again"]["status"] == "running"
    assert run_fake(gpu_check, bundle, "first", "--stages", "bits,ceilings").returncode == 0
    assert set(gpu_check.status.values()) == {"ok"}
    assert sum("bench compare" in call for call in calls(bundle)) == 6 - len(done)


def test_results_of_different_programs_are_not_mixed(gpu_check: GpuCheck, bundle: Path) -> None:
    assert run_fake(gpu_check, bundle, "first", "--stages", "ceilings").returncode == 0
    before = gpu_check.parts("ceilings")
    for words, env, reason in (([], {"COMMIT": "another"}, "0123456789ab"), (["--quick"], {}, "quick")):
        done = run_fake(gpu_check, bundle, "first", "--stages", "ceilings", *words, **env)
        assert done.returncode == 1 and reason in done.stderr and "--out" in done.stderr.splitlines()[-1]
        assert gpu_check.parts("ceilings") == before
    (gpu_check.out / "first.json").write_text("{", encoding="utf-8")
    done = subprocess.run([sys.executable, str(bundle / "scripts/gpu_check"), "first", "--out", str(gpu_check.out)],
                          env={**os.environ, **fake_environment(bundle)}, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "damaged" in done.stderr


# ---- the paper's runs ----


def test_runs_are_planned_by_their_rate(gpu_check: GpuCheck, bundle: Path) -> None:
    """Two layers take 12 ms: 60 s a seed.  Only those are begun that will end; a later call goes on with the rest."""
    words = ("paper", "--stages", "rate,train,pack")
    assert run_fake(gpu_check, bundle, "paper", "--stages", "train").returncode == 0
    assert gpu_check.status["train"] == "cut" and not any("--models 2." in call for call in calls(bundle))
    assert "the rate is not known" in " ".join(gpu_check.report["stages"]["train"]["notes"])
    run_fake(gpu_check, bundle, "first", "--stages", "bench", SLOWER="4")
    assert run_fake(gpu_check, bundle, *words).returncode == 0
    assert not any(" bench " in call for call in calls(bundle))
    before = gpu_check.parts("train")["model2.0"]
    # 382 s less what the fake takes and 22 s for checkpoints, over 1.15: five seeds, or fewer where it is slow.
    assert 1 <= before["seeds"] <= 5 and before["status"] == "cut"
    assert before["expected_seconds"] == pytest.approx(60 * before["seeds"], abs=30)
    # The next ones at the rate of these, of which the fake says that they took 11.5 s.
    assert gpu_check.parts("train")["model2.1"]["seeds"] == 10
    done = run_fake(gpu_check, bundle, *words)
    assert done.returncode == 0, done.stdout
    (again,) = [call for call in calls(bundle) if " experiment " in call]
    assert f"--models 2.0 --seeds 10 --jobs {10 - before['seeds']} " in again
    assert set(gpu_check.status.values()) == {"ok"}


def test_runs_that_would_not_end_are_not_begun(gpu_check: GpuCheck, bundle: Path) -> None:
    run_fake(gpu_check, bundle, "first", "--stages", "bench", SLOWER="4")
    done = run_fake(gpu_check, bundle, "paper", "--seconds", 60, "--stages", "rate,train,pack")
    assert done.returncode == 0, done.stdout
    assert gpu_check.status["train"] == "cut"
    assert sum("no more than 0 seeds" in note for note in gpu_check.report["stages"]["train"]["notes"]) == 2
    assert not any("--models 2." in call for call in calls(bundle))


def test_a_run_that_is_cut_leaves_checkpoints(gpu_check: GpuCheck, bundle: Path) -> None:
    done = run_fake(gpu_check, bundle, "paper", "--seconds", 45, "--stages", "rate,train,pack",
                    FAULT="--models 1.1=slow")
    assert done.returncode == 0 and gpu_check.seconds < 45, done.stderr
    runs = gpu_check.parts("train")
    assert runs["model1.0"]["status"] == "ok" and runs["model1.1"]["status"] == "cut" and len(runs) == 2
    assert min(runs["model1.1"]["epochs_done"]) == 21 and "epoch 21 of 500" in runs["model1.1"]["note"]
    assert len(list((gpu_check.out / "work/experiment/runs").glob("model1.1_*/checkpoint.h5"))) == 10
    assert gpu_check.report["stages"]["pack"]["records"] == 10 and leftovers(bundle) == ""
    assert run_fake(gpu_check, bundle, "paper", "--stages", "rate,train,pack").returncode == 0
    runs = gpu_check.parts("train")
    assert runs["model1.1"]["status"] == "ok" and runs["model1.1"]["resumed"] and not runs["model1.0"]["resumed"]
    assert not any("--models 1.0" in call and "literal" not in call for call in calls(bundle))
    assert gpu_check.report["stages"]["pack"]["records"] == 41


def test_goes_on_where_only_the_returned_files_are(gpu_check: GpuCheck, bundle: Path) -> None:
    """On another machine of the same kind: JSON and packs stand for the runs."""
    run_fake(gpu_check, bundle, "paper", "--seconds", 45, "--stages", "rate,train,pack", FAULT="--models 1.1=slow")
    assert gpu_check.report["stages"]["pack"]["records"] == 10
    shutil.rmtree(gpu_check.out / "work")
    assert run_fake(gpu_check, bundle, "paper", "--stages", "rate,train,pack").returncode == 0
    assert not any("--models 1.0" in call and "literal" not in call for call in calls(bundle))
    assert gpu_check.report["stages"]["pack"]["records"] == 41
    with tarfile.open(gpu_check.out / "records1.tar") as tar:
        assert len(tar.getnames()) == 41


def test_packs(gpu_check: GpuCheck, bundle: Path) -> None:
    """At most 6 files of at most 15 MB, which with JSON and log are 8; what does not fit is named."""
    for bytes_, records, packs, code in ((2_000_000, 41, 6, 0), (2_600_000, 30, 6, 1)):
        shutil.rmtree(gpu_check.out, ignore_errors=True)
        done = run_fake(gpu_check, bundle, "paper", "--stages", "rate,train,pack", RECORD_BYTES=str(bytes_))
        assert done.returncode == code
        entry = gpu_check.report["stages"]["pack"]
        assert (entry["records"], entry["packs"]) == (records, packs)
        files = sorted(gpu_check.out.glob("records*"))
        assert len(files) == packs and all(path.stat().st_size <= 15_000_000 for path in files)
        assert len([path for path in gpu_check.out.iterdir() if path.is_file()]) <= 8
        names = [name for path in files for name in tarfile.open(path).getnames()]
        assert len(set(names)) == len(names) == records
        assert all(name in entry["error"] for name in entry["left_out"])


def test_packing_is_tight() -> None:
    packs, left_out = paper.fill_packs([(100, "d"), (7_400_000, "a"), (7_400_000, "b"), (7_500_000, "c")])
    assert packs == [["b", "c", "d"], ["a"]] and not left_out  # the largest first
    assert paper.fill_packs([(15_000_000, "big")]) == ([], ["big"])


def test_clocks_are_those_under_load() -> None:
    lines = ["345, 2619, 90.1, 31, 0\n", "1980, 2619, 640.0, 52, 98\n", "1830, 2619, 690.0, 55, 100\n", "1905, 2", ""]
    assert medians(lines) == {"samples": 2, "clocks.sm": 1905, "clocks.mem": 2619, "power.draw": 665,
                              "temperature.gpu": 53.5, "utilization.gpu": 99}
    assert medians(["1980, 2619, 640.0, 52, [N/A]\n"])["clocks.sm"] == 1980 and medians([]) == {}


@pytest.mark.parametrize("words", [[], ["second"], ["first", "--device", "cpu"], ["first", "--stages", "train"],
                                   ["paper", "--seconds", "0"]])
def test_usage(words: list[str], tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(ROOT / "scripts/gpu_check"), *words], capture_output=True, text=True,
                          cwd=tmp_path, check=False)
    assert done.returncode == 2 and "usage: " in done.stderr and not list(tmp_path.iterdir())


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_torch_peer(corpus: Path, tmp_path: Path) -> None:
    """On the CPU: every way that runs there has a time, every other a reason."""
    words = [sys.executable, ROOT / "scripts/bench/gpu_torch.py", "--corpus", corpus, "--device", "cpu", "--batch", 32,
             "--layers", "1,2", "--precision", "fp32,fp16,bf16", "--mode", "eager,graphs", "--units", 12, "--steps", 12,
             "--warmup", 1, "--json", "--out", tmp_path / "t.json"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report == json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    cells = {(cell["precision"], cell["layers"], cell["rows"]): cell for cell in report["cells"]}
    assert list(cells) == [(precision, layers, rows) for layers in (1, 2) for precision in ("bf16", "fp16", "fp32")
                           for rows in ("padded", "unique")]  # the most important first
    rounding = report["error_against_float64"]
    has_bf16 = isinstance(rounding["bf16"], float)  # else the reason: PyTorch has no bf16 LSTM for every processor
    assert rounding["fp32"] < 1e-5 and (not has_bf16 or 1e-5 < rounding["bf16"] < 0.1)
    assert report["gpu"] is None and report["steps"] == 12 and report["warmup_seconds"] == 0
    for (precision, _, rows), cell in cells.items():
        for name, figures in cell["modes"].items():
            assert ("ms" in figures) != ("failed" in figures)
            if "failed" in figures:
                assert name.startswith("graphs") or precision == "fp16" or not has_bf16, (name, figures)
                continue
            assert figures["block_min_ms"] <= figures["ms"] * 1.5 and figures["block_max_ms"] >= 0.5 * figures["ms"]
            assert figures["steps"] == 12 and math.isfinite(figures["loss"])
            assert figures["rows_run"] == 32 if rows == "padded" else figures["rows_run"] < 24
        if precision == "fp32" or precision == "bf16" and has_bf16:
            assert cell["best_ms"] > 0 and cell["best"].startswith("eager")
    # Whatever the rows and the precision, it is the same training: 13 updates with the same batches.
    for (precision, layers, _), cell in cells.items():
        wanted = cells["fp32", layers, "padded"]["modes"]["eager"]["loss"]
        for name in ("eager", "eager, bfloat16", "eager, float16"):
            if "loss" in cell["modes"].get(name, {}):
                error = abs(cell["modes"][name]["loss"] / wanted - 1)
                assert error < (1e-5 if precision == "fp32" else 1e-3), (precision, layers, name, error)
    # On a CPU autocast does not run LSTMs in fp16, so it must not pass for it.
    assert all("failed" in figures for name, figures in cells["fp16", 1, "padded"]["modes"].items() if "autocast" in name)
    names = {precision: set(cells[precision, 1, "unique"]["modes"]) for precision in ("bf16", "fp16", "fp32")}
    assert names["bf16"] == {f"{mode}, bfloat16{units}" for mode in ("eager", "graphs") for units in ("", ", 16 units")}
    assert names["fp16"] == {f"{mode}, {variant}{units}" for mode in ("eager", "graphs")
                             for variant in ("autocast", "float16") for units in ("", ", 16 units")}
    assert names["fp32"] == {"eager", "graphs"}
    fastest = {(best["layers"], best["rows"]): best["best_ms"] for best in report["sixteen_bit"]}
    for layers, rows in ((1, "padded"), (1, "unique"), (2, "padded"), (2, "unique")):
        ran = [cells[precision, layers, rows]["best_ms"] for precision in ("bf16", "fp16")]
        assert fastest.pop((layers, rows), None) == min((ms for ms in ran if ms), default=None)
    assert not fastest


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_torch_peer_in_the_time_it_has(corpus: Path, tmp_path: Path) -> None:
    """What comes first is there; of the rest it says that there was no time."""
    words = [sys.executable, ROOT / "scripts/bench/gpu_torch.py", "--corpus", corpus, "--device", "cpu", "--batch", "64,32",
             "--precision", "fp32", "--rows", "padded", "--mode", "eager", "--units", 8, "--steps", 1, "--dropout", 0.5,
             "--warmup-seconds", 6, "--seconds", 5, "--json"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    first, second = (cell["modes"]["eager"] for cell in json.loads(done.stdout)["cells"])
    assert first["warmup_steps"] > 5 and second == {"failed": "no time left"}
