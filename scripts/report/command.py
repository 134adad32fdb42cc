"""command: the tables of an experiment as Markdown, its figures, and a page of both, from the files that
`sipgpu experiment` wrote.

    scripts/make_report [--tables | --reproduction [--shorter FOLDER]] [--out DIR] RESULTS

Writes RESULTS/tables.md and comparison.md, figures/*.{svg,pdf,png} and report.html, one page that needs nothing else; with
--tables the Markdown alone.  --reproduction prints docs/reproduction.md.  What cannot be drawn from what is there is named, and
the rest is drawn.  The same input gives the same bytes.  Exit 0 done, 1 failed, 2 wrong usage; nothing is left half written.
Wants Debian's python3-matplotlib.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

logging.getLogger("matplotlib").setLevel(logging.ERROR)  # no word of where it keeps its cache
try:
    import matplotlib  # noqa: F401
    import numpy  # noqa: F401
except ImportError as error:
    print(f"make_report: {error.name} is not installed for {sys.executable}: apt install python3-matplotlib", file=sys.stderr)
    sys.exit(1)

from report import figures_detection, figures_operating, figures_training, reproduction  # noqa: E402
from report.markdown import markdown  # noqa: E402
from report.output import check_writable, write_all  # noqa: E402
from report.page import page  # noqa: E402
from report.results import ReportError, Results, read_results  # noqa: E402
from report.style import FORMATS, Drawing, Missing  # noqa: E402

FIGURES = (
    figures_training.corpus,
    figures_training.training,
    figures_detection.figure2,
    figures_detection.figure3,
    figures_detection.figure4,
    figures_operating.roc,
    figures_operating.together,
    figures_operating.more_runs,
    figures_operating.early,
)


def draw(results: Results) -> list[Drawing | Missing]:
    return [item for make in FIGURES if (item := make(results)) is not None]


def pictures(results: Results, out: Path) -> tuple[dict[Path, bytes], list[Missing]]:
    """The files of the figures and the page, and what could not be drawn."""
    items = draw(results)
    files = {
        out / "figures" / f"{item.name}.{form}": item.as_bytes(form)
        for item in items
        if isinstance(item, Drawing)
        for form in FORMATS
    }
    files[out / "report.html"] = page(results, items).encode("utf-8")
    return files, [item for item in items if isinstance(item, Missing)]


def make(folder: Path, out: Path, tables_only: bool) -> tuple[dict[Path, bytes], list[Missing]]:
    """All files to be written, and what could not be drawn."""
    results = read_results(folder)
    check_writable(out)
    results.seen_from = Path(os.path.relpath(folder.resolve(), out.resolve())).as_posix()
    files = {out / name: text.encode("utf-8") for name, text in markdown(results).items()}
    drawn, missing = ({}, []) if tables_only else pictures(results, out)
    return {**files, **drawn}, missing


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make_report",
        description="The tables of an experiment as Markdown, its figures, and a page of both.",
    )
    parser.add_argument("results", metavar="RESULTS", type=Path, help="a folder made by `sipgpu experiment`")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--tables", action="store_true", help="write tables.md and comparison.md alone")
    kind.add_argument("--reproduction", action="store_true", help="print the paper's statements beside the figures of RESULTS")
    parser.add_argument("--shorter", metavar="FOLDER", type=Path,
                        help="with --reproduction: an experiment of fewer epochs, for models that RESULTS lacks")
    parser.add_argument("--out", metavar="DIR", type=Path, help="where the files go [RESULTS]")
    chosen = parser.parse_args()
    if chosen.shorter and not chosen.reproduction:
        parser.error("--shorter goes with --reproduction")
    return chosen


def main() -> int:
    chosen = arguments()
    out = chosen.out or chosen.results
    try:
        if chosen.reproduction:
            sys.stdout.write(reproduction.text(chosen.results, chosen.shorter))
            return 0
        files, missing = make(chosen.results, out, chosen.tables)
        write_all(files)
    except ReportError as error:
        print(f"make_report: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    for item in missing:
        print(f"not drawn: {item.title}: {item.reason}")
    figures = sum(path.parent.name == "figures" for path in files)
    if figures:
        print(f"wrote {figures} files of figures into {out / 'figures'}")
        print(f"the report is {out / 'report.html'}")
    print(f"the tables are in {out / 'tables.md'}")
    return 0
