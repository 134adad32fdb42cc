"""results: reads the files of an experiment's folder, and checks every field before anything is drawn from it."""

from __future__ import annotations

import csv
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable
from urllib.parse import quote

import numpy as np

MODEL = re.compile(r"[12]\.[01](-(post|mask|pre))?")  # one of the paper's four, maybe with a padding of its own


class ReportError(Exception):
    """What is wrong with the input or the output, in one line."""


# ---- the kinds of a field: text in, value out; ValueError says what it is not ----


def _text(value: str) -> str:
    return value


def _whole(value: str) -> int:
    if not re.fullmatch(r"-?\d{1,18}", value):
        raise ValueError("a whole number")
    return int(value)


def _count(value: str) -> int:
    number = _whole(value)
    if number < 0:
        raise ValueError("a count")
    return number


def _real(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("a finite number")
    return number


def _share(value: str) -> float:
    """A probability; an empty field is one that is not defined."""
    if not value:
        return math.nan
    try:
        number = _real(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise ValueError("a share between 0 and 1")
    return number


def _optional(value: str) -> float:
    return _real(value) if value else math.nan


def _flag(value: str) -> bool:
    if value not in ("0", "1"):
        raise ValueError("0 or 1")
    return value == "1"


TEXT, WHOLE, COUNT, REAL, SHARE, OPTIONAL, FLAG = _text, _whole, _count, _real, _share, _optional, _flag
Kind = Callable[[str], Any]
_DTYPE = {TEXT: object, WHOLE: np.int64, COUNT: np.int64, FLAG: bool}


@dataclass
class Table:
    """One CSV file: the text of every field as it stands, and checked values of the columns that are used."""

    path: Path
    head: list[str]
    rows: list[dict[str, str]]
    values: dict[str, np.ndarray]

    @property
    def name(self) -> str:
        return self.path.name

    def __getitem__(self, column: str) -> np.ndarray:
        return self.values[column]

    def __len__(self) -> int:
        return len(self.rows)


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """The fields of each line, with the number of the line in the file."""
    found = []
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            reader = csv.reader(stream, strict=True)
            try:
                for fields in reader:
                    found.append((reader.line_num, fields))
            except csv.Error as error:
                raise ReportError(f"{path}:{reader.line_num}: not CSV: {error}") from None
    except UnicodeDecodeError:
        raise ReportError(f"{path}: not text in UTF-8") from None
    except OSError as error:
        raise ReportError(f"cannot read {path}: {error.strerror}") from None
    return found


def read_table(path: Path, columns: dict[str, Kind], more: dict[str, Kind] | None = None) -> Table:
    """Reads a file that must have these columns, may have `more`, and has at least one row."""
    lines = _lines(path)
    if not lines:
        raise ReportError(f"{path}: empty")
    head = lines[0][1]
    missing = [name for name in columns if name not in head]
    if missing:
        raise ReportError(f"{path}:1: no column {missing[0]}")
    if len(set(head)) != len(head):
        raise ReportError(f"{path}:1: a column stands twice")
    if len(lines) == 1:
        raise ReportError(f"{path}: no rows below the head")
    kinds = {name: columns.get(name) or (more or {}).get(name) for name in head}
    values: dict[str, list[Any]] = {name: [] for name, kind in kinds.items() if kind}
    rows = []
    for number, fields in lines[1:]:
        if len(fields) != len(head):
            raise ReportError(f"{path}:{number}: {len(fields)} fields, but the head has {len(head)}")
        rows.append(dict(zip(head, fields)))
        for name in values:
            try:
                values[name].append(kinds[name](rows[-1][name]))
            except ValueError as error:
                raise ReportError(f"{path}:{number}: {name} is {rows[-1][name]!r}, not {error}") from None
    arrays = {name: np.array(column, dtype=_DTYPE.get(kinds[name], np.float64)) for name, column in values.items()}
    return Table(path, head, rows, arrays)


def read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReportError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ReportError(f"{path}: not text in UTF-8") from None
    except json.JSONDecodeError as error:
        raise ReportError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    if not isinstance(found, dict):
        raise ReportError(f"{path}:1: not a JSON object")
    return found


def read_ini(path: Path) -> dict[str, str]:
    """Settings as section.key."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ReportError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ReportError(f"{path}: not text in UTF-8") from None
    found, section = {}, ""
    for number, line in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s);.*", "", line).strip()
        if not line:
            continue
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif "=" in line and section:
            key, value = line.split("=", 1)
            found[f"{section}.{key.strip()}"] = value.strip()
        else:
            raise ReportError(f"{path}:{number}: neither a section nor a setting")
    return found


def read_corpus(path: Path) -> dict[str, Any]:
    """corpus.json, of which every count that is drawn or shown has been looked at."""
    found = read_json(path)

    def counts(item: Any, names: tuple[str, ...], where: str) -> None:
        for name in names:
            value = item.get(name) if isinstance(item, dict) else None
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                raise ReportError(f"{path}: {where}{name} is not a count")

    counts(found, ("dialogs", "user_agents", "unique", "once", "message_types", "message_types_used", "messages"), "")
    counts(found.get("length"), ("shortest", "longest"), "length.")
    split = found.get("split")
    for name in ("train", "validation", "test"):
        counts(split.get(name) if isinstance(split, dict) else None, ("dialogs", "classes", "unseen"), f"split.{name}.")
    for name, names in (
        ("lengths", ("from", "to", "classes", "dialogs")),
        ("alphabet", ("messages",)),
        ("multiplicities", ("from", "to", "classes", "dialogs")),
    ):
        items = found.get(name)
        if not isinstance(items, list) or not items:
            raise ReportError(f"{path}: {name} is not a list")
        for i, item in enumerate(items):
            counts(item, names, f"{name}[{i}].")
    if not all(isinstance(item.get("name"), str) for item in found["alphabet"]):
        raise ReportError(f"{path}: alphabet has a type without a name")
    return found


def read_words(path: Path) -> list[str]:
    """The paragraphs and list items of a Markdown file below its heading "In words"."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ReportError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ReportError(f"{path}: not text in UTF-8") from None
    start = lines.index("## In words") + 1 if "## In words" in lines else len(lines)
    return [line for line in lines[start:] if line.strip() and not line.startswith(("#", "|"))]


# ---- the files of an experiment ----

SPREAD = {"paper": SHARE, "runs": COUNT, "mean": SHARE, "std": OPTIONAL, "min": SHARE, "max": SHARE, "ensemble": SHARE}
TABLE5 = {"split": TEXT, "model": TEXT, **SPREAD, "ceiling": SHARE}
TABLE6 = {"detector": TEXT, "model": TEXT, "metric": TEXT, **SPREAD}
RUNS = {
    "model": TEXT,
    "seed": WHOLE,
    "epochs": COUNT,
    "p_d_train": SHARE,
    "p_d_validation": SHARE,
    "p_d_test": SHARE,
    "lambda_skewness": REAL,
    "lambda_kurtosis": REAL,
}
HISTORY = {
    "seed": WHOLE,
    "epoch": COUNT,
    "update": COUNT,
    "loss": REAL,
    "running_pd": SHARE,
    "train_pd": SHARE,
    "validation_pd": SHARE,
    "test_pd": SHARE,
    "seconds": REAL,
}
MOMENTS = {
    "seed": WHOLE,
    "class": COUNT,
    "length": COUNT,
    "dialogs": COUNT,
    "known": FLAG,
    "p_max": REAL,
    "skewness": REAL,
    "kurtosis": REAL,
    "threshold_both": FLAG,
    "threshold_either": FLAG,
    "kmeans": FLAG,
}
RATES = {
    "model": TEXT,
    "runs": COUNT,
    "combined": TEXT,
    "rule": TEXT,
    "p_d_low": SHARE,
    "p_d_high": SHARE,
    "detections": COUNT,
    "new": COUNT,
    "p_fa_low": SHARE,
    "p_fa_high": SHARE,
    "false_alarms": COUNT,
    "known": COUNT,
}
COMPARISON = {"detector": TEXT, "p_d": SHARE, "p_fa": SHARE}
EARLY = {"detector": TEXT, "k": COUNT, "p_d": SHARE, "p_fa": SHARE}
POSITIONS = {
    "detector": TEXT,
    "model": TEXT,
    "detections": COUNT,
    "new": COUNT,
    "median_message": OPTIONAL,
    "median_share": OPTIONAL,
    "earlier_than_trie": COUNT,
    "later_than_trie": COUNT,
    "false_alarms": COUNT,
}
ROC = {"detections": COUNT, "false_alarms": COUNT, "p_d": SHARE, "p_fa": SHARE}
ROC_COMBINED = {"model": TEXT, "runs": COUNT, "combined": TEXT, "score_name": TEXT, **ROC}


@dataclass
class Results:
    """A folder with what is in it; a table that is not there is None."""

    folder: Path
    runs: Table
    table5: Table
    table6: Table
    provenance: dict[str, Any]
    settings: dict[str, dict[str, str]] = field(default_factory=dict)  # by model
    history: dict[str, Table] = field(default_factory=dict)
    moments: dict[str, Table] = field(default_factory=dict)  # of the test split, by model
    corpus: dict[str, Any] | None = None
    comparison: Table | None = None
    early: Table | None = None
    positions: Table | None = None
    roc: dict[str, Table] = field(default_factory=dict)  # by the score, of what needs no network
    roc_model: dict[str, dict[str, Table]] = field(default_factory=dict)  # by model and score, with a seed
    roc_combined: Table | None = None  # of several runs together
    together: Table | None = None  # the first runs of a model, by their number
    words: dict[str, list[str]] = field(default_factory=dict)  # what comparison.md and early.md say below their tables
    files: list[str] = field(default_factory=list)  # all that was read
    seen_from: str = "."  # the folder, seen from where the report is written

    @property
    def models(self) -> list[str]:
        """Models that have complete runs, in the order of the tables."""
        return list(dict.fromkeys(self.runs["model"]))

    def seeds(self, model: str) -> list[int]:
        return sorted(int(seed) for seed in self.runs["seed"][self.runs["model"] == model])

    def link(self, name: str) -> str:
        """Where a file of the folder is, seen from the report."""
        return quote((Path(self.seen_from) / name).as_posix())


def _check_runs(results: Results) -> None:
    """Files of one folder must speak of the same runs."""
    for model in results.models:
        for table in (results.history.get(model), results.moments.get(model)):
            if table is None:
                continue
            seeds = sorted(set(int(seed) for seed in table["seed"]))
            if seeds != results.seeds(model):
                raise ReportError(
                    f"{table.path}: has seeds {seeds}, but runs.csv has {results.seeds(model)} " f"of model {model}"
                )


def read_results(folder: Path) -> Results:
    if not folder.is_dir():
        raise ReportError(f"{folder}: no such folder")
    if not (folder / "runs.csv").exists():
        raise ReportError(f"{folder}: no runs.csv in it; make one with `sipgpu experiment --out {folder}`")
    files: list[str] = []

    def table(name: str, columns: dict[str, Kind], more: dict[str, Kind] | None = None) -> Table:
        files.append(name)
        return read_table(folder / name, columns, more)

    def optional(name: str, columns: dict[str, Kind], more: dict[str, Kind] | None = None) -> Table | None:
        return table(name, columns, more) if (folder / name).exists() else None

    results = Results(
        folder,
        table("runs.csv", RUNS),
        table("table5.csv", TABLE5),
        table("table6.csv", TABLE6),
        read_json(folder / "provenance.json"),
    )
    files.append("provenance.json")
    unknown = [model for model in results.models if not MODEL.fullmatch(model)]
    if unknown:
        raise ReportError(f"{folder / 'runs.csv'}: {unknown[0]!r} is no model")
    for model in results.models:
        for kind, name, columns in (
            (results.history, f"history_model{model}.csv", HISTORY),
            (results.moments, f"moments_model{model}_test.csv", MOMENTS),
        ):
            found = optional(name, columns)
            if found:
                kind[model] = found
        if (folder / f"model{model}.ini").exists():
            results.settings[model] = read_ini(folder / f"model{model}.ini")
            files.append(f"model{model}.ini")
    if (folder / "corpus.json").exists():
        results.corpus = read_corpus(folder / "corpus.json")
        files.append("corpus.json")
    results.comparison = optional("comparison.csv", COMPARISON, RATES)
    results.early = optional("early.csv", EARLY, RATES)
    results.positions = optional("early_position.csv", POSITIONS)
    results.roc_combined = optional("roc_combined.csv", ROC_COMBINED)
    results.together = optional("together.csv", COMPARISON, RATES)
    for path in sorted(folder.glob("roc_*.csv")):
        if path.name == "roc_combined.csv":
            continue
        parts = re.fullmatch(r"roc_model([^_]+)_(\w+)", path.stem)
        if not parts:
            results.roc[path.stem[len("roc_") :]] = table(path.name, ROC)
        elif parts[1] in results.models:
            results.roc_model.setdefault(parts[1], {})[parts[2]] = table(path.name, {"seed": WHOLE, **ROC})
    for name in ("comparison.md", "early.md"):
        if (folder / name).exists():
            results.words[name] = read_words(folder / name)
            files.append(name)
    results.files = files
    _check_runs(results)
    return results
