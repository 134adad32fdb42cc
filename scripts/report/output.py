"""output: writes files so that all of them appear or none: under temporary names first, then renamed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from report.results import ReportError


def check_writable(folder: Path) -> None:
    """Finds out before the work whether a folder can be written into, or made."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(path))
    if not there.is_dir():
        raise ReportError(f"cannot write into {folder}: {there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ReportError(f"cannot write into {folder}: {os.strerror(13)}")


def write_all(files: dict[Path, bytes]) -> None:
    """Writes the files, making their folders; after a failure what was begun is gone."""
    begun: list[tuple[str, Path]] = []
    made: list[Path] = []
    path = None
    try:
        for path, content in files.items():
            for folder in reversed([path.parent, *path.parent.parents]):
                if not folder.exists():
                    folder.mkdir()
                    made.append(folder)
            if path.is_dir():
                raise IsADirectoryError(21, "it is a folder")
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            begun.append((name, path))
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            os.chmod(name, 0o666 & ~_umask())
        for name, path in begun:
            os.replace(name, path)
        begun, made = [], []
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror}") from None
    finally:
        for name, _ in begun:
            if os.path.exists(name):
                os.unlink(name)
        for folder in reversed(made):
            try:
                folder.rmdir()
            except OSError:
                pass  # something of it was renamed into place before


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
