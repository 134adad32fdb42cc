"""words: what the tables of an experiment say, in sentences; the figures in them come from its CSV files."""

from __future__ import annotations

import re

from report.paper import TABLE6
from report.results import Results

TITLES = {
    "threshold_both": "threshold, both below",
    "threshold_either": "threshold, either below",
    "kmeans": "K-means",
    "exact_set": "set of train dialogs",
    "prefix_trie": "prefix trie",
    "prefix_trie_exact_set": "prefix trie, set at the end",
    "markov_2": "Markov chain, order 2",
    "markov_3": "Markov chain, order 3",
    "ngram_2": "2-grams",
    "ngram_3": "3-grams",
    "ngram_4": "4-grams",
    "cross_correlation_largest": "cross-correlation, largest",
    "cross_correlation_mean": "cross-correlation, mean",
    "skewness": "skewness",
    "kurtosis": "kurtosis",
    "lower_moment": "lower of both moments",
    "higher_moment": "higher of both moments",
    "p_max": "largest output",
    "kmeans_distance": "K-means distance",
    "best_single": "best single score",
}
COMBINED = {"": "", "max": " (the run with the largest output)", "mean": " (mean of all runs)",
            "envelope": " (each output's largest of all runs)"}
Row = dict[str, str]


def title_of(name: str) -> str:
    return TITLES.get(name, name.replace("_", " "))


def reference_model(results: Results) -> str:
    """Model 1.0, with which the paper's figures were made, or the first there is."""
    return "1.0" if "1.0" in results.models else results.models[0]


def percent(share: str) -> str:
    return f"{100 * float(share):.2f}%" if share else "-"


def find(rows: list[Row], **wanted: str) -> Row | None:
    return next((row for row in rows if all(row.get(key) == value for key, value in wanted.items())), None)


# ---- the verdict on top ----


def _detection_verdict(results: Results, model: str) -> str | None:
    rows = results.table6.rows
    p_d, p_fa = (find(rows, detector="threshold_both", model=model, metric=m) for m in ("p_d", "p_fa"))
    if not (p_d and p_fa and p_d["mean"] and p_fa["mean"]):
        return None
    _, paper_d, paper_fa = TABLE6["threshold_both"]
    runs = "one run" if p_d["runs"] == "1" else f"mean of {p_d['runs']} runs"
    return (f"New dialogs: the paper's threshold rule flags {percent(p_d['mean'])} of them and raises a false alarm on "
            f"{percent(p_fa['mean'])} of the known ones (model {model}, {runs}; the paper: {percent(str(paper_d))} and "
            f"{percent(str(paper_fa))}).")


def _baseline_verdict(results: Results) -> str | None:
    rows = results.comparison.rows if results.comparison else []
    best = find(rows, detector="exact_set")
    if not (best and best.get("p_d") and best.get("p_fa")):
        return None
    return (f"Without a network: the set of train dialogs flags {percent(best['p_d'])} of the new dialogs and raises a false alarm on "
            f"{percent(best['p_fa'])} of the known ones, by the definition of \"new\".")


def verdict(results: Results) -> list[str]:
    """What came out, in at most three sentences."""
    model = reference_model(results)
    said = []
    test = find(results.table5.rows, split="test", model=model)
    if test and test["mean"] and test["ceiling"]:
        most = "the most that is possible" if percent(test["mean"]) == percent(test["ceiling"]) else f"of at most {percent(test['ceiling'])}"
        paper = f"; the paper: {percent(test['paper'])}" if test["paper"] else ""
        said.append(f"Known dialogs: model {model} names {percent(test['mean'])} of the test dialogs right, {most}{paper}.")
    return said + [text for text in (_detection_verdict(results, model), _baseline_verdict(results)) if text]


# ---- every detector beside the others ----


def _sets(rows: list[Row]) -> list[str]:
    one, trie = find(rows, detector="exact_set"), find(rows, detector="prefix_trie")
    if not (one and trie and "new" in one and "sequences_new" in one and int(one["new"])):
        return []
    new, known = int(one["new"]), int(one["known"])
    unique = int(one["sequences_new"]) + int(one["sequences_known"])
    return [
        f"The test split has {new + known} dialogs. {new} of them ({100 * new / (new + known):.2f}%; {one['sequences_new']} of "
        f"its {unique} sequences) do not occur in train and are to be flagged.",
        f"- The **set of train dialogs** flags {one['detections']} of {new} and raises {one['false_alarms']} false alarms. "
        "\"New\" means \"not in this set\", so on whole dialogs nothing can do better.",
        f"- The **prefix trie** flags {trie['detections']} of {new}, with {trie['false_alarms']} false alarms. The others of the "
        f"new dialogs, {new - int(trie['detections'])}, go like the beginning of a train dialog and are new only in that they end "
        "there.",
    ]


def _network(row: Row) -> str:
    missed = int(row["new"]) - int(row["detections"])
    who = "All models" if row["model"] == "all" else f"Model {row['model']}"
    return (f"- **{who}**{COMBINED.get(row['combined'], '')}, limits mean - variance, both moments below: misses {missed} of "
            f"{row['new']} new dialogs and raises {row['false_alarms']} false alarms on {row['known']} known ones: wrong on "
            f"{missed + int(row['false_alarms'])} dialogs.")


def comparison_words(results: Results) -> list[str]:
    rows = results.comparison.rows if results.comparison else []
    said = _sets(rows)
    if not said:
        return []
    return [
        *said,
        *(_network(row) for row in rows if row["detector"] == "threshold_both"),
        "Where two detectors differ, and whether by more than chance, is in paired.csv: McNemar's exact test, each sequence of "
        "the test split counted once.",
        "No network can be more right on whole dialogs than the set. What it can add is a score: the set gives a dialog that "
        "differs from a train dialog by one provisional response the same verdict as one like no other, and where the traffic is "
        "as trustworthy as the train split, every new dialog is an alarm of the set that nobody needs. The curves in roc.csv say "
        "whether a network's score ranks new dialogs before known ones better than counting messages does.",
    ]


# ---- dialogs that are not over ----


def early_words(results: Results) -> list[str]:
    rows = results.positions.rows if results.positions else []
    best = find(rows, detector="prefix_trie_exact_set")
    if not best:
        return []
    said = ["A trie of the train dialogs knows at each message whether a train dialog has ever begun so, and a set of them at the "
            "end whether it was one. Together they flag every new dialog at the first message that makes it new, and no known one: "
            "whatever flags a dialog before them does so on a beginning that known dialogs have, too."]
    for row in (r for r in rows if r["model"] != "-"):
        rule = "both moments below" if row["detector"] == "threshold_both" else "either moment below"
        said.append(f"- **Model {row['model']}**, {rule}: flags {row['detections']} of {row['new']} new dialogs, "
                    f"{row['earlier_than_trie']} of them before the trie and the set do, {row['later_than_trie']} after them or "
                    f"never; the price is {row['false_alarms']} false alarms, where trie and set have {best['false_alarms']}.")
    return said


# ---- how to make a folder whole again ----


def how_to_make(results: Results) -> str:
    """The commands that make again what is not kept of a folder; one line."""
    words = [str(word) for word in results.provenance.get("command", [])]
    if "--tables" not in words:
        words.append("--tables")
    folder = words[words.index("--out") + 1] if "--out" in words[:-1] else results.folder.name
    steps = [f"`{' '.join(words)}`", f"`scripts/make_report {folder}`"]
    source = re.fullmatch(r"synthetic: preset (\w+), seed (\d+)", str((results.corpus or {}).get("source", "")))
    if source:
        steps.insert(0, f"`sipgpu corpus synth --preset {source[1]} --seed {source[2]} --out {results.provenance.get('corpus')}`")
    kept = "frozen files" if results.frozen else "records of its runs"
    return f"What is not kept of this folder is made again from the {kept}: {', '.join(steps)}."
