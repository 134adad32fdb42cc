"""scripts/make_report: tables, figures and page of a really made experiment: complete, deterministic, equal to the CSV files,
readable in a browser; and one clear line for whatever is wrong with its input or its output.
"""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from conftest import ROOT, Result, Sipgpu, contents, settings
from report_page import Page

pytest.importorskip("matplotlib", reason="matplotlib is not installed (Debian: python3-matplotlib)")
from matplotlib.image import imread  # noqa: E402

sys.path.insert(0, str(ROOT / "scripts"))
sys.dont_write_bytecode = True
from report import figures_detection, figures_operating, figures_training, paper, results as reading  # noqa: E402

FIGURES = ("corpus", "training", "figure2", "figure3", "figure4", "roc", "together", "more_runs", "early")
WORDS = settings(
    model__units=24,
    model__forget_bias=3,
    train__epochs=20,
    train__batch_size=93,
    train__eval_every=4,
    train__learning_rate=0.01,
)
WIDTHS = (400, 1280)


def plot(*words: object, env: dict[str, str] | None = None) -> Result:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/make_report", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, **(env or {})},
    )
    return Result(done.returncode, done.stdout, done.stderr)


def refuses(*words: object, names: tuple[object, ...], env: dict[str, str] | None = None) -> None:
    """Exit 1 with one line on stderr that holds `names`."""
    result = plot(*words, env=env)
    assert result.code == 1 and result.out == "", (result.code, result.out, result.err)
    (line,) = result.err.splitlines()
    assert line.startswith("make_report: ") and len(line) < 500
    for name in names:
        assert str(name) in line, f"{name!r} is not in {line!r}"


@pytest.fixture(scope="module")
def experiment(sipgpu: Sipgpu, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment with its figures and its report.  Tests must not change it."""
    folder = tmp_path_factory.mktemp("plot") / "tiny experiment"
    sipgpu.ok(
        "experiment", "--corpus", corpus, "--out", folder, "--models", "1.0,2.1", "--seeds", 3, "--jobs", 2, *WORDS
    )
    result = plot(folder)
    assert result.code == 0, result.err
    (folder.parent / "said").write_text(result.out, encoding="utf-8")
    return folder


@pytest.fixture
def copied(experiment: Path, tmp_path: Path) -> Path:
    """The experiment without what was drawn, to be changed."""
    return Path(
        shutil.copytree(experiment, tmp_path / "copy", ignore=shutil.ignore_patterns("runs", "figures", "*.html", "*.md"))
    )


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


# ---- figures ----


def test_every_figure_is_there(experiment: Path) -> None:
    assert {path.name for path in (experiment / "figures").iterdir()} == {
        f"{n}.{f}" for n in FIGURES for f in ("svg", "pdf", "png")
    }
    said = (experiment.parent / "said").read_text(encoding="utf-8")
    assert "not drawn: " not in said
    assert str(experiment / "report.html") in said


@pytest.mark.parametrize("name", FIGURES)
def test_figures_show_something(experiment: Path, name: str) -> None:
    picture = imread(experiment / "figures" / f"{name}.png")
    assert min(picture.shape[:2]) >= 500
    ink = (picture[..., :3] < 0.9).any(axis=2)
    assert 0.005 < ink.mean() < 0.6
    inside = ink[40:-40, 40:-40]
    assert all(part.any() for part in np.array_split(inside, 4, axis=0)) and all(
        part.any() for part in np.array_split(inside, 4, axis=1)
    )
    tree = ElementTree.parse(experiment / "figures" / f"{name}.svg")
    kinds = Counter(element.tag.split("}")[1] for element in tree.iter())
    assert kinds["path"] + kinds["use"] > 50 and kinds["script"] == 0 and kinds["text"] == 0
    assert (experiment / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF-")


def test_same_input_same_bytes(experiment: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(experiment, tmp_path / experiment.name))
    before = contents(copy)
    assert (
        plot(
            copy, env={"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "C", "HOME": str(tmp_path)}
        ).code
        == 0
    )
    assert contents(copy) == before


def test_colours_do_not_set_red_against_green(experiment: Path) -> None:
    """No saturated red, and no saturated green beside something reddish, in any figure."""
    for path in sorted((experiment / "figures").glob("*.png")):
        r, g, b = np.moveaxis(imread(path)[..., :3], 2, 0)
        assert ((r > 0.7) & (g < 0.2) & (b < 0.2)).mean() < 1e-4, path.name
        green, reddish = (g > r + 0.3) & (g > b + 0.15), (r > g + 0.3) & (r > b + 0.3)
        assert green.mean() < 1e-4 or reddish.mean() < 1e-4, path.name


# ---- what figures are computed with, against plain counting ----


def test_density_integrates_to_one(experiment: Path) -> None:
    table = reading.read_results(experiment).moments["1.0"]
    edges = figures_detection._edges(table)
    for weights in figures_detection._weights(table):
        density = figures_detection._density(table, weights, edges)
        assert density.sum() * (edges[1] - edges[0]) ** 2 == pytest.approx(1, abs=1e-9)


def test_curves_over_seeds(experiment: Path) -> None:
    table = reading.read_results(experiment).history["2.1"]
    epochs, mean, low, high = figures_training.over_seeds(table, "train_pd")
    by_epoch: dict[int, list[float]] = {}
    for row in rows(experiment / "history.csv"):
        if row["model"] == "2.1" and row["train_pd"]:
            by_epoch.setdefault(int(row["epoch"]), []).append(float(row["train_pd"]))
    assert list(epochs) == sorted(by_epoch) and all(len(values) == 3 for values in by_epoch.values())
    assert list(mean) == pytest.approx([sum(by_epoch[e]) / 3 for e in epochs])
    assert list(low) == [min(by_epoch[e]) for e in epochs] and list(high) == [max(by_epoch[e]) for e in epochs]


def test_roc_curves(tmp_path: Path) -> None:
    """The best P_D at or below each P_FA, averaged over seeds, by going through all points."""
    draw = random.Random(3)
    points = {seed: sorted((draw.randrange(9), draw.randrange(9)) for _ in range(12)) for seed in (1, 2, 3)}
    path = tmp_path / "roc.csv"
    path.write_text(
        "model,runs,combined,seed,score_name,score,detections,false_alarms\n"
        + "".join(
            f"1.0,1,,{seed},skewness,{'-inf' if i == 0 else i},{d},{f}\n"
            for seed, found in points.items()
            for i, (f, d) in enumerate([(0, 0), *found, (8, 8)])
        ),
        encoding="utf-8",
    )
    grid, mean, low, high = figures_operating.curve(reading._with_shares(reading.read_table(path, reading.ROC)))
    for i, at in enumerate(grid):
        best = [max([d / 8 for f, d in found if f / 8 <= at], default=0) for found in points.values()]
        if at == 1:
            best = [1, 1, 1]
        assert (mean[i], low[i], high[i]) == pytest.approx((sum(best) / 3, min(best), max(best)))
    text = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([text[0], *text[2:]]) + "\n", encoding="utf-8")
    with pytest.raises(reading.ReportError, match="does not begin with -inf"):
        reading._with_shares(reading.read_table(path, reading.ROC))


def test_compressed_files_stand_for_plain_ones(experiment: Path, copied: Path) -> None:
    for name in ("moments.csv", "history.csv", "roc.csv"):
        (copied / f"{name}.gz").write_bytes(gzip.compress((copied / name).read_bytes()))
        (copied / name).unlink()
    assert plot(copied).code == 0
    for path in sorted((experiment / "figures").iterdir()):
        assert (copied / "figures" / path.name).read_bytes() == path.read_bytes(), path.name
    torn = copied / "moments.csv.gz"
    torn.write_bytes(torn.read_bytes()[:-20])
    refuses(copied, names=("moments.csv.gz", "gzip"))


def test_few_runs_have_no_course(copied: Path) -> None:
    """Two runs: no figure of runs that are added, and not a word of it."""
    kept = [row for row in rows(copied / "together.csv") if int(row["runs"]) < 3]
    with open(copied / "together.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, kept[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
    result = plot(copied)
    assert result.code == 0 and "not drawn" not in result.out
    assert not (copied / "figures/more_runs.png").exists() and (copied / "figures/together.png").exists()
    assert "more_runs" not in Page((copied / "report.html").read_text(encoding="utf-8")).captions


def test_crosses_say_what_lies_under_them(experiment: Path) -> None:
    """The words beside the crosses of Figure 3, against plain counting."""
    results = reading.read_results(experiment)
    run = figures_detection.of_run(results.moments["1.0"], 1)
    drawn = figures_detection.figure3(results).figure
    words = [text.get_text() for text in drawn.axes[0].texts]
    points = np.stack([run["skewness"], run["kurtosis"]], axis=1)
    expected = []
    for group in (run["kmeans"], ~run["kmeans"]):
        centre = np.average(points[group], axis=0, weights=run["dialogs"][group])
        near = (abs(points - centre) <= figures_detection.UNDER).all(axis=1)
        if near.any():
            new, known = (int(run["dialogs"][near & (run["known"] == kind)].sum()) for kind in (False, True))
            expected.append(f"under this cross:\n{new:,} new, {known:,} known")
    assert words == expected


# ---- the report against the files ----


@pytest.fixture(scope="module")
def page(experiment: Path) -> Page:
    return Page((experiment / "report.html").read_text(encoding="utf-8"))


def assert_rounded(value: str, text: str) -> None:
    """Text such as 92.80% or 92.80 is the share, rounded half up or down, in percent."""
    assert re.fullmatch(r"\d+\.\d\d%?", text) and abs(float(text.rstrip("%")) - 100 * float(value)) <= 0.005 + 1e-9


def test_table_5_equals_the_file(experiment: Path, page: Page) -> None:
    expected, found = rows(experiment / "table5.csv"), page.body("table5")
    assert len(found) == len(expected) > 5
    shares = ("paper", "mean", "std", "min", "max", "ensemble", "ceiling")
    for row, cells in zip(expected, found):
        texts = [text for text, _ in cells]
        assert row["split"] in texts and row["model"] in texts
        data = [item for _, items in cells for item in items]
        names = [key for key in row if key in shares + ("runs",) and row[key]]
        assert [value for value, _ in data] == [row[key] for key in names]
        for key, (value, text) in zip(names, data):
            if key == "runs":
                assert text == value
            else:
                assert_rounded(value, text)
        assert texts.count("–") == sum(not row[key] for key in row if key in shares)


def test_table_6_equals_the_file(experiment: Path, page: Page) -> None:
    """P_D and P_FA side by side: each cell that has a figure has the one of the file."""
    expected, found = rows(experiment / "table6.csv"), page.body("table6")
    assert 2 * len(found) == len(expected) > 5
    for p_d, p_fa, cells in zip(expected[::2], expected[1::2], found):
        assert (p_d["metric"], p_fa["metric"]) == ("p_d", "p_fa") and p_d["detector"] == p_fa["detector"]
        assert cells[1][0] == p_d["model"] == p_fa["model"]
        names = ("paper", "mean", "min", "max", "ensemble")
        data = [item for _, items in cells for item in items]
        assert data[0] == (p_d["runs"], p_d["runs"])
        wanted = [row[name] for row in (p_d, p_fa) for name in names if row[name]]
        assert [value for value, _ in data[1:]] == wanted
        for value, text in data[1:]:
            assert_rounded(value, text)


def test_the_verdict_is_the_tables(experiment: Path, page: Page) -> None:
    head = page.text[: page.text.index("Read this first")]
    five = {(r["split"], r["model"]): r for r in rows(experiment / "table5.csv")}
    six = {(r["detector"], r["model"], r["metric"]): r for r in rows(experiment / "table6.csv")}
    test = five["test", "1.0"]
    for value in (test["mean"], test["ceiling"], *(six["threshold_both", "1.0", m]["mean"] for m in ("p_d", "p_fa"))):
        assert f"{100 * float(value):.2f}%" in head
    assert "99.45%" in head and "3.95%" in head and "set of train dialogs flags 100.00%" in head


def test_comparison_equals_the_file(experiment: Path, page: Page) -> None:
    names = (
        "p_d",
        "p_d_low",
        "p_d_high",
        "detections",
        "new",
        "p_fa",
        "p_fa_low",
        "p_fa_high",
        "false_alarms",
        "known",
    )
    found = page.body("comparison") + page.body("comparison_rest")
    data = [[item for _, items in cells for item in items] for cells in found]
    assert Counter(tuple(v for v, _ in d) for d in data) == Counter(
        tuple(r[n] for n in names) for r in rows(experiment / "comparison.csv")
    )
    for items in data:
        for name, (value, text) in zip(names, items):
            if name.startswith("p_"):
                assert_rounded(value, text)
            else:
                assert value == text


def test_early_equals_the_files(experiment: Path, page: Page) -> None:
    by_place = {
        (r["detector"], int(r["k"])): (r["p_d"], r["p_fa"])
        for r in rows(experiment / "early.csv")
        if r["model"] in ("-", "1.0")
    }
    detectors = list(dict.fromkeys(detector for detector, _ in by_place))
    last = max(k for _, k in by_place)
    found = page.body("early")
    assert len(found) == len(detectors)
    for detector, cells in zip(detectors, found):
        shown = [tuple(value for value, _ in items) for _, items in cells[1:]]
        assert len(shown) > 3 and shown[-1] == by_place[detector, last] and shown[0] == by_place[detector, 1]
        assert all(pair in by_place.values() for pair in shown)
    names = (
        "detections",
        "new",
        "median_message",
        "median_share",
        "earlier_than_trie",
        "later_than_trie",
        "false_alarms",
    )
    assert [[v for _, items in cells for v, _ in items] for cells in page.body("early_position")] == [
        [r[n] for n in names if r[n]] for r in rows(experiment / "early_position.csv")
    ]


def test_captions_agree_with_the_runs(experiment: Path, page: Page) -> None:
    run = next(r for r in rows(experiment / "runs.csv") if r["model"] == "1.0" and r["seed"] == "1")
    for figure, detectors in (("figure3", ("kmeans",)), ("figure4", ("threshold_both", "threshold_either"))):
        found = re.findall(r"P(D|FA) (\d+\.\d\d)%", page.captions[figure])
        assert [kind for kind, _ in found] == ["D", "FA"] * len(detectors)
        expected = [float(run[f"{d}_{m}"]) for d in detectors for m in ("p_d", "p_fa")]
        assert [float(value) for _, value in found] == pytest.approx([100 * e for e in expected], abs=0.005001)


def test_the_papers_points(experiment: Path) -> None:
    printed = {(r["detector"], r["metric"]): float(r["paper"]) for r in rows(experiment / "table6.csv") if r["paper"]}
    assert printed == {
        (d, m): value for d, (_, *both) in paper.TABLE6.items() for m, value in zip(("p_d", "p_fa"), both)
    }


def test_captions_say_what_is_shown(experiment: Path, page: Page) -> None:
    assert set(page.captions) == set(FIGURES)
    for name, caption in page.captions.items():
        assert len(caption) > 120, name
        if name != "corpus":
            assert re.search(r"\b(1 run|3 runs)\b", caption) and "model 1.0" in caption, name


def test_notes_are_honest(page: Page, experiment: Path) -> None:
    for words in (
        "not public",
        "3 runs of every model",
        "the paper's 10",
        "20 epochs",
        "the paper's 500",
        "1.1, 2.0 are not in here",
        "train.learning_rate = 0.01 (0.001)",
        "model.forget_bias = 3 (1)",
        "train.batch_size = 93 (933)",
    ):
        assert words in page.text, words
    if (experiment / "corpus.json").exists():
        assert "this is no reproduction" in page.text


def test_provenance_is_shown(page: Page, experiment: Path) -> None:
    provenance = json.loads((experiment / "provenance.json").read_text(encoding="utf-8"))
    cells = {cells[0][0]: cells[1][0] for cells in page.body("provenance")}
    assert cells["command"] == " ".join(provenance["command"]) and provenance["commit"] in cells["program"]
    assert cells["computed on"] == provenance["engine"] and provenance["corpus_digest"] in cells["corpus"]
    assert cells["seconds of this command"] == str(provenance["seconds"])
    assert all(run[key] in cells["runs trained by"] for run in provenance["runs"] for key in ("commit", "engine"))
    assert str(len(provenance["runs"])) in cells["runs trained by"].split(":")[0]


def test_nothing_comes_from_outside(page: Page, experiment: Path) -> None:
    for tag, names in page.tags:
        assert tag not in ("script", "iframe", "object", "embed", "base"), tag
        assert not any(name.startswith("on") for name in names)
        for name in ("src", "srcset", "poster", "action"):
            assert (names.get(name) or "data:").startswith("data:")
        if tag == "link":
            assert names["href"] == "data:,"
        elif names.get("href"):
            assert not re.match(r"[a-z]+:|//", names["href"]), names["href"]
            if not names["href"].startswith("#"):
                assert (experiment / unquote(names["href"])).is_file(), names["href"]
    assert not re.search(r"url\(|@import|http", page.style)
    identities = [names["id"] for _, names in page.tags if "id" in names]
    assert len(identities) == len(set(identities))
    assert {names["href"][1:] for _, names in page.tags if (names.get("href") or "").startswith("#")} <= set(identities)


def test_links_from_another_folder(experiment: Path, tmp_path: Path) -> None:
    out = tmp_path / "other" / "place"
    assert plot("--out", out, experiment).code == 0
    links = [
        names["href"] for _, names in Page((out / "report.html").read_text(encoding="utf-8")).tags if names.get("href")
    ]
    for link in links:
        if not link.startswith(("#", "data:")):
            assert (out / unquote(link)).resolve().is_file(), link


def test_text_from_files_is_escaped(copied: Path) -> None:
    path = copied / "provenance.json"
    provenance = json.loads(path.read_text(encoding="utf-8"))
    provenance["command"] = ["sipgpu", "<script>alert(1)</script>", '"&']
    path.write_text(json.dumps(provenance), encoding="utf-8")
    assert plot(copied).code == 0
    found = Page((copied / "report.html").read_text(encoding="utf-8"))
    assert not any(tag == "script" for tag, _ in found.tags)
    assert 'sipgpu <script>alert(1)</script> "&' in found.text


def test_what_is_missing_is_named(copied: Path) -> None:
    for pattern in ("roc.csv", "early*", "comparison*", "together.csv", "corpus.json", "history.csv", "moments.csv"):
        for path in copied.glob(pattern):
            path.unlink()
    result = plot(copied)
    assert result.code == 0 and result.out.count("not drawn: ") == len(FIGURES) - 1
    found = Page((copied / "report.html").read_text(encoding="utf-8"))
    assert found.text.count("Missing: ") >= len(FIGURES) - 1 and found.body("table5") and found.body("table6")


def test_a_test_split_without_new_dialogs(copied: Path) -> None:
    """P_D is not defined then: its fields are empty, as the program leaves them."""

    def edited(file: str, row: dict[str, str]) -> dict[str, str]:
        empty = {key for key in row if key == "p_d" or key.endswith("_p_d") or key in ("p_d_low", "p_d_high")}
        if row.get("metric") == "p_d":
            empty |= {"mean", "std", "min", "max", "ensemble"}
        counts = {key: "0" for key in row if key in ("new", "detections")}
        known = {"known": "1"} if file.startswith("moments") else {}
        return {**row, **dict.fromkeys(empty, ""), **counts, **known}

    for path in copied.glob("*.csv"):
        old = rows(path)
        with open(path, "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, old[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(edited(path.name, row) for row in old)
    result = plot(copied)
    assert result.code == 0 and result.err == "", result.err
    assert (copied / "figures/figure2.svg").exists() and not (copied / "figures/roc.svg").exists()
    assert "there is no ROC" in result.out


def test_models_with_a_padding_of_their_own(copied: Path) -> None:
    """More models than the paper's four, such as 1.0-mask, are drawn in further rows."""
    names = ["1.0"] + [f"{model}-{padding}" for model in ("1.0", "2.1") for padding in ("mask", "pre")]
    (copied / "model2.1.ini").unlink()
    for name in names[1:]:
        shutil.copyfile(copied / "model1.0.ini", copied / f"model{name}.ini")
    for file in ("runs.csv", "table5.csv", "table6.csv", "history.csv", "moments.csv", "roc.csv"):
        old = [row for row in rows(copied / file) if row["model"] in ("1.0", "-")]
        with open(copied / file, "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, old[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows({**row, "model": name if row["model"] == "1.0" else "-"} for name in names for row in old)
    result = plot(copied)
    assert result.code == 0, result.err
    assert "model 2.1-pre" in Page((copied / "report.html").read_text(encoding="utf-8")).captions["training"]


# ---- a browser ----

# Runs inside the page; says what a reader would see to the page around it.
PROBE = """<script>
const faults = [];
addEventListener("error", e => faults.push(String(e.message || e.target.tagName)), true);
addEventListener("load", () => {
  const luminance = c => { const [r, g, b] = c.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255).map(
    v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const back = luminance(getComputedStyle(document.body).backgroundColor);
  const contrast = [...document.querySelectorAll("p, li, td, th, a, figcaption, h1, h2")].map(e => {
    const [a, b] = [luminance(getComputedStyle(e).color), back].sort((x, y) => y - x); 
    return (a + 0.05) / (b + 0.05); });
  parent.postMessage({ width: innerWidth, overflow: document.documentElement.scrollWidth - innerWidth, faults,
    images: [...document.images].map(i => [i.naturalWidth, i.naturalHeight, i.clientWidth]), back,
    contrast: Math.min(...contrast), title: document.title }, "*"); });
</script>"""
FRAMES = """<!DOCTYPE html><meta charset="utf-8"><body><script>
const found = [];
addEventListener("message", e => { found.push(e.data); document.body.dataset.found = JSON.stringify(found); });
</script>%s</body>"""


def chromium(*words: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not program:
        pytest.skip("no browser (Debian: chromium)")
    return subprocess.run(
        [program, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", *words],
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )


def console(text: str) -> list[str]:
    """What pages wrote to the console, from the browser's log."""
    return [line for line in text.splitlines() if ":CONSOLE" in line]


def seen(tmp_path: Path, text: str, *words: str) -> list[dict[str, Any]]:
    (tmp_path / "probed.html").write_text(text.replace("</head>", PROBE + "</head>"), encoding="utf-8")
    frames = "".join(
        f'<iframe src="probed.html" style="width:{width}px;height:900px;border:0"></iframe>' for width in WIDTHS
    )
    (tmp_path / "frames.html").write_text(FRAMES % frames, encoding="utf-8")
    dom = chromium(
        "--allow-file-access-from-files",
        "--window-size=1400,2000",
        *words,
        "--dump-dom",
        f"file://{tmp_path}/frames.html",
    ).stdout
    body = next(names for tag, names in Page(dom).tags if tag == "body")
    return sorted(json.loads(body["data-found"] or "[]"), key=lambda item: item["width"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser(experiment: Path, tmp_path: Path, scheme: str) -> None:
    text = (experiment / "report.html").read_text(encoding="utf-8")
    found = seen(tmp_path, text, f"--blink-settings=preferredColorScheme={int(scheme == 'light')}")
    assert [item["width"] for item in found] == list(WIDTHS)
    for item in found:
        assert item["overflow"] <= 0 and item["faults"] == []
        assert len(item["images"]) == len(FIGURES)
        assert all(width > 100 and height > 100 and shown > 250 for width, height, shown in item["images"])
        assert (item["back"] > 0.5) == (scheme == "light") and item["contrast"] >= 4.5


def test_the_browser_would_say(tmp_path: Path, experiment: Path) -> None:
    """The probe and the log do report an image that is broken, a table that is too wide, an error."""
    text = (experiment / "report.html").read_text(encoding="utf-8")
    text = text.replace("</header>", '<img src="data:image/png;base64,AAAA"><div style="width:3000px">x</div></header>')
    for item in seen(tmp_path, text):
        assert item["overflow"] > 0 and item["faults"] == ["IMG"] and [0, 0] in [i[:2] for i in item["images"]]
    (tmp_path / "loud.html").write_text("<script>nothing()</script>", encoding="utf-8")
    assert console(chromium("--enable-logging=stderr", "--dump-dom", f"file://{tmp_path}/loud.html").stderr)


def test_the_console_is_silent(experiment: Path) -> None:
    url = experiment.joinpath("report.html").as_uri()
    assert console(chromium("--enable-logging=stderr", "--dump-dom", url).stderr) == []


# ---- what is wrong gets one line, and leaves nothing behind ----


def test_usage() -> None:
    assert plot().code == 2 and plot("--no-such", "x").code == 2
    assert plot("--help").code == 0


def test_no_such_folder(tmp_path: Path) -> None:
    refuses(tmp_path / "nothing", names=("nothing", "no such folder"))
    refuses(tmp_path, names=(tmp_path, "no runs.csv"))
    assert not list(tmp_path.iterdir())


def change(line: int, old: str, new: str):
    """In this line of a file."""

    def edit(text: str) -> str:
        lines = text.split("\n")
        assert re.search(old, lines[line - 1]), lines[line - 1]
        lines[line - 1] = re.sub(old, new, lines[line - 1], count=1)
        return "\n".join(lines)

    return edit


DAMAGE = {
    "empty": ("table5.csv", lambda text: "", ("table5.csv", "empty")),
    "head only": ("table6.csv", lambda text: text.split("\n")[0] + "\n", ("table6.csv", "no rows")),
    "no column": ("runs.csv", change(1, "lambda_skewness", "mu"), ("runs.csv:1:", "lambda_skewness")),
    "a column twice": ("runs.csv", change(1, "p_d_test", "p_d_train"), ("runs.csv:1:",)),
    "cut off": (
        "moments.csv",
        lambda text: text[: len(text) * 2 // 3].rsplit(",", 3)[0],
        ("moments.csv:", "fields"),
    ),
    "a word for a number": (
        "history.csv",
        change(7, r"^([\d.]+,\d+,\d+),\d+", r"\1,many"),
        ("history.csv:7:", "update", "many"),
    ),
    "not finite": (
        "history.csv",
        change(3, r"^([\d.]+,\d+,\d+,\d+),[^,]+", r"\1,nan"),
        ("history.csv:3:", "loss", "nan"),
    ),
    "no share": ("table5.csv", change(4, r"^(\w+,[\d.]+),[^,]*", r"\1,1.5"), ("table5.csv:4:", "paper", "1.5")),
    "no flag": (
        "moments.csv",
        change(5, r"^((?:[^,]+,){6})[01]", r"\g<1>2"),
        ("moments.csv:5:", "known"),
    ),
    "a quote left open": ("runs.csv", change(3, "^", '"'), ("runs.csv:", "CSV")),
    "no model": ("runs.csv", change(2, "^1.0", "7"), ("runs.csv", "7", "no model")),
    "other runs": ("runs.csv", lambda text: "\n".join(text.split("\n")[:2]) + "\n", ("history.csv", "seeds")),
    "not JSON": ("provenance.json", change(2, '"', ""), ("provenance.json:2:", "not JSON")),
    "not an object": ("provenance.json", lambda text: "[]", ("provenance.json", "object")),
    "a curve without its beginning": ("roc.csv", change(2, "-inf", "0"), ("roc.csv", "-inf")),
    "a curve without its end": ("roc.csv", change(4, r",\d+,(\d+)$", r",999999,\1"), ("roc.csv", "detections")),
    "settings": ("model1.0.ini", change(2, "=", ""), ("model1.0.ini:2:",)),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damaged_files(copied: Path, what: str) -> None:
    name, edit, names = DAMAGE[what]
    path = copied / name
    path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")
    before = contents(copied)
    refuses(copied, names=names)
    assert contents(copied) == before and not (copied / "figures").exists()


@pytest.mark.parametrize(
    "edit, names",
    [
        (lambda c: c.update(dialogs=-1), ("corpus.json", "dialogs")),
        (lambda c: c["split"].pop("test"), ("corpus.json", "split.test")),
        (lambda c: c.update(lengths=[]), ("corpus.json", "lengths")),
        (lambda c: c["alphabet"][3].update(messages="7"), ("corpus.json", "alphabet[3]")),
    ],
)
def test_damaged_corpus(copied: Path, edit: Any, names: tuple[str, ...]) -> None:
    path = copied / "corpus.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    edit(found)
    path.write_text(json.dumps(found), encoding="utf-8")
    refuses(copied, names=names)


def test_text_that_is_no_text(copied: Path) -> None:
    (copied / "runs.csv").write_bytes(b"\xff\xfe\x00")
    refuses(copied, names=("runs.csv", "UTF-8"))


def test_output_that_cannot_be_written(experiment: Path, copied: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    refuses("--out", file, experiment, names=("cannot write", "file"))
    (copied / "figures" / "training.pdf").mkdir(parents=True)
    before = contents(copied)
    refuses(copied, names=("cannot write", "training.pdf"))
    assert contents(copied) == before and file.read_text(encoding="utf-8") == "mine"


def test_without_matplotlib(experiment: Path, tmp_path: Path) -> None:
    broken = tmp_path / "matplotlib"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError(name='matplotlib')", encoding="utf-8")
    refuses(experiment, names=("matplotlib", "python3-matplotlib"), env={"PYTHONPATH": str(tmp_path)})


def test_pictures_in_the_page_are_those_in_the_files(experiment: Path, page: Page) -> None:
    sources = [names["src"] or "" for tag, names in page.tags if tag == "img"]
    inside = [base64.b64decode(source.split("base64,")[1]) for source in sources]
    assert {*inside} == {(experiment / "figures" / f"{name}.svg").read_bytes() for name in FIGURES}
    assert all(ElementTree.parse(io.BytesIO(picture)) for picture in inside)
