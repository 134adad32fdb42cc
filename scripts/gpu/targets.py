"""The targets, what was measured, and the tables at the end."""

from __future__ import annotations

from typing import Any, Callable

from gpu.check import Check, failures, over
from gpu.first import AGREEMENTS, BOUNDS, SAME

Row = dict[str, Any]


class Targets:
    """Rows of the last table; met is None where something was not measured, or says nothing in a quick call."""

    def __init__(self, report: dict[str, Any]):
        self.report = report
        self.rows: list[Row] = []

    def part(self, stage: str, name: str) -> dict[str, Any]:
        found = self.report["stages"].get(stage, {}).get("parts", {}).get(name, {})
        return found if found.get("status") in ("ok", "failed") else {}

    def add(self, name: str, wanted: str, value: Any, met: bool, text: str = "", speed: bool = False) -> None:
        known = value is not None
        self.rows.append({"name": name, "wanted": wanted, "value": value, "measured": text if known else "not measured",
                          "met": bool(met) if known and not (speed and self.report["quick"]) else None})

    def at_least(self, name: str, least: float, value: float | None, form: str = "{:.2f}", more: str = "") -> None:
        self.add(name, f">= {least:g}{more}", value, value is not None and value >= least,
                 form.format(value) if value is not None else "", speed=True)

    def at_most(self, name: str, most: float, value: float | None, form: str, speed: bool) -> None:
        self.add(name, f"<= {form.format(most)}", value, value is not None and value <= most,
                 form.format(value) if value is not None else "", speed=speed)


def torch_best(report: dict[str, Any], batch: int, rows: str,
               precisions: tuple[str, ...]) -> tuple[float | None, str]:
    """PyTorch's fastest way: milliseconds, and which it was."""
    found = [(cell["best_ms"], f"{cell['precision']}, {cell['best']}") for stage in ("pytorch", "more")
             for part in report["stages"].get(stage, {}).get("parts", {}).values() for cell in part.get("cells", [])
             if cell["batch"] == batch and cell["rows"] == rows and cell["precision"] in precisions and cell["best_ms"]]
    return min(found, default=(None, ""))


def cuda_best(targets: Targets, name: str) -> float | None:
    """Launched kernel by kernel, or as graphs."""
    found = [targets.part("bench", part).get("step_ms") for part in (name, f"{name} graphs")]
    return min((ms for ms in found if ms is not None), default=None)


def first_targets(check: Check) -> list[Row]:
    t = Targets(check.report)
    tests = [part for stage in ("tests", "unit") for part in check.parts(stage).values() if "passed" in part]
    failed = sum(part["failed"] for part in tests) if tests else None
    t.add("tests against float64, kernels against twins", "all pass", failed, failed == 0,
          f"{sum(part['passed'] for part in tests)} passed, {failed} failed")
    for engine, precision, other in AGREEMENTS:
        value = t.part("agreement", f"{engine} {precision}").get("loss_difference")
        name = f"{engine} {precision} and {other} fp32: losses of five steps"
        t.at_most(name, BOUNDS[precision], value, "{:.0e}", False)
    for title, as_graphs in (("the same seed gives the same bits", False), ("and so it does as graphs", True)):
        names = [name for name, job in SAME if ("graphs" in job) == as_graphs]
        same = [t.part("bits", name)["identical"] for name in names if "identical" in t.part("bits", name)]
        t.add(title, f"{len(names)} of {len(names)}", sum(same) if same else None, sum(same) == len(names),
              f"{sum(same)} of {len(same)}")
    batch, ours = check.shape.batches[0], cuda_best(t, "cuda")
    for rows, least, wished in (("padded", 3, 4), ("unique", 1.1, 1.3)):
        theirs, _ = torch_best(check.report, batch, rows, ("bf16", "fp16"))
        t.at_least(f"batch {batch}, 16 bits: PyTorch on {rows} rows / cuda", least, over(theirs, ours),
                   more=f" ({wished:g} wished)")
    return t.rows


def paper_targets(check: Check) -> list[Row]:
    t = Targets(check.report)
    seeds = check.shape.seeds
    first = t.part("train", "model1.0")
    seconds = None if first.get("resumed") else first.get("wall_seconds")
    t.at_most(f"{seeds} seeds of model 1.0, {check.shape.epochs} epochs each", 150, seconds, "{:.1f} s", True)
    trained = sum(part.get("complete_runs", 0) for name, part in check.parts("train").items() if name != "literal")
    t.add("the paper's 40 runs", ">= 30", trained or None, trained >= 30, f"{trained} runs", speed=True)
    findings = [part for part in check.parts("sanitizer").values() if "code" in part]
    bad = sum("failure" in part for part in findings) if findings else None
    t.add("compute-sanitizer", "no finding", bad, bad == 0, f"{len(findings)} runs, {bad} with findings")
    return t.rows


# ---- tables ----


def print_steps(check: Check) -> None:
    rows = [(name, part) for name, part in check.parts("bench").items() if "step_ms" in part]
    if rows:
        print(f"\n{'milliseconds of a step':26} {'all':>9} {'per seed':>9} {'median':>9} {'rows':>7} {'TFLOP/s':>8} "
              f"{'products':>9} {'of peak':>8} {'SM MHz':>7}")
    for name, part in rows:
        peak = check.parts("ceilings").get(part["precision"], {}).get("gemm_gflops")
        share = over(part.get("product_gflops"), peak)
        print(f"{name:26} {part['step_ms']:9.3f} {part['step_ms_per_seed']:9.3f} {part.get('step_ms_median', 0):9.3f} "
              f"{part.get('rows', 0):7.0f} {part.get('gflops', 0) / 1e3:8.1f} {part.get('product_share', 0):9.0%} "
              f"{'-' if share is None else f'{share:.0%}':>8} {part.get('gpu', {}).get('clocks.sm', '-')!s:>7}")
    for batch in check.shape.batches:
        for rows_of in ("padded", "unique"):
            for names in (("bf16", "fp16"), ("tf32",), ("fp32",)):
                ms, how = torch_best(check.report, batch, rows_of, names)
                if ms is not None:
                    print(f"{f'PyTorch, {rows_of}, batch {batch}':26} {ms:9.3f}  {how}")


def print_probe(check: Check) -> None:
    ways = [way for way in check.parts("probe").get("ways", {}).get("ways", [])
            if way["accepted"] and way["bias"] == "single"]
    if ways:
        print(f"\n{'what cuDNN accepts':36} {'forward':>9} {'data':>9} {'weights':>9}  ms")
    for way in ways:
        print(f"{way['algorithm'] + ', ' + way['type']:36} {way['forward_ms']:9.3f} {way['data_ms']:9.3f} "
              f"{way['weights_ms']:9.3f}")


def print_runs(check: Check) -> None:
    rows = [(name, part) for name, part in check.parts("train").items() if "seeds" in part]
    if rows:
        print(f"\n{'runs':12} {'complete':>9} {'seconds':>9} {'expected':>9}  P_D of train, validation, test")
    for name, part in rows:
        means = []
        for split in ("train", "validation", "test"):
            values = [run["p_d"].get(split) for run in part.get("runs", []) if run.get("p_d")]
            values = [value for value in values if value is not None]
            means.append(f"{sum(values) / len(values):.4f}" if values else "-")
        expected = f"{part['expected_seconds']:.1f}" if part.get("expected_seconds") else "-"
        print(f"{name:12} {part.get('complete_runs', 0):>4} of {part['seeds']:<2} {part.get('wall_seconds', 0):9.1f} "
              f"{expected:>9}  {', '.join(means)}")


def print_end(check: Check, tables: list[Callable[[Check], None]]) -> None:
    report = check.report
    devices = report["stages"].get("devices", {})
    gpu = devices.get("gpu") or {}
    print(f"\n{gpu.get('name', 'no GPU')}, driver {gpu.get('driver_version', '-')}, "
          f"{devices.get('version', {}).get('tool', 'sipgpu')}, libraries: {check.libraries['source']}")
    for name, entry in report["stages"].items():
        more = entry.get("notes") or entry.get("not_run") or []
        why = "; ".join(failures(entry)) or entry.get("reason") or entry.get("note") or "; ".join(more)
        print(f"  {name:10} {entry['status']:8} {entry.get('seconds', 0):6.1f} s  {why[:150]}")
    for table in tables:
        table(check)
    print(f"\n{'target':58} {'wanted':20} {'measured':24} met")
    for row in report["targets"]:
        met = {True: "yes", False: "no", None: "-"}[row["met"]]
        print(f"{row['name']:58} {row['wanted']:20} {row['measured'][:24]:24} {met}")
    files = [f"{check.name}.json", f"{check.name}.log", *sorted(path.name for path in check.out.glob("records*.tar"))]
    print(f"\n{check.call_entry()['seconds']:.0f} s; in {check.out}: {' '.join(files)}")
