"""What the compiler says of the CUDA kernels: no register spills, no stack, on any architecture they are built for."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NVCC = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
# Registers a thread may use so that at least this many of a multiprocessor's 64 warps are resident.
RESIDENT_WARPS = 16
REGISTERS = 65536

pytestmark = pytest.mark.skipif(NVCC is None, reason="the CUDA compiler is not installed")


def resources(source: Path, architecture: str, folder: Path) -> dict[str, tuple[int, int, int, int]]:
    """Each kernel's (stack, spill stores, spill loads, registers), by mangled name."""
    result = subprocess.run([NVCC, "-std=c++17", "-cubin", f"-arch={architecture}", "-Xptxas", "-v", f"-I{ROOT}",
                             f"-I{ROOT}/src", str(source), "-o", str(folder / "kernels.cubin")],
                            capture_output=True, text=True, check=True)
    found = {}
    for name, body in re.findall(r"Function properties for (\S+)\n(.*?Used \d+ registers)", result.stderr, re.DOTALL):
        numbers = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads.*"
                            r"Used (\d+) registers", body, re.DOTALL)
        assert numbers, body
        found[name] = tuple(int(n) for n in numbers.groups())
    return found


@pytest.mark.parametrize("architecture", ["sm_75", "sm_80", "sm_90a"])
def test_kernels_do_not_spill(architecture: str, tmp_path: Path) -> None:
    seen: dict[str, tuple[int, int, int, int]] = {}
    for source in sorted((ROOT / "kernels").glob("*.cu")):
        found = resources(source, architecture, tmp_path)
        assert found, f"the compiler said nothing of {source}"
        seen.update(found)
    for name, (stack, stores, loads, registers) in seen.items():
        assert (stack, stores, loads) == (0, 0, 0), f"{name}: {stack} bytes of stack, spills {stores} and {loads}"
        assert registers <= REGISTERS // (32 * RESIDENT_WARPS), f"{name}: {registers} registers"
    assert any("forward_level" in name for name in seen) and any("backward_level" in name for name in seen)
