"""scripts/gpu_check: without a GPU, on emulated engines, and with programs that fail and hang; scripts/gpu_torch.py."""

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
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Sipgpu

STAGES = ["devices", "corpus", "reference", "agreement", "sanitizer", "ceilings", "bench", "moments", "train"]
NEED_GPU = STAGES[2:]

# Stands for the program, the tests and the interpreter that has PyTorch.  FAULT says which command does what.
FAKE = r'''
import json, os, signal, sys, time

name, words = os.path.basename(sys.argv[0]), sys.argv[1:]
command = " ".join([name, *words])
with open(os.environ["CALLS"], "a") as calls:
    calls.write(command + "\n")
for rule in filter(None, os.environ.get("FAULT", "").split(";")):
    pattern, _, fault = rule.partition("=")
    if pattern not in command:
        continue
    if fault == "slow":
        for run, epochs in (("a", 25), ("b", 20)):
            folder = os.path.join(words[words.index("--out") + 1], "runs", run)
            os.makedirs(folder)
            with open(os.path.join(folder, "history.csv"), "w") as f:
                f.write("epoch\n" + "1\n" * epochs)
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

def after(option, default=None):
    return words[words.index(option) + 1] if option in words else default

def answer():
    if name == "interpreter":
        if words[0] == "-c":
            return []
        cells = [{"precision": p, "batch": int(b), "layers": int(after("--layers")), "best": "graphs",
                  "modes": {"eager": {"ms": 9.0}, "graphs": {"ms": 7.0}, "compile": {"failed": "too slow"}}}
                 for p in after("--precision").split(",") for b in after("--batch").split(",")]
        with open(after("--out"), "w") as f:
            json.dump({"torch": "2", "cells": cells}, f)
        return {}
    if words[0] == "version":
        return {"tool": "sipgpu 0.1.0 (0123456789ab)"}
    if words[0] == "devices":
        return [{"device": d, "usable": True, "description": "a fake"} for d in ("cpu", "cuda:0", "cudnn:0")]
    if words[:2] == ["bench", "compare"]:
        same = after("--precision") == after("--with-precision") and after("--device") == after("--with")
        return {"loss": [[1, 1]], "loss_difference": 0 if same else float(os.environ.get("DIFFERENCE", "1e-6")),
                "weights_difference": 0, "identical": same and os.environ.get("DIFFERENT") not in ("1", after("--graphs") == "on" and "graphs")}
    if words[:2] == ["bench", "device"]:
        return {"copy_gbs": 4000, "gemm_gflops": 700000, "moments_gbs": 3000}
    if words[:2] == ["bench", "train"]:
        seeds, cuda = int(after("--seeds")), after("--device").startswith("cuda")
        step = (1.0 if after("--graphs") == "on" else 1.5) if cuda else 6.0
        return {"engine": "fake", "step_ms": step * seeds, "step_ms_per_seed": step, "gflops": 399000, "product_gflops": 420000,
                "product_share": 0.8, "steps": 30}
    if words[0] == "train":
        return {"epochs": 500, "updates": 5500, "seconds": 11.0, "device": "fake",
                "splits": {split: {"p_d": {"value": 0.999}} for split in ("train", "validation", "test")}}
    if words[0] == "experiment":
        return {"runs": [{"p_d": {"train": 0.999}}]}
    if words[:2] == ["corpus", "synth"]:
        print("made it", file=sys.stderr)
        open(after("--out"), "w").close()

if "_test_" in name:
    print("[  PASSED  ] 7 test(s).")
else:
    print(json.dumps(answer()))
'''


class GpuCheck:
    """Runs the script; `report` is the JSON of the last run."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.report: dict[str, Any] = {}
        self.seconds = 0.0

    def __call__(self, *words: Any, script: Path = ROOT / "scripts/gpu_check", env: dict[str, str] | None = None,
                 limit: float = 120) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", **(env or {})}
        begun = time.monotonic()
        done = subprocess.run([sys.executable, str(script), "--out", str(self.folder / "out"), *map(str, words)],
                              capture_output=True, text=True, timeout=limit, env=environment, check=False)
        self.seconds = time.monotonic() - begun
        self.report = json.loads((self.folder / "out/gpu_check.json").read_text(encoding="utf-8"))
        return done

    @property
    def status(self) -> dict[str, str]:
        return {name: entry["status"] for name, entry in self.report["stages"].items()}

    @property
    def met(self) -> dict[str, bool | None]:
        return {row["name"]: row["met"] for row in self.report["targets"]}


@pytest.fixture
def gpu_check(tmp_path: Path) -> GpuCheck:
    return GpuCheck(tmp_path)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """An unpacked archive in which every program is the fake."""
    top = tmp_path / "sipgpu"
    programs = ["bin/sipgpu", "bin/interpreter", "tests/engine_test_reference", "tests/engine_test_engine",
                "tests/kernels_test_level_device", "bin/compute-sanitizer"]
    for program in programs:
        path = top / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!{sys.executable} -S\n{FAKE}", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    # What the sanitizer says of a clean program.
    (top / "bin/compute-sanitizer").write_text("#!/bin/sh\necho '========= ERROR SUMMARY: 0 errors'\n",
                                               encoding="utf-8")
    (top / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/gpu_check", top / "scripts/gpu_check")
    return top


def run_fake(gpu_check: GpuCheck, bundle: Path, *words: Any, **env: str) -> subprocess.CompletedProcess[str]:
    return gpu_check("--python", bundle / "bin/interpreter", *words, script=bundle / "scripts/gpu_check",
                     env={"CALLS": str(bundle / "calls"), "PATH": f"{bundle / 'bin'}:{os.environ['PATH']}", **env})


def assert_complete(report: dict[str, Any]) -> None:
    """What docs/gpu.md promises of every report."""
    assert report["format"] == "sipgpu-gpu-check" and report["version"] == 1
    assert {"command", "date", "device", "quick", "emulated", "minutes", "seconds", "ok"} <= report.keys()
    assert list(report["stages"]) == STAGES
    for name, entry in report["stages"].items():
        assert entry["status"] in ("ok", "failed", "skipped"), name
        assert entry["seconds"] >= 0 and entry["limit_seconds"] >= 0
        assert entry["status"] != "skipped" or entry["reason"]
        assert entry["status"] != "failed" or entry["failures"]
    for row in report["targets"]:
        assert row.keys() == {"name", "wanted", "value", "measured", "met"}


def test_without_gpu(gpu_check: GpuCheck, sipgpu: Sipgpu, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = gpu_check("--build", sipgpu.program.parent, "--emulated", tmp_path / "empty")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_complete(gpu_check.report)
    assert gpu_check.status == {**dict.fromkeys(STAGES, "ok"), **dict.fromkeys(NEED_GPU, "skipped")}
    for name in NEED_GPU:
        assert gpu_check.report["stages"][name]["reason"].startswith("no GPU: ")
    assert not any(gpu_check.met.values())
    devices = gpu_check.report["stages"]["devices"]
    assert devices["machine"]["processor"] and devices["version"]["tool"].startswith("sipgpu ")
    assert len(done.stdout.splitlines()) <= 60


def test_emulated(gpu_check: GpuCheck, sipgpu: Sipgpu) -> None:
    modules = sipgpu.program.parent / "emulated"
    if not (modules / "sipgpu_cuda.so").exists():
        pytest.skip("there are no emulated engines in this build")
    done = gpu_check("--build", sipgpu.program.parent, "--emulated", modules, "--quick", "--minutes", 4, "--python",
                     sys.executable, limit=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_complete(gpu_check.report)
    assert gpu_check.status == {**dict.fromkeys(STAGES, "ok"), "sanitizer": "skipped"}
    stages = gpu_check.report["stages"]
    assert stages["reference"]["passed"] > 20 and stages["reference"]["failed"] == 0
    assert sum(run["identical"] for run in stages["agreement"]["runs"] if run["bound"] == 0) == 3
    for cell in stages["bench"]["cells"]:
        if cell["precision"] == "bf16":
            assert cell["cuda_ms"] > 0 and cell["cudnn_ms"] > 0
    assert stages["train"]["one"]["epochs"] == 2 and len(stages["train"]["many"]["p_d"]) == 2
    # Tiny shapes say nothing about speed.
    assert gpu_check.met["moments, share of the copy bandwidth"] is None
    assert gpu_check.met["the same seed gives the same bits"] is True


def test_all_targets(gpu_check: GpuCheck, bundle: Path) -> None:
    done = run_fake(gpu_check, bundle, "--minutes", 2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_complete(gpu_check.report)
    assert set(gpu_check.status.values()) == {"ok"}, gpu_check.report
    assert all(gpu_check.met.values()), gpu_check.met
    assert len(done.stdout.splitlines()) <= 60
    cell = gpu_check.report["stages"]["bench"]["cells"][0]
    assert cell["torch_over_cuda"] == pytest.approx(7.0) and cell["torch_way"] == "graphs"
    assert cell["cudnn_over_cuda"] == pytest.approx(6.0) and cell["products_of_peak"] == pytest.approx(0.6)
    assert cell["products_of_peak_many"] == pytest.approx(0.57)
    log = (gpu_check.folder / "out/gpu_check.log").read_text()
    parts = dict(zip(STAGES, re.split(r"^===== .*$", log, flags=re.MULTILINE)[1:]))
    for name in STAGES:
        assert name == "moments" or "[ended with status 0" in parts[name]


@pytest.mark.parametrize("fault", ["fail", "crash", "garbage"])
def test_failing_command(gpu_check: GpuCheck, bundle: Path, fault: str) -> None:
    done = run_fake(gpu_check, bundle, "--minutes", 2, "--stages", "agreement,ceilings,train",
                    FAULT=f"bench compare --device cuda:0 --with cpu={fault}")
    assert done.returncode == 1
    assert gpu_check.status == {"devices": "ok", "agreement": "failed", "ceilings": "ok", "train": "ok"}
    entry = gpu_check.report["stages"]["agreement"]
    assert len(entry["failures"]) == 1 and len(entry["runs"]) == 12  # the other comparisons ran
    expected = {"fail": "it went wrong", "crash": "SIGSEGV", "garbage": "no JSON"}[fault]
    assert expected in entry["failures"][0]


def test_wrong_figures(gpu_check: GpuCheck, bundle: Path) -> None:
    done = run_fake(gpu_check, bundle, "--stages", "agreement", DIFFERENCE="nan", DIFFERENT="1")
    assert done.returncode == 1
    failures = gpu_check.report["stages"]["agreement"]["failures"]
    assert sum("not the same bits" in text for text in failures) == 9
    assert sum("nan apart" in text for text in failures) == 2
    assert gpu_check.met["cuda and cpu, fp32: difference of the losses"] is False
    assert gpu_check.met["the same seed gives the same bits"] is False
    assert gpu_check.met["and so it does as graphs"] is False


def test_wrong_graphs(gpu_check: GpuCheck, bundle: Path) -> None:
    """Whatever a graph gets wrong is found, though kernels launched one by one are right."""
    assert run_fake(gpu_check, bundle, "--stages", "agreement", DIFFERENT="graphs").returncode == 1
    failures = gpu_check.report["stages"]["agreement"]["failures"]
    assert len(failures) == 6 and all(", graphs" in text for text in failures)
    assert gpu_check.met["the same seed gives the same bits"] is True
    assert gpu_check.met["and so it does as graphs"] is False


def test_failing_unit_test(gpu_check: GpuCheck, bundle: Path) -> None:
    program = bundle / "tests/engine_test_engine"
    program.write_text("#!/bin/sh\necho '[ RUN      ] test_that'\necho '[  ERROR   ] --- 0x1 != 0x2' >&2\n"
                       "echo '[  PASSED  ] 3 test(s).'\necho '[  FAILED  ] 1 test(s), listed below:' >&2\nexit 1\n",
                       encoding="utf-8")
    (bundle / "tests/kernels_test_level_device").write_text("#!/bin/sh\nkill -11 $$\n", encoding="utf-8")
    done = run_fake(gpu_check, bundle, "--stages", "reference")
    assert done.returncode == 1
    entry = gpu_check.report["stages"]["reference"]
    assert (entry["passed"], entry["failed"]) == (7 + 7 + 3 + 3, 3)
    assert any("0x1 != 0x2" in text for text in entry["failures"])
    assert any("SIGSEGV" in text for text in entry["failures"])


def test_sanitizer_findings(gpu_check: GpuCheck, bundle: Path) -> None:
    tool = bundle / "bin/compute-sanitizer"
    tool.write_text("#!/bin/sh\ncase $* in *racecheck*kernels*) ;; *) exit 0 ;; esac\n"
                    "echo '========= Error: Race reported between Read access at kernel(int)+0x10 in level.cu:7'\n"
                    "echo '========= RACECHECK SUMMARY: 1 hazard displayed'\nexit 86\n", encoding="utf-8")
    assert run_fake(gpu_check, bundle, "--stages", "sanitizer").returncode == 1
    failures = gpu_check.report["stages"]["sanitizer"]["failures"]
    assert len(failures) == 1 and "Race reported" in failures[0] and "kernels_test_level_device" in failures[0]
    # cuBLAS' own kernels are not ours to judge.
    tool.write_text("#!/bin/sh\ncase $* in *initcheck*cudnn*) ;; *) exit 0 ;; esac\n"
                    "echo '========= Uninitialized __global__ memory read of size 4 bytes'\n"
                    "echo '=========     at void gemmk1_kernel<float>(T1)+0x100'\n"
                    "echo '=========         Host Frame: sg_launch in level.cu:7'\nexit 86\n", encoding="utf-8")
    assert run_fake(gpu_check, bundle, "--stages", "sanitizer").returncode == 0
    assert len(gpu_check.report["stages"]["sanitizer"]["notes"]) == 2
    tool.write_text("#!/bin/sh\necho '========= Error: Device not supported. Please refer to ...'; exit 1\n",
                    encoding="utf-8")
    assert run_fake(gpu_check, bundle, "--stages", "sanitizer").returncode == 0
    assert "refuses" in gpu_check.report["stages"]["sanitizer"]["reason"]


def test_hanging_command(gpu_check: GpuCheck, bundle: Path) -> None:
    """It ignores SIGTERM, too.  The stage ends, those after it run, the deadline holds."""
    done = run_fake(gpu_check, bundle, "--minutes", 0.4, "--stages", "ceilings,train", FAULT="bench device=hang")
    assert done.returncode == 1
    assert gpu_check.status == {"devices": "ok", "ceilings": "skipped", "train": "ok"}
    assert "was over during sipgpu bench device" in gpu_check.report["stages"]["ceilings"]["reason"]
    assert gpu_check.seconds < 60 * 0.4 + 8
    processes = subprocess.run(["pgrep", "-f", str(bundle)], capture_output=True, text=True, check=False)
    assert processes.stdout == "", "something is left running"


def test_slow_seeds(gpu_check: GpuCheck, bundle: Path) -> None:
    """An experiment that does not fit is scaled from what its slowest run reached."""
    run_fake(gpu_check, bundle, "--minutes", 0.22, "--stages", "train", FAULT="experiment=slow")
    entry = gpu_check.report["stages"]["train"]
    assert entry["status"] == "ok" and "20 epochs of 500" in entry["note"]
    assert entry["many"]["epochs"] == 20 and entry["many"]["p_d"] is None
    assert entry["many"]["seconds_for_all_epochs"] == pytest.approx(25 * entry["many"]["wall_seconds"])


def test_deadline(gpu_check: GpuCheck, bundle: Path) -> None:
    """Little time: what is later is left out, and the report says so."""
    done = run_fake(gpu_check, bundle, "--minutes", 0.1, FAULT="bench train=hang")
    assert done.returncode == 1
    assert_complete(gpu_check.report)
    assert gpu_check.seconds < 60 * 0.1 + 8
    assert gpu_check.status["devices"] == "ok"
    assert gpu_check.report["stages"]["bench"]["out_of_time"] and not gpu_check.report["stages"]["bench"]["runs"]
    assert gpu_check.report["stages"]["train"]["reason"].endswith("was over before it began")


def test_interrupted(bundle: Path, tmp_path: Path) -> None:
    """What was measured until then is in the report, and no child is left."""
    environment = {**os.environ, "CALLS": str(bundle / "calls"), "FAULT": "bench device=hang"}
    words = [sys.executable, bundle / "scripts/gpu_check", "--out", tmp_path / "out", "--stages", "ceilings",
             "--python", bundle / "bin/interpreter"]
    with subprocess.Popen(list(map(str, words)), env=environment, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        for _ in range(200):
            if (bundle / "calls").exists() and "bench device" in (bundle / "calls").read_text(encoding="utf-8"):
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM
    report = json.loads((tmp_path / "out/gpu_check.json").read_text(encoding="utf-8"))
    assert report["interrupted"] == "SIGTERM" and report["stages"]["devices"]["status"] == "ok"
    assert subprocess.run(["pgrep", "-f", str(bundle)], capture_output=True, text=True, check=False).stdout == ""


@pytest.mark.parametrize("words", [["--device", "cpu"], ["--stages", "nothing"], ["--minutes", "0"]])
def test_usage(words: list[str], tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(ROOT / "scripts/gpu_check"), *words], capture_output=True, text=True,
                          cwd=tmp_path, check=False)
    assert done.returncode == 2 and "usage: " in done.stderr


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_torch_peer(corpus: Path, tmp_path: Path) -> None:
    """On the CPU: every way that runs there has a time, every other a reason."""
    words = [sys.executable, ROOT / "scripts/gpu_torch.py", "--corpus", corpus, "--device", "cpu", "--batch", 32,
             "--layers", "1,2", "--precision", "fp32,fp16,bf16", "--mode", "eager,graphs", "--units", 12, "--steps", 12,
             "--warmup", 1, "--json", "--out", tmp_path / "t.json"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report == json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    cells = {(cell["precision"], cell["layers"], cell["rows"]): cell for cell in report["cells"]}
    assert list(cells) == [(precision, layers, rows) for layers in (1, 2) for precision in ("bf16", "fp16", "fp32")
                           for rows in ("padded", "unique")]  # the most important first
    assert report["error_against_float64"]["fp32"] < 1e-5 < report["error_against_float64"]["bf16"] < 0.1
    assert report["gpu"] is None and report["steps"] == 12 and report["warmup_seconds"] == 0
    for (precision, _, rows), cell in cells.items():
        for name, figures in cell["modes"].items():
            assert ("ms" in figures) != ("failed" in figures)
            if "failed" in figures:
                assert name.startswith("graphs") or precision == "fp16", (name, figures)
                continue
            assert figures["block_min_ms"] <= figures["ms"] * 1.5 and figures["block_max_ms"] >= 0.5 * figures["ms"]
            assert figures["steps"] == 12 and math.isfinite(figures["loss"])
            assert figures["rows_run"] == 32 if rows == "padded" else figures["rows_run"] < 24
        if precision != "fp16":
            assert cell["best_ms"] > 0 and cell["best"].startswith("eager")
    # On a CPU autocast does not run LSTMs in fp16, so it must not pass for it.
    assert all("failed" in figures for name, figures in cells["fp16", 1, "padded"]["modes"].items() if "autocast" in name)
    names = {precision: set(cells[precision, 1, "unique"]["modes"]) for precision in ("bf16", "fp16", "fp32")}
    assert names["bf16"] == {f"{mode}, bfloat16{units}" for mode in ("eager", "graphs") for units in ("", ", 16 units")}
    assert names["fp16"] == {f"{mode}, {variant}{units}" for mode in ("eager", "graphs")
                             for variant in ("autocast", "float16") for units in ("", ", 16 units")}
    assert names["fp32"] == {"eager", "graphs"}
    assert [(best["layers"], best["rows"]) for best in report["sixteen_bit"]] == [
        (1, "padded"), (1, "unique"), (2, "padded"), (2, "unique")]
    for best in report["sixteen_bit"]:
        ran = [cells[precision, best["layers"], best["rows"]]["best_ms"] for precision in ("bf16", "fp16")]
        assert best["best_ms"] == min(ms for ms in ran if ms)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_torch_peer_in_the_time_it_has(corpus: Path, tmp_path: Path) -> None:
    """What comes first is there; of the rest it says that there was no time."""
    words = [sys.executable, ROOT / "scripts/gpu_torch.py", "--corpus", corpus, "--device", "cpu", "--batch", "64,32",
             "--precision", "fp32", "--rows", "padded", "--mode", "eager", "--units", 8, "--steps", 1, "--dropout", 0.5,
             "--warmup-seconds", 6, "--seconds", 5, "--json"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    first, second = (cell["modes"]["eager"] for cell in json.loads(done.stdout)["cells"])
    assert first["warmup_steps"] > 5 and second == {"failed": "no time left"}
