"""style: colours, shapes, type and sizes of all figures, in one place.

Colours are those of Okabe and Ito, which stay apart for colour-blind readers; whatever a colour says, a shape, a
line style or a position says too, so that the figures can be read in black and white.  No red stands against green.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import ticker  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

BLACK, GREY, LIGHT = "#000000", "#6b6b6b", "#d9d9d9"
ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE = "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"

# The truth about a dialog: colour and shape.  A verdict fills the shape (flagged) or leaves it open.
KNOWN, NEW = BLUE, VERMILLION
KNOWN_SHAPE, NEW_SHAPE = "o", "^"
DENSITY = "cividis_r"  # of equal steps in lightness, dark for much

# The splits, wherever they stand side by side.
SPLITS = {"train": (BLACK, "-", "o"), "validation": (SKY, "--", "s"), "test": (VERMILLION, "-.", "^")}

# Curves and points of detectors, in the order in which they are handed out.
LINES = (
    (BLUE, "-"),
    (VERMILLION, "--"),
    (BLACK, "-."),
    (PURPLE, (0, (1, 1))),
    (SKY, (0, (5, 1, 1, 1, 1, 1))),
    (ORANGE, (0, (7, 2))),
    (GREY, (0, (3, 1, 1, 1))),
    (GREEN, (0, (2, 2))),
)
SHAPES = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "p", "d")

ONE_COLUMN, TWO_COLUMNS = 3.5, 7.16  # inches, of a journal's page

RC = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters everywhere
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "legend.borderaxespad": 0.4,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.grid": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "figure.constrained_layout.use": True,
    "svg.fonttype": "path",  # the same picture where the font is not installed
    "svg.hashsalt": "sipgpu",
    "pdf.fonttype": 42,
    "path.simplify": True,
}
matplotlib.rcdefaults()
matplotlib.rcParams.update(RC)

# So that the same input gives the same bytes: neither dates nor versions in the files.
_METADATA = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}
FORMATS = tuple(_METADATA)

RASTER_FROM = 4000  # points of one panel from which on they are drawn as pixels inside a vector file


@dataclass
class Drawing:
    """A figure with what stands below it."""

    name: str  # of its files
    title: str
    caption: str  # what is shown, on which data, of how many runs
    files: list[str]  # what it was drawn from
    figure: Figure
    made: dict[str, bytes] = field(default_factory=dict, repr=False)  # by form

    def __post_init__(self) -> None:
        # Lay out once: each further pass would move things a little, and the forms would differ.
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")

    def as_bytes(self, form: str) -> bytes:
        if form not in self.made:
            stream = io.BytesIO()
            self.figure.savefig(stream, format=form, metadata=_METADATA[form], facecolor="white")
            self.made[form] = stream.getvalue()
        return self.made[form]


@dataclass
class Missing:
    """A figure that cannot be drawn from what is there."""

    name: str
    title: str
    reason: str


def new_figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def legend_panel(figure: Figure, place: Any, handles: list[Any], columns: int, title: str | None = None) -> None:
    """A legend in a panel of its own, where no data can lie below it."""
    axes = figure.add_subplot(place)
    axes.set_axis_off()
    axes.legend(
        handles=handles, loc="center", ncols=columns, title=title, title_fontsize=7, alignment="left", columnspacing=1.4
    )


def letter(axes: Any, text: str, title: str = "") -> None:
    """(a), (b), ... over a panel."""
    axes.set_title(f"({text}) {title}".rstrip())


def say_none(axes: Any) -> None:
    """In a panel that holds nothing."""
    axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", va="center", color=GREY)


def grid(axes: Any, axis: str = "both") -> None:
    axes.grid(True, axis=axis, which="major", color=LIGHT, linewidth=0.5)
    axes.set_axisbelow(True)


def percent_axis(axis: Any, digits: int = 0) -> None:
    axis.set_major_formatter(ticker.PercentFormatter(1.0, decimals=digits))


def log_percent(value: float, _: int = 0) -> str:
    """0.001 is "0.1%"."""
    return f"{100 * value:.10f}".rstrip("0").rstrip(".") + "%"


def log_axis_with_zero(axes: Any, which: str, least: float, top: float = 1.0) -> float:
    """A logarithmic axis of shares with a place for 0 below the least positive share; returns that place."""
    least = min(least, top / 10)
    zero = least / 3
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    (axes.set_xlim if which == "x" else axes.set_ylim)(zero / 1.5, top * 1.1)
    powers = [10.0**p for p in range(-12, 1) if least <= 10.0**p <= top * 1.0001]
    axis.set_major_locator(ticker.FixedLocator([zero] + powers))
    axis.set_major_formatter(ticker.FuncFormatter(lambda v, _: "0" if v < least / 2 else log_percent(v)))
    axis.set_minor_locator(
        ticker.FixedLocator([m * p / 10 for p in powers for m in range(2, 10) if m * p / 10 >= least])
    )
    axis.set_minor_formatter(ticker.NullFormatter())
    (axes.axvline if which == "x" else axes.axhline)(least / 1.7, color=GREY, linewidth=0.5, linestyle=(0, (1, 3)))
    return zero


def plain_log_axis(axis: Any) -> None:
    """1, 10, 100, ... as numbers while they are short; 2 and 5 between them where there are few."""
    low, high = axis.get_view_interval()
    if 0 < low < high < 60 * low:
        axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(ticker.FuncFormatter(lambda v, _: f"{v:g}" if 9e-4 < v < 1e5 else f"$10^{{{_power(v)}}}$"))
    axis.set_minor_formatter(ticker.NullFormatter())


def _power(value: float) -> int:
    return round(float(f"{value:e}".split("e")[1]))


def runs_text(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def plural(count: int, one: str, many: str | None = None) -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
