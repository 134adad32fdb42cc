"""Exported ONNX models: valid for onnx.checker, and the same in onnxruntime as in the network's definition and
in `sipgpu score`.

Runs with `scripts/test --peers`; needs onnx and onnxruntime.
"""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import Sipgpu, changing
from network import Network, moments
from peer_models import model, run_example, scores, tokens  # noqa: F401  pylint: disable=unused-import

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

OUTPUTS = ["probabilities", "class", "skewness", "kurtosis", "abnormal", "abnormal_either"]


def open_session(path: Path) -> "onnxruntime.InferenceSession":
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="session")
def exported(sipgpu: Sipgpu, model: Path) -> Path:
    path = model.with_name("model.onnx")
    sipgpu.ok("export", "--model", model, "--out", path)
    return path


@pytest.fixture(scope="session")
def session(exported: Path) -> "onnxruntime.InferenceSession":
    return open_session(exported)


def ask(session: "onnxruntime.InferenceSession", tokens: np.ndarray) -> dict[str, np.ndarray]:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"tokens": tokens})))


@pytest.fixture(scope="session")
def answers(session: "onnxruntime.InferenceSession", tokens: np.ndarray) -> dict[str, np.ndarray]:
    return ask(session, tokens)


def test_the_checker_accepts_it(exported: Path, model: Path) -> None:
    onnx.checker.check_model(str(exported), full_check=True)
    graph = onnx.shape_inference.infer_shapes(onnx.load(str(exported)), check_type=True, strict_mode=True,
                                              data_prop=True)
    assert graph.opset_import[0].version == 17 and graph.ir_version == 8
    with h5py.File(model) as f:
        length, classes = int(f.attrs["max_length"]), int(f.attrs["classes"])

    def shapes(values: object) -> dict[str, list[object]]:
        return {value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
                for value in values}

    assert shapes(graph.graph.input) == {"tokens": ["batch", length]}
    assert shapes(graph.graph.output) == {"probabilities": ["batch", classes], **{n: ["batch"] for n in OUTPUTS[1:]}}
    inferred = {value.name for value in graph.graph.value_info}
    assert {"one_hot", "logits", "variance"} <= inferred


def test_probabilities(model: Path, tokens: np.ndarray, answers: dict[str, np.ndarray]) -> None:
    wanted = Network.read(model)(tokens)
    assert answers["probabilities"].dtype == np.float32
    assert abs(answers["probabilities"] - wanted).max() < 1e-5


def test_classes_moments_and_verdicts(model: Path, answers: dict[str, np.ndarray]) -> None:
    """Of its own probabilities they are exact; verdicts are those of the file's thresholds."""
    network, p = Network.read(model), answers["probabilities"].astype(np.float64)
    skewness, kurtosis = moments(p)
    assert (answers["class"] == answers["probabilities"].argmax(axis=1)).all()
    assert answers["skewness"].dtype == answers["kurtosis"].dtype == np.float64
    assert abs(answers["skewness"] - skewness).max() < 1e-12 and abs(answers["kurtosis"] - kurtosis).max() < 1e-12
    both, either, _ = network.below(answers["skewness"], answers["kurtosis"])
    assert (answers["abnormal"] == both).all() and (answers["abnormal_either"] == either).all()
    assert 0 < both.sum() <= either.sum() < len(both)


def test_the_engine_agrees(model: Path, tokens: np.ndarray, answers: dict[str, np.ndarray],
                           scores: dict[str, np.ndarray]) -> None:
    p = answers["probabilities"]
    assert abs(p.max(axis=1) - scores["probability"]).max() < 1e-5
    sure = np.sort(p, axis=1)[:, -1] - np.sort(p, axis=1)[:, -2] > 1e-5
    assert sure.sum() > len(sure) / 2 and (answers["class"] == scores["class"])[sure].all()
    _, _, away = Network.read(model).below(scores["skewness"], scores["kurtosis"])
    assert away.sum() > 0.9 * len(away)
    assert (answers["abnormal"] == scores["abnormal"])[away].all()
    assert (answers["abnormal_either"] == scores["abnormal_either"])[away].all()


def test_any_batch(session: "onnxruntime.InferenceSession", tokens: np.ndarray,
                   answers: dict[str, np.ndarray]) -> None:
    for batch in (1, 3):
        for name, value in ask(session, tokens[:batch]).items():
            assert value == pytest.approx(answers[name][:batch], abs=1e-5), name


def test_a_row_without_messages(session: "onnxruntime.InferenceSession", model: Path, tokens: np.ndarray) -> None:
    """Is what the network says before the first message, and leaves its neighbours alone."""
    rows = np.array([tokens[0], np.zeros_like(tokens[0]), tokens[1]])
    p = ask(session, rows)["probabilities"]
    assert abs(p - Network.read(model)(rows)).max() < 1e-5


def test_an_unknown_message_type_is_an_error(session: "onnxruntime.InferenceSession", tokens: np.ndarray) -> None:
    rows = tokens[:2].copy()
    rows[1, 0] = 19
    with pytest.raises(Exception, match="one_hot|bounds"):
        session.run(None, {"tokens": rows})


def test_outputs_that_are_all_alike(sipgpu: Sipgpu, model: Path, tokens: np.ndarray, tmp_path: Path) -> None:
    """No variance: the moments are 0, which is abnormal, and not NaN."""
    copy = tmp_path / "flat.h5"
    copy.write_bytes(model.read_bytes())
    with changing(copy) as f:
        f["params/dense/kernel"][...] = 0
        f["params/dense/bias"][...] = 0
    sipgpu.ok("export", "--model", copy, "--out", tmp_path / "flat.onnx")
    answers = ask(open_session(tmp_path / "flat.onnx"), tokens[:5])
    if (answers["probabilities"] == answers["probabilities"][0, 0]).all():
        mean = answers["probabilities"].astype(np.float64).mean(axis=1)
        exact = mean == answers["probabilities"][:, 0]
        assert (answers["skewness"][exact] == 0).all() and (answers["kurtosis"][exact] == 0).all()
    assert np.isfinite(answers["skewness"]).all() and np.isfinite(answers["kurtosis"]).all()
    assert (answers["class"] == 0).all()


def test_metadata(exported: Path, model: Path) -> None:
    metadata = {item.key: item.value for item in onnx.load(str(exported)).metadata_props}
    with h5py.File(model) as f:
        assert json.loads(metadata["sipgpu.alphabet"]) == [name.decode() for name in f["alphabet"][()]]
        assert metadata["sipgpu.padding"] == f.attrs["padding"].decode()
        assert metadata["sipgpu.type_rule"] == "paper/1" and metadata["sipgpu.retransmissions"] == "keep"
        limits = json.loads(metadata["sipgpu.thresholds"])
        assert limits == {"rule": "both", **{key: float(f["thresholds"].attrs[key]) for key in ("skewness", "kurtosis")}}
        sequences = f["classes/sequence"][()]
        wanted = [" ".join(str(t) for t in row[row != 0]) for row in sequences]
        assert json.loads(metadata["sipgpu.classes"]) == wanted
        assert json.loads(metadata["sipgpu.training"])["corpus_digest"] == f["training"].attrs["corpus_digest"].decode()


def test_without_thresholds_there_is_no_verdict(sipgpu: Sipgpu, model: Path, tokens: np.ndarray,
                                                tmp_path: Path) -> None:
    copy = tmp_path / "none.h5"
    copy.write_bytes(model.read_bytes())
    with changing(copy) as f:
        del f["thresholds"]
    result = sipgpu.ok("export", "--model", copy, "--out", tmp_path / "none.onnx")
    assert "no thresholds" in result.err
    onnx.checker.check_model(str(tmp_path / "none.onnx"), full_check=True)
    assert list(ask(open_session(tmp_path / "none.onnx"), tokens[:2])) == OUTPUTS[:4]


def test_the_example_of_the_page(exported: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(exported.parent)
    names = run_example("onnxruntime")
    assert names["best"][0] == Network.read(model)(names["tokens"]).argmax()
    assert names["tokens"][0, :8].tolist() == [1, 9, 10, 12, 2, 3, 12, 0] and names["abnormal"].dtype == bool
