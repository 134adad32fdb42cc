"""The rooms of src/: each includes only those that it stands on, and no files of a room include each other in a
circle.

What a room stands on is what CMakeLists.txt links it with.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest
from conftest import ROOT

SRC = ROOT / "src"
SOURCES = sorted(p for p in SRC.rglob("*") if p.suffix in (".c", ".h"))
APART = {"sipdetect": {"base", "sip", "engine"}}  # builds alone, from a few files of these that need nothing else


def includes(path: Path) -> list[Path]:
    names = re.findall(r'^\s*#\s*include "([^"]+)"', path.read_text(encoding="utf-8"), re.MULTILINE)
    return [SRC / name for name in names if (SRC / name).is_file()]


def room(path: Path) -> str:
    return path.relative_to(SRC).parts[0]


def links() -> dict[str, set[str]]:
    """Of each room the rooms below it."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    below: dict[str, set[str]] = {name: set(others) for name, others in APART.items()}
    for name, words in re.findall(r"^sipgpu_room\((\w+) ([^)]*)\)", text, re.MULTILINE):
        direct = set(re.findall(r"\bsipgpu_(\w+)", words))
        below[name] = direct.union(*(below[other] for other in direct))
    return below | {"cli": set(below)}


def test_no_room_includes_upward() -> None:
    below = links()
    assert {room(p) for p in SOURCES} == set(below)
    wrong = [f"{path.relative_to(ROOT)} includes {other.relative_to(SRC)}" for path in SOURCES
             for other in includes(path) if room(other) != room(path) and room(other) not in below[room(path)]]
    assert not wrong


def module(path: Path) -> str:
    """A source and its header; files that share an X_internal.h are X."""
    shared = [p for p in [path, *includes(path)] if p.stem.endswith("_internal") and p.parent == path.parent]
    return str((shared[0] if shared else path).relative_to(SRC).with_suffix("")).removesuffix("_internal")


def ties() -> dict[str, set[str]]:
    """Of each module with a source those that it includes, also by way of headers without one."""
    tied: dict[str, set[str]] = defaultdict(set)
    for path in SOURCES:
        tied[module(path)].update(module(other) for other in includes(path))
    for header in tied.keys() - {module(p) for p in SOURCES if p.suffix == ".c"}:
        for others in tied.values():
            if header in others:
                others |= tied[header]
        del tied[header]
    return tied


def circle(tied: dict[str, set[str]]) -> list[str]:
    """Modules of circles, or none: what is left when those that stand on nothing, or on which nothing stands, are
    taken away again and again."""
    left = {name: {other for other in others if other != name} for name, others in tied.items()}
    while ends := [name for name, others in left.items()
                   if not others & left.keys() or not any(name in o for o in left.values())]:
        for name in ends:
            del left[name]
    return sorted(left)


def test_no_circle_of_files() -> None:
    assert not circle(ties())


@pytest.mark.parametrize(("tied", "found"), [({"a": {"b"}, "b": {"c"}, "c": set()}, []),
                                             ({"a": {"a"}}, []),
                                             ({"a": {"b"}, "b": {"a", "c"}, "c": set()}, ["a", "b"])])
def test_circles_are_found(tied: dict[str, set[str]], found: list[str]) -> None:
    assert circle(tied) == found
