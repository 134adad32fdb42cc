"""Exported models in Keras, and models of Keras' own in sipgpu.

Runs with `scripts/test --peers`; needs keras and a backend (KERAS_BACKEND, jax if it is not set).
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Callable

import h5py
import numpy as np
import pytest
from conftest import Sipgpu, assert_same_tensors
from network import Network
from peer_models import model, run_example, scores, tokens  # noqa: F401  pylint: disable=unused-import

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras")

L, M = 24, 18
layers = keras.layers


@pytest.fixture(scope="session")
def exported(sipgpu: Sipgpu, model: Path) -> Path:
    """The folder with model.keras, model.weights.h5 and model.json."""
    for name in ("model.keras", "model.weights.h5"):
        sipgpu.ok("export", "--model", model, "--out", model.with_name(name))
    return model.parent


def predict(network: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(network.predict(x, batch_size=500, verbose=0))


def save_all(network: Any, folder: Path) -> list[Path]:
    """In every container that Keras has."""
    network.save(folder / "again.keras")
    network.save(folder / "again.h5")
    network.save_weights(folder / "pair.weights.h5")
    (folder / "pair.json").write_text(network.to_json(), encoding="utf-8")
    return [folder / "again.keras", folder / "again.h5", folder / "pair.weights.h5"]


# ---- from sipgpu to Keras ----


def test_probabilities(model: Path, exported: Path, tokens: np.ndarray, scores: dict[str, np.ndarray]) -> None:
    judge = Network.read(model)
    network = keras.models.load_model(exported / "model.keras")
    p = predict(network, judge.one_hot(tokens))
    assert abs(p - judge(tokens)).max() < 1e-5
    assert abs(p.max(axis=1) - scores["probability"]).max() < 1e-5


def test_the_pair_is_the_archive(model: Path, exported: Path, tokens: np.ndarray) -> None:
    x = Network.read(model).one_hot(tokens[:50])
    one = keras.models.load_model(exported / "model.keras")
    other = keras.models.model_from_json((exported / "model.json").read_text(encoding="utf-8"))
    other.load_weights(exported / "model.weights.h5")
    assert (predict(one, x) == predict(other, x)).all()


def test_it_is_the_model_that_was_trained(model: Path, exported: Path) -> None:
    """Kinds of layers, rate of dropout; it can be trained on."""
    network = keras.models.load_model(exported / "model.keras")
    with h5py.File(model) as f:
        depth, masking, rate = int(f.attrs["layers"]), f.attrs["padding"] == b"mask", float(f.attrs["dropout"])
    kinds = ["Masking"] * masking + ["LSTM"] * depth + ["Dropout"] * (rate > 0) + ["Dense"]
    assert [type(layer).__name__ for layer in network.layers] == kinds
    assert network.input_shape == (None, L, M)
    if rate > 0:
        assert network.layers[-2].rate == rate
    network.compile("sgd", "sparse_categorical_crossentropy")
    x = np.zeros((8, L, M), np.float32)
    x[:, 0, 0] = 1
    loss = network.fit(x, np.zeros(8), epochs=2, verbose=0).history["loss"]
    assert loss[1] != loss[0] and np.isfinite(loss).all()


# ---- and back ----


def test_round_trip(sipgpu: Sipgpu, model: Path, exported: Path, corpus: Path, tmp_path: Path) -> None:
    """sipgpu -> Keras -> sipgpu -> Keras: bit for bit, through every container."""
    padding = Network.read(model).padding
    network = keras.models.load_model(exported / "model.keras")
    for path in save_all(network, tmp_path):
        sipgpu.ok("import", path, "--corpus", corpus, "--padding", padding, "--out", tmp_path / "back.h5", "--force")
        assert_same_tensors(model, tmp_path / "back.h5", "params", "alphabet", "classes")
        sipgpu.ok("export", "--model", tmp_path / "back.h5", "--out", tmp_path / "forth.keras", "--force")
        forth = keras.models.load_model(tmp_path / "forth.keras")
        weights = zip(network.get_weights(), forth.get_weights(), strict=True)
        assert all(a.tobytes() == b.tobytes() for a, b in weights)


# ---- from Keras to sipgpu ----


def train_in_keras(network: Any, corpus: Path, epochs: int) -> float:
    """P_D on the train split."""
    with h5py.File(corpus) as f:
        train = f["split"][()] == 0
        tokens = f["dialogs/sequence"][()][train].astype(np.int64)
        labels = f["dialogs/label"][()][train]
    x = np.eye(M + 1, dtype=np.float32)[tokens][:, :, 1:]
    network.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    network.fit(x, labels, batch_size=48, epochs=epochs, verbose=0)
    return float(network.evaluate(x, labels, verbose=0)[1])


def test_a_model_trained_in_keras(sipgpu: Sipgpu, corpus: Path, tokens: np.ndarray, tmp_path: Path) -> None:
    """Sequential with everything the paper's models have; sipgpu's P_D is Keras' own."""
    keras.utils.set_random_seed(1)
    network = keras.Sequential([layers.Input((L, M)), layers.Masking(0.0), layers.LSTM(24, return_sequences=True),
                                layers.LSTM(24), layers.Dropout(0.1), layers.Dense(150, activation="softmax")])
    p_d = train_in_keras(network, corpus, 6)
    assert p_d > 0.4
    for number, path in enumerate(save_all(network, tmp_path)):
        out = tmp_path / f"{number}.h5"
        report = sipgpu.ok("import", path, "--corpus", corpus, "--out", out, "--precision", "fp32", "--json").json
        assert report["padding"] == "mask" and report["layers"] == 2 and report["dropout"] == 0.1
        assert report["splits"]["train"]["p_d"]["value"] == pytest.approx(p_d, abs=1e-6)
        judge = Network.read(out)
        assert abs(judge(tokens[:300]) - predict(network, judge.one_hot(tokens[:300]))).max() < 1e-5
        assert sipgpu.ok("detect", "--model", out, "--corpus", corpus, "--json").json["detection"]


def test_a_functional_model(sipgpu: Sipgpu, corpus: Path, tokens: np.ndarray, tmp_path: Path) -> None:
    """With a Masking layer, whose mask Keras 3 puts into the graph, and names of one's own."""
    x = keras.Input((L, M))
    y = layers.Masking(0.0, name="silence")(x)
    y = layers.LSTM(16, return_sequences=True, name="first", recurrent_dropout=0.1)(y)
    y = layers.Dropout(0.2, name="between")(y)
    y = layers.LSTM(16, name="second")(y)
    network = keras.Model(x, layers.Dense(150, activation="softmax", name="answer")(y))
    for path in save_all(network, tmp_path):
        out = tmp_path / "m.h5"
        result = sipgpu.ok("import", path, "--corpus", corpus, "--out", out, "--force")
        assert "first.recurrent_dropout 0.1" in result.err and "between.rate 0.2" in result.err
        judge = Network.read(out)
        assert judge.padding == "mask"
        assert abs(judge(tokens[:100]) - predict(network, judge.one_hot(tokens[:100]))).max() < 1e-5


def sequential(*middle: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: keras.Sequential([layers.Input((L, M)), *(make() for make in middle)])


def dense(activation: str | None = "softmax") -> Callable[[], Any]:
    return lambda: layers.Dense(150, activation=activation, name="answer")


def two_inputs() -> Any:
    a, b = keras.Input((L, M)), keras.Input((4,))
    y = layers.Concatenate(name="join")([layers.LSTM(4)(a), b])
    return keras.Model([a, b], layers.Dense(150, activation="softmax")(y))


def lstm(**settings: Any) -> Callable[[], Any]:
    return lambda: layers.LSTM(8, name="cell", **settings)


OTHERS: list[tuple[str, Callable[[], Any], tuple[str, ...]]] = [
    ("gru", sequential(lambda: layers.GRU(8, name="cell"), dense()), ("layer cell, a GRU",)),
    ("bidirectional", sequential(lambda: layers.Bidirectional(layers.LSTM(8), name="cell"), dense()),
     ("layer cell, a Bidirectional",)),
    ("embedding", lambda: keras.Sequential([layers.Input((L,)), layers.Embedding(19, 8, name="table"),
                                            layers.LSTM(8), dense()()]), ("2 dimensions",)),
    ("activation", sequential(lstm(activation="relu"), dense()), ("layer cell", "activation", "relu")),
    ("recurrent activation", sequential(lstm(recurrent_activation="hard_sigmoid"), dense()),
     ("layer cell", "recurrent_activation", "hard_sigmoid")),
    ("no bias", sequential(lstm(use_bias=False), dense()), ("layer cell", "use_bias")),
    ("backwards", sequential(lstm(go_backwards=True), dense()), ("layer cell", "go_backwards")),
    ("logits", sequential(lstm(), dense(None)), ("layer answer", "activation")),
    ("sequences", sequential(lstm(return_sequences=True), dense()), ("layer cell", "return_sequences")),
    ("widths", sequential(lambda: layers.LSTM(6, return_sequences=True, name="one"), lstm(), dense()),
     ("layer cell", "units", "6 of one")),
    ("norm", sequential(lstm(), lambda: layers.LayerNormalization(name="norm"), dense()),
     ("layer norm, a LayerNormalization",)),
    ("double", sequential(lstm(dtype="float64"), dense()), ("layer cell", "float64")),
    ("two inputs", two_inputs, ("layer join",)),
]


@pytest.mark.parametrize("make, names", [pytest.param(make, names, id=name) for name, make, names in OTHERS])
def test_other_architectures(sipgpu: Sipgpu, corpus: Path, tmp_path: Path, make: Callable[[], Any],
                             names: tuple[str, ...]) -> None:
    folder = tmp_path / "keras"
    folder.mkdir()
    for path in save_all(make(), folder):
        sipgpu.refuses("import", path, "--corpus", corpus, "--out", tmp_path / "m.h5", names=(path, *names))
    assert [path.name for path in tmp_path.iterdir()] == ["keras"]


def test_other_sizes(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    for types, length, classes in ((17, L, 150), (M, 25, 150), (M, L, 151)):
        network = keras.Sequential([layers.Input((length, types)), layers.LSTM(4),
                                    layers.Dense(classes, activation="softmax")])
        for path in save_all(network, tmp_path):
            sipgpu.refuses("import", path, "--corpus", corpus, "--out", tmp_path / "m.h5",
                           names=(path, "M 18, L 24, N 150"))


def test_an_open_length_is_the_corpus(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    network = keras.Sequential([layers.Input((None, M)), layers.LSTM(4), layers.Dense(150, activation="softmax")])
    for path in save_all(network, tmp_path):
        report = sipgpu.ok("import", path, "--corpus", corpus, "--out", tmp_path / "m.h5", "--force", "--json").json
        assert report["max_length"] == L


def test_the_example_of_the_page(exported: Path, tokens: np.ndarray, model: Path, tmp_path: Path,
                                 monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(exported / "model.keras", tmp_path)
    np.save(tmp_path / "tokens.npy", tokens[:40])
    monkeypatch.chdir(tmp_path)
    names = run_example("keras")
    assert abs(names["probabilities"] - Network.read(model)(tokens[:40])).max() < 1e-5
    assert names["alphabet"][:2] == ["INVITE", "ACK"]
