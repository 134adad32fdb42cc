"""scripts/bundle: the archive is complete and runs without anything of this machine but glibc."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from conftest import ROOT, Sipgpu

SCRIPT = ROOT / "scripts/bundle"
MODULES = ("sipgpu_cuda.so", "sipgpu_cudnn.so")


def run(*words: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=300, check=False,
                          env=env)


def has_modules(sipgpu: Sipgpu) -> bool:
    return all((sipgpu.program.parent / name).exists() for name in MODULES)


@pytest.fixture(scope="module")
def bundle(sipgpu: Sipgpu, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked archive."""
    for tool in ("patchelf", "gzip"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    folder = tmp_path_factory.mktemp("bundle")
    words = [] if has_modules(sipgpu) else ["--without-gpu"]
    done = run(SCRIPT, "--build", sipgpu.program.parent, "--out", folder / "b.tar.gz", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert re.search(r"b\.tar\.gz: [\d.]+ MiB, \d+ libraries, glibc 2\.\d+ or newer; nothing else is used$", last)
    both = re.search(r"^tracked files ([\d.]+) MiB, with the archive ([\d.]+) MiB$", done.stdout, re.MULTILINE)
    assert both is None or float(both[1]) < float(both[2])  # None: not a clone
    with tarfile.open(folder / "b.tar.gz") as archive:
        archive.extractall(folder)
    (top,) = folder.glob("sipgpu-*-linux-x86_64")
    return top


def elf_files(top: Path) -> list[Path]:
    return [path for path in sorted(top.rglob("*")) if path.is_file() and path.open("rb").read(4) == b"\x7fELF"]


def test_contents(bundle: Path, sipgpu: Sipgpu) -> None:
    wanted = ["bin/sipgpu", "tests/engine_test_reference", "tests/engine_test_engine", "tests/data/case_tiny.h5",
              "configs/model1.0.ini", "scripts/gpu_check", "scripts/gpu/check.py", "scripts/bench/gpu_torch.py",
              "scripts/bench/torch_network.py", "LICENSE", "README", "MANIFEST"]
    if has_modules(sipgpu):
        wanted += [*(f"lib/sipgpu/{name}" for name in MODULES), "tests/cudnn_probe"]
    for name in wanted:
        assert (bundle / name).is_file(), name
    names = {path.name for path in (bundle / "lib").iterdir()}
    assert {"libdnnl.so.2", "libgomp.so.1", "libstdc++.so.6", "libgcc_s.so.1"} <= names or any(
        name.startswith("libdnnl.so") for name in names)
    # What only libcurl needs stays outside, and so do glibc and CUDA.
    assert not [name for name in names if re.match(r"lib(gnutls|krb5|ldap|ssh2?|nghttp2|idn2)", name)]
    curl = [path for path in (bundle / "lib").iterdir() if path.name.startswith("libcurl")]
    assert all(path.stat().st_size < 50_000 for path in curl)
    assert not [name for name in names if re.match(r"(lib(c|m|dl|pthread)\.so|ld-linux|libcu(da|blas|dnn))", name)]


def test_manifest(bundle: Path) -> None:
    text = (bundle / "MANIFEST").read_text(encoding="utf-8")
    head, _, files = text.partition("files: SHA-256, bytes, name\n")
    assert re.search(r"^glibc needed: 2\.\d+$", head, re.MULTILINE)
    listed = {}
    for line in files.splitlines():
        digest, size, name = line.split(maxsplit=2)
        listed[name] = (digest, int(size))
    present = {str(path.relative_to(bundle)): path for path in bundle.rglob("*") if path.is_file()}
    assert listed.keys() == present.keys() - {"MANIFEST"}
    for name, (digest, size) in listed.items():
        data = present[name].read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (digest, size), name
    for path in (bundle / "lib").glob("*.so*"):
        assert re.search(rf"^lib/{re.escape(path.name)}  \S+ .*\(.+\)$", head, re.MULTILINE), path.name


def test_every_file_finds_its_libraries(bundle: Path) -> None:
    """RUNPATH is not inherited: each file has its own, relative to where it is, and nothing of the build's."""
    for path in elf_files(bundle):
        entries = run("readelf", "-d", path).stdout
        paths = re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", entries)
        assert len(paths) == 1, path
        first, *more = paths[0].split(":")
        assert first.startswith("$ORIGIN")
        folder = Path(os.path.normpath(first.replace("$ORIGIN", str(path.parent))))
        assert folder == bundle / "lib", path
        assert more in ([], ["/usr/local/cuda/lib64"])


def test_runs_anywhere(bundle: Path, tmp_path: Path) -> None:
    """In another folder, without an environment, without the build and its libraries."""
    there = tmp_path / "a folder" / "sipgpu"
    shutil.copytree(bundle, there)
    program = there / "bin/sipgpu"
    corpus, out = tmp_path / "c.h5", tmp_path / "run"
    assert run(program, "version", env={}).returncode == 0
    done = run(program, "corpus", "synth", "--preset", "small", "--out", corpus, env={})
    assert done.returncode == 0, done.stderr
    done = run(program, "train", "--device", "cpu", "--corpus", corpus, "--out", out, "--set", "model.units=8", "--set",
               "train.epochs=1", "--threads", 1, env={"OMP_WAIT_POLICY": "passive"})
    assert done.returncode == 0, done.stderr
    assert (out / "model.h5").is_file()
    listing = run("ldd", program, env={"PATH": os.environ["PATH"]}).stdout
    outside = [line.split()[0] for line in listing.splitlines() if "=>" in line and str(there / "lib") not in
               os.path.normpath(line.split("=>")[1].strip())]
    assert all(re.match(r"lib(c|m|dl|rt|pthread|resolv)\.so", name) for name in outside), outside


def test_gpu_check_in_the_archive(bundle: Path, tmp_path: Path) -> None:
    for name in ("first", "paper"):
        done = run(bundle / "scripts/gpu_check", name, "--stages", "devices", "--out", tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert (tmp_path / f"{name}.json").is_file()


def test_missing_modules(sipgpu: Sipgpu, tmp_path: Path) -> None:
    if not shutil.which("patchelf"):
        pytest.skip("patchelf is not installed")
    (tmp_path / "build/tests").mkdir(parents=True)
    for name in ("sipgpu", "tests/engine_test_reference", "tests/engine_test_engine"):
        (tmp_path / "build" / name).symlink_to(sipgpu.program.resolve())
    done = run(SCRIPT, "--build", tmp_path / "build", "--out", tmp_path / "b.tar.gz")
    assert done.returncode == 1 and not (tmp_path / "b.tar.gz").exists()
    assert "sipgpu_cuda.so is missing" in done.stderr and "--without-gpu" in done.stderr


def test_missing_patchelf(tmp_path: Path) -> None:
    """A PATH with nothing but the tools that come before patchelf is looked for."""
    for tool in ("bash", "dirname", "env"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")
    done = run(shutil.which("bash"), SCRIPT, "--without-gpu", env={"PATH": str(tmp_path)})
    assert done.returncode == 1
    assert done.stderr == ("bundle: patchelf is missing; it is in the Debian package patchelf: "
                           "sudo apt-get install patchelf\n")


@pytest.mark.parametrize("words", [["--nonsense"], ["--out"], ["--out", "x.zip"]])
def test_wrong_arguments(words: list[str]) -> None:
    done = run(SCRIPT, *words)
    assert done.returncode in (1, 2)
    assert "usage: " in done.stderr or ".tar.xz" in done.stderr or "patchelf" in done.stderr
