"""Where CUDA's libraries are on this machine."""

from __future__ import annotations

import glob
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

# What the modules and cuDNN load, by file name.
CUDA_LIBRARIES = ("libcublas.so.13", "libcublasLt.so.13", "libcudnn.so.9", "libcudart.so.13")


def package_folders(python: str) -> list[Path]:
    """Folders of the interpreter's packages."""
    code = "import json, site, sys; print(json.dumps([*sys.path, site.getusersitepackages()]))"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=20, check=True)
        return [Path(path) for path in dict.fromkeys(json.loads(done.stdout)) if path]
    except (OSError, ValueError, subprocess.SubprocessError):
        return []


def link_toolkit(folder: Path, links: Path) -> Path:
    """A folder with links to the needed libraries of the toolkit: others of its, such as libOpenCL, would take the
    place of those that the program comes with."""
    links.mkdir()
    for kind in ("cublas", "cudnn", "cudart", "nvrtc", "nvJitLink"):
        for path in folder.glob(f"lib{kind}*.so.*"):
            (links / path.name).symlink_to(path)
    return links


def find_cuda_libraries(python: str, work: Path) -> dict[str, Any]:
    """Folders for LD_LIBRARY_PATH: those of PyTorch's own packages, which fit each other; what these lack comes from
    the toolkit.  Says which."""
    sources: list[tuple[str, list[Path]]] = []
    for program in dict.fromkeys([python, sys.executable]):
        for site in package_folders(program):
            if (site / "nvidia").is_dir():
                sources.append((str(site), sorted((site / "nvidia").glob("*/lib*"))))
    homes = [os.environ.get("CUDA_HOME"), "/usr/local/cuda", *sorted(glob.glob("/usr/local/cuda-*"))]
    sources += [(f"toolkit {home}", [Path(home) / "lib64"]) for home in homes if home]
    found: dict[str, Path] = {}
    paths, used = [], []
    for name, folders in sources:
        for folder in folders:
            new = {library: folder / library for library in CUDA_LIBRARIES
                   if library not in found and (folder / library).exists()}
            compilers = sorted(folder.glob("libnvrtc.so.*"))  # cuDNN loads it; it has a package of its own
            if compilers and "libnvrtc" not in found:
                new["libnvrtc"] = compilers[0]
            if new:
                found.update(new)
                used.append(name)
                paths.append(str(link_toolkit(folder, work / f"toolkit{len(paths)}") if name.startswith("toolkit")
                                 else folder))
    packages = [Path(path).name for name in dict.fromkeys(used) for path in glob.glob(f"{name}/nvidia_*.dist-info")]
    return {
        "source": "; ".join(dict.fromkeys(used)) or "none found",
        "paths": paths,
        "found": {name: os.path.realpath(path) for name, path in found.items()},
        "packages": sorted(name[:-len(".dist-info")] for name in packages
                           if re.match(r"nvidia_(cublas|cudnn|cuda_runtime|cuda_nvrtc)", name)),
        "missing": [name for name in CUDA_LIBRARIES if name not in found],
    }
