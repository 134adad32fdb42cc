"""results: reads the files of an experiment's folder, and checks every field before anything is drawn from it.

A file may be compressed: of moments.csv and moments.csv.gz the first that is there is read.
"""

from __future__ import annotations

import csv
import gzip
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


def _seed(value: str) -> int:
    """-1 of an empty field: no run, or several."""
    return _whole(value) if value else -1


SEED = _seed
TEXT, WHOLE, COUNT, REAL, SHARE, OPTIONAL, FLAG = _text, _whole, _count, _real, _share, _optional, _flag
Kind = Callable[[str], Any]
_DTYPE = {TEXT: object, WHOLE: np.int64, SEED: np.int64, COUNT: np.int64, FLAG: bool}


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

    def where(self, chosen: np.ndarray) -> Table:
        """The rows that are chosen, as a table of their own."""
        rows = [row for row, yes in zip(self.rows, chosen) if yes]
        return Table(self.path, self.head, rows, {name: column[chosen] for name, column in self.values.items()})


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """The fields of each line, with the number of the line in the file."""
    found = []
    try:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", newline="", encoding="utf-8") as stream:
            reader = csv.reader(stream, strict=True)
            try:
                for fields in reader:
                    found.append((reader.line_num, fields))
            except csv.Error as error:
                raise ReportError(f"{path}:{reader.line_num}: not CSV: {error}") from None
    except UnicodeDecodeError:
        raise ReportError(f"{path}: not text in UTF-8") from None
    except (EOFError, gzip.BadGzipFile):
        raise ReportError(f"{path}: not a whole gzip file") from None
    except OSError as error:
        raise ReportError(f"cannot read {path}: {error.strerror}") from None
    return found


def find_file(folder: Path, name: str) -> Path | None:
    """The file, or the compressed one that stands for it."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.exists()), None)


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
    "model": TEXT,
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
    "model": TEXT,
    "seed": WHOLE,
    "split": TEXT,
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
ROC = {
    "model": TEXT,
    "runs": COUNT,
    "combined": TEXT,
    "seed": SEED,
    "score_name": TEXT,
    "score": TEXT,
    "detections": COUNT,
    "false_alarms": COUNT,
}
PAIRED = {"detector": TEXT, "model": TEXT, "baseline": TEXT, "sequences_detector": COUNT, "sequences_baseline": COUNT}


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
    frozen: bool = False  # the runs are gone, and so are their records
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


def _split_lines(results: Results, name: str, columns: dict[str, Kind], kind: dict[str, Table]) -> None:
    """A file with the lines of all runs, by model; of moments those of the test split."""
    path = find_file(results.folder, name)
    if path is None:
        return
    whole = read_table(path, columns)
    for model in results.models:
        chosen = whole["model"] == model
        if "split" in columns:
            chosen &= whole["split"] == "test"
        if chosen.any():
            kind[model] = whole.where(chosen)


def _with_shares(table: Table) -> Table:
    """Curves with P_D and P_FA: each begins with the score that flags nothing, and its last point flags everything."""
    starts = [i for i, row in enumerate(table.rows) if row["score"] == "-inf"]
    if starts[:1] != [0]:
        raise ReportError(f"{table.path}: a curve does not begin with -inf")
    for name, hits in (("p_d", "detections"), ("p_fa", "false_alarms")):
        values = np.full(len(table), np.nan)
        for start, end in zip(starts, [*starts[1:], len(table)]):
            total = table[hits][end - 1]
            if table[hits][start:end].max() > total:
                raise ReportError(f"{table.path}: a curve of {table.rows[start]['score_name']} does not end with all {hits}")
            values[start:end] = table[hits][start:end] / total if total else np.nan
        table.values[name] = values
    return table


def _split_curves(results: Results) -> None:
    path = find_file(results.folder, "roc.csv")
    if path is None:
        return
    whole = read_table(path, ROC)
    combined = whole["combined"] != ""
    for model, score in sorted(set(zip(whole["model"][~combined], whole["score_name"][~combined]))):
        table = whole.where(~combined & (whole["model"] == model) & (whole["score_name"] == score))
        if model == "-":
            results.roc[score] = _with_shares(table)
        elif model in results.models:
            results.roc_model.setdefault(model, {})[score] = _with_shares(table)
    if combined.any():
        results.roc_combined = _with_shares(whole.where(combined))


def read_results(folder: Path) -> Results:
    if not folder.is_dir():
        raise ReportError(f"{folder}: no such folder")
    if not (folder / "runs.csv").exists():
        raise ReportError(f"{folder}: no runs.csv in it; make one with `sipgpu experiment --out {folder}`")

    def optional(name: str, columns: dict[str, Kind], more: dict[str, Kind] | None = None) -> Table | None:
        return read_table(folder / name, columns, more) if (folder / name).exists() else None

    results = Results(
        folder,
        read_table(folder / "runs.csv", RUNS),
        read_table(folder / "table5.csv", TABLE5),
        read_table(folder / "table6.csv", TABLE6),
        read_json(folder / "provenance.json"),
        frozen=(folder / "moments.csv.gz").exists(),
    )
    unknown = [model for model in results.models if not MODEL.fullmatch(model)]
    if unknown:
        raise ReportError(f"{folder / 'runs.csv'}: {unknown[0]!r} is no model")
    _split_lines(results, "history.csv", HISTORY, results.history)
    _split_lines(results, "moments.csv", MOMENTS, results.moments)
    _split_curves(results)
    for model in results.models:
        if (folder / f"model{model}.ini").exists():
            results.settings[model] = read_ini(folder / f"model{model}.ini")
    if (folder / "corpus.json").exists():
        results.corpus = read_corpus(folder / "corpus.json")
    results.comparison = optional("comparison.csv", COMPARISON, RATES)
    results.early = optional("early.csv", EARLY, RATES)
    results.positions = optional("early_position.csv", POSITIONS)
    results.together = optional("together.csv", COMPARISON, RATES)
    _check_runs(results)
    return results
