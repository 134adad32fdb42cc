"""figures_detection: Figures 2, 3 and 4 of the paper, from the moments of the test split's classes."""

from __future__ import annotations

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from report import paper, style
from report.results import Results, Table
from report.style import Drawing, Missing
from report.words import reference_model

BINS = 40  # of each axis of Figure 2
NEAR_FLAGGED = 1  # flagged classes that Figure 4 shows close to the thresholds, if there are any near enough
FLOOR = 1e-16  # what 1 - moment is drawn as where rounding leaves nothing of it


def of_run(table: Table, seed: int) -> dict[str, np.ndarray]:
    rows = table["seed"] == seed
    return {name: column[rows] for name, column in table.values.items()}


# ---- Figure 2 ----


def _weights(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """Dialogs of new and of known classes."""
    return np.where(table["known"], 0, table["dialogs"]), np.where(table["known"], table["dialogs"], 0)


def _edges(table: Table) -> np.ndarray:
    """Bins of [0, 1]; more of the same width where a moment lies outside."""
    values = np.concatenate([table["skewness"], table["kurtosis"]])
    low = np.floor(min(values.min(), 0) * BINS) / BINS
    high = max(1.0, np.ceil(values.max() * BINS - 1e-6) / BINS)
    return np.linspace(low, high, int(round((high - low) * BINS)) + 1)


def _density(table: Table, weights: np.ndarray, edges: np.ndarray) -> np.ndarray:
    top = np.nextafter(edges[-1], 0)
    found, _, _ = np.histogram2d(
        np.minimum(table["skewness"], top), np.minimum(table["kurtosis"], top), bins=(edges, edges), weights=weights
    )
    return found / max(found.sum(), 1) / (edges[1] - edges[0]) ** 2


def _joint_panel(main, density, edges, norm, colour, hatch, title):
    """One density with its marginals on top and at the right; returns what a colour bar is made of."""
    width = edges[1] - edges[0]
    i, j = np.nonzero(density)  # squares that hold something, and no others: the file stays small
    corners = np.stack([edges[i], edges[j]], axis=1)[:, None, :] + width * np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    mesh = main.add_collection(PolyCollection(corners, array=density[i, j], norm=norm, cmap=style.DENSITY, linewidth=0))
    main.set(xlabel="normalised skewness", xlim=(edges[0], edges[-1]), ylim=(edges[0], edges[-1]))
    main.set_box_aspect(1)
    if not density.any():
        style.say_none(main)
    top, right = main.inset_axes([0, 1.03, 1, 0.2]), main.inset_axes([1.03, 0, 0.2, 1])
    lowest = norm.vmin * width
    for axes, marginal, flat in ((top, density.sum(axis=1) * width, False), (right, density.sum(axis=0) * width, True)):
        axes.stairs(
            marginal,
            edges,
            fill=True,
            orientation="horizontal" if flat else "vertical",
            baseline=lowest,
            facecolor=colour,
            edgecolor="white",
            linewidth=0,
            hatch=hatch,
        )
        (axes.set_xscale if flat else axes.set_yscale)("log")
        (axes.set_xlim if flat else axes.set_ylim)(lowest, 2 / width)
        (axes.set_ylim if flat else axes.set_xlim)(edges[0], edges[-1])
        axes.minorticks_off()
        axes.set(xticks=[], yticks=[])
        axes.minorticks_off()
        axes.spines["bottom" if flat else "left"].set_visible(False)
    top.set_title(title)
    return mesh


def figure2(results: Results) -> Drawing | Missing:
    name, title = "figure2", "Figure 2: skewness and kurtosis of new and of already trained dialogs"
    model = reference_model(results)
    table = results.moments.get(model)
    if table is None:
        return Missing(name, title, f"moments.csv has no model {model}")
    edges = _edges(table)
    new, known = _weights(table)
    groups = (("new dialogs", new, style.NEW, "////"), ("already trained dialogs", known, style.KNOWN, ""))
    densities = [_density(table, weights, edges) for _, weights, _, _ in groups]
    positive = np.concatenate([d[d > 0] for d in densities])
    norm = LogNorm(10 ** np.floor(np.log10(positive.min())), 10 ** np.ceil(np.log10(positive.max())))
    figure = style.new_figure(style.TWO_COLUMNS, 3.45)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (words, _, colour, hatch), density, letter in zip(panels, groups, densities, "ab"):
        mesh = _joint_panel(axes, density, edges, norm, colour, hatch, f"({letter}) {words}")
    panels[0].set_ylabel("normalised kurtosis")
    bar = figure.colorbar(mesh, cax=panels[1].inset_axes([1.32, 0, 0.05, 1]))
    bar.set_label("probability density")
    bar.outline.set_linewidth(0.4)
    bar.ax.minorticks_off()
    seeds = len(results.seeds(model))
    caption = (
        f"Joint probability density of normalised skewness and kurtosis of the outputs of model {model}, test split: "
        f"{style.plural(int(new.sum()) // seeds, 'new dialog')} (a) and "
        f"{style.plural(int(known.sum()) // seeds, 'already trained dialog')} (b), "
        f"{style.runs_text(seeds)} together; the marginals stand beside. Squares of {1 / BINS:g} by {1 / BINS:g}, "
        "colours and marginals on logarithmic scales; where nothing is, there is no dialog. A one-hot output lies at "
        "(1, 1)."
    )
    return Drawing(name, title, caption, [table.name], figure)


# ---- the four outcomes of a detector ----

OUTCOMES = (
    (True, True, "new, flagged (true positive)"),
    (True, False, "new, not flagged (false negative)"),
    (False, True, "known, flagged (false positive)"),
    (False, False, "known, not flagged (true negative)"),
)


def _marks(axes, x: np.ndarray, y: np.ndarray, new: np.ndarray, flagged: np.ndarray, size: float) -> None:
    """Shape and colour say what a class is, filling says what the detector says; what is rare comes on top."""
    for is_new, is_flagged, _ in (OUTCOMES[3], OUTCOMES[0], OUTCOMES[2], OUTCOMES[1]):
        chosen = (new == is_new) & (flagged == is_flagged)
        colour = style.NEW if is_new else style.KNOWN
        axes.scatter(
            x[chosen],
            y[chosen],
            s=size,
            marker=style.NEW_SHAPE if is_new else style.KNOWN_SHAPE,
            facecolors=colour if is_flagged else "none",
            edgecolors=colour,
            linewidths=0.7,
            alpha=0.9,
            rasterized=bool(chosen.sum() > style.RASTER_FROM),
            zorder=3,
        )


def _size(run: dict[str, np.ndarray]) -> float:
    """Area of a mark: smaller where there are many."""
    return 16 if len(run["class"]) < 200 else 10


def _handles(run: dict[str, np.ndarray], flagged: np.ndarray) -> list[Line2D]:
    """Entries of the legend, with the dialogs of each outcome."""
    handles = []
    for is_new, is_flagged, words in OUTCOMES:
        dialogs = int(run["dialogs"][(~run["known"] == is_new) & (flagged == is_flagged)].sum())
        colour = style.NEW if is_new else style.KNOWN
        handles.append(
            Line2D(
                [],
                [],
                linestyle="",
                marker=style.NEW_SHAPE if is_new else style.KNOWN_SHAPE,
                color=colour,
                markerfacecolor=colour if is_flagged else "none",
                markeredgewidth=0.7,
                label=f"{words}: {dialogs:,}",
            )
        )
    return handles


def _said(run: dict[str, np.ndarray], flagged: np.ndarray) -> str:
    """P_D and P_FA in words."""
    parts = []
    for symbol, group in (("P_D", ~run["known"]), ("P_FA", run["known"])):
        whole, part = int(run["dialogs"][group].sum()), int(run["dialogs"][group & flagged].sum())
        parts.append(
            f"{symbol} {100 * part / whole:.2f}% ({part:,} of {whole:,})" if whole else f"{symbol} not defined"
        )
    return ", ".join(parts)


# ---- Figure 3 ----

UNDER = 0.02  # of the axes: what is this close to a cross lies under it


def _count_under(axes, run: dict[str, np.ndarray], points: np.ndarray, centres: list[np.ndarray]) -> None:
    """How many dialogs lie where each cross hides them, in words beside it."""
    for centre in centres:
        near = np.abs(points - centre).max(axis=1) <= UNDER
        if not near.any():
            continue
        new, known = (int(run["dialogs"][near & group].sum()) for group in (~run["known"], run["known"]))
        axes.annotate(
            f"under this cross:\n{new:,} new, {known:,} known",
            centre,
            xytext=(-10, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=6.5,
            zorder=5,
        )


def figure3(results: Results) -> Drawing | Missing:
    name, title = "figure3", "Figure 3: K-means"
    model = reference_model(results)
    table = results.moments.get(model)
    if table is None:
        return Missing(name, title, f"moments.csv has no model {model}")
    seed = results.seeds(model)[0]
    run = of_run(table, seed)
    flagged, points = run["kmeans"], np.stack([run["skewness"], run["kurtosis"]], axis=1)
    figure = style.new_figure(style.TWO_COLUMNS * 0.82, 3.4)
    places = figure.add_gridspec(1, 2, width_ratios=(1.5, 1))
    axes = figure.add_subplot(places[0])
    low, high = min(0.0, points.min()), 1.0
    axes.set(
        xlabel="normalised skewness",
        ylabel="normalised kurtosis",
        xlim=(low - 0.03, high + 0.03),
        ylim=(low - 0.03, high + 0.03),
        aspect="equal",
    )
    style.grid(axes)
    _marks(axes, *points.T, ~run["known"], flagged, _size(run))
    handles = _handles(run, flagged)
    if flagged.any() and not flagged.all():
        groups = (flagged, ~flagged)
        centres = [np.average(points[group], axis=0, weights=run["dialogs"][group]) for group in groups]
        middle, across = (centres[0] + centres[1]) / 2, centres[1] - centres[0]
        axes.axline(middle, middle + (-across[1], across[0]), color=style.BLACK, linewidth=0.9, linestyle="--")
        axes.plot(
            *np.transpose(centres),
            linestyle="",
            marker="+",
            color=style.BLACK,
            markersize=11,
            markeredgewidth=1.5,
            zorder=4,
        )
        _count_under(axes, run, points, centres)
        handles.append(
            Line2D(
                [],
                [],
                linestyle="",
                marker="+",
                color=style.BLACK,
                markersize=9,
                markeredgewidth=1.5,
                label="centres of the clusters",
            )
        )
        handles.append(Line2D([], [], linestyle="--", color=style.BLACK, linewidth=0.9, label="border between them"))
    style.legend_panel(figure, places[1], handles, 1, "dialogs")
    caption = (
        f"K-means with two clusters on normalised skewness and kurtosis of the test split, model {model}, seed {seed} "
        f"(1 run of {len(results.seeds(model))}); the cluster near the origin is called abnormal. One mark for each "
        f"class, the legend counts dialogs: {_said(run, flagged)}. Beside the crosses, the dialogs that are within {UNDER:g} of them."
    )
    return Drawing(name, title, caption, [table.name], figure)


# ---- Figure 4 ----


def _limits(results: Results, model: str, seed: int) -> tuple[float, float]:
    row = int(np.flatnonzero((results.runs["model"] == model) & (results.runs["seed"] == seed))[0])
    return float(results.runs["lambda_skewness"][row]), float(results.runs["lambda_kurtosis"][row])


def _limit_lines(axes, x: float, y: float, corner: tuple[float, float]) -> None:
    """Both thresholds; where both moments are below is shaded."""
    axes.axvline(x, color=style.BLACK, linewidth=0.9, linestyle="--", zorder=2)
    axes.axhline(y, color=style.BLACK, linewidth=0.9, linestyle=":", zorder=2)
    axes.add_patch(Rectangle(corner, x - corner[0], y - corner[1], facecolor="#eeeeee", edgecolor="none", zorder=0))


def _far_panel(axes, run, flagged, limits) -> None:
    distance = [np.maximum(1 - run[moment], FLOOR) for moment in ("skewness", "kurtosis")]
    ends = [(max(d.max() * 2, 1.0), min(d.min() / 3, (1 - limit) / 10)) for d, limit in zip(distance, limits)]
    axes.set(xscale="log", yscale="log", xlim=ends[0], ylim=ends[1], xlabel="1 − skewness", ylabel="1 − kurtosis")
    style.grid(axes)
    _limit_lines(axes, 1 - limits[0], 1 - limits[1], (ends[0][0], ends[1][0]))
    _marks(axes, *distance, ~run["known"], flagged, _size(run))
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.8}
    axes.annotate(
        f"$\\lambda_s$ = {limits[0]:.6f}",
        (1 - limits[0], 0.97),
        xycoords=("data", "axes fraction"),
        fontsize=7,
        xytext=(3, 0),
        textcoords="offset points",
        va="top",
        bbox=box,
        zorder=5,
    )
    axes.annotate(
        f"$\\lambda_k$ = {limits[1]:.6f}",
        (0.99, 1 - limits[1]),
        xycoords=("axes fraction", "data"),
        fontsize=7,
        xytext=(0, -3),
        textcoords="offset points",
        ha="right",
        va="top",
        bbox=box,
        zorder=5,
    )


def _near_panel(axes, run, flagged, limits) -> int:
    """As close as some of what is flagged comes; returns the classes outside."""
    moments = [run["skewness"], run["kurtosis"]]
    distance = [max(1 - limit, 1e-12) for limit in limits]
    for reach in (4, 8, 16, 32, 64):
        inside = (moments[0] > 1 - reach * distance[0]) & (moments[1] > 1 - reach * distance[1])
        if (inside & flagged).sum() >= NEAR_FLAGGED:
            break
    ends = [(1 - reach * d, 1 + reach * d / 16) for d in distance]
    axes.set(xlim=ends[0], ylim=ends[1], xlabel="normalised skewness", ylabel="normalised kurtosis")
    style.grid(axes)
    _limit_lines(axes, *limits, (ends[0][0], ends[1][0]))
    _marks(axes, *moments, ~run["known"], flagged, _size(run))
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_major_formatter().set_useOffset(False)
        axis.set_major_locator(style.ticker.MaxNLocator(4, steps=(1, 2, 2.5, 5, 10)))
    axes.annotate(
        "$\\lambda_s$", (limits[0], 1), xycoords=("data", "axes fraction"), xytext=(-11, -9), textcoords="offset points"
    )
    axes.annotate(
        "$\\lambda_k$",
        (0.015, limits[1]),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
    )
    return int((~inside).sum())


def figure4(results: Results) -> Drawing | Missing:
    name, title = "figure4", "Figure 4: threshold rule"
    model = reference_model(results)
    table = results.moments.get(model)
    if table is None:
        return Missing(name, title, f"moments.csv has no model {model}")
    seed = results.seeds(model)[0]
    run, limits = of_run(table, seed), _limits(results, model, seed)
    flagged, either = run["threshold_both"], run["threshold_either"]
    figure = style.new_figure(style.TWO_COLUMNS, 3.75)
    places = figure.add_gridspec(2, 2, height_ratios=(1, 0.16))
    far, near = figure.add_subplot(places[0, 0]), figure.add_subplot(places[0, 1])
    _far_panel(far, run, flagged, limits)
    outside = _near_panel(near, run, flagged, limits)
    style.letter(far, "a", "distance from a one-hot output")
    style.letter(near, "b", "close to the thresholds")
    style.legend_panel(figure, places[1, :], _handles(run, flagged), 2, "dialogs")
    caption = (
        f"Threshold rule, both moments below their limit (shaded), on the test split, model {model}, seed {seed} "
        f"(1 run of {len(results.seeds(model))}). Broken line: λs, dotted line: λk, both from the train split (the "
        f"paper prints {paper.LAMBDA[0]} and {paper.LAMBDA[1]}). One mark for each class, the legend counts dialogs: "
        f"{_said(run, flagged)}. With at least one moment below: {_said(run, either)}. "
        f"In (a) both axes are logarithmic and one-hot outputs lie at the upper right; (b) leaves out "
        f"{style.plural(outside, 'class', 'classes')} farther down."
    )
    return Drawing(name, title, caption, [table.name, results.runs.name], figure)
