"""The comparison of detectors and early detection, as `experiment` and `detect` write them: against what the corpus says,
against the other tables, and the Markdown of scripts/make_report against CSV.
"""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import ROOT, Sipgpu, settings
from network import Network

WORDS = settings(model__units=40, model__forget_bias=3, train__epochs=40, train__batch_size=93,
                 train__learning_rate=0.005, train__lr_schedule="cosine", train__clip_norm=1)
MODELS = ("1.0", "1.0-mask")
COLUMNS = ["detector", "model", "runs", "combined", "rule", "k", "p_d", "p_d_low", "p_d_high", "detections", "new", "p_fa",
           "p_fa_low", "p_fa_high", "false_alarms", "known", "sequences_detected", "sequences_new", "sequences_alarmed",
           "sequences_known", "limit"]
CURVE_COLUMNS = ["model", "runs", "combined", "seed", "score_name", "score", "detections", "false_alarms"]
NETWORK_SCORES = ("skewness", "kurtosis", "lower_moment", "higher_moment", "p_max", "kmeans_distance")
BASELINE_SCORES = ("markov_2", "markov_3", "cross_correlation_largest", "cross_correlation_mean")
Row = dict[str, str]

sys.path.insert(0, str(ROOT / "scripts"))
sys.dont_write_bytecode = True
from report.words import title_of  # noqa: E402


def rows(path: Path) -> list[Row]:
    with open(path, newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def markdown(path: Path, number: int = 0) -> list[list[str]]:
    """The cells of one table of a Markdown file, heads first."""
    tables: list[list[list[str]]] = [[]]
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            tables[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif tables[-1]:
            tables.append([])
    table = tables[number]
    return [table[0], *table[2:]]


@pytest.fixture(scope="module")
def experiment(sipgpu: Sipgpu, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("comparison") / "out"
    sipgpu.ok("experiment", "--corpus", corpus, "--out", folder, "--models", ",".join(MODELS), "--seeds", 2, "--jobs", 2,
              *WORDS)
    return folder


@pytest.fixture(scope="module")
def report(experiment: Path) -> Path:
    """The experiment with its tables as Markdown."""
    pytest.importorskip("matplotlib")
    done = subprocess.run([sys.executable, ROOT / "scripts/make_report", "--tables", experiment], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    return experiment


@pytest.fixture(scope="module")
def comparison(experiment: Path) -> list[Row]:
    return rows(experiment / "comparison.csv")


@pytest.fixture(scope="module")
def early(experiment: Path) -> list[Row]:
    return rows(experiment / "early.csv")


class Dialogs:
    """The dialogs of a corpus, by split."""

    def __init__(self, path: Path):
        with h5py.File(path) as f:
            sequences = [tuple(int(x) for x in row[:n]) for row, n in zip(f["dialogs/sequence"][:], f["dialogs/length"][:])]
            split = f["split"][:]
        self.train, _, self.test = ([s for s, k in zip(sequences, split) if k == number] for number in range(3))
        self.known = set(self.train)
        self.beginnings = {s[:k] for s in self.known for k in range(len(s) + 1)}

    def count(self, flagged: Any) -> tuple[int, int]:
        """Detections and false alarms of a rule."""
        hits = [s for s in self.test if flagged(s)]
        return sum(s not in self.known for s in hits), sum(s in self.known for s in hits)


@pytest.fixture(scope="module")
def dialogs(corpus: Path) -> Dialogs:
    return Dialogs(corpus)


def find(table: list[Row], **wanted: str) -> Row:
    row, = (r for r in table if all(r[key] == value for key, value in wanted.items()))
    return row


def wilson(hits: int, total: int) -> tuple[float, float]:
    z = 1.959963984540054
    p = hits / total
    middle, half = p + z * z / (2 * total), z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return (middle - half) / (1 + z * z / total), (middle + half) / (1 + z * z / total)


def assert_shares(table: list[Row], dialogs: Dialogs) -> None:
    new = sum(s not in dialogs.known for s in dialogs.test)
    for row in table:
        assert int(row["new"]) == new and int(row["new"]) + int(row["known"]) == len(dialogs.test)
        for share, hits, total in (("p_d", "detections", "new"), ("p_fa", "false_alarms", "known")):
            assert float(row[share]) == pytest.approx(int(row[hits]) / int(row[total]), abs=1e-9)
            low, high = wilson(int(row[hits]), int(row[total]))
            assert float(row[f"{share}_low"]) == pytest.approx(low, abs=1e-9)
            assert float(row[f"{share}_high"]) == pytest.approx(high, abs=1e-9)


# ---- comparison.csv ----


def test_columns_and_shares(comparison: list[Row], dialogs: Dialogs) -> None:
    assert list(comparison[0]) == COLUMNS
    assert_shares(comparison, dialogs)
    keys = [tuple(row[key] for key in COLUMNS[:5]) for row in comparison]
    assert len(set(keys)) == len(keys)
    kinds = {(row["model"], row["runs"], row["combined"]) for row in comparison}
    kinds_of_model = (("1", ""), ("2", "max"), ("2", "mean"), ("2", "envelope"))
    assert kinds == {("-", "0", ""), ("all", "4", "mean"), ("all", "4", "envelope")} | \
        {(m, *k) for m in MODELS for k in kinds_of_model}


def full_outputs(experiment: Path, corpus: Path, model: str, seed: int) -> np.ndarray:
    """[classes, classes]: what the network of a run says of every class; outputs that are next to nothing are left out."""
    with h5py.File(corpus) as f:
        sequences = f["classes/sequence"][()].astype(np.int64)
    outputs = Network.read(model_of(experiment, model, seed))(sequences)
    return np.where(outputs < 1e-7, 0, outputs)


def normalised_moments(outputs: np.ndarray) -> list[np.ndarray]:
    """Skewness and kurtosis of each row, divided by those of a one-hot row."""
    def moments(x: np.ndarray) -> list[np.ndarray]:
        central = x - x.mean(axis=-1, keepdims=True)
        variance = (central ** 2).mean(axis=-1)
        return [(central ** order).mean(axis=-1) / variance ** (order / 2) for order in (3, 4)]

    return [ours / most for ours, most in zip(moments(outputs), moments(np.eye(outputs.shape[1])[0]))]


def test_pooled_runs_follow_from_the_networks(experiment: Path, corpus: Path, comparison: list[Row]) -> None:
    with h5py.File(corpus) as f:
        split, label, classes = f["split"][:], f["dialogs/label"][:], len(f["classes/count"])
    train, test = (np.bincount(label[split == number], minlength=classes) for number in (0, 2))
    runs = {model: [full_outputs(experiment, corpus, model, seed) for seed in (1, 2)] for model in MODELS}
    runs["all"] = [outputs for model in MODELS for outputs in runs[model]]
    for model, outputs in runs.items():
        for combined, pooled in (("mean", np.mean(outputs, axis=0)), ("envelope", np.max(outputs, axis=0))):
            distance = []  # of both moments to their limits
            for moment in normalised_moments(pooled):
                mean = np.average(moment, weights=train)
                distance.append(moment - (mean - np.average((moment - mean) ** 2, weights=train)))
            for detector, nearest in (("threshold_both", np.max(distance, axis=0)), ("threshold_either", np.min(distance, axis=0))):
                row = find(comparison, detector=detector, model=model, combined=combined)
                for key, of in (("detections", train == 0), ("false_alarms", train > 0)):
                    least, most = (test[of & (nearest < limit)].sum() for limit in (-1e-6, 1e-6))
                    assert least <= int(row[key]) <= most <= least + 3, (model, combined, detector, key)


def test_sets_are_what_the_corpus_says(comparison: list[Row], dialogs: Dialogs) -> None:
    def grams(sequence: tuple[int, ...], n: int) -> set[tuple[int, ...]]:
        marked = (0,) * (n - 1) + sequence + (0,)
        return {marked[i:i + n] for i in range(len(marked) - n + 1)}

    rules = {"exact_set": lambda s: s not in dialogs.known, "prefix_trie": lambda s: s not in dialogs.beginnings,
             "cross_correlation_largest": lambda s: s not in dialogs.known}
    for n in (2, 3, 4):
        known = set().union(*(grams(s, n) for s in dialogs.known))
        rules[f"ngram_{n}"] = lambda s, n=n, known=known: not grams(s, n) <= known
    for name, rule in rules.items():
        row = next(row for row in comparison if row["detector"] == name)
        assert (int(row["detections"]), int(row["false_alarms"])) == dialogs.count(rule), name


def test_cross_correlation_is_its_definition(experiment: Path, comparison: list[Row], dialogs: Dialogs) -> None:
    def correlation(x: tuple[int, ...], y: tuple[int, ...]) -> float:
        best = max(sum(a == y[t + lag] for t, a in enumerate(x) if 0 <= t + lag < len(y))
                   for lag in range(-len(x), len(y)))
        return best / math.sqrt(len(x) * len(y))

    score = {s: sum(correlation(s, y) for y in dialogs.train) / len(dialogs.train) for s in set(dialogs.test)}
    for row in (r for r in comparison if r["detector"] == "cross_correlation_mean"):
        limit = float(row["limit"])
        assert all(abs(value - limit) > 1e-9 for value in score.values())
        assert (int(row["detections"]), int(row["false_alarms"])) == dialogs.count(lambda s, x=limit: score[s] < x)
    curve = [r for r in rows(experiment / "roc.csv") if r["score_name"] == "cross_correlation_mean"]
    assert [float(r["score"]) for r in curve[1:]] == pytest.approx(sorted(set(score.values())), abs=1e-9)


def test_agrees_with_the_other_tables(experiment: Path, comparison: list[Row]) -> None:
    runs, table6 = rows(experiment / "runs.csv"), rows(experiment / "table6.csv")
    for model in MODELS:
        for detector in ("threshold_both", "threshold_either", "kmeans"):
            first = find(comparison, detector=detector, model=model, combined="")
            together = find(comparison, detector=detector, model=model, combined="max")
            for share in ("p_d", "p_fa"):
                assert first[share] == find(runs, model=model, seed="1")[f"{detector}_{share}"]
                assert together[share] == find(table6, detector=detector, model=model, metric=share)["ensemble"]
    for detector in ("exact_set", "markov_2", "markov_3"):
        row = next(row for row in comparison if row["detector"] == detector)
        assert row["p_fa"] == find(table6, detector=detector, metric="p_fa")["mean"]


def test_best_single_is_one_of_the_single_limits(comparison: list[Row]) -> None:
    for row in (r for r in comparison if r["detector"] == "best_single"):
        score = row["rule"].removeprefix("validation: ")
        other = find(comparison, detector=score, model=row["model"], combined=row["combined"], rule="validation")
        assert all(row[key] == other[key] for key in COLUMNS[6:])


def test_pairs_follow_from_the_verdicts(experiment: Path) -> None:
    paired = rows(experiment / "paired.csv")
    for model in MODELS:
        verdicts = [row for row in rows(experiment / "moments.csv")
                    if (row["model"], row["seed"], row["split"]) == (model, "1", "test")]
        for baseline in ("exact_set", "markov_2", "markov_3"):
            row = find(paired, detector="threshold_both", model=model, combined="", baseline=baseline)
            alone = [[v for v in verdicts if v["threshold_both"] != v[baseline] and (v[name] != v["known"]) == right]
                     for name, right in (("threshold_both", True), (baseline, True))]
            assert [int(row["sequences_detector"]), int(row["sequences_baseline"])] == [len(a) for a in alone]
            assert [int(row["dialogs_detector"]), int(row["dialogs_baseline"])] == \
                [sum(int(v["dialogs"]) for v in a) for a in alone]
            least, count = min(map(len, alone)), sum(map(len, alone))
            tail = sum(math.comb(count, i) for i in range(least + 1)) / 2 ** count
            assert float(row["p_value"]) == pytest.approx(min(1, 2 * tail), rel=1e-5)


def test_markdown_holds_the_figures_of_the_csv(report: Path, comparison: list[Row]) -> None:
    heads, *cells = markdown(report / "comparison.md")
    assert heads[:4] == ["detector", "model", "runs", "limit from"]
    shown = [row for row in comparison if row["detector"] not in ("skewness", "kurtosis")]
    assert len(cells) == len(shown) > 20
    for line, row in zip(cells, shown):
        runs = "-" if row["runs"] == "0" else ", ".join(filter(None, (row["runs"], row["combined"])))
        assert line[:4] == [title_of(row["detector"]), row["model"], runs, row["rule"]]
        for at, share, hits, total in ((4, "p_d", "detections", "new"), (7, "p_fa", "false_alarms", "known")):
            low, high = 100 * float(row[f"{share}_low"]), 100 * float(row[f"{share}_high"])
            assert line[at:at + 3] == [f"{100 * float(row[share]):.2f}%", f"{low:.2f}-{high:.2f}",
                                       f"{row[hits]}/{row[total]}"]


def test_words_hold_the_figures_of_the_csv(report: Path, comparison: list[Row]) -> None:
    text = (report / "comparison.md").read_text(encoding="utf-8")
    trie = find(comparison, detector="prefix_trie")
    assert f"flags {trie['detections']} of {trie['new']}, with 0 false alarms" in text
    assert f"dialogs, {int(trie['new']) - int(trie['detections'])}, go like the beginning" in text
    for row in (r for r in comparison if r["detector"] == "threshold_both"):
        missed = int(row["new"]) - int(row["detections"])
        assert (f"misses {missed} of {row['new']} new dialogs and raises {row['false_alarms']} false alarms on {row['known']} "
                f"known ones: wrong on {missed + int(row['false_alarms'])} dialogs") in text


# ---- early.csv ----


def test_early_columns_and_shares(early: list[Row], dialogs: Dialogs, corpus: Path) -> None:
    with h5py.File(corpus) as f:
        longest = int(f.attrs["max_length"])
    assert list(early[0]) == COLUMNS
    assert_shares(early, dialogs)
    curves = {(row["detector"], row["model"]) for row in early}
    assert {("threshold_both", model) for model in MODELS} <= curves
    for detector, model in curves:
        curve = [row for row in early if (row["detector"], row["model"]) == (detector, model)]
        assert [int(row["k"]) for row in curve] == list(range(1, longest + 1))
        for key in ("detections", "false_alarms"):
            counts = [int(row[key]) for row in curve]
            assert counts == sorted(counts)


def test_early_ends_at_whole_dialogs(early: list[Row], comparison: list[Row]) -> None:
    last = str(max(int(row["k"]) for row in early))
    for detector in ("exact_set", "prefix_trie", "ngram_2", "ngram_3", "ngram_4"):
        end, whole = find(early, detector=detector, k=last), find(comparison, detector=detector)
        assert all(end[key] == whole[key] for key in ("detections", "false_alarms"))
    best = find(early, detector="prefix_trie_exact_set", k=last)
    assert best["detections"] == best["new"] and best["false_alarms"] == "0"


def test_early_sets_are_what_the_corpus_says(early: list[Row], dialogs: Dialogs) -> None:
    for k in (1, 2, 3, 5, 9):
        row = find(early, detector="prefix_trie", k=str(k))
        wanted = dialogs.count(lambda s, k=k: s[:k] not in dialogs.beginnings)
        assert (int(row["detections"]), int(row["false_alarms"])) == wanted
        row = find(early, detector="exact_set", k=str(k))
        wanted = dialogs.count(lambda s, k=k: len(s) <= k and s not in dialogs.known)
        assert (int(row["detections"]), int(row["false_alarms"])) == wanted


def test_tables_markdown_holds_the_figures_of_the_csv(report: Path, early: list[Row]) -> None:
    table5, table6 = rows(report / "table5.csv"), rows(report / "table6.csv")
    _, *cells = markdown(report / "tables.md")
    assert [line[:2] + line[4:5] for line in cells] == \
        [[row["split"], row["model"], f"{100 * float(row['mean']):.2f}%"] for row in table5]
    _, *cells = markdown(report / "tables.md", 1)
    pairs = list(zip(table6[::2], table6[1::2]))
    assert [[line[0], line[1], line[4], line[8]] for line in cells] == \
        [[title_of(d["detector"]), d["model"], *(f"{100 * float(row['mean']):.2f}%" for row in (d, fa))] for d, fa in pairs]
    heads, *cells = markdown(report / "tables.md", 2)
    steps = [head.removeprefix("k = ") for head in heads[2:]]
    names = {title_of(row["detector"]): row["detector"] for row in early}
    assert len(cells) == len({(row["detector"], row["model"]) for row in early})
    for line in cells:
        for k, cell in zip(steps, line[2:]):
            row = find(early, detector=names[line[0]], model=line[1], k=k)
            assert cell == f"{100 * float(row['p_d']):.1f} / {100 * float(row['p_fa']):.1f}"
    positions = rows(report / "early_position.csv")
    _, *cells = markdown(report / "tables.md", 3)
    assert len(cells) == len(positions)
    for line, row in zip(cells, positions):
        assert [names[line[0]], line[1], line[2], line[3], line[6], line[7], line[8]] == \
            [row[key] for key in ("detector", "model", "detections", "new", "earlier_than_trie", "later_than_trie",
                                  "false_alarms")]


# ---- curves, and the other way to get there ----


def test_curves(experiment: Path, comparison: list[Row]) -> None:
    """Each begins with nothing and ends with everything that there is."""
    points = rows(experiment / "roc.csv")
    assert list(points[0]) == CURVE_COLUMNS
    wanted = {("-", "0", "", "", score) for score in BASELINE_SCORES}
    wanted |= {(model, "1", "", seed, score) for model in MODELS for seed in "12" for score in NETWORK_SCORES}
    wanted |= {(row["model"], row["runs"], row["combined"], "", score) for row in comparison if row["combined"]
               for score in ("higher_moment", "p_max")}
    curves = {}
    for row in points:
        curves.setdefault(tuple(row[key] for key in CURVE_COLUMNS[:5]), []).append(row)
    assert set(curves) == wanted
    for curve in curves.values():
        assert [curve[0][key] for key in CURVE_COLUMNS[5:]] == ["-inf", "0", "0"]
        assert (curve[-1]["detections"], curve[-1]["false_alarms"]) == (comparison[0]["new"], comparison[0]["known"])
        assert [float(row["score"]) for row in curve] == sorted(float(row["score"]) for row in curve)


def test_curves_of_runs_together(experiment: Path, comparison: list[Row]) -> None:
    """A single limit is a point of the curve: what lies below it is flagged."""
    points = [row for row in rows(experiment / "roc.csv") if row["combined"] and row["score_name"] == "p_max"]
    kinds = {(row["model"], row["combined"]) for row in points}
    assert len(kinds) == 8
    for model, combined in kinds:
        curve = [row for row in points if (row["model"], row["combined"]) == (model, combined)]
        limit = find(comparison, detector="p_max", model=model, combined=combined, rule="validation")
        last = [row for row in curve if float(row["score"]) < float(limit["limit"])][-1]
        assert all(last[key] == limit[key] for key in ("runs", "detections", "false_alarms"))


def test_runs_that_are_added(experiment: Path, comparison: list[Row]) -> None:
    """With one run the first seed, with all of them the rows of comparison.csv."""
    table = rows(experiment / "together.csv")
    assert len(table) == len(MODELS) * 3 * (1 + 3)  # detectors, and one run or two in three ways
    assert {(row["runs"], row["combined"]) for row in table} == {("1", ""), ("2", "max"), ("2", "mean"), ("2", "envelope")}
    for row in table:
        whole = find(comparison, **{key: row[key] for key in ("model", "runs", "combined", "detector")})
        assert all(row[key] == whole[key] for key in row)


def test_detect_writes_the_same(sipgpu: Sipgpu, corpus: Path, experiment: Path, comparison: list[Row],
                                early: list[Row], tmp_path: Path) -> None:
    for model in MODELS:
        out = tmp_path / model
        sipgpu.ok("detect", "--model", experiment / f"runs/model{model}_seed1/model.h5", "--corpus", corpus, "--out", out,
                  "--early")
        assert rows(out / "comparison.csv") == [row for row in comparison if row["runs"] == "0" or
                                                (row["model"], row["runs"]) == (model, "1")]
        assert rows(out / "early.csv") == [row for row in early if row["model"] in ("-", model)]
        curves = [row for row in rows(experiment / "roc.csv")
                  if not row["combined"] and (row["model"], row["seed"]) in ((model, "1"), ("-", ""))]
        assert rows(out / "roc.csv") == curves
        moments = [row for row in rows(experiment / "moments.csv") if (row["model"], row["seed"]) == (model, "1")]
        assert rows(out / "moments.csv") == moments


def model_of(experiment: Path, model: str, seed: int) -> Path:
    return experiment / f"runs/model{model}_seed{seed}/model.h5"


@pytest.mark.parametrize("pool", ["mean", "envelope"])
def test_detect_with_several_models(sipgpu: Sipgpu, corpus: Path, experiment: Path, comparison: list[Row], tmp_path: Path,
                                    pool: str) -> None:
    """The same rows as in the experiment, for the seeds of one model and for all models."""
    for name, models in (("1.0", ("1.0",)), ("all", MODELS)):
        first, *others = (model_of(experiment, model, seed) for model in models for seed in (1, 2))
        words = [word for path in others for word in ("--with", path)]
        out = tmp_path / name
        sipgpu.ok("detect", "--model", first, *words, "--pool", pool, "--corpus", corpus, "--out", out)
        ours = [row for row in rows(out / "comparison.csv") if row["runs"] != "0"]
        assert ours == [row for row in comparison if (row["model"], row["combined"]) == (name, pool)] != []
        points, theirs = ([row for row in rows(folder / "roc.csv") if (row["model"], row["combined"], row["score_name"])
                           == (name, pool, "p_max")] for folder in (out, experiment))
        assert points == theirs and points
        said = json.loads(sipgpu.ok("detect", "--model", first, *words, "--pool", pool, "--corpus", corpus, "--json").out)
        assert said["with"] == [str(path) for path in others] and said["pool"] == pool
        both = said["detection"]["detectors"]["threshold_both"]
        assert both["p_d"]["hits"] == int(find(ours, detector="threshold_both")["detections"])


def test_eval_with_several_models(sipgpu: Sipgpu, corpus: Path, experiment: Path) -> None:
    first, second = (model_of(experiment, "1.0", seed) for seed in (1, 2))
    said = json.loads(sipgpu.ok("eval", "--model", first, "--with", second, "--corpus", corpus, "--json").out)
    named = np.mean([full_outputs(experiment, corpus, "1.0", seed) for seed in (1, 2)], axis=0).argmax(axis=1)
    with h5py.File(corpus) as f:
        split, label = f["split"][:], f["dialogs/label"][:]
    for number, name in enumerate(("train", "validation", "test")):
        of = label[split == number]
        assert said["splits"][name]["p_d"]["hits"] == (named[of] == of).sum()


def test_models_that_cannot_answer_together(sipgpu: Sipgpu, corpus: Path, experiment: Path, tmp_path: Path) -> None:
    first = model_of(experiment, "1.0", 1)
    words = ("--model", first, "--corpus", corpus)
    sipgpu.refuses("detect", *words, "--with", tmp_path / "none.h5", names=("none.h5",))
    sipgpu.refuses("detect", *words, "--with", first, "--early", "--out", tmp_path / "out", names=("--early", "--with"), code=2)
    sipgpu.refuses("eval", *words, "--with", first, "--pool", "median", names=("median", "envelope"), code=2)
    other, run = tmp_path / "other.h5", tmp_path / "run"
    sipgpu.ok("corpus", "synth", "--preset", "small", "--seed", 9, "--out", other)
    sipgpu.ok("train", "--corpus", other, "--out", run, *settings(model__units=8, train__epochs=1, train__batch_size=190))
    for command in ("eval", "detect"):
        sipgpu.refuses(command, *words, "--with", run / "model.h5", names=(str(run / "model.h5"), "corpora"))


def test_early_can_be_left_out(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    sipgpu.ok("experiment", "--corpus", corpus, "--out", out, "--models", "1.0", "--seeds", 1,
              *settings(model__units=8, train__epochs=1, train__batch_size=190, experiment__early="false"))
    assert (out / "comparison.csv").exists() and not list(out.glob("early*"))
    assert {row["combined"] for row in rows(out / "comparison.csv")} == {""}  # one run alone
    plain = tmp_path / "plain"
    model = out / "runs/model1.0_seed1/model.h5"
    sipgpu.ok("detect", "--model", model, "--corpus", corpus, "--out", plain)
    assert (plain / "comparison.csv").exists() and not list(plain.glob("early*"))
    sipgpu.refuses("detect", "--model", model, "--corpus", corpus, "--early", names=("--early", "--out"), code=2)


def test_a_model_without_limits_has_no_part(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = sipgpu.ok("experiment", "--corpus", corpus, "--out", out, "--models", "1.0", "--seeds", 1,
                       *settings(model__units=8, train__epochs=1, train__batch_size=190, train__prefix_limits="false"))
    assert "model 1.0 has no limits for beginnings" in result.err
    assert {row["model"] for row in rows(out / "early.csv")} == {"-"}


def test_unknown_padding(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    sipgpu.refuses("experiment", "--corpus", corpus, "--out", tmp_path / "out", "--models", "1.0-left",
                   names=("unknown model '1.0-left'", "-mask"))
    assert not (tmp_path / "out").exists()
