"""reproduction: the paper's statements one by one, with the figures of an experiment beside them, as Markdown.

    scripts/make_report results/paper --reproduction --shorter results/paper120 > docs/reproduction.md

Every figure of ours is read from the files that `sipgpu experiment` wrote into the folder (table5.csv, table6.csv,
runs.csv, comparison.csv, corpus.json, model*.ini, moments.csv, roc.csv); the paper's are in this file.  What the folder lacks
reads "not run"; the second folder is of an experiment of fewer epochs that has the models which the first lacks.  Verdicts are
decided here, by the rules under the table.
"""

from __future__ import annotations

import configparser
import csv
import gzip
import json
import os
from dataclasses import dataclass
from pathlib import Path

from report.results import ReportError, find_file

MODELS = ("1.0", "1.1", "2.0", "2.1")
REPRODUCED = "reproduced"
READING = "reproduced under a stated reading"
MISSED = "not reproduced"
CONTRADICTORY = "contradictory"
UNTESTABLE = "not testable"
NOT_RUN = "not run"

# The paper's figures.
DIALOGS, AGENTS, UNIQUE, ONCE_SHARE, TYPES, LONGEST = 18782, 249, 1492, 66.23, 18, 56
SPLIT = {"train": 50, "validation": 20, "test": 30}
UNSEEN = {"validation": (277, 7.20), "test": (362, 6.46)}
P_D = {"train": 100.00, "validation": 92.80, "test": 93.54}
UPDATES, BATCH = 101, 933
EPOCHS, RUNS = 500, 10
LAMBDA = {"skewness": 0.999828, "kurtosis": 0.999759}
TABLE_6 = {"kmeans": (69.61, 0.00), "threshold_both": (99.45, 3.95)}
# Table IV, and Keras' defaults where it is silent.
PRINTED = {("model", "forget_bias"): 1, ("model", "chrono_bias"): "false", ("model", "padding"): "post",
           ("model", "recurrent_init"): "orthogonal", ("train", "epochs"): EPOCHS, ("train", "batch_size"): BATCH,
           ("train", "last_batch"): "keep", ("train", "learning_rate"): 0.001, ("train", "lr_schedule"): "constant",
           ("train", "clip_norm"): 0,
           ("train", "beta1"): 0.9, ("train", "beta2"): 0.999, ("train", "epsilon"): 1e-7,
           ("train", "keep_best"): "false", ("train", "stop_when_train_pd"): 0}


class Missing(Exception):
    """A figure that the folder does not hold."""


@dataclass
class Statement:
    where: str
    text: str
    reading: str
    ours: str
    verdict: str


class Results:
    """The files of an experiment."""

    def __init__(self, folder, shorter=None):
        self.folder = folder
        self.tables = {}
        self.shorter = shorter  # another experiment, or None

    def path(self, name):
        return os.path.join(self.folder, name)

    def rows(self, name):
        if name not in self.tables:
            path = find_file(Path(self.folder), name)
            if path is None:
                raise Missing(self.path(name))
            with (gzip.open if path.suffix == ".gz" else open)(path, "rt", newline="", encoding="utf-8") as f:
                self.tables[name] = list(csv.DictReader(f))
        return self.tables[name]

    def row(self, name, **wanted):
        for row in self.rows(name):
            if all(row[key] == value for key, value in wanted.items()):
                return row
        raise Missing(f"{self.path(name)}: {wanted}")

    def moments(self):
        """Of the test split and the first run of model 1.0."""
        rows = [row for row in self.rows("moments.csv") if row["model"] == "1.0" and row["split"] == "test"]
        if not rows:
            raise Missing("model 1.0")
        return [row for row in rows if row["seed"] == rows[0]["seed"]]

    def curve(self, score):
        """Detections and false alarms along the curve of a score, of the first run of model 1.0."""
        rows = [row for row in self.rows("roc.csv")
                if row["model"] == "1.0" and row["combined"] == "" and row["score_name"] == score]
        return [(int(row["detections"]), int(row["false_alarms"])) for row in rows if row["seed"] == rows[0]["seed"]]

    def json(self, name):
        if not os.path.exists(self.path(name)):
            raise Missing(self.path(name))
        with open(self.path(name), encoding="utf-8") as f:
            return json.load(f)

    def settings(self, model="1.0"):
        ini = configparser.ConfigParser(inline_comment_prefixes=(";",), interpolation=None)
        if not ini.read(self.path(f"model{model}.ini"), encoding="utf-8"):
            raise Missing(self.path(f"model{model}.ini"))
        return ini

    def models(self):
        found = {row["model"] for row in self.rows("table5.csv")}
        return [model for model in MODELS if model in found]

    def epochs(self):
        return ", ".join(sorted({row["epochs"] for row in self.rows("runs.csv")}, key=int))


# ---- figures ----

def number(text):
    if text == "":
        raise Missing("an empty cell")
    return float(text)


def percent(share):
    return f"{100 * share:.2f}%"


def spread(row):
    """ "93.41% (10 runs, 93.20-93.54; together 93.54%)" """
    if row["runs"] == "1":
        return f"{percent(number(row['mean']))} (1 run)"
    return (f"{percent(number(row['mean']))} ({row['runs']} runs, {100 * number(row['min']):.2f}-"
            f"{100 * number(row['max']):.2f}; together {percent(number(row['ensemble']))})")


def same(value, paper):
    """To the two decimals that are printed, in percent."""
    return f"{100 * value:.2f}" == f"{paper:.2f}"


def changed_settings(results, model="1.0"):
    """What differs from Table IV and Keras' defaults, as text."""
    ini = results.settings(model)
    changes = []
    for (section, key), printed in PRINTED.items():
        value = ini.get(section, key, fallback=str(printed))
        equal = value == printed if isinstance(printed, str) else float(value) == printed
        if not equal:
            changes.append(f"{key} {value} (printed or default: {printed})")
    if int(ini.get("model", "units", fallback="0")) not in (0, results.json("corpus.json")["unique"]):
        changes.append(f"units {ini.get('model', 'units')} (printed: N)")
    return changes


def recipe(results, model="1.0"):
    changes = changed_settings(results, model)
    return "the printed recipe" if not changes else "the recipe with " + ", ".join(changes)


def judge(results, right):
    if not right:
        return MISSED
    return READING if changed_settings(results) else REPRODUCED


def judge_models(results, right):
    """What holds of each model in `right`; of all four, if they were run."""
    if not right:
        return NOT_RUN
    verdict = judge(results, all(right.values()))
    return verdict if len(right) == len(MODELS) else f"{verdict} (of {', '.join(right)} alone)"


# ---- section IV-A: the data set ----

def data_set(results):
    c = results.json("corpus.json")
    once = 100 * c["once"] / c["unique"]
    yield Statement("IV-A", f"The data set has {DIALOGS} dialogs of {AGENTS} user agents, {UNIQUE} of them unique, M = {TYPES} "
                    f"message types, the longest dialog has {LONGEST} messages; {ONCE_SHARE}% of the unique ones occur once.",
                    "The data are not public. Ours are synthetic, made to have these marginals; what else the real ones are like "
                    "(which types, which lengths) is not printed.",
                    f"{c['source']}: {c['dialogs']} dialogs, {c['user_agents']} user agents, {c['unique']} unique, "
                    f"M = {c['message_types']}, longest {c['length']['longest']}, {once:.2f}% once", UNTESTABLE + " (private data)")
    sizes = {name: c["split"][name]["dialogs"] for name in SPLIT}
    shares = ", ".join(f"{100 * sizes[name] / c['dialogs']:.2f}%" for name in SPLIT)
    implied = all(same(c["split"][name]["unseen"] / sizes[name], share) and c["split"][name]["unseen"] == count
                  for name, (count, share) in UNSEEN.items())
    yield Statement("IV-A", "The split is 50%, 20% and 30%.",
                    "Those shares are rounded: 277 unseen dialogs are 7.20% of validation and 362 are 6.46% of test only with sizes "
                    "near 3847 and 5604, which are not 20% and 30% of 18782.",
                    f"{' / '.join(str(sizes[name]) for name in SPLIT)} dialogs: {shares}", READING if implied else MISSED)
    unseen = ", ".join(f"{name} {c['split'][name]['unseen']} ({percent(c['split'][name]['unseen_share'])})" for name in UNSEEN)
    yield Statement("IV-B", "Not in train: 277 dialogs (7.20%) of validation, 362 (6.46%) of test.",
                    "The synthetic corpus is split so that it is so: an input, not a finding.", unseen,
                    READING if implied else MISSED)


# ---- section IV-B: training and Table V ----

def updates(results):
    dialogs = results.json("corpus.json")["split"]["train"]["dialogs"]
    ini = results.settings()
    batch, keep = int(ini["train"]["batch_size"]), ini["train"]["last_batch"]
    count = dialogs // batch + (keep == "keep" and dialogs % batch > 0)
    wanted = {size: -(-dialogs // size) for size in (BATCH, 93)}
    return Statement("IV-B, Table IV", f"Batches of {BATCH}; the weights are updated {UPDATES} times per epoch.",
                     f"Both cannot be: {dialogs} dialogs in batches of {BATCH} are {wanted[BATCH]} updates; {UPDATES} of them take "
                     f"batches of 93 ({wanted[93]}). We take Table IV; `configs/batch93.ini` has the other.",
                     f"batches of {batch}: {count} updates", CONTRADICTORY)


def dropout(results):
    return Statement("III-C, Table II", "Dropout excludes \"input and recurrent connections to LSTM units\" (text); \"some LSTM "
                     "outputs\" (Table II, step 3).", "Two different layers. We take Table II and Figure 1: dropout 0.5 on the last "
                     "LSTM's output, in training only.", "-", CONTRADICTORY)


def learns_everything(results):
    rows = {m: results.row("table5.csv", split="train", model=m) for m in results.models()}
    right = {m: same(number(row["mean"]), P_D["train"]) for m, row in rows.items()}
    ours = "; ".join(f"{m}: {spread(row)}" for m, row in rows.items())
    return Statement("IV-B, Table V", f"All models fully learn the train set: P_D(train) = 100% in {EPOCHS} epochs.",
                     f"{results.epochs()} epochs by {recipe(results)}", ours + lacking(results, "train"),
                     judge_models(results, right))


def lacking(results, split=None):
    """The models that were not run, and with a split P_D of all models in the shorter experiment."""
    absent = [model for model in MODELS if model not in results.models()]
    if not absent:
        return ""
    text = f"; {', '.join(absent)}: not run"
    if results.shorter and split:
        means = models_means(results.shorter, split)
        text += f"; after {results.shorter.epochs()} epochs " + ", ".join(f"{m}: {percent(v)}" for m, v in means.items())
    return text


def models_means(results, split):
    return {m: number(results.row("table5.csv", split=split, model=m)["mean"]) for m in results.models()}


def table_5(results, split):
    rows = {m: results.row("table5.csv", split=split, model=m) for m in results.models()}
    ceiling = number(next(iter(rows.values()))["ceiling"])
    right = {m: same(number(row["ensemble"]), P_D[split]) for m, row in rows.items()}
    ours = "; ".join(f"{m}: {spread(row)}" for m, row in rows.items())
    return Statement("Table V", f"P_D({split}) = {P_D[split]:.2f}% for all four models.",
                     f"Largest output; {percent(ceiling)} is the most that can be, the share of dialogs whose sequence occurs in train. "
                     "Several runs are read together by the largest output over all of them.",
                     ours + lacking(results, split), judge_models(results, right))


def no_advantage(results):
    text = "Dropout and a second layer bring no advantage."
    reading = "No model's mean P_D(test) is higher than that of model 1.0 in the printed decimals"
    source = results
    if len(results.models()) < len(MODELS) and results.shorter and len(results.shorter.models()) == len(MODELS):
        source = results.shorter
        reading += f"; all four after {source.epochs()} epochs"
    means = models_means(source, "test")
    best = f"{100 * max(means.values()):.2f}"
    return Statement("IV-B", text, reading + ".", "; ".join(f"{m}: {percent(v)}" for m, v in means.items()) + lacking(source),
                     judge(source, best == f"{100 * means['1.0']:.2f}") if len(means) == len(MODELS) else NOT_RUN)


def only_unseen_missed(results):
    ours, right = [], True
    for split in ("validation", "test"):
        row = results.row("table5.csv", split=split, model="1.0")
        together, ceiling = number(row["ensemble"]), number(row["ceiling"])
        right = right and same(together, 100 * ceiling)
        ours.append(f"{split}: {percent(together)} of at most {percent(ceiling)}")
    return Statement("IV-B", "Only dialogs that are not in train are missed: the models classify all others correctly.",
                     "P_D is at its ceiling (model 1.0, all runs together).", "; ".join(ours), judge(results, right))


def multiple_run(results):
    runs = results.rows("runs.csv")
    count = {m: sum(row["model"] == m for row in runs) for m in results.models()}
    right = all(count.get(m, 0) >= RUNS for m in MODELS)
    return Statement("IV-B", f"Each model is trained {RUNS} times; the class is that of the largest output over the runs.",
                     "Ten seeds; the run with the largest output answers, and its moments are the moments.",
                     "; ".join(f"{m}: {n} run{'s' if n > 1 else ''}" for m, n in count.items()) + lacking(results),
                     REPRODUCED if right else NOT_RUN)


# ---- section IV-C: abnormal dialogs ----

def median(values):
    values = sorted(values)
    return values[len(values) // 2]


def figure_2(results):
    rows = results.moments()
    seed = rows[0]["seed"]
    groups = {"1": [], "0": []}
    for row in rows:
        groups[row["known"]] += [(number(row["skewness"]), number(row["kurtosis"]))] * int(row["dialogs"])
    if not groups["0"] or not groups["1"]:
        raise Missing("new or known dialogs")
    known, new = ([median([pair[i] for pair in groups[k]]) for i in (0, 1)] for k in ("1", "0"))
    alike = sum(s >= 0.999 and k >= 0.999 for s, k in groups["0"])
    return Statement("IV-C, Figure 2", "Trained dialogs have skewness and kurtosis close to 1, new ones lower; some new ones have the "
                     "same values as trained ones.",
                     f"Medians over test dialogs (seed {seed}); \"the same\": both at least 0.999. Normalised by the one-hot maxima.",
                     f"known {known[0]:.6f} / {known[1]:.6f}; new {new[0]:.6f} / {new[1]:.6f}; {alike} of {len(groups['0'])} new ones are "
                     "like the known", judge(results, known[0] > 0.99 and known[1] > 0.99 and known[0] > new[0] and alike > 0))


def rule_open(results):
    either = results.row("table6.csv", detector="threshold_either", model="1.0", metric="p_d")
    both = results.row("table6.csv", detector="threshold_both", model="1.0", metric="p_d")
    return Statement("IV-C", "H0 if both moments are at or above their limits, H1 if both are below.",
                     "One above, one below is left open. `both` counts it as known, `either` as new; Table VI is read as `both`.",
                     f"P_D {percent(number(both['mean']))} (both), {percent(number(either['mean']))} (either)", UNTESTABLE
                     + " (left open)")


def limits(results):
    runs = [row for row in results.rows("runs.csv") if row["model"] == "1.0"]
    if not runs:
        raise Missing("model 1.0")
    ours = []
    close = True
    for name, paper in LAMBDA.items():
        values = [number(row[f"lambda_{name}"]) for row in runs]
        close = close and all(0.999 < value <= 1 for value in values)
        span = f"{min(values):.6f}" if len(values) == 1 else f"{min(values):.6f}-{max(values):.6f}"
        ours.append(f"{name} {span} (paper {paper})")
    return Statement("IV-C", "lambda = mean - variance over the train set: 0.999828 (skewness), 0.999759 (kurtosis), close to 1.",
                     "The variance as printed, not the deviation; \"close to 1\": above 0.999. The exact values depend on the data.",
                     "; ".join(ours), judge(results, close))


def at_paper_pfa(results, score):
    """The largest P_D of the first run's score where P_FA is at most the paper's."""
    curve = results.curve(score)
    new, known = curve[-1]  # everything is flagged
    allowed = TABLE_6["threshold_both"][1] / 100
    return max(detections / new for detections, false_alarms in curve if false_alarms / known <= allowed)


def at_printed_limits(results):
    """P_D and P_FA of the first run with the paper's own lambda, and P_D where a score alone has the paper's P_FA."""
    dialogs, flagged = {"0": 0, "1": 0}, {"0": 0, "1": 0}
    for row in results.moments():
        below = all(number(row[name]) < limit for name, limit in LAMBDA.items())
        dialogs[row["known"]] += int(row["dialogs"])
        flagged[row["known"]] += below * int(row["dialogs"])
    return (f"; with the paper's lambda, the first run has P_D {percent(flagged['0'] / dialogs['0'])} and P_FA "
            f"{percent(flagged['1'] / dialogs['1'])}; with the limit for which P_FA is at most the paper's, P_D is "
            f"{percent(at_paper_pfa(results, 'skewness'))} by the skewness and {percent(at_paper_pfa(results, 'p_max'))} "
            "by the largest output")


OTHER_PADDINGS = {"1.0-pre": "zeros before the dialog", "1.0-mask": "no zeros"}


def other_paddings(results, detector):
    """The same detector with the zeros elsewhere than in Definition 4, where that was run."""
    text = ""
    for model, padding in OTHER_PADDINGS.items():
        try:
            p_d, p_fa = (results.row("table6.csv", detector=detector, model=model, metric=m) for m in ("p_d", "p_fa"))
        except Missing:
            continue
        text += f"; with {padding} (model {model}): P_D {spread(p_d)}, P_FA {spread(p_fa)}"
    return text


def table_6(results, detector, title):
    p_d, p_fa = (results.row("table6.csv", detector=detector, model="1.0", metric=m) for m in ("p_d", "p_fa"))
    paper_d, paper_fa = TABLE_6[detector]
    reached = round(100 * number(p_d["mean"]), 2) >= paper_d and round(100 * number(p_fa["mean"]), 2) <= paper_fa
    first = results.row("comparison.csv", detector=detector, model="1.0", runs="1")
    interval = ", ".join(f"{name} {100 * number(first[key + '_low']):.2f}-{100 * number(first[key + '_high']):.2f}%"
                         for name, key in (("P_D", "p_d"), ("P_FA", "p_fa")))
    return Statement("Table VI", f"{title}: P_D {paper_d:.2f}%, P_FA {paper_fa:.2f}%.",
                     "Model 1.0, test split, mean of the runs; met if P_D is at least and P_FA at most the paper's.",
                     f"P_D {spread(p_d)}; P_FA {spread(p_fa)}; 95% of the first run: {interval}"
                     + (at_printed_limits(results) if detector == "threshold_both" else "")
                     + other_paddings(results, detector), judge(results, reached))


TOGETHER = {"max": "the run with the largest output", "envelope": "the largest of each output",
            "mean": "not of the paper: the mean of each output"}


def together(results, detector, model):
    """The detector on all runs together, three ways, as text; and its figures by way."""
    rows = {r["combined"]: r for r in results.rows("comparison.csv")
            if r["detector"] == detector and r["model"] == model and r["combined"]}
    shares = {way: [number(rows[way][key]) for key in ("p_d", "p_fa")] for way in TOGETHER if way in rows}
    text = "; ".join(f"{TOGETHER[way]}: P_D {percent(p_d)}, P_FA {percent(p_fa)}" for way, (p_d, p_fa) in shares.items())
    runs = rows[next(iter(shares))]["runs"] if shares else "0"
    return runs, text, shares


def table_6_together(results, detector, title):
    """Table VI where the runs answer together, as section IV-B says of the classes."""
    runs, text, shares = together(results, detector, "1.0")
    paper_d, paper_fa = TABLE_6[detector]
    reached = any(round(100 * p_d, 2) >= paper_d and round(100 * p_fa, 2) <= paper_fa
                  for way, (p_d, p_fa) in shares.items() if way != "mean")
    more, all_text, _ = together(results, detector, "all")
    return Statement("IV-B, Table VI", f"{title}, over the multiple run: P_D {paper_d:.2f}%, P_FA {paper_fa:.2f}%.",
                     "Whether Table VI is of one run or of all together is not printed. \"The LSTM output achieving the maximum value "
                     "during the multiple run\": the run with the largest output answers, or the largest of each output is taken; met "
                     "if either way has the paper's figures.",
                     (f"model 1.0, {runs} runs: {text}" if text else "1.0: one run")
                     + (f"; all models, {more} runs: {all_text}" if all_text else ""),
                     judge(results, reached) if shares else NOT_RUN)


def threshold_is_better(results):
    rows = {d: [number(results.row("table6.csv", detector=d, model="1.0", metric=m)["mean"]) for m in ("p_d", "p_fa")]
            for d in TABLE_6}
    t, k = rows["threshold_both"], rows["kmeans"]
    return Statement("IV-C", "The threshold detects more than K-means, and raises more false alarms.", "Means over the runs of model 1.0.",
                     f"P_D {percent(t[0])} against {percent(k[0])}; P_FA {percent(t[1])} against {percent(k[1])}",
                     judge(results, t[0] > k[0] and t[1] >= k[1]))


def exact_set(results):
    row = results.row("comparison.csv", detector="exact_set")
    chain = results.row("comparison.csv", detector="markov_3", rule="leave-one-out")
    return Statement("IV-C, V", "The threshold classifier shows \"the effective utility\" of the network for new dialogs.",
                     "The paper compares with no baseline. A set of the train dialogs has P_D 100% and P_FA 0% by definition; "
                     "docs/detection.md says what is left for a network.",
                     f"set: {row['detections']} of {row['new']}, {row['false_alarms']} false alarms; Markov chain of order 3: "
                     f"{chain['detections']} of {chain['new']}, {chain['false_alarms']} false alarms of {chain['known']}",
                     UNTESTABLE + " (no criterion)")


def real_time(results):
    return Statement("Abstract, I", "Dialogs are detected in real time, as their messages arrive.",
                     "The paper measures whole dialogs only. `sipgpu watch` decides message by message: docs/watch_performance.md has "
                     "its speed, tables.md what is detected after k messages.", "-", UNTESTABLE + " (not measured there)")


def above_93(results):
    means = {m: number(results.row("table5.csv", split="test", model=m)["ensemble"]) for m in results.models()}
    return Statement("Abstract, C.1", "The classification probability is at least 93% in the test stage in all models.",
                     "P_D(test), all runs together.", "; ".join(f"{m}: {percent(v)}" for m, v in means.items()) + lacking(results, "test"),
                     judge_models(results, {m: value >= 0.93 for m, value in means.items()}))


def features(results):
    runs = [row for row in results.rows("runs.csv") if row["model"] == "1.0"]
    areas = {name: [number(row[f"auc_{name}"]) for row in runs] for name in ("skewness", "kurtosis", "markov_3")}
    means = {name: sum(values) / len(values) for name, values in areas.items()}
    return Statement("C.2", "Skewness and kurtosis of the outputs can be used as classification features.",
                     "Area under the ROC curve on the test split, model 1.0, mean of the runs (0.5: chance; 1: parts new from known); "
                     "met if both are above 0.9.",
                     f"skewness {means['skewness']:.4f}, kurtosis {means['kurtosis']:.4f}; a Markov chain of order 3 without a network: "
                     f"{means['markov_3']:.4f}", judge(results, means["skewness"] > 0.9 and means["kurtosis"] > 0.9))


def complexity(results):
    c = results.json("corpus.json")
    n, m = int(results.settings()["model"]["units"]) or c["unique"], c["message_types"]
    first, second, dense = 4 * n * (m + n + 1), 4 * n * (n + n + 1), (n + 1) * c["unique"]
    return Statement("IV-B", "Model 1.0 has the lowest computational complexity.",
                     f"Weights of the networks with {n} units a layer; dropout adds none.",
                     f"1.x: {first + dense}; 2.x: {first + second + dense}", REPRODUCED)


STATEMENTS = (above_93, features, real_time, dropout, data_set, updates, multiple_run, learns_everything,
              lambda r: table_5(r, "validation"), lambda r: table_5(r, "test"), only_unseen_missed, no_advantage, complexity, figure_2, rule_open,
              limits, lambda r: table_6(r, "kmeans", "K-means"), lambda r: table_6(r, "threshold_both", "Threshold"),
              lambda r: table_6_together(r, "kmeans", "K-means"), lambda r: table_6_together(r, "threshold_both", "Threshold"),
              threshold_is_better, exact_set)


# ---- the page ----

def collect(results):
    for make in STATEMENTS:
        made = make(results)
        yield from made if hasattr(made, "__next__") else [made]


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def trained_by(provenance):
    """ " Its runs were trained by commit 0123." where that is not the commit of the tables."""
    commits = sorted({run.get("commit", "?") for run in provenance.get("runs", [])} - {provenance["commit"]})
    return f" Runs trained by commit {', '.join(commits)} are among them." if commits else ""


def page(results):
    provenance = results.json("provenance.json")
    statements = list(collect(results))
    count = {}
    for statement in statements:
        kind = statement.verdict.split(" (")[0]
        count[kind] = count.get(kind, 0) + 1
    yield "# The paper's statements, one by one"
    yield ""
    yield (f"Written by `scripts/make_report --reproduction` from an experiment of {provenance['date'][:10]} ({provenance['tool']}, commit "
           f"{provenance['commit']}; {provenance['engine']}). Figures of ours are read from its files."
           + trained_by(provenance))
    if results.shorter:
        yield (f"Where it lacks a model, figures after {results.shorter.epochs()} epochs stand beside it, from another experiment "
               f"(`{results.shorter.folder}`); a verdict that rests on them says so.")
    yield ""
    yield ("The paper's data are private. Everything here is measured on a synthetic corpus with the published marginals, so "
           "\"reproduced\" means: the method, as printed or as read, gives this figure on data that agree with the paper's in all that "
           "is printed about them.")
    yield ""
    yield "| where | the paper | our reading | ours | verdict |"
    yield "|---|---|---|---|---|"
    for s in statements:
        yield f"| {s.where} | {cell(s.text)} | {cell(s.reading)} | {cell(s.ours)} | **{s.verdict}** |"
    yield ""
    yield "Together: " + ", ".join(f"{n} {kind}" for kind, n in count.items()) + "."
    yield ""
    yield "Verdicts:"
    yield ""
    yield f"- *{REPRODUCED}*: to the decimals printed (Table VI: P_D at least, P_FA at most the paper's), by the printed recipe;"
    yield f"- *{READING}*: the same, where the paper leaves something open or contradicts itself, or with settings changed as named;"
    yield f"- *{MISSED}*: our figure is another one, or one of the models that were run does not have it;"
    yield f"- *{CONTRADICTORY}*: two places of the paper exclude each other;"
    yield f"- *{UNTESTABLE}*: private data, or nothing printed to hold a figure against;"
    yield f"- *{NOT_RUN}*: this experiment does not hold what it takes."


def text(folder: Path, shorter: Path | None) -> str:
    """The whole page."""
    results = Results(folder, Results(shorter) if shorter else None)
    try:
        return "\n".join(page(results)) + "\n"
    except Missing as what:
        raise ReportError(f"no {what}: not the folder of a complete experiment with model 1.0?") from None
    except (OSError, EOFError, KeyError, ValueError, configparser.Error) as error:
        folders = " or ".join(str(item) for item in (folder, shorter) if item)
        raise ReportError(f"{folders} cannot be read: {error!r}") from None
