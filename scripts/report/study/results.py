"""What the runs of scripts/study_stability say: runs.csv, curves.csv, study.md, study.png, provenance.json."""
from __future__ import annotations

import csv
import io
import json
import os
import re
from pathlib import Path

from report import paper
from report.study import detection, recorded
from report.study.plan import COMPLETE, NOT_FINITE, NOT_PART_OF_A_RUN, Plan, Run, warn

PRECISIONS = ("bf16", "fp32")
LEVELS = ("0.9", "0.99", "0.999", "1")
# A loss above this share of the entropy of the class frequencies: the network has learnt no more than these.
PLATEAU = 0.9
SPLITS = ("train", "validation", "test")
CURVES = ("epoch", "update", "loss", "train_pd", "validation_pd", "test_pd", "learning_rate", "gradient_norm")


def replace(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def csv_bytes(header: list[str], rows: list[dict]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


# ---- runs.csv ----

def reached(lines: list[dict[str, str]], level: str) -> dict[str, str]:
    """The first line whose evaluation finds this P_D on the train split."""
    return next((line for line in lines if line["train_pd"] and float(line["train_pd"]) >= float(level)), {})


def outcome(run: Run, lines: list[dict[str, str]], plateau: float) -> str:
    """In a word, what became of it; `diverged`: the loss is not finite, or back above the plateau that it had left."""
    losses = [float(line["loss"]) for line in lines]
    if run.state() == NOT_FINITE:
        return "diverged"
    if reached(lines, "1"):
        return "reached 1"
    if min(losses) > plateau:
        return "plateau"
    return "diverged" if losses[-1] > plateau else "short of 1"


def provenance_of(run: Run) -> dict:
    """What a complete run says of itself."""
    try:
        return json.loads((run.folder / "provenance.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def precision_of(run: Run) -> str:
    """What products were computed in; for a run that is not complete, what was asked for."""
    said = re.search(r"precision=(\w+)", provenance_of(run).get("engine", ""))
    return said[1] if said else run.settings["engine.precision"]


def row_of(plan: Plan, run: Run) -> dict:
    lines = run.history()
    plateau, losses = PLATEAU * plan.corpus.prior_entropy, [float(line["loss"]) for line in lines]
    centre, changes = plan.centre(run.words)
    if run.recorded:
        return {**run.recorded, "run": run.name, "centre": " ".join(centre), "changes": " ".join(changes)}
    last = lines[-1] if lines else {}
    tested = next((line for line in reversed(lines) if line["train_pd"]), {})
    row = {"run": run.name, "centre": " ".join(centre), "changes": " ".join(changes), "state": run.state(),
           "outcome": outcome(run, lines, plateau), "epochs_asked": run.epochs, "epochs": last.get("epoch", 0),
           "updates": last.get("update", 0), "seconds": last.get("seconds", "")}
    for level in LEVELS:
        row[f"epoch_pd_{level}"] = reached(lines, level).get("epoch", "")
        row[f"update_pd_{level}"] = reached(lines, level).get("update", "")
    row["epochs_on_plateau"] = next((i for i, loss in enumerate(losses) if loss <= plateau), len(losses))
    row["final_loss"], row["least_loss"] = last.get("loss", ""), min(losses, default="")
    row["largest_gradient_norm_at_epoch_end"] = max((float(line["gradient_norm"]) for line in lines), default="")
    for split in SPLITS:
        row[f"{split}_pd"] = tested.get(f"{split}_pd", "")
    for split in SPLITS:
        row[f"{split}_ceiling"] = plan.corpus.facts["split"][split]["ceiling"]
    row.update(detection.of(run, plan.corpus.path))
    row.update({key: value for key, value in run.settings.items() if key not in NOT_PART_OF_A_RUN})
    row["engine.precision"] = precision_of(run)
    return row


def collect(plan: Plan) -> list[tuple[Run, dict]]:
    """The runs that have something to show, each with its row."""
    return [(run, row_of(plan, run)) for run in plan.runs if run.history() or run.state() == NOT_FINITE]


# ---- study.md ----

def percent(value: float | str) -> str:
    return f"{100 * float(value):.2f}" if value != "" else "-"


COLUMNS = ("run", "products", "epochs", "updates", "P_D ≥ 0.9", "≥ 0.99", "≥ 0.999", "= 1 at epoch", "on the plateau", "last loss",
           "P_D train", "validation", "test", "outcome")


def table(rows: list[tuple[Run, dict]]) -> list[str]:
    text = [f"| {' | '.join(COLUMNS)} |", "|---|---|" + "---:|" * (len(COLUMNS) - 3) + "---|"]
    for run, row in rows:
        all_run = int(row["epochs"]) == int(row["epochs_asked"])
        cells = [" ".join(run.words), row["engine.precision"], f"{row['epochs']}" if all_run else f"{row['epochs']} of {row['epochs_asked']}",
                 row["updates"], *(row[f"epoch_pd_{level}"] or "-" for level in LEVELS), row["epochs_on_plateau"],
                 f"{float(row['final_loss']):.3g}" if row["final_loss"] else "-",
                 *(percent(row[f"{split}_pd"]) for split in SPLITS),
                 row["outcome"] + ("" if row["state"] == COMPLETE else f" ({row['state']})")]
        text.append(f"| {' | '.join(map(str, cells))} |")
    return text


DETECTION_COLUMNS = ("run", "P_D train", "λ", "threshold P_D", "P_FA", "K-means P_D", "P_FA", "P_D of the skewness", "AUC")


def detection_table(rows: list[tuple[Run, dict]]) -> list[str]:
    """Table VI of every complete run, the paper's figures above."""
    rows = [(run, row) for run, row in rows if row["lambda"] != ""]
    if not rows:
        return []
    (_, *threshold), (_, *kmeans) = paper.TABLE6["threshold_both"], paper.TABLE6["kmeans"]
    text = ["", "## What the detectors make of it", "",
            "New dialogs of the test split by `sipgpu detect`, the network as it was after its last epoch. λ: mean minus variance "
            "of the train split's normalised skewness. The last two columns are what the skewness is worth as a score, whatever "
            f"the limit: P_D where P_FA is at most the paper's {percent(threshold[1])}%, and the area under the ROC curve.", "",
            f"| {' | '.join(DETECTION_COLUMNS)} |", "|---|" + "---:|" * (len(DETECTION_COLUMNS) - 1),
            f"| the paper's model 1.0 | 100.00 | {paper.LAMBDA[0]:.6f} | "
            f"{' | '.join(percent(share) for share in (*threshold, *kmeans))} | - | - |"]
    for run, row in rows:
        shares = [percent(row[key]) for key in ("threshold_pd", "threshold_pfa", "kmeans_pd", "kmeans_pfa", "pd_at_paper_pfa")]
        text.append(f"| {' '.join(run.words)} | {percent(row['train_pd'])} | {float(row['lambda']):.6f} | {' | '.join(shares)} | "
                    f"{float(row['auc']):.4f} |")
    return text


def said_of(plan: Plan, words: tuple[str, ...], rows: dict[tuple, list[dict]]) -> str | None:
    """How often the runs of these words, over all seeds, reached P_D(train) = 1; None if none is complete."""
    done = [row for row in rows.get(words, []) if row["state"] in (COMPLETE, NOT_FINITE)]
    if not done:
        return None
    ones = [row for row in done if row["outcome"] == "reached 1"]
    seeds = f" ({len(ones)} of {len(done)} seeds)" if len(done) > 1 else ""
    if ones:
        return f"yes, at epoch {', '.join(str(row['epoch_pd_1']) for row in ones)}{seeds}"
    best = max(done, key=lambda row: float(row["train_pd"] or 0))
    return f"no: {best['outcome']}, {percent(best['train_pd'])}% after {best['epochs']} epochs{seeds}"


def answers(plan: Plan, rows: list[tuple[Run, dict]]) -> list[str]:
    """Does it reach P_D(train) = 1: each centre, each change to it that was tried, and the four models."""
    epochs = plan.base["train.epochs"]
    by_words: dict[tuple, list[dict]] = {}
    for run, row in rows:
        if run.settings["train.epochs"] == epochs and run.settings["model.units"] == plan.width:
            by_words.setdefault(plan.without_repeats(run.words), []).append(row)
    models = {word for words in plan.models.values() for word in words}
    plain = [words for words in by_words if not models & set(words)]
    text = []
    for centre, meaning in plan.centres.items():
        text += ["", f"### From `{' '.join(centre)}`: {meaning}", "",
                 f"| change | P_D(train) = 1 within {epochs} epochs |", "|---|---|",
                 f"| none | {said_of(plan, centre, by_words) or 'not complete'} |"]
        for words in plain:
            said, changes = said_of(plan, words, by_words), words[len(centre):]
            if said and changes and plan.centre(words)[0] == centre:
                text.append(f"| {' '.join(changes)} | {said} |")
    bases = [words for words in plain if any(words + extra in by_words for extra in plan.models.values() if extra)]
    if bases:
        text += ["", "### The four models", "", f"| settings | {' | '.join(plan.models)} |",
                 "|---" * (1 + len(plan.models)) + "|"]
    for words in bases:
        said = (said_of(plan, words + extra, by_words) or "-" for extra in plan.models.values())
        text.append(f"| {' '.join(words)} | {' | '.join(said)} |")
    return text


def precision(rows: list[tuple[Run, dict]]) -> list[str]:
    """How far the loss in bf16 is from that in fp32, where both were run at the same learning rates."""
    by_words, text = {run.words: (run, row["engine.precision"]) for run, row in rows}, []
    for words, (run, products) in by_words.items():
        twin, others = by_words.get(tuple(w for w in words if w not in PRECISIONS and not w.startswith("epochs")), (run, ""))
        # A schedule depends on the number of epochs.
        if {products, others} != set(PRECISIONS) or run.settings["train.lr_schedule"] != "constant":
            continue
        ours, theirs = ({line["epoch"]: float(line["loss"]) for line in one.history()} for one in (run, twin))
        pairs = [(ours[epoch], theirs[epoch]) for epoch in ours if epoch in theirs]
        most = max(abs(a - b) / b for a, b in pairs)
        text.append(f"In {len(pairs)} of the first {max(map(int, ours))} epochs, the loss of `{' '.join(words)}` differs from that of "
                    f"`{' '.join(twin.words)}` by at most {100 * most:.2g}%.")
    return ["", "## bf16 beside fp32", "", *text] if text else []


def introduction(plan: Plan, rows: list[tuple[Run, dict]]) -> list[str]:
    split = plan.corpus.facts["split"]
    done = sum(row["state"] in (COMPLETE, NOT_FINITE) for _, row in rows)
    others = f"; unfinished ones ({len(rows) - done}) are shown as far as they are" if len(rows) > done else ""
    return [
        f"Written by `scripts/study_stability` from {done} complete runs of {len(plan.runs)}{others}. Corpus: "
        f"{plan.corpus.facts['source']}, {split['train']['dialogs']} train dialogs. LSTM of "
        f"{'as many units as classes' if plan.width == '0' else plan.width + ' units'}; `wide`: as many as classes. "
        "Each word of a run's name changes settings, as `configs/study.ini` says; what no word names is as the paper "
        "prints it or, where it is silent, as in Keras.", "",
        f"P_D is evaluated every {plan.base.get('train.eval_every', '10')} epochs, and the epochs at which it reaches a "
        "level are those of evaluations. A run with fewer epochs than it was meant to have (\"120 of 500\") was stopped by "
        "its first evaluation with P_D(train) = 1, or is unfinished. Ceilings of P_D: validation "
        f"{percent(split['validation']['ceiling'])}, test {percent(split['test']['ceiling'])}. On the plateau: epochs "
        f"before the loss first fell below {PLATEAU:g} of the entropy of the class frequencies "
        f"({plan.corpus.prior_entropy:.3f}). `plateau`: it never did. `diverged`: the loss is not finite, or ended above "
        "that again."]


def markdown(plan: Plan, rows: list[tuple[Run, dict]]) -> str:
    text = ["# Which settings train", "", *introduction(plan, rows), "", "![loss and P_D against updates](study.png)",
            "", "## Does it reach P_D(train) = 1?", *answers(plan, rows), *detection_table(rows), *precision(rows),
            "", "## All runs"]
    for heading in dict.fromkeys(run.heading for run, _ in rows):
        text += ["", f"### {heading[:1].upper()}{heading[1:]}", "",
                 *table([(run, row) for run, row in rows if run.heading == heading])]
    return "\n".join(text) + "\n"


# ---- all of it ----

def provenance(plan: Plan, rows: list[tuple[Run, dict]]) -> dict:
    """Where the figures come from: what the runs say of themselves, without paths."""
    records = [record for run, _ in rows if (record := provenance_of(run))]
    values = {key: sorted({record[key] for record in records}) for key in ("tool", "commit", "processor", "engine")}
    values["detection_tool"] = sorted({str(detection.kept(run)["tool"]) for run, _ in rows if detection.kept(run)})
    done = sum(row["state"] in (COMPLETE, NOT_FINITE) for _, row in rows)
    said = {"command": "scripts/study_stability", "configuration": os.path.basename(plan.path),
            "corpus": plan.corpus.facts["source"], "corpus_digest": plan.corpus.facts["digest"], **values,
            "first_complete": min((record["date"] for record in records), default=""),
            "last_complete": max((record["date"] for record in records), default=""),
            "runs_planned": len(plan.runs), "runs_complete": done,
            "seconds": round(sum(float(row["seconds"] or 0) for _, row in rows), 3)}
    return recorded.merged(plan, said)


def write_tables(plan: Plan, out: Path) -> list[tuple[Run, dict]]:
    rows = collect(plan)
    if not rows:
        return rows
    replace(out / "runs.csv", csv_bytes(list(rows[0][1]), [row for _, row in rows]))
    curves = [{"run": run.name, **{key: line[key] for key in CURVES}} for run, _ in rows for line in run.history()
              if line["train_pd"]]
    replace(out / "curves.csv", csv_bytes(["run", *CURVES], curves))
    replace(out / "study.md", markdown(plan, rows).encode())
    replace(out / "provenance.json", (json.dumps(provenance(plan, rows), indent=2) + "\n").encode())
    return rows


def write(plan: Plan, out: Path) -> None:
    rows = write_tables(plan, out)
    if not rows:
        warn("no run has been trained for an epoch yet")
        return
    try:
        from report.study import figure  # with matplotlib, which takes a second and may not be there
    except ImportError as error:
        warn(f"study.png is left out: {error}; Debian's package is python3-matplotlib")
        return
    drawing = figure.figure(plan, [run for run, _ in rows])
    if drawing is not None:
        replace(out / "study.png", drawing.as_bytes("png"))
