"""What the detectors of Table VI make of the models of scripts/study_stability, by `sipgpu detect`."""
from __future__ import annotations

import csv
import json
import os
import tempfile
from pathlib import Path

from report.paper import TABLE6
from report.study.plan import COMPLETE, Run, StudyError, ask, warn

ALLOWED = TABLE6["threshold_both"][2]  # the paper's P_FA
FILE = "detection.json"
# lambda and the area under the ROC curve are those of the skewness, and so is the P_D at the paper's P_FA.
FIELDS = ("lambda", "threshold_pd", "threshold_pfa", "kmeans_pd", "kmeans_pfa", "auc", "pd_at_paper_pfa")


def best_at(curves: Path, score: str, allowed: float) -> float:
    """The largest P_D of a score at or below a P_FA, from roc.csv; the last point of a curve flags everything."""
    with open(curves, encoding="utf-8", newline="") as f:
        points = [(int(r["detections"]), int(r["false_alarms"])) for r in csv.DictReader(f) if r["score_name"] == score]
    new, known = points[-1]
    return max(detections / new for detections, false_alarms in points if false_alarms / known <= allowed)


def measure(run: Run, corpus: str) -> dict[str, float | str]:
    with tempfile.TemporaryDirectory(prefix="sipgpu-study-") as folder:
        said = json.loads(ask("detect", "--quiet", "--json", "--threads", "1", "--model", str(run.folder / "model.h5"),
                              "--corpus", corpus, "--out", folder))["detection"]
        most = best_at(Path(folder) / "roc.csv", "skewness", ALLOWED)
    shares = [said["detectors"][name][share]["value"] for name in ("threshold_both", "kmeans") for share in ("p_d", "p_fa")]
    found = dict(zip(FIELDS, (said["limits"]["skewness"]["lambda"], *shares, said["auc"]["skewness"], most)))
    return {**found, "tool": json.loads(ask("version", "--json"))["tool"]}


def kept(run: Run) -> dict[str, float | str]:
    """What is in the run's folder: the FIELDS, and the tool that measured them; empty before that."""
    try:
        found = json.loads((run.folder / FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return found if tuple(found) == (*FIELDS, "tool") else {}


def of(run: Run, corpus: str) -> dict[str, float | str]:
    """The FIELDS of a run, measured once and kept in its folder; empty ones for a run that is not complete."""
    nothing: dict[str, float | str] = {name: "" for name in FIELDS}
    if run.state() != COMPLETE:
        return nothing
    found = kept(run)
    if not found:
        try:
            found = measure(run, corpus)
        except StudyError as error:
            warn(f"{run.name}: no figures of detection: {error}")
            return nothing
        temporary = run.folder / f".{FILE}.new"
        temporary.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, run.folder / FILE)
    return {name: found[name] for name in FIELDS}
