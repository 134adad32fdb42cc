"""`sipgpu gradients` against an LSTM written here in NumPy, in float64, forward and backward by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import Sipgpu, settings, tensors

ROWS = 60
LIMIT = 1e-4  # relative error of each tensor, as norms


@dataclass
class Layer:
    """One LSTM layer in Keras' layout: columns of the gates i, f, c, o."""

    kernel: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray
    steps: list[tuple[np.ndarray, ...]] = field(default_factory=list)

    def forward(self, inputs: np.ndarray, live: np.ndarray) -> np.ndarray:
        """inputs [B, T, in], live [B, T] -> outputs [B, T, H]; where a row is not live its state stays."""
        batch, length, _ = inputs.shape
        units = self.recurrent.shape[0]
        h, c = np.zeros((batch, units)), np.zeros((batch, units))
        outputs = np.empty((batch, length, units))
        for t in range(length):
            z = inputs[:, t] @ self.kernel + h @ self.recurrent + self.bias
            i, f, o = (1 / (1 + np.exp(-z[:, k * units:(k + 1) * units])) for k in (0, 1, 3))
            g = np.tanh(z[:, 2 * units:3 * units])
            new_c = f * c + i * g
            new_h = o * np.tanh(new_c)
            on = live[:, t, None]
            self.steps.append((inputs[:, t], h, c, i, f, g, o, new_c, on))
            h, c = np.where(on, new_h, h), np.where(on, new_c, c)
            outputs[:, t] = h
        return outputs

    def backward(self, d_outputs: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Gradient by the outputs -> gradient by the inputs, and by the parameters."""
        batch, length, units = d_outputs.shape
        d_h, d_c = np.zeros((batch, units)), np.zeros((batch, units))
        d_inputs = np.empty((batch, length, self.kernel.shape[0]))
        grads = {"kernel": np.zeros_like(self.kernel), "recurrent_kernel": np.zeros_like(self.recurrent),
                 "bias": np.zeros_like(self.bias)}
        for t in reversed(range(length)):
            x, h, c, i, f, g, o, new_c, on = self.steps[t]
            d_h = d_h + d_outputs[:, t]
            tanh_c = np.tanh(new_c)
            d_new_c = d_c + d_h * o * (1 - tanh_c**2)
            d_z = np.concatenate([d_new_c * g * i * (1 - i), d_new_c * c * f * (1 - f), d_new_c * i * (1 - g**2),
                                  d_h * tanh_c * o * (1 - o)], axis=1) * on
            grads["kernel"] += x.T @ d_z
            grads["recurrent_kernel"] += h.T @ d_z
            grads["bias"] += d_z.sum(axis=0)
            d_inputs[:, t] = d_z @ self.kernel.T
            d_h, d_c = np.where(on, d_z @ self.recurrent.T, d_h), np.where(on, d_new_c * f, d_c)
        return d_inputs, grads


def place(tokens: np.ndarray, lengths: np.ndarray, padding: str) -> tuple[np.ndarray, np.ndarray]:
    """Tokens as the network sees them, and which of them count."""
    live = np.ones(tokens.shape, bool)
    if padding == "mask":
        live = np.arange(tokens.shape[1]) < lengths[:, None]
    if padding == "pre":
        tokens = np.stack([np.roll(row, len(row) - n) for row, n in zip(tokens, lengths)])
    return tokens, live


def reference(params: dict[str, np.ndarray], tokens: np.ndarray, lengths: np.ndarray, labels: np.ndarray,
              padding: str, mask: np.ndarray | None) -> tuple[float, dict[str, np.ndarray]]:
    """Loss and gradients of one batch; `params` as in the model file."""
    tokens, live = place(tokens, lengths, padding)
    types = params["params/lstm_0/kernel"].shape[0]
    x = np.concatenate([np.zeros((1, types)), np.eye(types)])[tokens]
    layers = []
    while f"params/lstm_{len(layers)}/kernel" in params:
        name = f"params/lstm_{len(layers)}"
        layers.append(Layer(*(params[f"{name}/{part}"] for part in ("kernel", "recurrent_kernel", "bias"))))
        x = layers[-1].forward(x, live)
    dropped = x[:, -1] * (1 if mask is None else mask)
    logits = dropped @ params["params/dense/kernel"] + params["params/dense/bias"]
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = -np.log(p[rows, labels]).mean()
    p[rows, labels] -= 1
    p /= len(labels)
    grads = {"grads/dense/kernel": dropped.T @ p, "grads/dense/bias": p.sum(axis=0)}
    d = np.zeros_like(x)
    d[:, -1] = (p @ params["params/dense/kernel"].T) * (1 if mask is None else mask)
    for number in reversed(range(len(layers))):
        d, parts = layers[number].backward(d)
        grads.update({f"grads/lstm_{number}/{part}": value for part, value in parts.items()})
    return loss, grads


def batch_of(corpus: Path, first: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with h5py.File(corpus) as f:
        rows = slice(first, first + count)
        return (f["dialogs/sequence"][rows].astype(int), f["dialogs/length"][rows].astype(int),
                f["dialogs/label"][rows].astype(int))


def doubles(path: Path) -> dict[str, np.ndarray]:
    return {name: value.astype(np.float64) for name, value in tensors(path, "params").items()}


def error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@pytest.fixture(scope="module")
def make_model(sipgpu: Sipgpu, corpus: Path, tmp_path_factory: pytest.TempPathFactory):
    """make_model(layers, padding): a model whose weights have moved a little from where they started."""
    made: dict[tuple[int, str], Path] = {}

    def make(layers: int, padding: str) -> Path:
        if (layers, padding) not in made:
            folder = tmp_path_factory.mktemp("model")
            sipgpu.ok("train", "--corpus", corpus, "--out", folder,
                      *settings(model__layers=layers, model__units=23, model__padding=padding, model__forget_bias=2,
                                train__epochs=2, train__batch_size=93))
            made[layers, padding] = folder / "model.h5"
        return made[layers, padding]

    return make


@pytest.mark.parametrize("batching", ["trie", "unique", "dense"])
@pytest.mark.parametrize("with_mask", [False, True], ids=["no dropout", "dropout"])
@pytest.mark.parametrize("padding", ["post", "mask", "pre"])
@pytest.mark.parametrize("layers", [1, 2])
def test_gradients(sipgpu: Sipgpu, corpus: Path, tmp_path: Path, make_model, layers: int, padding: str,
                   with_mask: bool, batching: str) -> None:
    model, out, mask, words = make_model(layers, padding), tmp_path / "gradients.h5", None, []
    if with_mask:
        mask = np.random.default_rng(7).integers(0, 2, (ROWS, 23)) * 2.0
        with h5py.File(tmp_path / "mask.h5", "w") as f:
            f["keep"] = mask.astype(np.float32)
        words = ["--mask", f"{tmp_path}/mask.h5:keep"]
    sipgpu.ok("gradients", "--model", model, "--corpus", corpus, "--rows", f"100:{100 + ROWS}", "--out", out,
              "--precision", "fp32", "--batching", batching, *words)
    loss, grads = reference(doubles(model), *batch_of(corpus, 100, ROWS), padding, mask)
    found = tensors(out)
    assert found.keys() == grads.keys() | {"loss"}
    assert found["loss"] == pytest.approx(loss, rel=LIMIT)
    for name, value in grads.items():
        assert found[name].shape == value.shape and found[name].dtype == np.float32
        assert error(found[name], value) <= LIMIT, name


def test_bf16_gradients(sipgpu: Sipgpu, corpus: Path, tmp_path: Path, make_model) -> None:
    model = make_model(1, "post")
    sipgpu.ok("gradients", "--model", model, "--corpus", corpus, "--rows", f"0:{ROWS}", "--out", tmp_path / "g.h5",
              "--precision", "bf16")
    loss, grads = reference(doubles(model), *batch_of(corpus, 0, ROWS), "post", None)
    found = tensors(tmp_path / "g.h5")
    assert found["loss"] == pytest.approx(loss, rel=3e-2)
    for name, value in grads.items():
        assert error(found[name], value) <= 3e-2, name


def test_reference_by_finite_differences(corpus: Path, make_model) -> None:
    """The judge is judged: its own gradients against differences of its loss."""
    params = doubles(make_model(2, "mask"))
    batch = batch_of(corpus, 0, 10)
    _, grads = reference(params, *batch, "mask", None)
    random = np.random.default_rng(3)
    for name, value in params.items():
        direction = random.standard_normal(value.shape)
        losses = [reference({**params, name: value + step * direction}, *batch, "mask", None)[0]
                  for step in (-1e-5, 1e-5)]
        expected = (grads[name.replace("params/", "grads/")] * direction).sum()
        assert (losses[1] - losses[0]) / 2e-5 == pytest.approx(expected, rel=1e-5, abs=1e-9), name


def test_loss_is_that_of_training(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    """A step that does not move shows the loss of the whole train split; so do the gradients of its dialogs."""
    with h5py.File(corpus) as f:
        train = np.flatnonzero(f["split"][:] == 0)
    words = settings(model__units=23, train__epochs=1, train__batch_size=len(train), train__learning_rate=0)
    sipgpu.ok("train", "--corpus", corpus, "--out", tmp_path / "run", *words)
    line = (tmp_path / "run/history.csv").read_text(encoding="utf-8").splitlines()[1]
    params = doubles(tmp_path / "run/model.h5")
    tokens, lengths, labels = batch_of(corpus, 0, 1900)
    loss, _ = reference(params, tokens[train], lengths[train], labels[train], "post", None)
    assert float(line.split(",")[2]) == pytest.approx(loss, rel=LIMIT)
