"""The same 2000 dialogs through everything that runs a trained model: sipgpu on the .h5 file, libsipdetect in
every precision and on every level of instructions, `sipgpu score` on .sipm files, onnxruntime, Keras.

A third of the dialogs are train dialogs, a third are none, a third are beginnings.  The judge is the network in
NumPy, in double precision (detector_model.py).  Runs with `scripts/test --peers`; needs onnxruntime, and keras with
a backend (KERAS_BACKEND, jax if it is not set).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, Sipgpu, settings
from detector_model import Model, column, read_answers

sys.path.insert(0, str(ROOT / "scripts/bench"))
import sipdetect_library  # noqa: E402

onnxruntime = pytest.importorskip("onnxruntime")
os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras")

DIALOGS = 2000
PRECISIONS = ("fp32", "bf16", "int8")
NEAR = 1e-6  # verdicts may differ this near to a limit, besides the rounding of the moments themselves
# Of probabilities, in single precision.  The tanh of onnxruntime and of Keras on jax is an approximation, off by up
# to 2.6e-7 where the nearest float is by 6e-8; the network of two layers that begins with zeros magnifies that.
WITHIN, PEERS_WITHIN = 1e-5, 3e-5

# Well trained, in a few seconds each.
NETWORKS = {
    "1.0 post": {"model__units": 96, "model__forget_bias": 5},
    "1.0 mask": {"model__units": 96, "model__padding": "mask"},
    "1.0 pre": {"model__units": 96, "model__padding": "pre"},
    "2.0 post": {"model__units": 72, "model__layers": 2, "model__forget_bias": 5},
    "2.0 mask": {"model__units": 72, "model__layers": 2, "model__padding": "mask"},
    "2.0 pre": {"model__units": 72, "model__layers": 2, "model__padding": "pre"},
}


@dataclass
class Case:
    """A trained network, the dialogs, and what NumPy says of them."""

    sipgpu: Sipgpu
    name: str
    folder: Path
    model: Model
    dialogs: list[tuple[int, ...]]

    @property
    def path(self) -> Path:
        return self.folder / "run/model.h5"

    @cached_property
    def lines(self) -> Path:
        return self.model.write_lines(self.folder / "dialogs.csv", self.dialogs)

    @cached_property
    def tokens(self) -> np.ndarray:
        return self.model.tokens(self.dialogs)

    @cached_property
    def probabilities(self) -> np.ndarray:
        return self.model.probabilities(self.dialogs)

    @cached_property
    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        return self.model.moments(self.probabilities)

    @cached_property
    def below(self) -> np.ndarray:
        return self.model.below(*self.moments)

    @cached_property
    def known(self) -> np.ndarray:
        return np.array([d in self.model.known for d in self.dialogs])

    @cached_property
    def known_prefix(self) -> np.ndarray:
        return np.array([d in self.model.beginnings for d in self.dialogs])

    def export(self, form: str, *words: str) -> Path:
        """The model in another form, exported once."""
        name = "-".join([form, *(w for w in words if not w.startswith("--"))])
        path = self.folder / f"{name}.{form}"
        if not path.exists():
            self.sipgpu.ok("export", "--model", self.path, "--format", form, *words, "--out", path)
        return path

    def sipm(self, precision: str) -> Path:
        return self.export("sipm", "--weights", precision)

    def score(self, model: Path, *words: str) -> list[dict]:
        return read_answers(self.sipgpu.ok("score", "--quiet", "--model", model, *words, self.lines).out)

    def sure(self, skewness: np.ndarray, kurtosis: np.ndarray, lengths: list[int] | None = None) -> np.ndarray:
        """[count]: dialogs whose limits are not between the moments here and those of NumPy, or NEAR them."""
        error = np.maximum(np.abs(skewness - self.moments[0]), np.abs(kurtosis - self.moments[1]))
        sure = self.model.margin(*self.moments, lengths) > NEAR + error
        assert sure.mean() > 0.85  # limits for beginnings are moments of some of them
        return sure

    def check(self, p_max: np.ndarray, best: np.ndarray, skewness: np.ndarray, kurtosis: np.ndarray,
              both: np.ndarray, either: np.ndarray | None = None, within: float = WITHIN) -> None:
        """Scores and verdicts of fp32.  A small change of a probability is several times as large in a moment."""
        p = self.probabilities
        assert np.abs(p_max - p.max(axis=1)).max() < within
        assert np.all(p[np.arange(len(p)), best] > p.max(axis=1) - within)
        assert np.abs(skewness - self.moments[0]).max() < 5 * within
        assert np.abs(kurtosis - self.moments[1]).max() < 5 * within
        sure = self.sure(skewness, kurtosis)
        assert np.array_equal(both[sure], self.below.all(axis=1)[sure])
        if either is not None:
            assert np.array_equal(either[sure], self.below.any(axis=1)[sure])

    def check_rows(self, both: list[dict], either: list[dict]) -> None:
        """Lines of `sipgpu score` by both rules."""
        self.check(*(column(both, name) for name in ("probability", "class", "skewness", "kurtosis", "abnormal")),
                   column(either, "abnormal"))
        assert np.array_equal(column(both, "known"), self.known)
        assert np.array_equal(column(both, "known_prefix"), self.known_prefix)


@pytest.fixture(scope="module", params=NETWORKS)
def case(request: pytest.FixtureRequest, sipgpu: Sipgpu, corpus: Path,
         tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp(request.param.replace(" ", "_"))
    sipgpu.ok("train", "--quiet", "--corpus", corpus, "--out", folder / "run",
              *settings(train__epochs=100, train__batch_size=48, train__learning_rate=0.003,
                        train__lr_schedule="cosine", train__clip_norm=1,
                        **{"model__forget_bias": 1, **NETWORKS[request.param]}))
    model = Model(folder / "run/model.h5")
    return Case(sipgpu, request.param, folder, model, model.dialogs(DIALOGS, seed=11))


@pytest.fixture(scope="session")
def library(sipgpu: Sipgpu) -> sipdetect_library.Library:
    found = sorted(sipgpu.program.parent.rglob("libsipdetect.so"))
    assert found, f"no libsipdetect.so below {sipgpu.program.parent}"
    return sipdetect_library.Library(found[0])


def test_the_dialogs_test_something(case: Case) -> None:
    """All kinds of dialogs and verdicts are there, and the network is a good one."""
    assert case.known.sum() > DIALOGS / 4 and (~case.known).sum() > DIALOGS / 4
    assert DIALOGS / 4 < case.known_prefix.sum() < DIALOGS
    abnormal = case.below.all(axis=1)
    assert 0.05 < abnormal[case.known].mean() < abnormal[~case.known].mean() < 0.95
    right = [case.model.classes[best] == d for best, d in zip(case.probabilities.argmax(axis=1), case.dialogs)]
    assert np.mean(np.array(right)[case.known]) > 0.9


# ---- single precision ----


def test_sipgpu_on_the_model_file(case: Case) -> None:
    both, either = (case.score(case.path, "--precision", "fp32", "--rule", rule) for rule in ("both", "either"))
    case.check_rows(both, either)


@pytest.mark.parametrize("words", [[], ["--recompute"]], ids=["file and network", "network"])
def test_sipgpu_on_a_sipm_file(case: Case, words: list[str]) -> None:
    both, either = (case.score(case.sipm("fp32"), "--rule", rule, *words) for rule in ("both", "either"))
    case.check_rows(both, either)
    low = case.model.low_cluster(*case.moments)
    assert np.mean(column(both, "low_cluster") == low) > 0.999


@pytest.mark.parametrize("rule", ["both", "either"])
def test_beginnings_are_judged_alike(case: Case, rule: str) -> None:
    lengths = [len(d) for d in case.dialogs]
    below = case.model.below(*case.moments, lengths)
    abnormal = (below.all(axis=1) if rule == "both" else below.any(axis=1)) & ~case.known_prefix
    assert 0 < abnormal.sum() < DIALOGS
    for model, words in ((case.path, ["--precision", "fp32"]), (case.sipm("fp32"), [])):
        rows = case.score(model, "--partial", "--rule", rule, *words)
        sure = case.sure(column(rows, "skewness"), column(rows, "kurtosis"), lengths)
        assert np.array_equal(column(rows, "abnormal")[sure], abnormal[sure])


def test_library_on_every_level(case: Case, library: sipdetect_library.Library) -> None:
    assert library.simd_levels[0] == "generic"
    for simd in library.simd_levels:
        for recompute in (False, True):
            with sipdetect_library.Model(library, case.sipm("fp32"), simd, recompute=recompute) as model:
                found = model.score(case.tokens)
                assert np.abs(model.probabilities(case.tokens) - case.probabilities).max() < WITHIN
            case.check(*(found[name] for name in ("probability", "best_class", "skewness", "kurtosis")),
                       found["abnormal"] == 1, found["abnormal_either"] == 1)
            assert np.array_equal(found["known_dialog"] == 1, case.known)
            assert np.array_equal(found["known_prefix"] == 1, case.known_prefix)
            assert np.array_equal(found["from_file"] == 1, case.known_prefix & (not recompute))


def test_library_message_by_message(case: Case, library: sipdetect_library.Library) -> None:
    """After each message the verdict is that on the beginning so far."""
    m, dialogs = case.model, case.dialogs[:150]
    with sipdetect_library.Model(library, case.sipm("fp32")) as model:
        found = [model.push(d) for d in dialogs]
    beginnings = [d[:k] for d in dialogs for k in range(1, len(d) + 1)]
    unique = sorted(set(beginnings))
    place = {d: n for n, d in enumerate(unique)}
    p = m.probabilities(unique)
    moments, lengths = m.moments(p), [len(d) for d in unique]
    below, margin = m.below(*moments, lengths).all(axis=1), m.margin(*moments, lengths)
    flat = {name: np.concatenate([f[name] for f in found]) for name in found[0]}
    rows = np.array([place[d] for d in beginnings])
    known = np.array([d in m.beginnings for d in beginnings])
    assert np.array_equal(flat["position"], [len(d) for d in beginnings])
    assert np.array_equal(flat["known_prefix"] == 1, known)
    assert np.abs(flat["probability"] - p.max(axis=1)[rows]).max() < WITHIN
    error = np.maximum(np.abs(flat["skewness"] - moments[0][rows]), np.abs(flat["kurtosis"] - moments[1][rows]))
    sure = margin[rows] > NEAR + error
    assert np.array_equal((flat["abnormal_beginning"] == 1)[sure], (below[rows] & ~known)[sure])


def test_onnxruntime(case: Case) -> None:
    session = onnxruntime.InferenceSession(case.export("onnx"), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for first in range(0, DIALOGS, 256):
        for name, values in zip(names, session.run(None, {"tokens": case.tokens[first:first + 256]})):
            found[name].append(values)
    out = {name: np.concatenate(values) for name, values in found.items()}
    assert np.abs(out["probabilities"] - case.probabilities).max() < PEERS_WITHIN
    case.check(out["probabilities"].max(axis=1), out["class"], out["skewness"], out["kurtosis"], out["abnormal"],
               out["abnormal_either"], within=PEERS_WITHIN)


def test_keras(case: Case) -> None:
    network = keras.saving.load_model(case.export("keras"))
    tokens = case.tokens
    if case.model.padding == "pre":  # there the caller puts the zeros
        tokens = np.array([np.roll(row, case.model.length - len(d)) for row, d in zip(tokens, case.dialogs)])
    one_hot = np.vstack([np.zeros(len(case.model.names)), np.eye(len(case.model.names))]).astype(np.float32)
    p = np.asarray(network.predict(one_hot[tokens], batch_size=256, verbose=0))
    assert np.abs(p - case.probabilities).max() < PEERS_WITHIN
    moments = case.model.moments(p)
    case.check(p.max(axis=1), p.argmax(axis=1), *moments, case.model.below(*moments).all(axis=1), within=PEERS_WITHIN)


# ---- fewer bits ----


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_fewer_bits(case: Case, library: sipdetect_library.Library, precision: str) -> None:
    """Rounded weights give nearly the same verdicts, and on every level of instructions the same ones.

    The share of equal verdicts is told (and measured at full size by scripts/bench/bench_detectors.py); what is
    asserted is that rounding only turns verdicts whose moments were near a limit to begin with.
    """
    truth = case.below.all(axis=1)
    scores: dict[str, dict[str, np.ndarray]] = {}
    for simd in library.simd_levels:
        with sipdetect_library.Model(library, case.sipm(precision), simd, recompute=True) as model:
            scores[simd] = model.score(case.tokens)
    for simd, found in scores.items():
        equal = (found["abnormal"] == 1) == truth
        print(f"{case.name} {precision} {simd}: {equal.mean():.4%} of verdicts equal, train dialogs "
              f"{equal[case.known].mean():.4%}, largest difference of a probability "
              f"{np.abs(found['probability'] - case.probabilities.max(axis=1)).max():.2g}")
        assert np.mean(np.abs(found["probability"] - case.probabilities.max(axis=1)) < 0.05) > 0.97
        assert np.mean(found["best_class"] == case.probabilities.argmax(axis=1)) > 0.97
        assert equal.mean() > 0.97
    base = scores["generic"]
    for simd, found in scores.items():
        assert np.mean(found["abnormal"] == base["abnormal"]) > 0.995, simd


def test_fewer_bits_change_nothing_that_the_file_holds(case: Case, library: sipdetect_library.Library) -> None:
    """Known beginnings are answered as the full network answers them, in every precision."""
    for precision in PRECISIONS:
        with sipdetect_library.Model(library, case.sipm(precision)) as model:
            found = model.score(case.tokens)
        known = case.known_prefix
        assert np.abs(found["probability"] - case.probabilities.max(axis=1))[known].max() < WITHIN
        sure = known & (case.model.margin(*case.moments) > 5e-5)
        assert np.array_equal((found["abnormal"] == 1)[sure], case.below.all(axis=1)[sure])


# ---- the comparison of speeds ----


def test_comparison_of_speeds(sipgpu: Sipgpu, tmp_path: Path) -> None:
    """scripts/bench/bench_detectors.py at a small size: it measures everything, and its ratios are of what it measured."""
    done = subprocess.run([sys.executable, str(ROOT / "scripts/bench/bench_detectors.py"), "--sipgpu", str(sipgpu.program),
                           "--units", "16", "--epochs", "1", "--rounds", "2", "--singles", "2", "--slice", "4",
                           "--agreement", "30", "--out", str(tmp_path / "out")],
                          capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "out/detectors.json").read_text(encoding="utf-8"))
    assert done.stdout == (tmp_path / "out/detectors.md").read_text(encoding="utf-8")
    assert [(m["workload"], m["batch"]) for m in result["speed"]] == [
        ("unknown", 1), ("unknown", 64), ("corpus", 1), ("corpus", 64)]
    for m in result["speed"]:
        assert len(m["ms"]) == 2 and all(set(r) == {"fp32", "bf16", "int8", "onnxruntime", "keras"} for r in m["ms"])
        assert all(t > 0 for r in m["ms"] for t in r.values())
    first = result["figures"][0]
    assert first["value"] == pytest.approx(np.median([r["onnxruntime"] / r["fp32"] for r in result["speed"][0]["ms"]]))
    for f in result["figures"]:
        assert f["reached"] == (f["value"] >= f["target"] if f["more_is_better"] else f["value"] < f["target"])
        assert f"| {f['figure']} | {f['value']:.4g} {f['unit']} | " in done.stdout
    assert result["provenance"]["commit"] and result["shape"]["classes"] == 1492
