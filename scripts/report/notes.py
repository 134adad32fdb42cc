"""notes: what a reader must know before believing the tables: where an experiment differs from the paper's."""

from __future__ import annotations

import re
from pathlib import Path

from report import paper
from report.results import Results, read_ini
from report.style import plural

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def base_of(model: str) -> str:
    """The paper's model that "1.0-mask" is a variant of."""
    return model.split("-")[0]


def literal_settings(model: str) -> dict[str, str]:
    """Settings of a model exactly as printed: its configuration, and what paper-literal.ini puts in place of it."""
    paths = (CONFIGS / f"model{base_of(model)}.ini", CONFIGS / "paper-literal.ini")
    return {key: value for path in paths for key, value in read_ini(path).items()} if all(p.exists() for p in paths) else {}


def differing(results: Results, model: str) -> list[tuple[str, str, str]]:
    """Settings that are not the paper's: key, the paper's value, the value here."""
    ours, found = results.settings.get(model, {}), []
    printed = literal_settings(model)
    for key in (key for key in ours if key.split(".")[0] in ("model", "train")):
        value = _same_units(results, key, ours[key])
        wanted = _same_units(results, key, printed.get(key, DEFAULTS.get(key, "")))
        if wanted and _number(wanted) != _number(value):
            found.append((key, wanted, value))
    return found


# What the printed settings leave to the defaults of Keras, and of this program where Keras has no such thing.
DEFAULTS = {
    "model.chrono_bias": "false",
    "model.recurrent_init": "orthogonal",
    "train.last_batch": "keep",
    "train.lr_schedule": "constant",
    "train.beta1": "0.9",
    "train.beta2": "0.999",
    "train.epsilon": "1e-07",
    "train.clip_norm": "0",
    "train.keep_best": "false",
    "train.stop_when_train_pd": "0",
}


def _same_units(results: Results, key: str, value: str) -> str:
    """0 units are one for each class."""
    if key == "model.units" and value == "0" and results.corpus:
        return str(results.corpus["unique"])
    return value


def _number(value: str) -> float | str:
    try:
        return float(value)
    except ValueError:
        return value


def _corpus_notes(results: Results) -> list[str]:
    c = results.corpus
    if c is None:
        return ["The paper's data set is not public; corpus.json, which would describe the one used here, is missing."]
    text = f"The paper's data set is not public. The corpus of this experiment: {c.get('source', 'of unknown source')}."
    if (c["dialogs"], c["unique"]) != (paper.DIALOGS, paper.CLASSES):
        text += (
            f" It is of another size: {c['dialogs']:,} dialogs of {c['unique']:,} classes, where the paper has "
            f"{paper.DIALOGS:,} of {paper.CLASSES:,}. The paper's figures stand beside ours for orientation; "
            "this is no reproduction of them."
        )
    return [text]


def _by_model(results: Results, found: dict[str, str]) -> str:
    """ "model 1.0: 3; model 1.1: 2", or one value where all are the same."""
    if len(set(found.values())) == 1 and len(found) == len(results.models):
        return f"{next(iter(found.values()))} of every model" if len(found) > 1 else f"{next(iter(found.values()))}"
    return "; ".join(f"model {model}: {value}" for model, value in found.items())


def _run_notes(results: Results) -> list[str]:
    notes = []
    runs = {m: len(results.seeds(m)) for m in results.models}
    few = {m: plural(n, "run") for m, n in runs.items() if n < paper.RUNS}
    if few:
        notes.append(f"Fewer runs than the paper's {paper.RUNS} of each model: {_by_model(results, few)}.")
    epochs = {m: sorted({int(e) for e in results.runs["epochs"][results.runs["model"] == m]}) for m in results.models}
    short = {m: " / ".join(map(str, e)) + " epochs" for m, e in epochs.items() if e[0] < paper.EPOCHS}
    if short:
        notes.append(f"Fewer epochs than the paper's {paper.EPOCHS}: {_by_model(results, short)}.")
    planned = {
        m: int(results.settings[m].get("experiment.seeds", "0") or 0)
        for m in results.models
        if m in results.settings and re.fullmatch(r"\d{1,9}", results.settings[m].get("experiment.seeds", ""))
    }
    lacking = {m: f"{runs[m]} of {n} runs" for m, n in planned.items() if runs[m] < n}
    if lacking:
        notes.append(f"Not all runs that were asked for are complete: {_by_model(results, lacking)}.")
    missing = [m for m in ("1.0", "1.1", "2.0", "2.1") if m not in [x.removesuffix("-post") for x in results.models]]
    if missing:
        notes.append(
            f"Of the paper's four models {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not in here."
        )
    return notes


def _setting_notes(results: Results) -> list[str]:
    every = {model: differing(results, model) for model in results.models if model in results.settings}
    keys = list(dict.fromkeys(key for found in every.values() for key, _, _ in found))
    keys = [key for key in keys if key != "train.epochs"]  # said above
    if not keys:
        return []
    parts = []
    for key in keys:
        values = list(
            dict.fromkeys((wanted, value) for found in every.values() for k, wanted, value in found if k == key)
        )
        parts.append(", ".join(f"{key} = {value} ({wanted})" for wanted, value in values))
    return [f"Settings that are not the paper's (in parentheses, as printed or by default): {'; '.join(parts)}."]


def notes_of(results: Results) -> list[str]:
    """Plain sentences, each a paragraph of its own."""
    return _corpus_notes(results) + _run_notes(results) + _setting_notes(results)
