"""gpu_check paper: the paper's runs, as many as there is time for."""

from __future__ import annotations

import contextlib
import json
import re
import tarfile
import time
from pathlib import Path
from typing import Any

from gpu.bench import bench_train
from gpu.check import ROOT, Check, Stage
from gpu.children import GRACE, Failed, OutOfTime, Skip
from gpu.devices import DEVICES, clocks_of
from gpu.sanitizer import stage_sanitizer

MARGIN = 1.15  # between the expected time and what is needed to begin
FIRST_OVERHEAD = 25.0  # seconds of an experiment that are no updates, until one was measured
PACKS, PACK_BYTES = 6, 15_000_000
TABLES = ("runs.csv", "table5.csv", "table6.csv", "comparison.csv", "paired.csv", "together.csv", "corpus.json", "provenance.json")
CONFIG = ("configs/experiment.ini",)
LITERAL = ("configs/model1.0.ini", "configs/paper-literal.ini", "configs/batch93.ini")
UPDATES = {"paper": 10, "literal": 101}  # in an epoch

LATER_MODELS = ("2.0", "2.1")

# ---- rates ----


def from_first(check: Check, part: str) -> float | None:
    """Milliseconds for an update of each seed, as `gpu_check first` measured them on this program and GPU."""
    try:
        report = json.loads((check.out / "first.json").read_text(encoding="utf-8"))
        same = (report["stages"]["devices"]["identity"] == check.report["stages"]["devices"]["identity"]
                and report["quick"] == check.options.quick)
        found = report["stages"]["bench"]["parts"][part]
        return found["step_ms_per_seed"] if same and found["status"] == "ok" else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def stage_rate(check: Check, entry: dict[str, Any]) -> None:
    """What is expected of the first runs is not needed: they are begun in any case."""
    big, small = check.shape.batches
    jobs: list[tuple[str, str, dict[str, Any] | None]] = [
        ("1 layer", "cuda many", None),
        ("2 layers", "cuda many, 2 layers", {"batch": big, "layers": 2, "seeds": 2}),
        ("2 layers, alone", "cuda 2 layers", None),
        ("small batch", "cuda small", {"batch": small}),
    ]

    def rate(part: str, job: dict[str, Any] | None) -> dict[str, Any]:
        known = from_first(check, part)
        if known is not None:
            return {"step_ms_per_seed": known, "source": "first"}
        got = bench_train(check, **(job or {}), steps=["--steps", "30", "--warmup", "5"])
        return {"step_ms_per_seed": got["step_ms_per_seed"], "source": "measured now"}

    for name, part, job in jobs:
        if job or from_first(check, part) is not None:
            check.part(entry, name, lambda part=part, job=job: rate(part, job))


def milliseconds(check: Check, rate: str, seeds: int) -> float | None:
    """Of an update of each of so many seeds at once; the fewer there are, the more each takes."""
    found = {name: part.get("step_ms_per_seed") for name, part in check.parts("rate").items()}
    many, alone = found.get(rate), found.get("2 layers, alone")
    before = check.parts("train").get("model2.0", {})
    if rate != "2 layers":
        return many
    if before.get("training_seconds") and not before["resumed"]:  # better than any short measurement
        updates = before["epochs"] * UPDATES["paper"] * before["seeds"]
        return 1e3 * before["training_seconds"] / updates
    return many and many + max(0.0, (alone or 1.4 * many) - many) / seeds


def expected_seconds(check: Check, rate: str, epochs: int, seeds: int, updates: int) -> float | None:
    """Of so many seeds at once, updates in an epoch; None if the rate is not known."""
    ms = milliseconds(check, rate, max(1, seeds))
    return None if ms is None else overhead(check) + 1e-3 * ms * seeds * updates * epochs


def overhead(check: Check) -> float:
    """Seconds of the experiments of this report that were no updates, the most of them."""
    known = [part["overhead_seconds"] for part in check.parts("train").values() if part.get("overhead_seconds")]
    return max(known, default=2.0 if check.options.quick else FIRST_OVERHEAD)


# ---- runs ----


def complete_runs(folder: Path, model: str) -> int:
    """As `sipgpu experiment` sees it: a record stands for a run."""
    models = {path.parent.name for path in folder.glob(f"runs/model{model}_seed*/model.h5")}
    return len(models | {path.stem for path in folder.glob(f"records/model{model}_seed*.h5")})


def epochs_done(folder: Path, model: str, seed: int) -> int:
    """What a run has behind it, in this call or before."""
    path = folder / f"runs/model{model}_seed{seed}/history.csv"
    try:
        return max(0, len(path.read_text(encoding="utf-8").splitlines()) - 1)
    except OSError:
        return 0


def training_seconds(folder: Path, model: str) -> float | None:
    """Of the run that took longest; the rest of an experiment is evaluation."""
    found = []
    for path in folder.glob(f"runs/model{model}_seed*/provenance.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            found.append(json.loads(path.read_text(encoding="utf-8"))["seconds"])
    return max(found, default=None)


def train(check: Check, folder: Path, config: tuple[str, ...], model: str, seeds: int, kind: str, rate: str) -> dict[str, Any]:
    """One experiment.  The same command continues one that was cut, or that had fewer seeds."""
    epochs = check.shape.epochs
    missing = seeds - complete_runs(folder, model)
    resumed = any(epochs_done(folder, model, seed) for seed in range(1, seeds + 1))
    expected = expected_seconds(check, rate, epochs, missing, UPDATES[kind])
    files = [word for file in config for word in ("--config", ROOT / file)]
    words = ["experiment", *files, "--corpus", check.corpus, "--device", check.device("cuda"),
             "--precision", "bf16", *check.shape.training, "--models", model, "--seeds", seeds, "--jobs",
             max(1, missing), "--out", folder]
    begun = time.monotonic()
    result: dict[str, Any] = {"model": model, "seeds": seeds, "epochs": epochs, "expected_seconds": expected,
                              "resumed": resumed}
    try:
        with clocks_of(check) as clocks:
            got = check.sipgpu(*words, limit=3600, grace=check.shape.checkpoint_grace)
    except OutOfTime as where:
        after = [epochs_done(folder, model, seed) for seed in range(1, seeds + 1)]
        return {**result, "incomplete": True, "epochs_done": after, "complete_runs": complete_runs(folder, model),
                "wall_seconds": time.monotonic() - begun, "note": f"cut at epoch {min(after)} of {epochs} {where}"}
    finally:
        pack(check)
    result.update(wall_seconds=time.monotonic() - begun, complete_runs=seeds, gpu=dict(clocks),
                  training_seconds=training_seconds(folder, model),
                  runs=[{key: run.get(key) for key in ("seed", "p_d", "epoch")} for run in got["runs"]])
    if expected is not None and not resumed:
        result["overhead_seconds"] = max(1.0, result["wall_seconds"] - (expected - overhead(check)))
    return result


def seeds_that_fit(check: Check, most: int) -> int:
    """How many seeds of two layers at once end in the time left; 0: none."""
    for seeds in range(most, 0, -1):
        expected = expected_seconds(check, "2 layers", check.shape.epochs, seeds, UPDATES["paper"])
        if expected is not None and MARGIN * expected <= check.left() - (check.shape.checkpoint_grace - GRACE):
            return seeds
    return 0


def train_later(check: Check, entry: dict[str, Any], model: str, folder: Path) -> None:
    """As many seeds as fit, none that is not expected to end; those that were cut are gone on with in any case."""
    name, wanted = f"model{model}", check.shape.seeds
    before = entry.get("parts", {}).get(name, {})
    done = complete_runs(folder, model)
    seeds = before["seeds"] if before.get("epochs_done") else done + seeds_that_fit(check, wanted - done)
    if seeds == done < wanted:
        known = milliseconds(check, "2 layers", 1) is not None
        why = f"{check.left():.0f} s were left" if known else "the rate is not known"
        entry["notes"].append(f"{name}: no more than {done} seeds, {why}")
        return

    def run() -> dict[str, Any]:
        got = train(check, folder, CONFIG, model, seeds, "paper", "2 layers")
        return {**got, "incomplete": True} if seeds < wanted else got

    check.part(entry, name, run)


def stage_train(check: Check, entry: dict[str, Any]) -> None:
    """Ten seeds of 1.0, alone on the GPU, since their time is a figure; 1.1; the printed recipe; two layers."""
    entry["notes"] = []
    restore(check)
    paper, literal = check.work / "experiment", check.work / "literal"
    seeds = check.shape.seeds
    jobs = [(f"model{model}", (paper, CONFIG, model, seeds, "paper", "1 layer")) for model in ("1.0", "1.1")]
    for name, job in [*jobs, ("literal", (literal, LITERAL, "1.0", 1, "literal", "small batch"))]:
        check.part(entry, name, lambda job=job: train(check, *job))
        if entry["parts"][name]["status"] == "cut":
            raise OutOfTime(f"during {name}")
    for model in LATER_MODELS:
        train_later(check, entry, model, paper)
    if any(entry["parts"].get(f"model{model}", {}).get("status") != "ok" for model in LATER_MODELS):
        raise OutOfTime("before all seeds of two layers")


# ---- records ----


def fill_packs(sizes: list[tuple[int, str]]) -> tuple[list[list[str]], list[str]]:
    """Names by pack, the largest first into the first that has room; and those for which there is none."""
    packs: list[list[str]] = [[] for _ in range(PACKS)]
    room, left_out = [PACK_BYTES - 10240] * PACKS, []
    for size, name in sorted(sizes, reverse=True):
        needed = 1024 + (size + 511) // 512 * 512
        fitting = [i for i in range(PACKS) if room[i] >= needed]
        if fitting:
            packs[fitting[0]].append(name)
            room[fitting[0]] -= needed
        else:
            left_out.append(name)
    return [sorted(names) for names in packs if names], left_out


def restore(check: Check) -> None:
    """Brings records back that are only in the packs of an earlier call, maybe on another machine."""
    for path in sorted(check.out.glob("records*.tar")):
        with tarfile.open(path) as tar:
            for member in tar.getmembers():
                target = check.work / member.name
                if re.fullmatch(r"(experiment|literal)/records/[\w.]+\.h5", member.name) and not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(tar.extractfile(member).read())


def pack(check: Check) -> dict[str, Any]:
    """Writes what runs recorded into OUT/records<i>.tar, and the tables: records do not hold what pools runs."""
    files = {str(path.relative_to(check.work)): path for folder in ("experiment", "literal")
             for path in (check.work / folder).glob("records/*.h5")}
    tables = {str(path.relative_to(check.work)): path for folder in ("experiment", "literal") for name in TABLES
              if (path := check.work / folder / name).exists()}
    packs, left_out = fill_packs([(path.stat().st_size, name) for name, path in {**files, **tables}.items()])
    for number, names in enumerate(packs, 1):
        path = check.out / f"records{number}.tar"
        with tarfile.open(path.with_suffix(".part"), "w", format=tarfile.USTAR_FORMAT) as tar:
            for name in names:
                tar.add({**files, **tables}[name], name)
        path.with_suffix(".part").replace(path)
    for number in range(len(packs) + 1, PACKS + 1):
        (check.out / f"records{number}.tar").unlink(missing_ok=True)
    return {"records": len(files.keys() - set(left_out)), "packs": len(packs), "left_out": left_out}


def stage_pack(check: Check, entry: dict[str, Any]) -> None:
    restore(check)
    entry.update(pack(check))
    if not entry["records"]:
        raise Skip("there are no records")
    if entry["left_out"]:
        raise Failed(f"{len(entry['left_out'])} records do not fit into {PACKS} files of {PACK_BYTES / 1e6:.0f} MB: "
                     f"{', '.join(entry['left_out'])} are only in {check.work}")


STAGES = [
    DEVICES,
    Stage("rate", stage_rate, 20, "seconds of an update, unless `first` has them"),
    Stage("train", stage_train, 337, "ten seeds of 1.0, of 1.1; the printed recipe; as many of 2.0 and 2.1 as fit",
          fills=True),
    Stage("pack", stage_pack, 4, "records into at most 6 files of at most 15 MB", always=True),
    Stage("sanitizer", stage_sanitizer, 5, "compute-sanitizer, in the time left", fills=True),
]
