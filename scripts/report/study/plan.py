"""The runs of scripts/study_stability: read from its INI file, named by words, in folders keyed by their settings."""
from __future__ import annotations

import configparser
import csv
import fnmatch
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

try:
    import h5py
    import numpy as np
except ImportError as missing:
    sys.exit(f"study_stability: {missing}; Debian's packages are python3-h5py and python3-numpy")

# Settings that say where and how fast a run is computed, not what it is.
NOT_PART_OF_A_RUN = ("data.corpus", "engine.device", "engine.threads", "train.checkpoint_every",
                     "train.checkpoint_seconds")
COMPLETE, NOT_FINITE, UNFINISHED, WAITING = "complete", "not finite", "unfinished", "waiting"


class StudyError(Exception):
    """Something the user can mend, in one sentence."""


def program() -> str:
    """The program under study: the variable SIPGPU, or the release build."""
    path = os.environ.get("SIPGPU") or str(Path(__file__).resolve().parents[3] / "build/release/sipgpu")
    if not os.access(path, os.X_OK):
        raise StudyError(f"{path} is not there: build it with scripts/setup, or name one in SIPGPU")
    return os.path.abspath(path)


def ask(*words: str) -> str:
    """What the program prints."""
    done = subprocess.run([program(), *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise StudyError((done.stderr.strip() or f"sipgpu {words[0]}: exit status {done.returncode}").splitlines()[-1])
    return done.stdout


def read_settings(text: str) -> dict[str, str]:
    """"section.key": "value" from what `sipgpu train --dump-config` prints, or from the config.ini of a run."""
    ini = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    ini.read_string(text)
    return {f"{section}.{key}": value for section in ini.sections() if section != "experiment"
            for key, value in ini[section].items()}


@dataclass
class Run:
    name: str
    words: tuple[str, ...]
    heading: str
    changes: dict[str, str]  # the settings that it is given; all others are the program's defaults
    settings: dict[str, str] = field(default_factory=dict)  # all of them
    key: str = ""
    width: int = 0  # units of a layer
    folder: Path = Path()
    lines: list[dict[str, str]] | None = None  # the history of a run that is over
    recorded: dict[str, str] | None = None  # its row of runs.csv, if it was trained elsewhere

    def number(self, setting: str) -> float:
        return float(self.settings[setting])

    @property
    def epochs(self) -> int:
        return int(self.settings["train.epochs"])

    def history(self) -> list[dict[str, str]]:
        """The lines of history.csv; the last may be torn while the run is in progress."""
        if self.lines is not None:
            return self.lines
        over = self.state() in (COMPLETE, NOT_FINITE)
        try:
            with open(self.folder / "history.csv", encoding="utf-8", newline="") as f:
                lines = list(csv.DictReader(f))
        except FileNotFoundError:
            return []
        if lines and lines[-1].get("seconds") in (None, ""):
            lines.pop()
        if over:
            self.lines = lines
        return lines

    def state(self) -> str:
        if (self.folder / "model.h5").exists():
            return COMPLETE
        if (self.folder / "not_finite.txt").exists():
            return NOT_FINITE
        if self.recorded:
            return self.recorded["state"]
        return UNFINISHED if (self.folder / "history.csv").exists() else WAITING


@dataclass
class Corpus:
    path: str
    preset: str
    seed: str
    facts: dict = field(default_factory=dict)  # what `sipgpu corpus info` says
    prior_entropy: float = 0  # of the class frequencies of the train split, in nats

    def make(self) -> None:
        """Makes the corpus if it is not there, and describes it."""
        if not os.path.exists(self.path):
            os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
            ask("corpus", "synth", "--quiet", "--preset", self.preset, "--seed", self.seed, "--out", self.path)
        self.facts = json.loads(ask("corpus", "info", "--json", self.path))
        with h5py.File(self.path, "r") as f:
            counts = np.bincount(f["dialogs/label"][()][f["split"][()] == 0])
        share = counts[counts > 0] / counts.sum()
        self.prior_entropy = float(-(share * np.log(share)).sum())


class Plan:
    """The INI file: centres, models, panels, and the runs in order."""

    def __init__(self, path: str, units: int | None):
        self.path, self.units = path, units
        ini = configparser.ConfigParser(interpolation=None, delimiters=("=",), allow_no_value=True)
        ini.optionxform = str  # type: ignore[assignment]
        try:
            with open(path, encoding="utf-8") as f:
                ini.read_file(f, path)
            self.corpus = Corpus("", ini["corpus"]["preset"], ini["corpus"]["seed"])
            self.base = dict(ini["base"])
            self.words = {word: self.pairs(text or "") for word, text in ini["words"].items()}
            self.centres = {tuple(name.split()): text for name, text in ini["centres"].items()}
            self.models = {name: tuple((words or "").split()) for name, words in ini["models"].items()}
            self.panels = {name: [tuple(w.split("+")) for w in words.split()] for name, words in ini["panels"].items()}
        except (OSError, UnicodeDecodeError) as error:
            raise StudyError(f"cannot read {path}: {error}") from error
        except configparser.Error as error:
            raise StudyError(" ".join(str(error).split())) from error
        except KeyError as error:
            raise StudyError(f"{path}: {error} is missing") from error
        if units is not None:
            self.base["model.units"] = str(units)
        self.width = self.base.get("model.units", "0")
        self.recorded: dict = {}  # provenance.json of the results that runs were taken from
        self.runs = [self.run(line, section.partition(":")[2].strip()) for section in ini.sections()
                     if section.startswith("runs:") for line in ini[section]]

    def pairs(self, text: str) -> dict[str, str]:
        pairs = [item.partition("=") for item in text.split()]
        for key, equals, value in pairs:
            if not (key.count(".") == 1 and equals and value):
                raise StudyError(f"{self.path}: {key}{equals}{value} is not section.key=value")
        return {key: value for key, _, value in pairs}

    def run(self, line: str, heading: str) -> Run:
        words = tuple(line.split())
        for word in words:
            if word not in self.words:
                raise StudyError(f"{self.path}: '{line}' has a word that [words] lacks: {word}")
        changes = dict(self.base)
        for word in words:
            changes.update(self.words[word])
        return Run("+".join(words), words, heading, changes)

    def settle(self, runs_folder: Path) -> None:
        """Asks the program for every setting of every run, and gives each run its folder."""
        seen: dict[str, str] = {}
        for run in self.runs:
            sets = [word for key, value in run.changes.items() for word in ("--set", f"{key}={value}")]
            run.settings = read_settings(ask("train", "--dump-config", *sets))
            run.width = int(run.settings["model.units"]) or self.corpus.facts["unique"]
            what = {key: value for key, value in run.settings.items() if key not in NOT_PART_OF_A_RUN}
            what["corpus"] = self.corpus.facts["digest"]
            run.key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]
            if run.key in seen:
                raise StudyError(f"{self.path}: {run.name} and {seen[run.key]} are the same run")
            seen[run.key] = run.name
            # By its key: a run keeps its folder when its words are renamed.
            kept = sorted(runs_folder.glob(f"*-{run.key}"))
            run.folder = kept[0] if kept else runs_folder / f"{run.name}-{run.key}"

    def select(self, patterns: list[str]) -> list[Run]:
        """The runs whose name, or part of it, one of the patterns matches; all of them without patterns.  A whole name
        stands for that run alone, though others go on where it ends."""
        if not patterns:
            return list(self.runs)
        names = {run.name for run in self.runs}
        globs = [p if p in names else f"*{p}*" for p in patterns]
        chosen = [run for run in self.runs if any(fnmatch.fnmatchcase(run.name, glob) for glob in globs)]
        if not chosen:
            raise StudyError(f"no run is called like {' or '.join(patterns)}; --list shows them all")
        return chosen

    # ---- what the words of a run mean ----

    @staticmethod
    def without_repeats(words: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(word for word in words if not word.startswith("seed"))

    def centre(self, words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The centre that a run starts from, and what it changes."""
        for centre in sorted(self.centres, key=len, reverse=True):
            if words[:len(centre)] == centre:
                return centre, self.without_repeats(words[len(centre):])
        return (), self.without_repeats(words)


def warn(text: str) -> None:
    print(f"study_stability: {text}", file=sys.stderr)
