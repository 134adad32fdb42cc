"""figures_training: what the networks were trained on, and how that went."""

from __future__ import annotations

from typing import Any

import numpy as np

from report import style
from report.results import Results, Table
from report.style import Drawing, Missing

TYPES_SHOWN = 24  # message types with a bar of their own
MARKS = 9  # on a curve
ACROSS = 4  # models side by side


# ---- statistics of the corpus ----


def _histogram(axes, bins: list[dict[str, int]]) -> None:
    """Dialogs as steps, classes as marks in the middle of each bin; both ends of a bin belong to it."""
    edges = [b["from"] - 0.5 for b in bins] + [bins[-1]["to"] + 0.5]
    dialogs, classes = ([b[name] for b in bins] for name in ("dialogs", "classes"))
    axes.stairs(dialogs, edges, fill=True, baseline=0.1, facecolor=style.SKY, alpha=0.45)
    axes.stairs(dialogs, edges, baseline=0.1, color=style.BLUE, linewidth=0.9, label="dialogs")
    middles = [(b["from"] * b["to"]) ** 0.5 if axes.get_xscale() == "log" else (b["from"] + b["to"]) / 2 for b in bins]
    shown = [i for i, count in enumerate(classes) if count]
    axes.plot(
        [middles[i] for i in shown],
        [classes[i] for i in shown],
        linestyle="",
        marker="D",
        markersize=3.2,
        color=style.BLACK,
        label="classes",
    )
    axes.set(yscale="log", ylim=(0.7, 3 * max(dialogs)))
    style.plain_log_axis(axes.yaxis)
    style.grid(axes, "y")


def _lengths(axes, corpus: dict[str, Any]) -> None:
    _histogram(axes, corpus["lengths"])
    axes.set(xlabel="messages of a dialog", ylabel="dialogs, classes", xlim=(0, corpus["lengths"][-1]["to"] + 1))
    axes.legend(loc="upper right")


def _multiplicities(axes, corpus: dict[str, Any]) -> None:
    axes.set_xscale("log")
    _histogram(axes, corpus["multiplicities"])
    axes.set_ylim(top=axes.get_ylim()[1] * 5)  # room for the words above the steps
    axes.set(xlabel="times that the same dialog occurs", xlim=(0.45, None))
    style.plain_log_axis(axes.xaxis)
    if corpus["once"]:
        share = 100 * corpus["once"] / corpus["unique"]
        axes.annotate(
            f"{corpus['once']:,} classes occur\nonce ({share:.2f}%)",
            (1, corpus["once"]),
            xytext=(0.98, 0.97),
            textcoords="axes fraction",
            fontsize=7,
            ha="right",
            va="top",
            arrowprops={"arrowstyle": "-", "linewidth": 0.5, "shrinkA": 1, "shrinkB": 2},
        )


def _types(axes, corpus: dict[str, Any]) -> None:
    whole = max(corpus["messages"], 1)
    ordered = sorted(
        ((t["name"], t["messages"]) for t in corpus["alphabet"] if t["messages"]), key=lambda item: (-item[1], item[0])
    )
    shown = ordered[:TYPES_SHOWN]
    if len(ordered) > TYPES_SHOWN:
        shown.append((f"{len(ordered) - TYPES_SHOWN} others", sum(n for _, n in ordered[TYPES_SHOWN:])))
    places = range(len(shown))
    axes.plot([n / whole for _, n in shown], places, linestyle="", marker="o", color=style.BLUE)
    axes.set_yticks(places, [name for name, _ in shown])
    axes.tick_params(axis="y", length=0, labelsize=6)
    axes.set(xscale="log", xlabel="share of all messages", ylim=(len(shown) - 0.4, -0.6))
    axes.xaxis.set_major_formatter(style.ticker.FuncFormatter(style.log_percent))
    axes.xaxis.set_minor_formatter(style.ticker.NullFormatter())
    style.grid(axes)


def corpus(results: Results) -> Drawing | Missing:
    name, title = "corpus", "The corpus: lengths, multiplicities, message types"
    data = results.corpus
    if data is None:
        return Missing(name, title, "corpus.json is not there (`sipgpu experiment` writes it)")
    figure = style.new_figure(style.TWO_COLUMNS, 2.9)
    panels = figure.subplots(1, 3, width_ratios=(1.1, 1.1, 0.8))
    for axes, draw, letter, words in zip(
        panels, (_lengths, _multiplicities, _types), "abc", ("lengths", "multiplicities", "message types")
    ):
        draw(axes, data)
        style.letter(axes, letter, words)
    caption = (
        f"The corpus of this experiment, all splits: {data['dialogs']:,} dialogs of {data['unique']:,} classes. "
        "(a) Steps: dialogs, marks: classes by length. (b) The same by how often a class occurs. (c) Shares of the "
        f"{data['message_types_used']} message types that occur. Counts, multiplicities and shares on logarithmic axes."
    )
    return Drawing(name, title, caption, ["corpus.json"], figure)


# ---- training ----


def over_seeds(table: Table, column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Epochs that have a value, with mean, least and largest of the runs that have one there."""
    there = np.isfinite(table[column])
    epochs, place = np.unique(table["epoch"][there], return_inverse=True)
    values = table[column][there]
    mean = np.bincount(place, weights=values) / np.maximum(np.bincount(place), 1)
    low, high = np.full(len(epochs), np.inf), np.full(len(epochs), -np.inf)
    np.minimum.at(low, place, values)
    np.maximum.at(high, place, values)
    return epochs, mean, low, high


def _loss_panel(axes, table: Table) -> None:
    epochs, mean, low, high = over_seeds(table, "loss")
    axes.fill_between(epochs, low, high, color=style.BLUE, alpha=0.25, linewidth=0)
    axes.plot(epochs, mean, color=style.BLUE)
    axes.set_yscale("log")
    style.plain_log_axis(axes.yaxis)
    style.grid(axes)


def _share_panel(axes, table: Table) -> None:
    epochs, mean, low, high = over_seeds(table, "running_pd")
    axes.fill_between(epochs, low, high, color=style.LIGHT, linewidth=0)
    axes.plot(epochs, mean, color=style.GREY, linewidth=0.8, label="train, before each update")
    for split, (colour, line, shape) in style.SPLITS.items():
        epochs, mean, low, high = over_seeds(table, f"{split}_pd")
        if len(epochs) == 0:
            continue
        axes.fill_between(epochs, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(
            epochs,
            mean,
            color=colour,
            linestyle=line,
            marker=shape,
            markersize=3.2,
            label=split,
            linewidth=1.0,
            markevery=max(1, len(epochs) // MARKS),
        )
    axes.set_ylim(0, 1.03)
    style.percent_axis(axes.yaxis)
    style.grid(axes)


def _column(figure, places, row: int, column: int, first: tuple | None, table: Table, title: str) -> tuple:
    """The two panels of one model, with the vertical axes of the `first` one's; those at the left have labels."""
    above = figure.add_subplot(places[row, column], sharey=first and first[0])
    below = figure.add_subplot(places[row + 1, column], sharex=above, sharey=first and first[1])
    _loss_panel(above, table)
    _share_panel(below, table)
    above.tick_params(labelbottom=False, labelleft=column == 0)
    below.tick_params(labelleft=column == 0)
    above.set_title(title)
    below.set(xlabel="epoch", xlim=(0, 1.03 * max(1, table["epoch"].max())))
    below.xaxis.set_major_locator(style.ticker.MaxNLocator(4, integer=True))
    if column == 0:
        above.set_ylabel("loss (nats)")
        below.set_ylabel("$P_D$")
    return above, below


def training(results: Results) -> Drawing | Missing:
    name, title = "training", "Training"
    models = [model for model in results.models if model in results.history]
    if not models:
        return Missing(name, title, "history.csv is not there")
    columns, blocks = min(len(models), ACROSS), -(-len(models) // ACROSS)
    figure = style.new_figure(style.TWO_COLUMNS * (0.25 * columns + 0.05 * (ACROSS - columns)), 3.4 * blocks + 0.3)
    places = figure.add_gridspec(2 * blocks + 1, columns, height_ratios=[1] * 2 * blocks + [0.08])
    first: tuple | None = None
    for i, model in enumerate(models):
        row, column = 2 * (i // columns), i % columns
        panels = _column(
            figure, places, row, column, first, results.history[model], f"({'abcdefghijklmnop'[i]}) model {model}"
        )
        first = first or panels
    handles, _ = panels[1].get_legend_handles_labels()
    style.legend_panel(figure, places[2 * blocks, :], handles, len(handles) if columns > 1 else 2)
    runs = ", ".join(f"{style.runs_text(len(results.seeds(m)))} of model {m}" for m in models)
    last = max(int(results.history[m]["epoch"].max()) for m in models)
    caption = (
        f"Training over {last:,} epochs: {runs}. Above, the mean loss of an epoch (logarithmic axis), below, P_D: the "
        "grey line counts every train dialog before its update, the others are of evaluations of the three splits after an "
        "epoch. Lines: mean of the runs; bands: from the least to the largest."
    )
    return Drawing(name, title, caption, [results.history[models[0]].name], figure)
