#!/usr/bin/env python3
"""plot: the figures of an experiment, and its report, from the files that `sipgpu experiment` wrote.

    scripts/plot.py [--report] [--out DIR] RESULTS

Writes RESULTS/figures/*.{svg,pdf,png}, and with --report also RESULTS/report.html, one page that needs nothing else.
What cannot be drawn from what is there is named, and the rest is drawn.  The same input gives the same bytes.
Exit 0 done, 1 failed, 2 wrong usage; nothing is left half written.  Wants Debian's python3-matplotlib.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

sys.dont_write_bytecode = True
logging.getLogger("matplotlib").setLevel(logging.ERROR)  # no word of where it keeps its cache
try:
    import matplotlib  # noqa: F401
    import numpy  # noqa: F401
except ImportError as error:
    print(f"plot: {error.name} is not installed for {sys.executable}: apt install python3-matplotlib", file=sys.stderr)
    sys.exit(1)

from report import figures_detection, figures_operating, figures_training  # noqa: E402
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
    return [make(results) for make in FIGURES]


def make(folder: Path, out: Path, with_report: bool) -> tuple[dict[Path, bytes], list[Missing]]:
    """All files to be written, and what could not be drawn."""
    results = read_results(folder)
    check_writable(out)
    results.seen_from = Path(os.path.relpath(folder.resolve(), out.resolve())).as_posix()
    items = draw(results)
    files = {
        out / "figures" / f"{item.name}.{form}": item.as_bytes(form)
        for item in items
        if isinstance(item, Drawing)
        for form in FORMATS
    }
    if with_report:
        files[out / "report.html"] = page(results, items).encode("utf-8")
    return files, [item for item in items if isinstance(item, Missing)]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="plot.py",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__.split("\n\n", 1)[0].removeprefix("plot: ").capitalize(),
    )
    parser.add_argument("results", metavar="RESULTS", type=Path, help="a folder made by `sipgpu experiment`")
    parser.add_argument("--report", action="store_true", help="write report.html as well")
    parser.add_argument("--out", metavar="DIR", type=Path, help="where figures/ and report.html go [RESULTS]")
    arguments = parser.parse_args()
    out = arguments.out or arguments.results
    try:
        files, missing = make(arguments.results, out, arguments.report)
        write_all(files)
    except ReportError as error:
        print(f"plot: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    for item in missing:
        print(f"not drawn: {item.title}: {item.reason}")
    print(f"wrote {len(files) - arguments.report} files of figures into {out / 'figures'}")
    if arguments.report:
        print(f"the report is {out / 'report.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
