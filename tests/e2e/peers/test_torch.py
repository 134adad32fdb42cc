"""A whole small training run in sipgpu and in PyTorch, PyTorch on unique rows, and the comparison of bench_torch.py.

Runs with `scripts/test --peers`; needs torch.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import ROOT, Sipgpu, history, settings, tensors

torch = pytest.importorskip("torch")
sys.path.insert(0, str(ROOT / "scripts/bench"))
import torch_network  # noqa: E402

CLIP, SEED, UNITS = 1.0, 5, 48


def philox(counter: tuple[int, ...], key: tuple[int, int]) -> list[int]:
    """Philox4x32-10 of Salmon et al. (SC 2011)."""
    c, (k0, k1) = list(counter), key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k0, p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ k1, p0 & 0xFFFFFFFF]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the train dialogs in an epoch: Fisher and Yates over the stream (seed, purpose 2, epoch)."""

    def words() -> Iterator[int]:
        block = 0
        while True:
            yield from philox((block, 0, epoch, 2), (seed, 0))
            block += 1

    stream, order = words(), np.arange(count)
    for i in range(count - 1, 0, -1):
        n = i + 1
        m = next(stream) * n
        while m & 0xFFFFFFFF < n and m & 0xFFFFFFFF < (1 << 32) % n:
            m = next(stream) * n
        j = m >> 32
        order[[i, j]] = order[[j, i]]
    return order


class Network(torch.nn.Module):
    """The paper's model, with one trained bias for each gate."""

    def __init__(self, params: dict[str, np.ndarray], layers: int, dtype: torch.dtype):
        super().__init__()
        types, units = params["params/lstm_0/kernel"].shape[0], params["params/lstm_0/recurrent_kernel"].shape[0]
        classes = params["params/dense/bias"].shape[0]
        self.lstm = torch.nn.LSTM(types, units, num_layers=layers, batch_first=True, dtype=dtype)
        self.dense = torch.nn.Linear(units, classes, dtype=dtype)
        self.names = {"dense.weight": "dense/kernel", "dense.bias": "dense/bias"}
        for n in range(layers):
            self.names.update({f"lstm.weight_ih_l{n}": f"lstm_{n}/kernel",
                               f"lstm.weight_hh_l{n}": f"lstm_{n}/recurrent_kernel",
                               f"lstm.bias_ih_l{n}": f"lstm_{n}/bias"})
            torch.nn.init.zeros_(getattr(self.lstm, f"bias_hh_l{n}")).requires_grad_(False)
        with torch.no_grad():
            for name, weight in self.trained():
                weight.copy_(torch.from_numpy(params[f"params/{self.names[name]}"].astype(np.float64).T))

    def trained(self) -> list[tuple[str, torch.nn.Parameter]]:
        return [(name, p) for name, p in self.named_parameters() if p.requires_grad]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(self.lstm(x)[0][:, -1])


class KerasAdam:
    """Adam with epsilon outside the bias correction, after clipping the whole gradient's norm."""

    def __init__(self, weights: list[torch.nn.Parameter]):
        self.weights = weights
        self.m = [torch.zeros_like(w) for w in weights]
        self.v = [torch.zeros_like(w) for w in weights]
        self.t = 0

    @torch.no_grad()
    def step(self, rate: float) -> None:
        self.t += 1
        norm = math.sqrt(sum(float((w.grad**2).sum()) for w in self.weights))
        scale = min(1.0, CLIP / norm)
        step = rate * math.sqrt(1 - 0.999**self.t) / (1 - 0.9**self.t)
        for w, m, v in zip(self.weights, self.m, self.v):
            g = w.grad * scale
            m.mul_(0.9).add_(g, alpha=0.1)
            v.mul_(0.999).addcmul_(g, g, value=0.001)
            w.sub_(step * m / (v.sqrt() + 1e-7))


def train_in_torch(corpus: Path, network: Network, epochs: int, batch: int, rate: float) -> tuple[list[float], float]:
    """The losses of the epochs, and P_D on the train split at the end."""
    dtype = network.dense.weight.dtype
    with h5py.File(corpus) as f:
        train = np.flatnonzero(f["split"][:] == 0)
        tokens = torch.from_numpy(f["dialogs/sequence"][:][train].astype(np.int64))
        labels = torch.from_numpy(f["dialogs/label"][:][train].astype(np.int64))
        types = len(f["alphabet"])
    one_hot = torch.cat([torch.zeros(1, types, dtype=dtype), torch.eye(types, dtype=dtype)])
    adam, updates, losses = KerasAdam([p for _, p in network.trained()]), epochs * math.ceil(len(train) / batch), []
    for epoch in range(1, epochs + 1):
        total = 0.0
        for rows in torch.from_numpy(epoch_order(len(train), SEED, epoch)).split(batch):
            network.zero_grad()
            loss = torch.nn.functional.cross_entropy(network(one_hot[tokens[rows]]), labels[rows])
            loss.backward()
            total += float(loss.detach()) * len(rows)
            adam.step(rate * 0.5 * (1 + math.cos(math.pi * adam.t / updates)))
        losses.append(total / len(train))
    with torch.no_grad():
        right = network(one_hot[tokens]).argmax(dim=1) == labels
    return losses, float(right.double().mean())


def both(sipgpu: Sipgpu, corpus: Path, folder: Path, layers: int, dtype: torch.dtype, epochs: int, batch: int,
         rate: float, forget_bias: float) -> tuple[list[float], list[float], float, float]:
    """The same run in both: losses of sipgpu and of PyTorch, then their P_D."""
    torch.set_num_threads(2)
    words = ["train", "--corpus", corpus, "--precision", "fp32", "--seed", SEED,
             *settings(model__units=UNITS, model__layers=layers, model__forget_bias=forget_bias,
                       train__batch_size=batch, train__clip_norm=CLIP)]
    sipgpu.ok(*words, "--out", folder / "start", *settings(train__epochs=1, train__learning_rate=0))
    sipgpu.ok(*words, "--out", folder / "run",
              *settings(train__epochs=epochs, train__learning_rate=rate, train__lr_schedule="cosine"))
    network = Network(tensors(folder / "start/model.h5", "params"), layers, dtype)
    losses, p_d = train_in_torch(corpus, network, epochs, batch, rate)
    lines = history(folder / "run")
    return [float(line["loss"]) for line in lines], losses, float(lines[-1]["train_pd"]), p_d


@pytest.mark.parametrize("layers", [1, 2])
def test_the_first_epochs_are_those_of_pytorch(sipgpu: Sipgpu, corpus: Path, tmp_path: Path, layers: int) -> None:
    """Against float64.  Later epochs magnify rounding: PyTorch in fp32 leaves PyTorch in fp64, too."""
    ours, theirs, _, _ = both(sipgpu, corpus, tmp_path, layers, torch.float64, epochs=4, batch=93, rate=0.001,
                              forget_bias=3)
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert ours[-1] < 0.85 * ours[0]


def test_a_whole_run_ends_as_in_pytorch(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    ours, theirs, p_d, their_p_d = both(sipgpu, corpus, tmp_path, 1, torch.float32, epochs=100, batch=48, rate=0.003,
                                        forget_bias=5)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-3)
    assert p_d > 0.9 and p_d == pytest.approx(their_p_d, abs=0.02)
    assert ours[-1] == pytest.approx(theirs[-1], rel=0.5)


class FixedMask(torch.nn.Module):
    """Dropout that is the same on every call."""

    def __init__(self, rows: int, units: int):
        super().__init__()
        self.mask = 2.0 * torch.randint(0, 2, (rows, units), generator=torch.Generator().manual_seed(3)).double()

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        return state * self.mask


@pytest.mark.parametrize("fixed", [False, True], ids=["as it is", "fixed shape"])
@pytest.mark.parametrize("dropout", [False, True], ids=["no dropout", "dropout"])
@pytest.mark.parametrize("layers", [1, 2])
def test_unique_rows_in_pytorch(corpus: Path, layers: int, dropout: bool, fixed: bool) -> None:
    """Loss and gradients are those of the padded batch, in every batch of an epoch."""
    data = torch_network.Corpus(str(corpus))
    torch.manual_seed(1)
    network = torch_network.Network(data.types, 20, data.classes, layers).double()
    one_hot = torch_network.one_hot_rows(data.types).double()
    if dropout:
        network.drop = FixedMask(93, 20)

    def run(batch: torch_network.Batch) -> tuple[float, list[torch.Tensor]]:
        network.zero_grad()
        loss = torch_network.loss_of(network(one_hot[batch.ids], batch.source), batch.labels, batch.weight)
        loss.backward()
        return float(loss.detach()), [p.grad.clone() for p in network.parameters()]

    padded = data.batches(93, "padded")
    unique = data.batches(93, "unique", dropout, fixed)
    assert len(padded) == len(unique) > 5
    assert (len({batch.ids.shape for batch in unique}) == 1) == fixed
    for a, b in zip(padded, unique):
        assert b.ids.shape[1] < 0.6 * a.ids.shape[1]
        (loss, gradients), (mine, own) = run(a), run(b)
        assert mine == pytest.approx(loss, rel=1e-7)
        for wanted, got in zip(gradients, own):
            assert torch.linalg.norm(got - wanted) <= 1e-6 * torch.linalg.norm(wanted)


def test_bench_torch(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts/bench/bench_torch.py"), "--corpus", str(corpus), "--batch", "93",
               "--units", "32", "--rounds", "2", "--sipgpu-steps", "2", "--threads", "2", "--sipgpu",
               str(sipgpu.program), "--out", str(tmp_path / "bench.json")]
    subprocess.run(command, check=True, capture_output=True, env=sipgpu.environment, timeout=300)
    report = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert report["step_ms"]["pytorch fp32"] > 0 and report["step_ms"]["sipgpu fp32"] > 0
    assert report["ratio"]["pytorch fp32 / sipgpu fp32"] > 0 and len(report["rounds"]) == 2
    assert report["step_ms"]["pytorch fp32 unique"] > 0 and report["ratio"]["pytorch fp32 unique / sipgpu fp32"] > 0
    assert report["ratio"]["sipgpu fp32 unique / sipgpu fp32"] > 0
    assert 0 < report["rows"]["rows_trie"] < report["rows"]["rows_unique"] < report["rows"]["rows_dense"]
