"""command: which of the paper's settings train, and what the smallest change is that does.

Trains the runs of configs/study.ini with `sipgpu train`, several at a time, in the order written there, and writes
runs.csv, curves.csv, study.md, study.png and provenance.json after what has been trained.  Complete runs are kept and
interrupted ones go on, so that the same command may be given again; Ctrl-C and the end of --budget save checkpoints.
What the results hold of runs whose folders are not here, from another machine, is kept too.
"""
from __future__ import annotations

import argparse
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from report.study import recorded, results
from report.study.plan import COMPLETE, NOT_FINITE, UNFINISHED, WAITING, Plan, Run, StudyError, program, warn

ROOT = Path(__file__).resolve().parents[3]
PR_SET_PDEATHSIG = 1
POLL_SECONDS = 0.1
QUIET_SECONDS = 300  # between progress lines where there is no terminal


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="study_stability", description=__doc__.replace("command: which", "Which"),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=str(ROOT / "configs/study.ini"), help="the runs [configs/study.ini]")
    parser.add_argument("--corpus", default=str(ROOT / "corpora/paper.h5"),
                        help="made, as the configuration says, if it is not there [corpora/paper.h5]")
    parser.add_argument("--runs", default=str(ROOT / "runs/study"), help="folders of the runs [runs/study]")
    parser.add_argument("--out", help="results [results/study; with --units N results/study-N]")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN",
                        help="only the run of this name, or else all with this in theirs (* ? [] as in a shell); may be given "
                             "several times")
    parser.add_argument("--units", type=int, metavar="N", help="units of the runs whose words do not say; 0: one a class")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at a time [one a core]")
    parser.add_argument("--threads", type=int, help="threads of each run [cores / jobs]")
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="stop in order after this time")
    parser.add_argument("--anew", action="store_true", help="train also what the results already hold")
    parser.add_argument("--list", action="store_true", help="show the runs, what they are and how far they are, and stop")
    parser.add_argument("--report", action="store_true", help="only write the results of what has been trained")
    chosen = parser.parse_args()
    for name, least in (("units", 0), ("jobs", 1), ("threads", 1), ("budget", 0)):
        value = getattr(chosen, name)
        if value is not None and value < least:
            parser.error(f"--{name} must be at least {least}")
    chosen.threads = chosen.threads or max(1, (os.cpu_count() or 1) // chosen.jobs)
    folder = "study" if chosen.units is None else f"study-{chosen.units}"
    chosen.out = Path(chosen.out or ROOT / "results" / folder)
    chosen.runs = Path(chosen.runs)
    return chosen


# ---- how long it will take ----

class Pace:
    """Seconds an epoch, by the shape of a run: measured where a run of that shape has begun, else scaled from others."""

    def __init__(self, runs: list[Run]):
        self.measured: dict[tuple, float] = {}
        for run in runs:
            lines = [] if run.recorded else run.history()  # another machine's pace
            if lines:
                self.measured[self.shape(run)] = float(lines[-1]["seconds"]) / int(lines[-1]["epoch"])
        guesses = [(seconds, self.weight(shape)) for shape, seconds in self.measured.items()]
        self.unit = sum(s for s, _ in guesses) / sum(w for _, w in guesses) if guesses else None

    @staticmethod
    def shape(run: Run) -> tuple:
        keys = ("model.layers", "train.batch_size", "model.padding", "model.dropout", "engine.precision")
        return run.width, *(run.settings[key] for key in keys)

    @staticmethod
    def weight(shape: tuple) -> float:
        """Relative work: between linear and quadratic in the width, as measured from 64 to 1492 units."""
        width, layers, batch = shape[0], int(shape[1]), int(shape[2])
        return width ** 1.5 * (1 + 1.8 * (layers - 1)) * (1.8 if batch < 200 else 1)

    def seconds_left(self, run: Run) -> float | None:
        """At most: a run may stop early."""
        if run.state() in (COMPLETE, NOT_FINITE):
            return 0
        an_epoch = self.measured.get(self.shape(run)) or (self.unit and self.unit * self.weight(self.shape(run)))
        lines = run.history()
        return an_epoch and an_epoch * (run.epochs - (int(lines[-1]["epoch"]) if lines else 0))


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def time_left(runs: list[Run], jobs: int) -> str:
    pace = Pace(runs)
    left = [pace.seconds_left(run) for run in runs]
    if any(seconds is None for seconds in left):
        return "time left not known yet"
    return f"at most {duration(max(max(left), sum(left) / jobs) if left else 0)} left"  # type: ignore[arg-type,type-var]


def how_far(run: Run) -> str:
    lines = run.history()
    if not lines:
        return "0"
    named = next((line["train_pd"] for line in reversed(lines) if line["train_pd"]), lines[-1].get("running_pd", ""))
    return f"{lines[-1]['epoch']}/{run.epochs} loss {float(lines[-1]['loss']):.4g} P_D {float(named):.4f}"


def list_runs(plan: Plan, runs: list[Run], jobs: int) -> None:
    pace, heading = Pace(plan.runs), None
    for run in runs:
        if run.heading != heading:
            heading = run.heading
            print(f"\n{heading}")
        state = run.state()
        what = how_far(run) if state != WAITING else ", ".join(
            f"{key}={value}" for key, value in run.changes.items() if plan.base.get(key) != value) or "-"
        left = duration(pace.seconds_left(run)) if state in (UNFINISHED, WAITING) else ""
        print(f"  {run.name:40} {'recorded' if run.recorded else state:10} {left:>12}  {what}")
    states = [run.state() for run in runs]
    print(f"\n{len(runs)} runs, {states.count(COMPLETE) + states.count(NOT_FINITE)} done; {time_left(runs, jobs)}")


# ---- training ----

class Study:
    """Trains runs, a few processes at a time."""

    def __init__(self, chosen: argparse.Namespace, plan: Plan, runs: list[Run]):
        self.chosen, self.plan, self.runs = chosen, plan, runs
        self.children: dict[str, tuple[Run, subprocess.Popen]] = {}
        self.stopping, self.why, self.failures = False, "", 0
        self.start = self.spoken = time.monotonic()

    def stop(self, why: str) -> None:
        """Lets the runs save checkpoints."""
        if self.stopping:
            return
        self.stopping, self.why = True, why
        self.interrupt()

    def interrupt(self) -> None:
        for _, child in self.children.values():
            child.send_signal(signal.SIGINT)

    def begin(self, run: Run, lock: int) -> None:
        run.folder.mkdir(parents=True, exist_ok=True)
        words = [program(), "train", "--quiet", "--resume", "--corpus", self.plan.corpus.path, "--out", str(run.folder),
                 "--threads", str(self.chosen.threads)]
        words += [word for key, value in run.changes.items() for word in ("--set", f"{key}={value}")]
        parent = os.getpid()

        def end_with_parent() -> None:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
            if os.getppid() != parent:  # it died before prctl took hold
                os._exit(1)

        # A session of its own: Ctrl-C reaches it by stop() alone.  It holds the lock as well, so that a study that was
        # killed cannot begin anew before its runs have saved their checkpoints.
        with open(run.folder / "train.log", "ab") as log:
            child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                     pass_fds=(lock,), preexec_fn=end_with_parent,
                                     env={"OMP_WAIT_POLICY": "passive", **os.environ})
        self.children[run.key] = (run, child)
        if self.stopping:  # a signal came while it was being started
            child.send_signal(signal.SIGINT)

    def close(self, run: Run, status: int) -> None:
        """Records how a run ended."""
        if status != 0 and not self.stopping:
            said = (run.folder / "train.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
            reason = said[-1] if said else f"exit status {status}"
            if status == 1 and "not finite" in reason:
                (run.folder / "not_finite.txt").write_text(reason + "\n", encoding="utf-8")
            else:
                self.failures += 1
                self.clear_line()
                warn(f"{run.name}: {reason}")
        if run.state() in (COMPLETE, NOT_FINITE):
            self.clear_line()
            done = sum(r.state() in (COMPLETE, NOT_FINITE) for r in self.runs)
            print(f"[{done}/{len(self.runs)}] {run.name}: {how_far(run)}, {run.state()}; "
                  f"{time_left(self.runs, self.chosen.jobs)}", flush=True)
            results.write(self.plan, self.chosen.out)

    def clear_line(self) -> None:
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def progress(self) -> None:
        now, terminal = time.monotonic(), sys.stderr.isatty()
        if now - self.spoken < (1 if terminal else QUIET_SECONDS):
            return
        self.spoken = now
        done = sum(run.state() in (COMPLETE, NOT_FINITE) for run in self.runs)
        line = f"[{done}/{len(self.runs)}] " + "; ".join(f"{run.name} {how_far(run)}" for run, _ in self.children.values())
        line += f"; {time_left(self.runs, self.chosen.jobs)}"
        if terminal:
            width = os.get_terminal_size(sys.stderr.fileno()).columns
            print(f"\r\033[K{line[:width - 1]}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def train(self, lock: int) -> None:
        waiting = [run for run in self.runs if run.state() in (UNFINISHED, WAITING)]
        while (waiting and not self.stopping) or self.children:
            while waiting and len(self.children) < self.chosen.jobs and not self.stopping:
                self.begin(waiting.pop(0), lock)
            time.sleep(POLL_SECONDS)
            for key, (run, child) in list(self.children.items()):
                if child.poll() is not None:
                    del self.children[key]
                    self.close(run, child.returncode)
            if self.chosen.budget is not None and time.monotonic() - self.start >= self.chosen.budget:
                self.stop("the budget is spent")
            self.progress()
        self.clear_line()


def hold(folder: Path) -> int:
    """A lock on the folder of runs, kept until this process and the runs it began have ended."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StudyError(f"{folder} is in use by another study") from error
    return lock


def train(chosen: argparse.Namespace, plan: Plan, runs: list[Run]) -> int:
    lock = hold(chosen.runs)
    study = Study(chosen, plan, runs)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: study.stop("interrupted"))
    try:
        study.train(lock)
    finally:  # none is left unless something went wrong here
        study.interrupt()
        for _, child in study.children.values():
            child.wait()
    results.write(plan, chosen.out)
    done = sum(run.state() in (COMPLETE, NOT_FINITE) for run in runs)
    if study.why:
        print(f"{study.why}: {done} of {len(runs)} runs are done; the same command goes on")
    print(f"results in {chosen.out}")
    return 130 if study.why == "interrupted" else 1 if study.failures else 0


def main() -> int:
    chosen = arguments()
    try:
        plan = Plan(chosen.config, chosen.units)
        plan.corpus.path = os.path.abspath(chosen.corpus)
        plan.corpus.make()
        plan.settle(chosen.runs)
        if not chosen.anew:
            recorded.adopt(plan, chosen.out)
        runs = plan.select(chosen.only)
        if chosen.list:
            list_runs(plan, runs, chosen.jobs)
            return 0
        if chosen.report:
            results.write(plan, chosen.out)
            return 0
        return train(chosen, plan, runs)
    except KeyboardInterrupt:
        return 130
    except StudyError as error:
        warn(str(error))
    except OSError as error:
        warn(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    return 1
