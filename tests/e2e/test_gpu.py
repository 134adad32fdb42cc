"""The GPU engines as a user meets them, emulated on the host (tests/emulator), and the reasons why they are refused."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable

import numpy as np
import pytest
from conftest import Result, Sipgpu, assert_same_tensors, history, settings, tensors

RUN = settings(model__units=24, model__forget_bias=3, train__epochs=6, train__batch_size=93, train__eval_every=2,
               train__checkpoint_every=2, train__clip_norm=1)
ENGINES = ("cuda", "cudnn")


@pytest.fixture(scope="session")
def modules(sipgpu: Sipgpu) -> Path:
    folder = sipgpu.program.parent / "emulated"
    if not (folder / "sipgpu_cuda.so").is_file():
        pytest.skip("this build has no GPU engines (the CUDA toolkit was not found)")
    return folder


@pytest.fixture(scope="session")
def gpu(sipgpu: Sipgpu, modules: Path) -> Sipgpu:
    """The program where its GPU engines are the emulated ones."""
    emulated = Sipgpu(sipgpu.program)
    emulated.environment["SIPGPU_MODULES"] = str(modules)
    return emulated


def train(gpu: Sipgpu, corpus: Path, folder: Path, device: str, *words: object, **options: object) -> Result:
    return gpu("train", "--corpus", corpus, "--out", folder, "--device", device, "--precision", "fp32", *RUN, *words,
               **options)


@pytest.fixture(scope="session")
def runs(gpu: Sipgpu, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same training on each engine.  Tests must not change them."""
    folders = {}
    for device in ("cpu", *ENGINES):
        folders[device] = tmp_path_factory.mktemp(device) / "run"
        result = train(gpu, corpus, folders[device], device)
        assert result.code == 0, result.err
    return folders


# ---- devices ----


def devices(gpu: Sipgpu, **env: str) -> dict[str, tuple[bool, str]]:
    listed = gpu.ok("devices", "--json", env=env).json
    return {d["device"]: (d["usable"], d["description"]) for d in listed}


def test_devices_are_listed(gpu: Sipgpu) -> None:
    found = devices(gpu, CUDA_EMULATOR_DEVICES="2")
    assert list(found) == ["cpu", "cuda:0", "cuda:1", "cudnn:0", "cudnn:1"]
    assert all(usable for usable, _ in found.values())
    assert "sm_90" in found["cuda:1"][1] and "cuDNN" in found["cudnn:0"][1]
    table = gpu.ok("devices").out.splitlines()
    assert [line.split()[0] for line in table] == ["cpu", "cuda:0", "cudnn:0"]


@pytest.mark.parametrize("env, reason", [
    ({"CUDA_EMULATOR_DEVICES": "0"}, "no GPU"),
    ({"CUDA_EMULATOR_DEVICES": "driver"}, "driver"),
    ({"CUDA_EMULATOR_SM": "70"}, "too old"),
    ({"SIPGPU_MODULES": "/nonexistent"}, "no engine module"),
])
def test_reasons_against_a_gpu(gpu: Sipgpu, corpus: Path, tmp_path: Path, env: dict[str, str], reason: str) -> None:
    found = devices(gpu, **env)
    refused = [name for name in found if name != "cpu"]
    assert found["cpu"][0] and refused
    for name in refused:
        assert not found[name][0] and reason in found[name][1]
    gpu.refuses("train", "--corpus", corpus, "--out", tmp_path / "run", "--device", "cuda", *RUN,
                names=("device cuda", reason), env=env)
    # auto says why it takes the CPU, and takes it.
    result = gpu.ok("train", "--corpus", corpus, "--out", tmp_path / "auto", *RUN, *settings(train__epochs=1), env=env)
    assert any(line.startswith("device") and "cpu" in line and reason in line for line in result.err.splitlines())


def test_auto_takes_the_gpu_and_says_so(gpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    result = gpu.ok("train", "--corpus", corpus, "--out", tmp_path / "run", *RUN, *settings(train__epochs=1))
    assert any(line.startswith("device") and "cuda:0" in line for line in result.err.splitlines())


def test_a_device_that_is_not_there(gpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    for engine in ENGINES:
        gpu.refuses("train", "--corpus", corpus, "--out", tmp_path / "run", "--device", f"{engine}:7", *RUN,
                    names=(f"device {engine}:7", "7"))
    assert not (tmp_path / "run").exists()


def test_a_module_of_another_version(gpu: Sipgpu, modules: Path, tmp_path: Path) -> None:
    shutil.copyfile(modules.parent / "src/sipdetect/libsipdetect.so", tmp_path / "sipgpu_cuda.so")
    (tmp_path / "sipgpu_cudnn.so").write_bytes(b"not a library")
    found = devices(gpu, SIPGPU_MODULES=str(tmp_path))
    assert "another version" in found["cuda"][1]
    assert "sipgpu_cudnn.so" in found["cudnn"][1]


def test_a_library_that_is_too_old(gpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    """A module asks it for a function that it does not have yet."""
    (tmp_path / "old.c").write_text("int cublasFromTheFuture(void); int f(void) { return cublasFromTheFuture(); }\n",
                                    encoding="utf-8")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "sipgpu_cuda.so", tmp_path / "old.c"], check=True)
    env = {"SIPGPU_MODULES": str(tmp_path)}
    usable, reason = devices(gpu, **env)["cuda"]
    assert not usable and "older than the module needs" in reason and "cublasFromTheFuture" in reason
    gpu.refuses("train", "--corpus", corpus, "--out", tmp_path / "run", "--device", "cuda", *RUN,
                names=("device cuda", "cublasFromTheFuture"), env=env)


def test_cudnn_too_old_for_bf16(gpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    """Its LSTM is wrong in bf16 before 9.13: never silently used, and everything else still is."""
    env = {"CUDA_EMULATOR_CUDNN_VERSION": "91202"}
    words = ("train", "--corpus", corpus, "--out", tmp_path / "run", *RUN)
    gpu.refuses(*words, "--device", "cudnn", "--precision", "bf16", names=("bf16", "cuDNN 9.13", "9.12.2"), env=env)
    assert "too old for bf16" in devices(gpu, **env)["cudnn:0"][1]
    assert "too old" not in devices(gpu, CUDA_EMULATOR_CUDNN_VERSION="91300")["cudnn:0"][1]
    shape = ("--json", "--no-peak", "--corpus", corpus, "--units", 20, "--batch", 50, "--steps", 2, "--warmup", 0)
    for device, precision, expected in (("cudnn", "auto", "fp32"), ("cudnn", "tf32", "tf32"), ("cuda", "bf16", "bf16")):
        report = gpu.ok("bench", "train", *shape, "--device", device, "--precision", precision, env=env).json
        assert report["precision"] == expected


def test_precisions_that_do_not_go_with_a_device(gpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    words = ("train", "--corpus", corpus, "--out", tmp_path / "run", *RUN)
    gpu.refuses(*words, "--device", "cpu", "--precision", "tf32", names=("tf32", "fp32"))
    for precision in ("bf16", "tf32"):
        for engine in ENGINES:
            gpu.refuses(*words, "--device", engine, "--precision", precision, names=(precision, "sm_75"),
                        env={"CUDA_EMULATOR_SM": "75"})


# ---- training ----


@pytest.mark.parametrize("device", ENGINES)
def test_training_agrees_with_the_cpu(gpu: Sipgpu, corpus: Path, runs: dict[str, Path], device: str) -> None:
    mine, cpu = history(runs[device]), history(runs["cpu"])
    assert len(mine) == len(cpu) == 6
    for a, b in zip(mine, cpu):
        assert float(a["loss"]) == pytest.approx(float(b["loss"]), rel=1e-4)
        assert float(a["gradient_norm"]) == pytest.approx(float(b["gradient_norm"]), rel=1e-2)
    for name, wanted in tensors(runs["cpu"] / "model.h5", "params").items():
        got = tensors(runs[device] / "model.h5", "params")[name]
        assert np.linalg.norm(got - wanted) <= 1e-2 * np.linalg.norm(wanted), name
    # The model knows nothing of the device: any engine runs it.
    words = ("detect", "--json", "--model", runs[device] / "model.h5", "--corpus", corpus, "--precision", "fp32")
    a, b = (gpu.ok(*words, "--device", d).json for d in (device, "cpu"))
    for skip in ("device", "inference_seconds"):
        a.pop(skip), b.pop(skip)
    assert a.keys() == b.keys()


@pytest.mark.parametrize("device", ENGINES)
def test_the_same_bits_twice(gpu: Sipgpu, corpus: Path, tmp_path: Path, runs: dict[str, Path], device: str) -> None:
    assert train(gpu, corpus, tmp_path / "again", device, env={"CUDA_EMULATOR_LATE": "1"}).code == 0
    assert_same_tensors(tmp_path / "again/model.h5", runs[device] / "model.h5", "params", "thresholds", "kmeans")
    assert history(tmp_path / "again") == history(runs[device])


def test_graphs_that_cannot_be_captured_are_refused_clearly(gpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    result = train(gpu, corpus, tmp_path / "run", "cuda", *settings(engine__graphs=True))
    assert result.code in (0, 1)
    if result.code:
        assert "graph" in result.err.splitlines()[-1]


def test_an_interrupted_run_goes_on_bit_for_bit(gpu: Sipgpu, corpus: Path, tmp_path: Path,
                                                runs: dict[str, Path]) -> None:
    words = ("train", "--corpus", corpus, "--out", tmp_path / "run", "--device", "cuda", "--precision", "fp32", *RUN)
    process = gpu.start(*words)
    while not (tmp_path / "run/history.csv").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=120)[1]
    if process.returncode:
        assert "--resume" in err.splitlines()[-1]
        assert train(gpu, corpus, tmp_path / "run", "cuda", "--resume").code == 0
    assert_same_tensors(tmp_path / "run/model.h5", runs["cuda"] / "model.h5", "params")


def test_checkpoints_within_epochs(gpu: Sipgpu, corpus: Path, tmp_path: Path, runs: dict[str, Path],
                                   fault: Callable[..., dict[str, str]]) -> None:
    """Taken between updates of which the device has the next under way; killed at some of them."""
    words, updates = settings(train__checkpoint_every=0, train__checkpoint_seconds=1e-6), []
    for count in (2, 3, 2, 5, 2):
        result = train(gpu, corpus, tmp_path / "run", "cuda", *words, "--resume", env=fault(f"rename:{count}:kill"))
        updates += re.findall(r"resuming after epoch \d+, update (\d+)", result.err)
        assert result.code in (0, -signal.SIGKILL)
        if result.code == 0:
            break
    result = train(gpu, corpus, tmp_path / "run", "cuda", *words, "--resume")
    assert result.code == 0 and any(int(update) % 11 for update in updates)
    assert_same_tensors(tmp_path / "run/model.h5", runs["cuda"] / "model.h5", "params")
    assert history(tmp_path / "run") == history(runs["cuda"])


@pytest.mark.parametrize("layers, dropout", [(1, 0.5), (2, 0), (2, 0.5)], ids=["model 1.1", "model 2.0", "model 2.1"])
@pytest.mark.parametrize("padding", ["post", "mask"])
@pytest.mark.parametrize("batching", ["trie", "unique"])
def test_other_models(gpu: Sipgpu, corpus: Path, layers: int, dropout: float, padding: str, batching: str) -> None:
    for device in ENGINES:
        report = gpu.ok("bench", "compare", "--json", "--corpus", corpus, "--layers", layers, "--dropout", dropout,
                        "--padding", padding, "--batching", batching, "--units", 20, "--batch", 50, "--steps", 4,
                        "--device", device, "--precision", "fp32").json
        assert report["loss_difference"] < 1e-5 and report["weights_difference"] < 1e-3


def test_an_engine_agrees_with_itself_to_the_bit(gpu: Sipgpu, corpus: Path) -> None:
    for device in ENGINES:
        for precision in ("fp32", "tf32", "bf16"):
            report = gpu.ok("bench", "compare", "--json", "--corpus", corpus, "--units", 20, "--batch", 50, "--steps", 3,
                            "--device", device, "--with", device, "--precision", precision, "--with-precision",
                            precision).json
            assert report["identical"], (device, precision)


# ---- failures in the middle of a run ----


@pytest.mark.parametrize("device", ENGINES)
def test_a_device_that_dies(gpu: Sipgpu, corpus: Path, tmp_path: Path, runs: dict[str, Path], device: str) -> None:
    """The last checkpoint is left, and from there the run ends as if nothing had happened."""
    seen = set()
    for after in (1, 40, 700, 2500, 6000, 12000):
        folder = tmp_path / str(after)
        result = train(gpu, corpus, folder, device, env={"CUDA_EMULATOR_FAIL_AFTER": str(after)})
        if result.code == 0:
            break
        lines = [line for line in result.err.splitlines() if line.startswith("sipgpu: ")]
        assert result.code == 1 and len(lines) == 1 and lines[0] == result.err.splitlines()[-1], result.err
        seen.add("checkpoint" if (folder / "checkpoint.h5").exists() else "nothing")
        if (folder / "checkpoint.h5").exists():
            assert "is intact: go on with --resume" in lines[0]
            assert train(gpu, corpus, folder, device, "--resume").code == 0
            assert_same_tensors(folder / "model.h5", runs[device] / "model.h5", "params")
    assert seen == {"checkpoint", "nothing"}


@pytest.mark.parametrize("device", ENGINES)
def test_a_device_that_runs_out_of_memory(gpu: Sipgpu, corpus: Path, tmp_path: Path, runs: dict[str, Path],
                                          device: str) -> None:
    """Nothing is lost: the state is saved after the last update that was done."""
    for after in range(6, 100, 6):
        folder = tmp_path / str(after)
        result = train(gpu, corpus, folder, device, env={"CUDA_EMULATOR_FAIL_MALLOC_AFTER": str(after)})
        line = result.err.splitlines()[-1]
        assert result.code == 1 and line.startswith("sipgpu: "), result.err
        assert "memory" in line or "MiB" in line
        if "the state after update" in line:
            break
    assert "the state after update" in line
    assert train(gpu, corpus, folder, device, "--resume").code == 0
    assert_same_tensors(folder / "model.h5", runs[device] / "model.h5", "params")


def test_a_device_too_small(gpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    line = gpu.refuses("train", "--corpus", corpus, "--out", tmp_path / "run", "--device", "cuda", *RUN, alone=False,
                       names=("MiB",), env={"CUDA_EMULATOR_MEMORY": str(65 << 20)})
    assert "wanted" in line


# ---- many runs at once ----


def test_seeds_at_once_are_as_alone(gpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    words = ("experiment", "--corpus", corpus, "--models", "1.0,2.1", "--seeds", 2, "--device", "cuda", *RUN,
             *settings(train__epochs=2))
    for jobs in (1, 4):
        gpu.ok(*words, "--jobs", jobs, "--out", tmp_path / str(jobs))
    for run in sorted((tmp_path / "1/runs").iterdir()):
        assert_same_tensors(run / "model.h5", tmp_path / "4/runs" / run.name / "model.h5", "params")


# ---- other commands ----


def test_gradients_agree(gpu: Sipgpu, corpus: Path, quick_run: Path, tmp_path: Path) -> None:
    words = ("gradients", "--model", quick_run / "model.h5", "--corpus", corpus, "--rows", "0:60", "--precision",
             "fp32")
    for device in ("cpu", *ENGINES):
        gpu.ok(*words, "--device", device, "--out", tmp_path / f"{device}.h5")
    wanted = tensors(tmp_path / "cpu.h5")
    for device in ENGINES:
        for name, value in tensors(tmp_path / f"{device}.h5").items():
            if value.dtype.kind == "f":
                assert np.linalg.norm(value - wanted[name]) <= 1e-4 * np.linalg.norm(wanted[name]), (device, name)


@pytest.mark.parametrize("device, runs", [
    ("cuda", {"trie": "trie", "unique": "unique", "dense": "dense"}),
    ("cudnn", {"trie": "dense", "unique": "unique", "dense": "dense"}),
])
def test_rows_that_run(gpu: Sipgpu, corpus: Path, device: str, runs: dict[str, str]) -> None:
    """cuDNN shares no prefixes: it runs every row unless it is told to run unique ones."""
    rows = {}
    for batching, run in runs.items():
        report = gpu.ok("bench", "train", "--json", "--corpus", corpus, "--units", 20, "--batch", 93, "--steps", 2,
                        "--no-peak", "--batching", batching, "--device", device, "--precision", "fp32").json
        assert report["rows"] == report[f"rows_{run}"] and report["batching"] == batching
        rows[batching] = report["rows"], report["phases"]["forward"]["gflops"] * report["phases"]["forward"]["ms"]
    assert rows["unique"][1] < 0.9 * rows["dense"][1]  # the operations follow
    infer = gpu.ok("bench", "infer", "--json", "--corpus", corpus, "--units", 20, "--steps", 1, "--device", device).json
    assert infer["rows"] == infer["rows_unique" if device == "cudnn" else "rows_trie"]


def test_benchmarks(gpu: Sipgpu, corpus: Path) -> None:
    shape = ("--corpus", corpus, "--units", 20, "--batch", 50, "--steps", 3)
    for device in ENGINES:
        report = gpu.ok("bench", "train", "--json", *shape, "--warmup", 1, "--device", device, "--seeds", 3).json
        assert report["device"] == f"{device}:0" and report["seeds"] == 3
        assert report["step_ms_per_seed"] == pytest.approx(report["step_ms"] / 3)
        assert report["phases"]["forward"]["gflops"] > 0 and report["peak_share"] > 0
        infer = gpu.ok("bench", "infer", "--json", *shape, "--device", device).json
        assert infer["phases"]["forward"]["ms"] > 0
        ceilings = gpu.ok("bench", "device", "--json", "--size", 64, "--rows", 100, "--classes", 50, "--repeats", 2,
                          "--device", device).json
        assert min(ceilings[key] for key in ("copy_gbs", "gemm_gflops", "moments_gbs")) > 0


def test_a_benchmark_lasts_long_enough_to_mean_something(gpu: Sipgpu, corpus: Path) -> None:
    """On a GPU a second of warm-up and 200 steps, and the wall clock over all of them; on the CPU ten steps as before."""
    shape = ("--json", "--no-peak", "--corpus", corpus, "--units", 8, "--batch", 16)
    begun = time.monotonic()
    report = gpu.ok("bench", "train", *shape, "--device", "cuda").json
    assert report["steps"] == 200
    assert time.monotonic() - begun > 1 + 0.2 * report["step_ms"]
    assert report["step_ms_min"] <= report["step_ms_median"] <= report["step_ms_max"]
    assert report["step_ms_min"] <= report["step_ms"] <= report["step_ms_max"]
    cpu = gpu.ok("bench", "train", *shape, "--device", "cpu", "--threads", 1).json
    assert cpu["steps"] == 10 and cpu["step_ms"] == cpu["step_ms_median"] and cpu["versions"] is None


def test_benchmarks_name_versions_and_settings(gpu: Sipgpu, corpus: Path) -> None:
    shape = ("--json", "--corpus", corpus, "--units", 8, "--batch", 16, "--steps", 1)
    ceilings = ("--json", "--size", 64, "--rows", 10, "--classes", 50, "--repeats", 1)
    for device in ENGINES:
        for words in (("bench", "train", "--no-peak", "--warmup", 0, *shape), ("bench", "compare", *shape),
                      ("bench", "device", *ceilings)):
            versions = gpu.ok(*words, "--device", device, env={"CUDA_DEVICE_MAX_CONNECTIONS": "7",
                                                               "CUDA_EMULATOR_CUDNN_VERSION": "91405"}).json["versions"]
            assert all(re.fullmatch(r"\d+(\.\d+)+", versions[name]) for name in ("driver", "cuda", "cublas"))
            assert versions.get("cudnn") == ("9.14.5" if device == "cudnn" else None)
            # Set by the program, unless the user has.
            assert versions["CUDA_DEVICE_MAX_CONNECTIONS"] == "7"
            assert versions["CUBLAS_WORKSPACE_CONFIG"] == ":4096:2"
    report = gpu.ok("bench", "train", "--no-peak", "--warmup", 0, *shape, "--device", "cuda").json
    assert report["versions"]["CUDA_DEVICE_MAX_CONNECTIONS"] == "32"
