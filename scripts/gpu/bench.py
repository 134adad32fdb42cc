"""What both calls measure with `sipgpu bench train`."""

from __future__ import annotations

from typing import Any

from gpu.check import Check
from gpu.devices import clocks_of

KEPT = ("engine", "steps", "step_ms", "step_ms_per_seed", "step_ms_median", "step_ms_min", "step_ms_max", "rows",
        "rows_dense", "gflops", "product_gflops", "product_share", "phases", "open_seconds", "rss_mb", "versions")


def network(check: Check, layers: int, batch: int) -> list[Any]:
    return ["--layers", layers, "--batch", batch, *(check.shape.network or ["--corpus", check.corpus])]


def bench_train(check: Check, *, engine: str = "cuda", precision: str = "bf16", layers: int = 1, batch: int,
                seeds: int = 1, graphs: bool = False, batching: str = "trie", steps: list[str] | None = None,
                limit: float = 40) -> dict[str, Any]:
    words = ["--device", check.device(engine), "--precision", precision, "--seeds", seeds, "--batching", batching,
             *network(check, layers, batch), *(check.shape.steps or steps or []), "--no-peak"]
    with clocks_of(check) as clocks:
        got = check.sipgpu("bench", "train", *words, *(["--graphs", "on"] if graphs else []), limit=limit)
    settings = {"device": engine, "precision": precision, "layers": layers, "batch": batch, "seeds": seeds,
                "graphs": graphs, "batching": batching}
    return {**settings, **{key: got[key] for key in KEPT if key in got}, "gpu": dict(clocks)}
