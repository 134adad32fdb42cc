"""markdown: the tables of an experiment as Markdown: tables.md (Tables V and VI, dialogs that are not over) and
comparison.md (every detector beside the others)."""

from __future__ import annotations

from typing import Iterable

from report.results import Results
from report.words import comparison_words, early_words, find, how_to_make, percent, title_of, verdict

EARLY_K = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48)
Row = dict[str, str]


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Lines of a table, the first column to the left and the others to the right."""
    cells = [list(head), *(list(row) for row in rows)]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(cells[0]))]

    def line(row: list[str]) -> str:
        return "| " + " | ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths))) + " |"

    rule = "|" + "|".join(f":{'-' * w} " if i == 0 else f" {'-' * w}:" for i, w in enumerate(widths)) + "|"
    return [line(cells[0]), rule, *(line(row) for row in cells[1:])]


def spread(row: Row) -> list[str]:
    return [percent(row[key]) for key in ("mean", "std", "min", "max", "ensemble")]


def range_of(row: Row) -> str:
    return "-" if not row["min"] or row["runs"] in ("0", "1") else f"{100 * float(row['min']):.2f}-{100 * float(row['max']):.2f}"


def table5(results: Results) -> list[str]:
    head = ("P_D", "model", "paper", "runs", "mean", "std", "min", "max", "all runs together", "ceiling")
    return table(head, ([r["split"], r["model"], percent(r["paper"]), r["runs"], *spread(r), percent(r["ceiling"])]
                        for r in results.table5.rows))


def table6_pairs(results: Results) -> list[tuple[Row, Row]]:
    """The rows of P_D and P_FA of each detector and model."""
    rows = results.table6.rows
    pairs = ((r, find(rows, detector=r["detector"], model=r["model"], metric="p_fa")) for r in rows if r["metric"] == "p_d")
    return [(p_d, p_fa) for p_d, p_fa in pairs if p_fa]


def table6(results: Results) -> list[str]:
    head = ("detector", "model", "runs", "paper P_D", "P_D", "range", "together", "paper P_FA", "P_FA", "range", "together")
    return table(head, ([title_of(d["detector"]), d["model"], d["runs"],
                         *(cell for r in (d, fa) for cell in (percent(r["paper"]), percent(r["mean"]), range_of(r),
                                                              percent(r["ensemble"])))]
                        for d, fa in table6_pairs(results)))


def early_table(results: Results) -> list[str]:
    rows = results.early.rows
    last = max(int(row["k"]) for row in rows)
    at = [k for k in EARLY_K if k < last] + [last]
    cells: dict[tuple[str, str], dict[int, str]] = {}
    for row in rows:
        shares = (f"{100 * float(row[key]):.1f}" if row[key] else "-" for key in ("p_d", "p_fa"))
        cells.setdefault((row["detector"], row.get("model", "-")), {})[int(row["k"])] = " / ".join(shares)
    head = ("P_D / P_FA in %", "model", *(f"k = {k}" if k == at[0] else str(k) for k in at))
    return table(head, ([title_of(detector), model, *(of_k.get(k, "-") for k in at)] for (detector, model), of_k in cells.items()))


def positions_table(results: Results) -> list[str]:
    head = ("detector", "model", "flagged", "of new", "median message", "of the dialog", "before trie + set", "after it or never",
            "false alarms")
    return table(head, ([title_of(r["detector"]), r["model"], r["detections"], r["new"], r["median_message"] or "-",
                         percent(r["median_share"]), r["earlier_than_trie"], r["later_than_trie"], r["false_alarms"]]
                        for r in results.positions.rows))


def _early(results: Results) -> list[str]:
    if results.early is None or results.positions is None:
        return []
    return ["", "## Detection before a dialog is over", "", *early_table(results), "",
            "Shares of the test split's new and known dialogs that are flagged at message k or earlier; dialogs of fewer messages "
            "are over by then. What each detector is: docs/detection.md.", "", *positions_table(results), "",
            "Median message, and median share of the dialog's own length, of the new dialogs that are flagged.", "",
            *_spaced(early_words(results))]


def _spaced(paragraphs: list[str]) -> list[str]:
    """Paragraphs with a line between them, and none between the items of a list."""
    lines: list[str] = []
    for text in paragraphs:
        if lines and not (text.startswith("- ") and lines[-1].startswith("- ")):
            lines.append("")
        lines.append(text)
    return lines


def tables_md(results: Results) -> str:
    name = results.folder.resolve().name
    lines = [f"# Tables of experiment {name}", "", how_to_make(results), "", *_spaced(verdict(results)), "", "## Table V: P_D", "",
             *table5(results), "",
             "P_D: share of dialogs whose class has the largest output. All runs together: the class of the largest output of all "
             "runs. Ceiling: share of dialogs whose class occurs in train.", "", "## Table VI: new dialogs of the test split", "",
             *table6(results), "",
             "P_D: share of the new dialogs that are flagged; P_FA: of the known ones. Mean and range of the runs; together: the run "
             "with the largest output answers. comparison.md has every detector beside the others.", *_early(results)]
    return "\n".join(lines) + "\n"


# ---- comparison.md ----

HIDDEN = ("skewness", "kurtosis")  # of which people see the better one as best_single


def _rate(row: Row, share: str, hits: str, total: str) -> list[str]:
    if not row[share]:
        return ["-", "-", f"{row[hits]}/{row[total]}"]
    low, high = (100 * float(row[f"{share}_{end}"]) for end in ("low", "high"))
    return [percent(row[share]), f"{low:.2f}-{high:.2f}", f"{row[hits]}/{row[total]}"]


def comparison_md(results: Results) -> str | None:
    if results.comparison is None:
        return None
    head = ("detector", "model", "runs", "limit from", "P_D", "95%", "count", "P_FA", "95%", "count")
    rows = ([title_of(r["detector"]), r["model"], "-" if r["runs"] == "0" else ", ".join(filter(None, (r["runs"], r["combined"]))),
             r["rule"], *_rate(r, "p_d", "detections", "new"), *_rate(r, "p_fa", "false_alarms", "known")]
            for r in results.comparison.rows if r["detector"] not in HIDDEN)
    lines = ["# Detectors beside each other", "", *table(head, rows), "",
             "P_D: share of the test split's new dialogs that are flagged; P_FA: of its known ones; with 95% Wilson intervals. A "
             "network's row of 1 run is that of its first seed (table6.csv has the spread); `max`, `mean`, `envelope`: all its runs "
             "together, the run with the largest output, or of each output the mean or the largest; `all`: the runs of all models. "
             "What each detector is: docs/detection.md.", "", "## In words", "", *_spaced(comparison_words(results))]
    return "\n".join(lines) + "\n"


def markdown(results: Results) -> dict[str, str]:
    """Names and contents of the Markdown files."""
    comparison = comparison_md(results)
    return {"tables.md": tables_md(results), **({"comparison.md": comparison} if comparison else {})}
