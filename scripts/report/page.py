"""page: report.html: one page that needs nothing else: tables beside the paper's, figures, provenance, notes.

Every figure of a CSV file stands as <data value="as in the file">as read by people</data>, so that the page can be
checked against the files.
"""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from html import escape
from typing import Any, Iterable

import numpy as np

from report import paper
from report.markdown import HIDDEN, range_of, table6_pairs
from report.notes import base_of, literal_settings, notes_of
from report.page_style import STYLE
from report.results import Results
from report.style import Drawing, Missing, runs_text
from report.words import comparison_words, early_words, how_to_make, reference_model, title_of, verdict

ENLARGED = 1.25  # figures on a screen, against their size in print
POSITIONS_K = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48)


# ---- cells ----


def data(raw: str, shown: str) -> str:
    return f'<data value="{escape(raw)}">{escape(shown)}</data>' if raw else "–"


def share(raw: str) -> str:
    return data(raw, f"{100 * float(raw):.2f}%" if raw else "")


def points(raw: str) -> str:
    """A deviation of shares, in percentage points."""
    return data(raw, f"{100 * float(raw):.2f}" if raw else "")


def number(raw: str, digits: int | None = None) -> str:
    return data(raw, raw if digits is None or not raw else f"{float(raw):.{digits}f}")


def table(identity: str, caption: str, head: Iterable[tuple[str, str]], rows: Iterable[tuple[list[str], str]]) -> str:
    """Head cells are (text, class); rows have finished cells and the class of the row; the first cells are text as the
    head says."""
    head = list(head)
    lines = [
        f'<p class="caption" id="{identity}_caption">{caption}</p>',
        f'<div class="scroll"><table id="{identity}" aria-labelledby="{identity}_caption">',
        "<thead><tr>",
    ]
    lines += [f'<th scope="col"{_class(kind)}>{text}</th>' for text, kind in head]
    lines.append("</tr></thead><tbody>")
    for cells, of_row in rows:
        lines.append(
            f"<tr{_class(of_row)}>"
            + "".join(f"<td{_class(kind)}>{cell}</td>" for cell, (_, kind) in zip(cells, head))
            + "</tr>"
        )
    lines.append("</tbody></table></div>")
    return "\n".join(lines)


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _with_breaks(rows: list[tuple[list[str], str]], keys: list[str]) -> list[tuple[list[str], str]]:
    """A line above each row with which a new group begins."""
    return [(cells, "first" if i and keys[i] != keys[i - 1] else "") for i, (cells, _) in enumerate(rows)]


def prose(line: str) -> str:
    """One line of Markdown: bold and code."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(line))
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", text)


def paragraphs(lines: Iterable[str]) -> str:
    found, items = [], []
    for line in lines:
        if line.startswith("- "):
            items.append(f"<li>{prose(line[2:])}</li>")
            continue
        if items:
            found.append("<ul>" + "\n".join(items) + "</ul>")
            items = []
        found.append(f"<p>{prose(line)}</p>")
    if items:
        found.append("<ul>" + "\n".join(items) + "</ul>")
    return "\n".join(found)


def file_link(results: Results, name: str) -> str:
    return f'<a href="{escape(results.link(name))}"><code>{escape(name)}</code></a>'


# ---- the tables ----

_SPREAD_HEAD = [
    ("paper", ""),
    ("runs", ""),
    ("mean", "ours"),
    ("deviation (points)", ""),
    ("least", ""),
    ("largest", ""),
    ("all runs together", ""),
]


def _spread_cells(row: dict[str, str]) -> list[str]:
    return [
        share(row["paper"]),
        number(row["runs"]),
        share(row["mean"]),
        points(row["std"]),
        share(row["min"]),
        share(row["max"]),
        share(row["ensemble"]),
    ]


def table5(results: Results) -> str:
    rows = [
        ([escape(r["split"]), escape(r["model"]), *_spread_cells(r), share(r["ceiling"])], "")
        for r in results.table5.rows
    ]
    return table(
        "table5",
        f"<strong>Table V.</strong> P_D: share of dialogs whose class has the largest output. All runs together: the "
        "class of the largest output of all runs. Ceiling: the share of dialogs whose class occurs in train, beyond "
        f"which no classifier can come. From {file_link(results, 'table5.csv')}.",
        [("split", "text"), ("model", "text"), *_SPREAD_HEAD, ("ceiling", "")],
        _with_breaks(rows, [r["split"] for r in results.table5.rows]),
    )


def _table6_cells(row: dict[str, str]) -> list[str]:
    """One share: the paper's, mean and range of the runs, all runs together."""
    low, high = points(row["min"]), points(row["max"])
    return [share(row["paper"]), share(row["mean"]), f"{low}–{high}" if range_of(row) != "-" else "–", share(row["ensemble"])]


def table6(results: Results) -> str:
    pairs = table6_pairs(results)
    rows = [
        (
            [escape(title_of(d["detector"])), escape(d["model"]), number(d["runs"]), *_table6_cells(d), *_table6_cells(fa)],
            "",
        )
        for d, fa in pairs
    ]
    of_share = [("range", ""), ("together", "")]
    return table(
        "table6",
        "<strong>Table VI.</strong> P_D: share of the test split's new dialogs (whose class does not occur in train) "
        "that are flagged; P_FA: share of its known ones. Mean and range (in percent) of the runs; together: the run with the "
        "largest output answers. The set of train dialogs is right by definition of the task. "
        f"From {file_link(results, 'table6.csv')}.",
        [
            ("detector", "text"),
            ("model", "text"),
            ("runs", ""),
            ("paper P_D", ""),
            ("P_D", "ours"),
            *of_share,
            ("paper P_FA", ""),
            ("P_FA", "ours"),
            *of_share,
        ],
        _with_breaks(rows, [d["detector"] for d, _ in pairs]),
    )


def _rate_cells(row: dict[str, str], name: str, hits: str, total: str) -> list[str]:
    low, high = row.get(f"{name}_low", ""), row.get(f"{name}_high", "")
    interval = f"{points(low)}–{points(high)}" if low and high else "–"
    counts = f"{number(row[hits])}/{number(row[total])}" if hits in row and total in row else "–"
    return [share(row[name]), interval, counts]


def _comparison_table(results: Results, identity: str, rows: list[dict[str, str]], caption: str) -> str:
    def runs_of(row: dict[str, str]) -> str:
        text = row.get("runs", "")
        return "–" if text in ("", "0") else escape(f"{text}, {row['combined']}" if row.get("combined") else text)

    head = [
        ("detector", "text"),
        ("model", "text"),
        ("runs", "text"),
        ("limit from", "text"),
        ("P_D", "ours"),
        ("95%", ""),
        ("dialogs", ""),
        ("P_FA", "ours"),
        ("95%", ""),
        ("dialogs", ""),
    ]
    found = [
        (
            [
                escape(title_of(r["detector"])),
                escape(r.get("model", "–")),
                runs_of(r),
                escape(r.get("rule", "–")),
                *_rate_cells(r, "p_d", "detections", "new"),
                *_rate_cells(r, "p_fa", "false_alarms", "known"),
            ],
            "",
        )
        for r in rows
    ]
    return table(identity, caption, head, _with_breaks(found, [f"{r.get('model')} {r.get('combined')}" for r in rows]))


def comparison(results: Results) -> str:
    if results.comparison is None:
        return absent("comparison.csv is missing, so detectors are not compared beyond Table VI.")
    model = reference_model(results)
    shown = [
        r for r in results.comparison.rows if r.get("model", "-") in ("-", model, "all") and r["detector"] not in HIDDEN
    ]
    rest = [r for r in results.comparison.rows if r not in shown]
    text = _comparison_table(
        results,
        "comparison",
        shown,
        f"Detectors without a network, and those of model {escape(model)}: one run (the "
        "first seed), and all runs together: the run with the largest output, of each output the mean or the largest "
        "(envelope); all: the runs of all models together. Intervals: Wilson, 95%, in "
        f"percent, over dialogs. From {file_link(results, 'comparison.csv')}.",
    )
    if rest:
        text += (
            f"<details><summary>{len(rest)} more rows: other models, single limits</summary>"
            + _comparison_table(results, "comparison_rest", rest, "The other rows.")
            + "</details>"
        )
    return text + _words(comparison_words(results), model)


def _words(lines: list[str], model: str) -> str:
    """The tables in words; of the models only the one at hand, the others folded."""
    if not lines:
        return ""
    other = [line for line in lines if line.startswith("- **Model ") and not line.startswith(f"- **Model {model}**")]
    text = "<h3>In words</h3>" + paragraphs(line for line in lines if line not in other)
    if other:
        text += f"<details><summary>The same of the other models</summary>{paragraphs(other)}</details>"
    return text


def _early_table(results: Results, model: str) -> str:
    t = results.early
    last = int(t["k"].max())
    at = [k for k in POSITIONS_K if k < last] + [last]
    by_detector: dict[str, dict[int, dict[str, str]]] = {}
    for row, k in zip(t.rows, t["k"]):
        if row.get("model", "-") in ("-", model):
            by_detector.setdefault(row["detector"], {})[int(k)] = row
    rows = []
    for detector, of_k in by_detector.items():
        cells = [f"{points(of_k[k]['p_d'])} / {points(of_k[k]['p_fa'])}" if k in of_k else "–" for k in at]
        rows.append(([escape(title_of(detector)), *cells], ""))
    return table(
        "early",
        f"P_D / P_FA in percent after k messages; thresholds of model {escape(model)}, first seed. From "
        f"{file_link(results, 'early.csv')}, which has every k and model.",
        [("detector", "text"), *((f"k = {k}", "") for k in at)],
        rows,
    )


def _positions_table(results: Results) -> str:
    head = [
        ("detector", "text"),
        ("model", "text"),
        ("flagged", ""),
        ("of new", ""),
        ("median message", ""),
        ("of the dialog", ""),
        ("before trie and set", ""),
        ("after them or never", ""),
        ("false alarms", ""),
    ]
    rows = [
        (
            [
                escape(title_of(r["detector"])),
                escape(r["model"]),
                number(r["detections"]),
                number(r["new"]),
                number(r["median_message"]),
                share(r["median_share"]),
                number(r["earlier_than_trie"]),
                number(r["later_than_trie"]),
                number(r["false_alarms"]),
            ],
            "",
        )
        for r in results.positions.rows
    ]
    return table(
        "early_position",
        "At which message new dialogs are flagged: the median over those that are. From "
        f"{file_link(results, 'early_position.csv')}.",
        head,
        _with_breaks(rows, [r["model"] for r in results.positions.rows]),
    )


def early(results: Results) -> str:
    if results.early is None:
        return absent("early.csv is missing, so unfinished dialogs are not evaluated.")
    text = _early_table(results, reference_model(results))
    if results.positions is not None:
        text += _positions_table(results)
    return text + _words(early_words(results), reference_model(results))


def corpus(results: Results) -> str:
    c = results.corpus
    if c is None:
        return absent("corpus.json is missing, so the corpus is not described.")

    def line(name: str, value: Any, shown: str, printed: str) -> tuple[list[str], str]:
        return [name, data(str(value), shown), printed], ""

    rows = [
        line("dialogs", c["dialogs"], f"{c['dialogs']:,}", f"{paper.DIALOGS:,}"),
        line("user agents", c["user_agents"], f"{c['user_agents']:,}", str(paper.USER_AGENTS)),
        line("classes (unique dialogs)", c["unique"], f"{c['unique']:,}", f"{paper.CLASSES:,}"),
        line(
            "classes that occur once",
            c["once"],
            f"{c['once']:,} ({100 * c['once'] / max(c['unique'], 1):.2f}%)",
            f"{100 * paper.ONCE:.2f}%",
        ),
        line("message types", c["message_types"], f"{c['message_types']:,}", str(paper.TYPES)),
        line("longest dialog", c["length"]["longest"], f"{c['length']['longest']:,}", str(paper.LONGEST)),
    ]
    for split, printed in paper.SPLIT.items():
        s = c["split"][split]
        rows.append(
            line(
                f"{split}: dialogs",
                s["dialogs"],
                f"{s['dialogs']:,} ({100 * s['dialogs'] / max(c['dialogs'], 1):.2f}%)",
                f"{100 * printed:.0f}%",
            )
        )
        if split in paper.UNSEEN:
            count, part = paper.UNSEEN[split]
            rows.append(
                line(
                    f"{split}: class not in train",
                    s["unseen"],
                    f"{s['unseen']:,} ({100 * s['unseen'] / max(s['dialogs'], 1):.2f}%)",
                    f"{count} ({100 * part:.2f}%)",
                )
            )
    return table(
        "corpus",
        f"The corpus beside the paper's (section IV). From {file_link(results, 'corpus.json')}.",
        [("", "text"), ("here", "ours"), ("paper", "")],
        rows,
    )


# ---- what was run ----


def provenance(results: Results) -> str:
    p = results.provenance

    def text(name: str) -> str:
        return str(p.get(name, "not recorded"))

    command = p.get("command")
    libraries = p.get("libraries")
    rows = [
        (
            "command",
            f"<code>{escape(' '.join(map(str, command)))}</code>" if isinstance(command, list) else "not recorded",
        ),
        ("program", f"{escape(text('tool'))}, commit <code>{escape(text('commit'))}</code>"),
        ("date", escape(text("date"))),
        ("computed on", escape(text("engine"))),
        ("runs trained by", escape(_trained_by(p.get("runs")))),
        ("processor", escape(text("processor"))),
        (
            "libraries",
            escape(
                ", ".join(f"{k} {v}" for k, v in libraries.items()) if isinstance(libraries, dict) else "not recorded"
            ),
        ),
        ("corpus", f"<code>{escape(text('corpus'))}</code>, digest <code>{escape(text('corpus_digest'))}</code>"),
        ("seconds of this command", escape(text("seconds"))),
        ("seconds of training", escape(_training_seconds(results))),
    ]
    return table(
        "provenance",
        f"From {file_link(results, 'provenance.json')}. A command that was repeated keeps the runs that were "
        "complete; its own seconds are then fewer than those of their training.",
        [("", "text"), ("", "text long")],
        [([name, cell], "") for name, cell in rows],
    )


def _trained_by(runs: Any) -> str:
    """The programs and engines that the runs were trained with: one line where all are alike."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for run in runs if isinstance(runs, list) else []:
        if isinstance(run, dict):
            what = tuple(str(run.get(key, "not recorded")) for key in ("tool", "commit", "engine"))
            alike.setdefault(what, []).append(str(run.get("date", ""))[:10])
    return (
        "; ".join(
            f"{runs_text(len(dates))}: {tool}, commit {commit}, {engine}, "
            f"{' to '.join(dict.fromkeys((min(dates), max(dates))))}"
            for (tool, commit, engine), dates in alike.items()
        )
        or "not recorded"
    )


def _training_seconds(results: Results) -> str:
    total, runs = 0.0, 0
    for t in results.history.values():
        for seed in np.unique(t["seed"]):
            total += float(t["seconds"][t["seed"] == seed].max())
            runs += 1
    return (
        f"{total:,.1f} over {runs} runs, some of them side by side"
        if runs > 1
        else f"{total:,.1f}" if runs else "not recorded"
    )


def settings(results: Results) -> str:
    models = [m for m in results.models if m in results.settings]
    if not models:
        return absent("the settings (model*.ini) are missing.")
    keys = [
        k
        for k in dict.fromkeys(k for m in models for k in results.settings[m])
        if not k.startswith(("experiment.", "data."))
    ]
    printed = {base_of(m): literal_settings(m) for m in models}

    def as_printed(key: str) -> str:
        values = list(dict.fromkeys(p[key] for p in printed.values() if key in p))
        return escape(" / ".join(values)) if values else ""

    head = [("setting", "text"), ("as printed", ""), *((f"model {escape(m)}", "") for m in models)]
    rows = [
        ([f"<code>{escape(k)}</code>", as_printed(k), *(escape(results.settings[m].get(k, "–")) for m in models)], "")
        for k in keys
    ]
    links = ", ".join(file_link(results, f"model{m}.ini") for m in models)
    return table(
        "settings",
        f"Settings of all runs, complete. As printed: the paper's, and Keras' defaults where it is silent "
        f"(units 0: one for each class). From {links}.",
        head,
        _with_breaks(rows, [k.split(".")[0] for k in keys]),
    )


def absent(reason: str) -> str:
    return f'<p class="absent">Missing: {escape(reason)}</p>'


# ---- figures ----


def figure(results: Results, item: Drawing | Missing) -> str:
    if isinstance(item, Missing):
        return absent(f"{item.title}: {item.reason}.")
    width, height = (round(96 * inches) for inches in item.figure.get_size_inches())
    source = base64.b64encode(item.as_bytes("svg")).decode("ascii")
    files = ", ".join(file_link(results, name) for name in item.files)
    forms = ", ".join(f'<a href="figures/{item.name}.{form}">{form.upper()}</a>' for form in ("pdf", "svg", "png"))
    return (
        f'<figure id="{item.name}_figure" style="max-width: {round(ENLARGED * width)}px">'
        f'<img alt="{escape(item.title)}" width="{width}" '
        f'height="{height}" src="data:image/svg+xml;base64,{source}">'
        f"<figcaption><strong>{escape(item.title)}.</strong> {escape(item.caption)} "
        f"Drawn from {files}; {forms}.</figcaption></figure>"
    )


def with_subscripts(text: str) -> str:
    for plain, symbol in (
        ("P_FA", "P<sub>FA</sub>"),
        ("P_D", "P<sub>D</sub>"),
        ("λs", "λ<sub>s</sub>"),
        ("λk", "λ<sub>k</sub>"),
    ):
        text = text.replace(plain, symbol)
    return text


def page(results: Results, items: list[Drawing | Missing]) -> str:
    by_name = defaultdict(str, {item.name: figure(results, item) for item in items})  # nothing for one that is left out
    name = results.folder.resolve().name
    sections = [
        ("corpus_section", "The corpus", corpus(results) + by_name["corpus"]),
        ("training_section", "Training and Table V", table5(results) + by_name["training"]),
        (
            "detection_section",
            "Abnormal dialogs: Table VI and Figures 2 to 4",
            table6(results) + by_name["figure2"] + by_name["figure3"] + by_name["figure4"],
        ),
        (
            "comparison_section",
            "Every detector beside the others",
            by_name["roc"] + by_name["together"] + by_name["more_runs"] + comparison(results),
        ),
        ("early_section", "Dialogs that are not over", by_name["early"] + early(results)),
        ("run_section", "What was run", provenance(results) + settings(results) + f"<p>{prose(how_to_make(results))}</p>"),
    ]
    links = "\n".join(f'<li><a href="#{identity}">{escape(title)}</a></li>' for identity, title, _ in sections)
    body = "\n".join(
        f'<section id="{identity}"><h2>{escape(title)}</h2>\n{text}\n</section>' for identity, title, text in sections
    )
    body = with_subscripts(body)
    said = with_subscripts("\n".join(f"<p>{prose(text)}</p>" for text in verdict(results)))
    notes = "\n".join(f"<li>{escape(note)}</li>" for note in notes_of(results))
    models = f"model{'s' * (len(results.models) > 1)} {', '.join(results.models)}"
    date, engine = (str(results.provenance.get(key, "not recorded")) for key in ("date", "engine"))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(name)}: SIP dialogs learned by LSTM networks</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>Experiment {escape(name)}: SIP dialogs learned by LSTM networks</h1>
<p class="dim">{escape(runs_text(len(results.runs)))} of {escape(models)}, {escape(date)}, {escape(engine)}.
Made from the files of the experiment; no figure was typed in.</p>
<div class="verdict" id="verdict">
{said}
</div>
</header>
<section id="notes"><h2>Read this first</h2>
<ul class="notes">
{notes}
</ul></section>
<nav aria-label="Sections"><ul>
{links}
</ul></nav>
{body}
</body>
</html>
"""
