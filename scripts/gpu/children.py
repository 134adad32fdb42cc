"""Commands that gpu_check runs: started in a group of their own, and ended for certain."""

from __future__ import annotations

import contextlib
import glob
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

GRACE = 3.0  # seconds between the request to end and the order


class Skip(Exception):
    """It cannot run here, for this reason; no failure."""


class Failed(Exception):
    """It went wrong."""


class OutOfTime(Exception):
    """The time of the stage is over."""


@dataclass
class Child:
    """A process that ended."""

    code: int  # negative: the signal that ended it
    out: str
    log: str  # what it said on stderr, or all of it
    seconds: float
    timed_out: bool
    cut: bool  # timed out because the stage's time was over, before its own limit

    def how(self) -> str:
        if self.timed_out:
            return f"did not end within {self.seconds:.0f} s"
        if self.code < 0:
            return f"was ended by {signal.Signals(-self.code).name}"
        return f"ended with status {self.code}"

    def last_line(self) -> str:
        lines = [line.strip() for line in self.log.splitlines() if line.strip()]
        return lines[-1][:300] if lines else "no message"

    def failure(self, name: str) -> Failed:
        return Failed(f"{name} {self.how()}: {self.last_line()}")


def descendants(pid: int) -> list[int]:
    """All processes below one; `sipgpu experiment` gives its own a process group each."""
    parents: dict[int, list[int]] = {}
    for stat in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            text = Path(stat).read_text(encoding="utf-8", errors="replace")
            parents.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(stat.split("/")[2]))
    found, left = [], [pid]
    while left:
        children = parents.get(left.pop(), [])
        found += children
        left += children
    return found


def end(process: subprocess.Popen, grace: float = GRACE) -> None:
    """Asks, then orders.  A process that hangs in the driver may survive even that; nobody waits for it."""
    def tell(number: int) -> None:
        for pid in [*descendants(process.pid), process.pid]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    tell(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    tell(signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
