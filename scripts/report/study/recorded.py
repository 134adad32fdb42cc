"""Runs of scripts/study_stability that were trained elsewhere: read back from the results that were written of them."""
from __future__ import annotations

import csv
import json
from pathlib import Path

from report.study.plan import COMPLETE, NOT_FINITE, NOT_PART_OF_A_RUN, WAITING, Plan, Run, StudyError

# In provenance.json, what there may be several of.
LISTS = ("tool", "commit", "processor", "engine", "detection_tool")


def table(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


def is_of(row: dict[str, str], run: Run) -> bool:
    """Whether the row is of a run with these settings; precision = auto is whatever the other machine made of it."""
    return all(row.get(key) == value or (key, value) == ("engine.precision", "auto")
               for key, value in run.settings.items() if key not in NOT_PART_OF_A_RUN)


def adopt(plan: Plan, out: Path) -> None:
    """Takes from the results in `out` what they hold of runs that have no folder here; of the same corpus only."""
    try:
        provenance = json.loads((out / "provenance.json").read_text(encoding="utf-8"))
        if provenance["corpus_digest"] != plan.corpus.facts["digest"]:
            return
        rows = [row for row in table(out / "runs.csv") if row["state"] in (COMPLETE, NOT_FINITE)]
        curves = table(out / "curves.csv")
        for run in plan.runs:
            row = next((row for row in rows if is_of(row, run)), None) if run.state() == WAITING else None
            if row is None:
                continue
            run.lines = [line for line in curves if line["run"] == row["run"]]
            run.recorded = row
    except FileNotFoundError:
        return
    except (KeyError, ValueError, csv.Error) as error:
        raise StudyError(f"{out} does not hold results of a study ({type(error).__name__}: {error}); "
                         "remove it, or name another folder with --out") from error
    if any(run.recorded for run in plan.runs):
        plan.recorded = provenance


def merged(plan: Plan, values: dict) -> dict:
    """provenance.json of runs from here and from elsewhere."""
    if not plan.recorded:
        return values
    lists = {key: sorted({*values[key], *plan.recorded[key]}) for key in LISTS}
    first = min(filter(None, (values["first_complete"], plan.recorded["first_complete"])), default="")
    return {**values, **lists, "first_complete": first,
            "last_complete": max(values["last_complete"], plan.recorded["last_complete"])}
