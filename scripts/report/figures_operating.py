"""figures_operating: what can be had at which price: ROC curves with operating points, and detection message by
message."""

from __future__ import annotations

import numpy as np
from matplotlib.lines import Line2D

from report import paper, style
from report.results import Results, Table
from report.style import Drawing, Missing
from report.words import reference_model, title_of

# skewness and kurtosis alone lie on the curves of the lower and the higher of both; the distance to the centres of K-means
# ranks outputs closer to one-hot than the upper centre wrongly, and is no rule of the paper.
NETWORK_SCORES = ("higher_moment", "lower_moment", "p_max")
NETWORK_DETECTORS = ("threshold_both", "threshold_either", "kmeans")
EARLY_DETECTORS = ("threshold_both", "threshold_either", "prefix_trie_exact_set", "exact_set", "ngram_3", "markov_2")


# ---- ROC ----


def _at_most(p_fa: np.ndarray, p_d: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """The largest P_D at a P_FA that is at most that of the grid."""
    order = np.lexsort((p_d, p_fa))
    best = np.maximum.accumulate(p_d[order])
    place = np.searchsorted(p_fa[order], grid * (1 + 1e-9), side="right") - 1
    return np.where(place >= 0, best[np.maximum(place, 0)], 0.0)


def curve(table: Table) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """P_FA, with mean, least and largest P_D of the runs at that P_FA; a file without a seed is one run."""
    there = np.isfinite(table["p_d"]) & np.isfinite(table["p_fa"])
    seeds = table.values.get("seed", np.zeros(len(table), dtype=np.int64))
    grid = np.unique(table["p_fa"][there])
    runs = [
        _at_most(table["p_fa"][there & (seeds == s)], table["p_d"][there & (seeds == s)], grid)
        for s in np.unique(seeds)
    ]
    return grid, np.mean(runs, axis=0), np.min(runs, axis=0), np.max(runs, axis=0)


def _draw_curve(axes, table: Table, zero: float, colour: str, line, label: str, band: bool = False) -> Line2D:
    grid, mean, low, high = curve(table)
    place = np.where(grid > 0, grid, zero)
    if band:
        axes.fill_between(place, low, high, step="post", color=colour, alpha=0.12, linewidth=0)
    return axes.step(place, mean, where="post", color=colour, linestyle=line, label=label)[0]


def _point(
    axes, p_fa: float, p_d: float, zero: float, shape: str, colour: str, label: str, fill: bool = True, size: float = 6
):
    return axes.plot(
        [p_fa if p_fa > 0 else zero],
        [p_d],
        linestyle="",
        marker=shape,
        color=colour,
        markersize=size,
        markerfacecolor=colour if fill else "none",
        markeredgecolor=colour,
        markeredgewidth=0.6 if fill else 1.1,
        label=label,
        zorder=5,
        clip_on=False,
    )[0]


def _spread(results: Results, detector: str, model: str, metric: str) -> tuple[float, float, float] | None:
    """Mean, least and largest of the runs, from Table VI."""
    t = results.table6
    rows = np.flatnonzero((t["detector"] == detector) & (t["model"] == model) & (t["metric"] == metric))
    if len(rows) == 0 or not np.isfinite(t["mean"][rows[0]]):
        return None
    return tuple(float(t[name][rows[0]]) for name in ("mean", "min", "max"))


def _network_points(axes, results: Results, model: str, zero: float) -> list[Line2D]:
    handles = []
    for detector, shape, colour, fill, size in zip(
        NETWORK_DETECTORS, "sDo", (style.BLUE, style.VERMILLION, style.PURPLE), (True, False, True), (4.5, 8, 6)
    ):
        p_d, p_fa = (_spread(results, detector, model, metric) for metric in ("p_d", "p_fa"))
        if p_d is None or p_fa is None:
            continue
        x = p_fa[0] if p_fa[0] > 0 else zero
        axes.plot([x, x], p_d[1:], color=colour, linewidth=0.8, zorder=4)
        axes.plot([max(p_fa[1], zero), max(p_fa[2], zero)], [p_d[0]] * 2, color=colour, linewidth=0.8, zorder=4)
        handles.append(_point(axes, p_fa[0], p_d[0], zero, shape, colour, title_of(detector), fill, size))
    return handles


def _paper_points(axes, zero: float) -> list[Line2D]:
    return [
        _point(
            axes,
            p_fa,
            p_d,
            zero,
            "*",
            style.BLACK,
            f"{words} ({100 * p_d:.2f}%, {100 * p_fa:.2f}%)",
            fill=detector == "threshold_both",
            size=10,
        )
        for detector, (words, p_d, p_fa) in paper.TABLE6.items()
    ]


def _baseline_points(axes, results: Results, curves: dict[str, Line2D], zero: float) -> list[Line2D]:
    """One point for each detector without a network, by its first row in comparison.csv; on a curve, in its colour."""
    t = results.comparison
    handles: list[Line2D] = []
    seen, on_curves = set(), False
    for row in range(len(t) if t else 0):
        name = t["detector"][row]
        if (
            t.values.get("model", ["-"] * len(t))[row] != "-"
            or name in seen
            or not np.isfinite(t["p_d"][row] + t["p_fa"][row])
        ):
            continue
        seen.add(name)
        if name in curves:
            on_curves = True
            _point(axes, t["p_fa"][row], t["p_d"][row], zero, "o", curves[name].get_color(), "", size=4)
        else:
            shape = style.SHAPES[(len(handles) + 1) % len(style.SHAPES)]
            handles.append(
                _point(axes, t["p_fa"][row], t["p_d"][row], zero, shape, style.GREY, title_of(name), size=6.5)
            )
    if on_curves:
        handles.append(
            Line2D(
                [], [], linestyle="", marker="o", markersize=4, color=style.BLACK, label="on a curve: limit from train"
            )
        )
    return handles


def _roc_axes(figure, place, least: float, labels: bool):
    axes = figure.add_subplot(place)
    zero = style.log_axis_with_zero(axes, "x", least)
    axes.set(ylim=(0, 1.03), xlabel="$P_{FA}$")
    axes.set_ylabel("$P_D$" if labels else "")
    style.percent_axis(axes.yaxis)
    style.grid(axes)
    return axes, zero


def roc(results: Results) -> Drawing | Missing:
    name, title = "roc", "ROC of every detector"
    model = reference_model(results)
    network = {s: t for s, t in results.roc_model.get(model, {}).items() if s in NETWORK_SCORES}
    if not network and not results.roc:
        return Missing(name, title, "roc.csv is not there")
    used = [*network.values(), *results.roc.values()]
    if not any(np.isfinite(t["p_d"] + t["p_fa"]).any() for t in used):
        return Missing(name, title, "the test split has no new or no known dialogs, so there is no ROC")
    least = min((float(t["p_fa"][t["p_fa"] > 0].min()) for t in used if (t["p_fa"] > 0).any()), default=1e-3)
    figure = style.new_figure(style.TWO_COLUMNS, 4.8)
    places = figure.add_gridspec(2, 2, height_ratios=(1, 0.48))
    left, zero = _roc_axes(figure, places[0, 0], least, True)
    right, _ = _roc_axes(figure, places[0, 1], least, False)
    style.letter(left, "a", f"network, model {model}")
    style.letter(right, "b", "without a network")
    lines = iter(style.LINES * 2)
    several = len(results.seeds(model)) > 1
    handles = [
        [
            _draw_curve(left, network[s], zero, *next(lines), title_of(s), several and s == NETWORK_SCORES[0])
            for s in NETWORK_SCORES
            if s in network
        ]
    ]
    handles[0] += _network_points(left, results, model, zero) + _paper_points(left, zero)
    lines = iter(style.LINES * 2)
    curves = {s: _draw_curve(right, t, zero, *next(lines), title_of(s)) for s, t in results.roc.items()}
    handles.append([*curves.values(), *_baseline_points(right, results, curves, zero)])
    _paper_points(right, zero)
    style.legend_panel(figure, places[1, 0], handles[0], 1)
    style.legend_panel(figure, places[1, 1], handles[1], 1 if len(handles[1]) < 11 else 2)
    seeds = len(results.seeds(model))
    caption = (
        "P_D against P_FA on the test split, P_FA on a logarithmic axis with a place for 0 at the left. (a) Scores of "
        f"model {model}: mean of {style.runs_text(seeds)} at each P_FA, for the higher of both moments also the range "
        "of the runs; marks: the operating "
        "points of Table VI, mean and range of the runs. (b) Scores and operating points of detectors without a "
        "network, with limits found on the train split. Stars: the points that the "
        "paper prints for model 1.0 on its own corpus."
    )
    files = [used[0].name, results.table6.name] + ([results.comparison.name] if results.comparison else [])
    return Drawing(name, title, caption, files, figure)


# ---- several runs together ----

COMBINED = {
    "max": "the run with the largest output",
    "mean": "mean of each output",
    "envelope": "largest of each output",
}
COMBINED_POINTS = {"threshold_both": ("s", 5), "kmeans": ("o", 5)}


def _draw_combined(axes, results: Results, model: str, zero: float) -> list[Line2D]:
    """The curves of one model's runs together, on each the points of the threshold and of K-means."""
    table, handles = results.roc_combined, []
    for (combined, title), (colour, line) in zip(COMBINED.items(), style.LINES[1:]):
        own = (table["model"] == model) & (table["combined"] == combined) & (table["score_name"] == "higher_moment")
        if not own.any():
            continue
        grid = np.unique(table["p_fa"][own])
        p_d = _at_most(table["p_fa"][own], table["p_d"][own], grid)
        handles += axes.step(
            np.where(grid > 0, grid, zero), p_d, where="post", color=colour, linestyle=line, label=title
        )
        for row in results.comparison.rows if results.comparison else []:
            if row.get("model") == model and row.get("combined") == combined and row["detector"] in COMBINED_POINTS:
                shape, size = COMBINED_POINTS[row["detector"]]
                _point(axes, float(row["p_fa"]), float(row["p_d"]), zero, shape, colour, "", size=size)
    return handles


def _combined_models(table: Table, model: str) -> dict[str, str]:
    """The reference model and all models together, as far as several runs of them stand in the table, and their titles."""
    titles = {}
    for m, words in ((model, f"model {model}"), ("all", "all models")):
        runs = table["runs"][table["model"] == m]
        if len(runs):
            titles[m] = f"{words}: {style.runs_text(int(runs[0]))}"
    return titles


def together(results: Results) -> Drawing | Missing:
    name, title = "together", "Several runs together"
    model, table = reference_model(results), results.roc_combined
    if table is None or len(table) == 0:
        return Missing(name, title, "roc.csv has no curve of several runs together")
    if not np.isfinite(table["p_d"] + table["p_fa"]).any():
        return Missing(name, title, "the test split has no new or no known dialogs, so there is no ROC")
    titles = _combined_models(table, model)
    if not titles:
        return Missing(name, title, f"roc.csv has neither model {model} nor all models together")
    single = results.roc_model.get(model, {}).get("higher_moment")
    figure = style.new_figure(style.TWO_COLUMNS, 4.0)
    places = figure.add_gridspec(2, 2, height_ratios=(1, 0.3))
    shares = np.concatenate([t["p_fa"] for t in (table, single) if t is not None])
    least = float(shares[shares > 0].min()) if (shares > 0).any() else 1e-3
    handles: dict[str, Line2D] = {}
    captions = []
    for i, (m, words) in enumerate(titles.items()):
        axes, zero = _roc_axes(figure, places[0, i] if len(titles) > 1 else places[0, :], least, i == 0)
        if len(titles) > 1:
            style.letter(axes, "ab"[i], words)
        captions.append((f"({'ab'[i]}) " if len(titles) > 1 else "") + words[0].upper() + words[1:])
        if single is not None:
            line = _draw_curve(axes, single, zero, style.BLUE, "-", f"one run of model {model} (mean over the seeds)")
            handles.setdefault("single", line)
        for handle in _draw_combined(axes, results, m, zero):
            handles.setdefault(handle.get_label(), handle)
        for handle in _paper_points(axes, zero):
            handles.setdefault(handle.get_label(), handle)
    for detector, (shape, size) in COMBINED_POINTS.items():
        label = f"{title_of(detector)}, of the curve's colour"
        mark = Line2D([], [], linestyle="", marker=shape, markersize=size, color=style.BLACK, label=label)
        handles[detector] = mark
    style.legend_panel(figure, places[1, :], list(handles.values()), 2)
    caption = (
        "P_D against P_FA on the test split, by the higher of both moments, P_FA on a logarithmic axis with a place for "
        f"0 at the left. {'. '.join(captions)}. Squares and circles: where the "
        "threshold (limits from the train split) and K-means lie. Stars: the points that the paper prints for its ten "
        "runs of model 1.0 on its own corpus."
    )
    return Drawing(name, title, caption, [table.name] + ([results.comparison.name] if results.comparison else []), figure)


FEWEST_RUNS = 3  # of which there is a course to draw


def _more_runs_panel(axes, results: Results, model: str, share: str, zero: float) -> list[Line2D]:
    table, handles = results.together, []
    own = (table["model"] == model) & (table["detector"] == "threshold_both")
    for (combined, title), (colour, line), shape in zip(COMBINED.items(), style.LINES[1:], style.SHAPES):
        rows = np.flatnonzero(own & ((table["combined"] == combined) | (table["runs"] == 1)))
        rows = rows[np.argsort(table["runs"][rows], kind="stable")]
        values = np.maximum(table[share][rows], zero)
        handles += axes.plot(table["runs"][rows], values, color=colour, linestyle=line, marker=shape, label=title)
    _, p_d, p_fa = paper.TABLE6["threshold_both"]
    value = p_d if share == "p_d" else p_fa
    handles.append(axes.axhline(value, color=style.GREY, linewidth=0.8, linestyle=(0, (4, 3)), label="the paper, 10 runs"))
    axes.set(xlabel="runs together", xlim=(0.7, float(table["runs"][own].max()) + 0.3))
    axes.xaxis.get_major_locator().set_params(integer=True)
    style.grid(axes)
    return handles


def more_runs(results: Results) -> Drawing | Missing | None:
    """The threshold rule on the first runs of a model together, against their number; nothing of a few runs."""
    name, title, table, model = "more_runs", "Threshold rule as runs are added", results.together, reference_model(results)
    most = int(table["runs"][table["model"] == model].max(initial=0)) if table is not None else 0
    if most < FEWEST_RUNS:
        return None
    if not np.isfinite(table["p_d"] + table["p_fa"]).all():
        return Missing(name, title, "the test split has no new or no known dialogs")
    figure = style.new_figure(style.TWO_COLUMNS, 3.2)
    places = figure.add_gridspec(2, 2, height_ratios=(1, 0.16))
    left, right = figure.add_subplot(places[0, 0]), figure.add_subplot(places[0, 1])
    handles = _more_runs_panel(left, results, model, "p_d", 0.0)
    left.set(ylabel="$P_D$", ylim=(min(0.9, float(table["p_d"].min())) - 0.05, 1.01))
    style.percent_axis(left.yaxis)
    positive = table["p_fa"][table["p_fa"] > 0]
    zero = style.log_axis_with_zero(right, "y", min([*positive, paper.TABLE6["threshold_both"][2]]))
    _more_runs_panel(right, results, model, "p_fa", zero)
    right.set_ylabel("$P_{FA}$")
    style.letter(left, "a", "new dialogs that are flagged")
    style.letter(right, "b", "known dialogs that are flagged")
    style.legend_panel(figure, places[1, :], handles, 4)
    caption = (
        f"The first runs of model {model} together, 1 to {style.runs_text(most)}, three ways, by the threshold rule (both "
        "moments below mean minus variance of the train split, of the combined outputs); test split. Lines across: what "
        "the paper prints for its own corpus."
    )
    return Drawing(name, title, caption, [table.name], figure)


# ---- message by message ----


def _early_rows(table: Table, detector: str, model: str) -> np.ndarray:
    """Rows of one detector in the order of k."""
    of_model = table.values.get("model", np.full(len(table), "-", dtype=object))
    rows = np.flatnonzero((table["detector"] == detector) & ((of_model == model) | (of_model == "-")))
    return rows[np.argsort(table["k"][rows], kind="stable")]


def _early_panel(axes, table: Table, model: str, share: str, zero: float) -> list[Line2D]:
    handles = []
    for detector, (colour, line), shape in zip(EARLY_DETECTORS, style.LINES, style.SHAPES):
        rows = _early_rows(table, detector, model)
        if len(rows) == 0:
            continue
        k = table["k"][rows]
        place = {
            end: np.maximum(table[end][rows], zero)
            for end in (share, f"{share}_low", f"{share}_high")
            if end in table.values
        }
        if len(place) == 3 and detector == EARLY_DETECTORS[0]:
            axes.fill_between(k, place[f"{share}_low"], place[f"{share}_high"], color=colour, alpha=0.15, linewidth=0)
        either = detector == "threshold_either"
        handles += axes.plot(
            k,
            place[share],
            color=colour,
            linestyle=line,
            marker=shape,
            markersize=6 if either else 3.4,
            markerfacecolor="none" if either else colour,
            linewidth=1.0,
            markevery=(len(handles) % 3, max(1, len(k) // 6)),
            label=title_of(detector),
        )
    axes.set(xlabel="messages seen, k", xlim=(0.5, table["k"].max() + 0.5))
    style.grid(axes)
    return handles


def early(results: Results) -> Drawing | Missing:
    name, title = "early", "Detection before a dialog is over"
    table, model = results.early, reference_model(results)
    if table is None:
        return Missing(name, title, "early.csv is not there (`experiment.early = false` leaves it out)")
    figure = style.new_figure(style.TWO_COLUMNS, 3.5)
    places = figure.add_gridspec(2, 2, height_ratios=(1, 0.22))
    left, right = figure.add_subplot(places[0, 0]), figure.add_subplot(places[0, 1])
    handles = _early_panel(left, table, model, "p_d", 0.0)
    left.set(ylabel="$P_D$ after k messages", ylim=(0, 1.03))
    style.percent_axis(left.yaxis)
    positive = table["p_fa"][table["p_fa"] > 0]
    top = 10 ** np.ceil(np.log10(positive.max())) if len(positive) else 1.0
    zero = style.log_axis_with_zero(right, "y", float(positive.min()) if len(positive) else 1e-3, top)
    _early_panel(right, table, model, "p_fa", zero)
    right.set_ylabel("$P_{FA}$ after k messages")
    for axes, share in ((left, "p_d"), (right, "p_fa")):
        if not np.isfinite(table[share]).any():
            style.say_none(axes)
    style.letter(left, "a", "new dialogs that are flagged")
    style.letter(right, "b", "known dialogs that are flagged")
    style.legend_panel(figure, places[1, :], handles, 3)
    new, known = (int(table[n].max()) if n in table.values else 0 for n in ("new", "known"))
    caption = (
        f"Shares of the test split's {style.plural(new, 'new dialog')} (a) and {style.plural(known, 'known dialog')} "
        "(b) that are flagged at message k or earlier; dialogs of fewer messages are over by then. Thresholds: "
        f"model {model}, first seed (1 run), with limits of their own for each length. Band: 95% Wilson interval over "
        "dialogs of the rule with both below; early.csv has the others'. P_FA on a "
        "logarithmic axis with a place for 0; detectors that lie there raise no false alarm. early.csv has the other "
        "models and detectors."
    )
    return Drawing(name, title, caption, [table.name], figure)
