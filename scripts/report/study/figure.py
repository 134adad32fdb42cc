"""The figure of scripts/study_stability: loss and P_D against updates, a panel for each kind of change."""
from __future__ import annotations

import math

from matplotlib.lines import Line2D

from report import style
from report.study.plan import Plan, Run

# A run, its centre, what it changes.
Shown = list[tuple[Run, tuple[str, ...], tuple[str, ...]]]
COLOURS = (style.BLACK, style.VERMILLION, style.BLUE, style.GREEN, style.PURPLE, style.ORANGE, style.SKY)
SHAPES = ("", *style.SHAPES)  # no mark: unchanged
DASHES = ("-", (0, (1, 1)), "--", "-.")  # of the centres
MARKS = 6  # on a curve
ACROSS = 4  # panels side by side


def panel_runs(plan: Plan, choices: list[tuple[str, ...]], runs: list[Run]) -> Shown:
    """The centres, and the runs that differ from one by one of the choices; of the first seed and the common width."""
    shown = []
    for run in runs:
        centre, changes = plan.centre(run.words)
        first = plan.without_repeats(run.words) == run.words
        if centre and first and run.settings["model.units"] == plan.width and (not changes or changes in choices):
            shown.append((run, centre, changes))
    used = {centre for _, centre, changes in shown if changes}
    return [item for item in shown if item[1] in used]


def draw_panel(top, bottom, shown: Shown, choices: list[tuple[str, ...]], dashes: dict) -> None:
    """Loss above, P_D below: colour and mark are the change, the style of the line the centre."""
    variants = [choice for choice in [(), *choices] if any(changes == choice for _, _, changes in shown)]
    looks = {variant: {"color": colour, "marker": shape, "markersize": 3}
             for variant, colour, shape in zip(variants, COLOURS, SHAPES)}
    for run, centre, changes in shown:
        lines = run.history()
        tested = [line for line in lines if line["train_pd"]]
        for axes, chosen, column in ((top, lines, "loss"), (bottom, tested, "train_pd")):
            axes.plot([int(line["update"]) for line in chosen], [float(line[column]) for line in chosen],
                      linestyle=dashes[centre], linewidth=1, markevery=max(1, len(chosen) // MARKS), **looks[changes])
    bottom.legend([Line2D([], [], **looks[variant]) for variant in variants],
                  [" ".join(variant) or "unchanged" for variant in variants], loc="upper left", bbox_to_anchor=(0, -0.34), handlelength=1.6)
    top.set(yscale="log", xscale="log")
    bottom.set_ylim(0, 1.03)
    style.percent_axis(bottom.yaxis)
    for axes in (top, bottom):
        style.grid(axes)


def figure(plan: Plan, runs: list[Run]) -> style.Drawing | None:
    """The panels of the plan that have something to show; None if none has."""
    panels = {name: panel_runs(plan, choices, runs) for name, choices in plan.panels.items()}
    panels = {name: shown for name, shown in panels.items() if shown}
    if not panels:
        return None
    dashes = dict(zip(plan.centres, DASHES))
    columns = min(ACROSS, len(panels))
    bands = math.ceil(len(panels) / columns)
    drawn = style.new_figure(style.TWO_COLUMNS * max(0.5, columns / ACROSS), 3.4 * bands + 0.3)
    places = drawn.add_gridspec(2 * bands + 1, columns, height_ratios=[1] * 2 * bands + [0.1])
    first: tuple | None = None
    for i, (name, shown) in enumerate(panels.items()):
        row, column = 2 * (i // columns), i % columns
        top = drawn.add_subplot(places[row, column], sharex=first and first[0], sharey=first and first[0])
        bottom = drawn.add_subplot(places[row + 1, column], sharex=top, sharey=first and first[1])
        first = first or (top, bottom)
        draw_panel(top, bottom, shown, plan.panels[name], dashes)
        top.tick_params(labelbottom=False, labelleft=column == 0)
        bottom.tick_params(labelleft=column == 0)
        top.set_title(name)
        bottom.set_xlabel("updates" if i + columns >= len(panels) else "")
        if column == 0:
            top.set_ylabel("loss (nats)")
            bottom.set_ylabel("$P_D$ (train)")
    style.plain_log_axis(first[0].yaxis)  # type: ignore[index]
    style.legend_panel(drawn, places[2 * bands, :], [Line2D([], [], color=style.GREY, linestyle=dash, label=" ".join(centre))
                                                    for centre, dash in dashes.items()], len(dashes))
    return style.Drawing("study", "Which settings train", "Loss and P_D against updates.", ["curves.csv"], drawn)
