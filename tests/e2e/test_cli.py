"""The command line: help, versions, devices, suggestions, JSON and configuration dumps."""

from __future__ import annotations

import csv
import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, Sipgpu, settings

COMMANDS = ["train", "eval", "detect", "score", "watch", "experiment", "export", "import", "corpus synth", "corpus import",
            "corpus merge", "corpus info", "corpus split", "gradients", "bench train", "bench infer", "bench compare",
            "bench device", "devices", "version", "help"]


# ---- help ----


@pytest.mark.parametrize("words", [["help"], ["--help"], ["-h"]], ids=" ".join)
def test_help_lists_all_commands(sipgpu: Sipgpu, words: list[str]) -> None:
    result = sipgpu.ok(*words)
    assert all(f"\n  {command} " in result.out for command in COMMANDS)
    assert "0 done, 1 failed, 2 wrong usage" in result.out and result.err == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(sipgpu: Sipgpu, command: str) -> None:
    result = sipgpu.ok(*command.split(), "--help")
    assert result.out.startswith(f"usage: sipgpu {command} [options]") and result.err == ""
    assert sipgpu.ok(*command.split(), "-h").out == result.out == sipgpu.ok("help", *command.split()).out
    for option in ("--verbose", "--quiet", "--help"):
        assert option in result.out
    # Not much wider than a terminal.
    assert max(map(len, result.out.splitlines())) <= 100


def test_help_of_a_family(sipgpu: Sipgpu) -> None:
    result = sipgpu.ok("corpus", "--help")
    assert sipgpu.ok("help", "corpus").out == result.out
    assert all(f"  {command} " in result.out for command in COMMANDS if command.startswith("corpus"))
    assert "train" not in result.out.split("commands:")[0]


def test_the_same_options_mean_the_same_everywhere(sipgpu: Sipgpu) -> None:
    help_of = {command: sipgpu.ok(*command.split(), "--help").out for command in COMMANDS}
    for option, commands in {
        "--threads N": ["train", "eval", "detect", "score", "experiment", "gradients", "bench train", "bench infer"],
        "--device DEVICE": ["train", "eval", "detect", "score", "experiment", "gradients", "bench train",
                            "bench infer"],
        "--json": ["train", "eval", "detect", "score", "experiment", "corpus info", "bench train", "bench infer",
                   "devices", "version"],
        "--out ": ["train", "detect", "experiment", "gradients", "corpus synth", "corpus import", "corpus split"],
        "--seed ": ["train", "detect", "experiment", "corpus synth", "corpus import", "corpus split", "bench train"],
        "--force": ["train", "eval", "detect", "experiment", "gradients", "corpus synth", "corpus import",
                    "corpus split"],
        "--dump-config": ["train", "corpus synth"],
    }.items():
        for command in commands:
            assert option in help_of[command], f"{command} has no {option}"


# ---- wrong words ----


@pytest.mark.parametrize("words, names", [
    (["trian"], ("trian", "train")),
    (["dtect"], ("dtect", "detect")),
    (["device"], ("device", "devices")),
    (["xyzzy"], ("xyzzy", "help")),
    (["corpus", "sint"], ("corpus sint", "corpus synth")),
    (["bench", "trian"], ("bench trian", "bench train")),
    (["version", "--jsn"], ("--jsn", "--json")),
    (["version", "more"], ("more",)),
    (["help", "trian"], ("trian", "train")),
    (["help", "corpus", "sint"], ("corpus sint", "corpus synth")),
    (["help", "version", "more"], ("version more",)),
    (["corpus", "merge", "--out", "x.h5", "one.h5"], ("corpus merge needs CORPUS CORPUS...",)),
    (["train", "--model", "3.1"], ("--model", "'3.1'", "2.1")),
    (["train", "--epoch", 5], ("--epoch;", "--set train.epochs=5?")),
    (["experiment", "--dropuot", 0.5], ("--dropuot;", "--set model.dropout=0.5?")),
    (["eval"], ("--model",)),
    (["eval", "--model", "m.h5"], ("--corpus",)),
    (["gradients"], ("--model",)),
    (["corpus", "synth"], ("--out",)),
    (["train"], ("--corpus",)),
    (["experiment"], ("--corpus",)),
])
def test_wrong_usage(sipgpu: Sipgpu, words: list[str], names: tuple[str, ...]) -> None:
    # For a family of commands its list comes first.
    sipgpu.refuses(*words, names=names, code=2, alone=words[0] not in ("corpus", "bench"))


def test_options_that_are_settings(sipgpu: Sipgpu) -> None:
    """Every key of the configuration, where an option is expected: the answer says how to set it."""
    for command in ("train", "experiment"):
        options = set(re.findall(r"--[a-z-]+", sipgpu.ok(command, "--help").out))
        section = ""
        seen = 0
        for line in sipgpu.ok("train", "--dump-config").out.splitlines():
            if line.startswith("["):
                section = line[1:-1]
            elif line and line[0] != ";":
                key, value = line.split(" = ")
                name = "--" + key.replace("_", "-")
                if name not in options and value:
                    sipgpu.refuses(command, name, value, code=2,
                                   names=(f"{name} is the setting {section}.{key}: use --set {section}.{key}={value}",))
                    seen += 1
        assert seen > 25
    sipgpu.refuses("corpus", "synth", "--dialogs=9", code=2, names=("--dialogs is the setting synth.dialogs: use --set synth.dialogs=9",))


def test_no_command(sipgpu: Sipgpu) -> None:
    result = sipgpu()
    assert result.code == 2 and result.out == "" and "commands:" in result.err


# ---- what the program says of itself ----


def test_version(sipgpu: Sipgpu) -> None:
    assert sipgpu.ok("--version").out == sipgpu.ok("version").out
    version = sipgpu.ok("version", "--json").json
    assert version["tool"].startswith("sipgpu ") and {"hdf5", "onednn", "compiler"} <= version.keys()
    assert version["tool"] in sipgpu.ok("version").out


def test_devices(sipgpu: Sipgpu) -> None:
    devices = {device["device"]: device for device in sipgpu.ok("devices", "--json").json}
    assert list(devices) == ["cpu", "cuda", "cudnn"] and devices["cpu"]["usable"]
    assert all(device["description"] for device in devices.values())
    assert len(sipgpu.ok("devices").out.splitlines()) == 3


# ---- JSON ----


def test_eval_json(sipgpu: Sipgpu, corpus: Path, trained: Path, tmp_path: Path) -> None:
    words = ["eval", "--model", trained / "model.h5", "--corpus", corpus]
    report = sipgpu.ok(*words, "--json", "--csv", tmp_path / "classes.csv").json
    assert report["command"] == "eval" and report["precision"] in ("fp32", "bf16")
    for split in report["splits"].values():
        p_d = split["p_d"]
        assert p_d["low"] <= p_d["value"] <= p_d["high"]
        assert p_d["value"] == pytest.approx(p_d["hits"] / p_d["total"], rel=1e-14)  # printed with 15 digits
    assert set(sipgpu.ok(*words, "--json", "--split", "test").json["splits"]) == {"test"}
    with open(tmp_path / "classes.csv", encoding="utf-8", newline="") as f:
        assert len(list(csv.DictReader(f))) == 150


def test_detect_json(sipgpu: Sipgpu, corpus: Path, trained: Path, tmp_path: Path) -> None:
    words = ["detect", "--model", trained / "model.h5", "--corpus", corpus]
    report = sipgpu.ok(*words, "--json", "--out", tmp_path / "out").json
    assert report["command"] == "detect" and report["rule"] == "both" and report["detection"]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"limits.csv", "auc.csv", "moments.csv", "roc.csv", "comparison.csv", "paired.csv"}
    assert sipgpu.ok(*words, "--json", "--rule", "either").json["rule"] == "either"


def test_bench_json(sipgpu: Sipgpu, corpus: Path) -> None:
    words = ["--corpus", corpus, "--units", 32, "--steps", 3, "--json"]
    train = sipgpu.ok("bench", "train", *words, "--batch", 93, "--precision", "fp32", "--threads", 1).json
    assert {"step_ms", "rows", "rows_dense", "rows_unique", "rows_trie", "gflops", "peak_gflops", "rss_mb", "precision", "device"} <= train.keys()
    assert train["precision"] == "fp32" and train["device"] == "cpu" and train["steps"] == 3
    assert 0 < train["step_ms_min"] <= train["step_ms"] <= train["step_ms_max"]
    assert 0 < train["rows"] < train["rows_unique"] < train["rows_dense"] <= 93 * 24
    assert train["batching"] == "trie" and train["rows"] == train["rows_trie"]
    for batching in ("unique", "dense"):
        other = sipgpu.ok("bench", "train", *words, "--batch", 93, "--batching", batching, "--no-peak").json
        assert other["batching"] == batching and other["rows"] == train[f"rows_{batching}"]
        assert other["rows_trie"] == train["rows_trie"] and other["peak_gflops"] is None
    table = sipgpu.ok("bench", "train", *words[:-1], "--batch", 93, "--no-peak").out
    for batching in ("dense", "unique", "trie"):
        assert f"{batching} {train[f'rows_{batching}']:.0f}" in table
    infer = sipgpu.ok("bench", "infer", *words).json
    assert infer["step_ms"] > 0 and infer["command"] == "bench infer"


def test_bench_makes_up_a_corpus(sipgpu: Sipgpu) -> None:
    report = sipgpu.ok("bench", "train", "--dialogs", 2000, "--classes", 100, "--length", 20, "--units", 16, "--batch",
                       50, "--steps", 1, "--layers", 2, "--dropout", 0.5, "--json", "--no-peak").json
    assert (report["classes"], report["length"], report["layers"]) == (100, 20, 2)


def test_experiment_json(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    words = ["experiment", "--corpus", corpus, "--out", tmp_path / "e", "--models", "1.0", "--seeds", 2, "--json",
             *settings(model__units=8, train__epochs=2, train__batch_size=93)]
    report = sipgpu.ok(*words).json
    assert len(report["runs"]) == 2 and len(report["ensembles"]) == 1
    names = {path.name for path in (tmp_path / "e").iterdir()}
    assert {"runs.csv", "table5.csv", "table6.csv", "history.csv", "moments.csv", "roc.csv", "provenance.json", "runs"} <= names
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "e").rglob("model.h5")}
    assert len(before) == 2
    sipgpu.ok(*words)  # complete runs are kept
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_numbers_without_a_value_are_json(sipgpu: Sipgpu, corpus: Path, quick_run: Path) -> None:
    """No NaN or Infinity in JSON, which has no words for them."""

    def visit(value: object) -> None:
        if isinstance(value, dict):
            for item in value.values():
                visit(item)
        elif isinstance(value, list):
            for item in value:
                visit(item)
        elif isinstance(value, float):
            assert math.isfinite(value)

    for command in ("eval", "detect"):
        visit(sipgpu.ok(command, "--model", quick_run / "model.h5", "--corpus", corpus, "--json").json)
    visit(sipgpu.ok("corpus", "info", corpus, "--json").json)


# ---- configurations ----


def test_dump_config_reads_back(sipgpu: Sipgpu, tmp_path: Path) -> None:
    words = settings(model__layers=2, model__dropout=0.5, model__padding="mask", train__learning_rate=0.0003,
                     train__keep_best=True, engine__precision="bf16", experiment__models="1.0,2.1")
    first = sipgpu.ok("train", *words, "--seed", 7, "--dump-config").out
    (tmp_path / "dumped.ini").write_text(first, encoding="utf-8")
    assert sipgpu.ok("train", "--config", tmp_path / "dumped.ini", "--dump-config").out == first
    for line in ("layers = 2", "padding = mask", "learning_rate = 0.0003", "keep_best = true", "seed = 7",
                 "models = 1.0,2.1"):
        assert f"\n{line}\n" in first
    # Every key has its meaning above it.
    lines = first.splitlines()
    assert all(lines[n - 1].startswith("; ") for n, line in enumerate(lines) if " = " in line and line[0] != ";")


def test_the_command_line_wins_over_the_file(sipgpu: Sipgpu, tmp_path: Path) -> None:
    (tmp_path / "c.ini").write_text("[train]\nepochs = 7\nseed = 3\n", encoding="utf-8")
    out = sipgpu.ok("train", "-c", tmp_path / "c.ini", "-s", "train.epochs=9", "--seed=4", "--dump-config").out
    assert "\nepochs = 9\n" in out and "\nseed = 4\n" in out


def test_dump_config_writes_nothing(sipgpu: Sipgpu, tmp_path: Path) -> None:
    sipgpu.ok("train", "--dump-config", cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_config_files_of_the_project(sipgpu: Sipgpu) -> None:
    """Every file in configs/ is understood; test_study.py says so of the list of the study's runs."""
    files = sorted((Path(__file__).parents[2] / "configs").rglob("*.ini"))
    assert files
    for path in files:
        text = path.read_text(encoding="utf-8")
        if "[words]" in text:
            continue
        command = ["corpus", "synth"] if "[synth]" in text else ["train"]
        sipgpu.ok(*command, "--config", path, "--dump-config")


def test_later_files_win(sipgpu: Sipgpu, tmp_path: Path) -> None:
    (tmp_path / "a.ini").write_text("[train]\nepochs = 7\nseed = 3\n[model]\nlayers = 2\nforget_bias = 4\n", encoding="utf-8")
    (tmp_path / "b.ini").write_text("[train]\nepochs = 8\n", encoding="utf-8")
    words = ["train", "-c", tmp_path / "a.ini", "--config", tmp_path / "b.ini", "--dump-config"]
    out = sipgpu.ok(*words).out
    assert all(f"\n{line}\n" in out for line in ("epochs = 8", "seed = 3", "layers = 2", "forget_bias = 4"))
    out = sipgpu.ok(*words, "--model", "1.1-pre", "--set", "train.epochs=9").out
    assert all(f"\n{line}\n" in out for line in ("epochs = 9", "layers = 1", "dropout = 0.5", "padding = pre", "forget_bias = 4"))


@pytest.mark.parametrize("model", ["1.0", "1.1", "2.0", "2.1"])
def test_a_model_is_its_configuration(sipgpu: Sipgpu, model: str) -> None:
    configs = ROOT / "configs"
    files = sipgpu.ok("train", "--config", configs / f"model{model}.ini", "--dump-config").out
    other = "1.0" if model != "1.0" else "2.1"
    assert sipgpu.ok("train", "--config", configs / f"model{other}.ini", "--model", model, "--dump-config").out == files


# ---- what is said, and where ----


def test_results_on_stdout_talk_on_stderr(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    words = ["train", "--corpus", corpus, *settings(model__units=8, train__epochs=1, train__batch_size=93)]
    loud = sipgpu.ok(*words, "--out", tmp_path / "a")
    assert "P_D" in loud.out and "epoch 1/1" in loud.err and "\r" not in loud.err  # plain lines: no terminal
    quiet = sipgpu.ok(*words, "--out", tmp_path / "b", "--quiet")
    assert quiet.err == "" and quiet.out == loud.out


def test_default_folder(sipgpu: Sipgpu, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "more.ini").write_text("[train]\nbatch_size = 93\n", encoding="utf-8")
    (tmp_path / "tiny.ini").write_text("[model]\nunits = 8\n[train]\nepochs = 1\n", encoding="utf-8")
    sipgpu.ok("train", "--config", "tiny.ini", "--corpus", corpus, "--seed", 3, cwd=tmp_path)
    assert (tmp_path / "runs/tiny_seed3/model.h5").is_file()
    sipgpu.ok("train", "--config", "tiny.ini", "--config", tmp_path / "more.ini", "--model", "1.1", "--corpus", corpus, cwd=tmp_path)
    sipgpu.ok("train", "--set", "model.units=8", "--set", "train.epochs=1", "--corpus", corpus, cwd=tmp_path)
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"tiny_seed3", "tiny-more-model1.1_seed1", "run_seed1"}


# ---- the manual page and completion ----


@pytest.fixture(scope="module")
def manual(sipgpu: Sipgpu, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("man") / "sipgpu.1"
    path.write_text(sipgpu.ok("help", "--man").out, encoding="utf-8")
    return path


def test_the_manual_page_has_every_option(sipgpu: Sipgpu, manual: Path) -> None:
    text = manual.read_text(encoding="utf-8").replace("\\-", "-")
    for command in COMMANDS:
        section = text.split(f"\n.SS sipgpu {command} [options]", 1)[1].split("\n.S", 1)[0]
        for option in re.findall(r"^  (?:-., |    )(--[a-z0-9-]+)", sipgpu.ok("help", *command.split()).out, re.MULTILINE):
            assert f"\\fB{option}\\fR" in section, (command, option)
    for key in ("train.learning_rate", "experiment.seeds", "synth.unseen_test"):
        assert f"\n\\fB{key}\\fR" in text


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is missing")
def test_the_manual_page_is_troff(manual: Path) -> None:
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", manual], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    shown = re.sub(".\b", "", done.stdout)
    # Nothing is lost that troff could take for its own.
    assert "tshark -r FILE -Y sip -T fields -E header=y -E occurrence=f -e sip.Call-ID \\\n" in shown
    assert ".weights.h5 and .json if FILE ends in .weights.h5" in re.sub(r"\s+", " ", shown)


@pytest.mark.skipif(not shutil.which("mandoc"), reason="mandoc is missing")
def test_the_manual_page_is_clean(manual: Path) -> None:
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", manual], capture_output=True, text=True, check=False)
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []


def completed(script: Path, *words: str) -> set[str]:
    """What bash offers for the last of the words."""
    line = " ".join(f"'{word}'" for word in words)
    code = (f"source '{script}'; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _sipgpu; "
            "printf '%s\n' \"${COMPREPLY[@]}\"")
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_bash_completes(sipgpu: Sipgpu, tmp_path: Path) -> None:
    script = tmp_path / "sipgpu"
    script.write_text(sipgpu.ok("help", "--completion", "bash").out, encoding="utf-8")
    assert completed(script, "sipgpu", "") == {command.split()[0] for command in COMMANDS}
    assert completed(script, "sipgpu", "ex") == {"experiment", "export"}
    assert completed(script, "sipgpu", "corpus", "") == {"synth", "import", "merge", "info", "split"}
    assert completed(script, "sipgpu", "help", "de") == {"detect", "devices"}
    for command in COMMANDS:
        options = set(re.findall(r"^  (?:-., |    )(--[a-z0-9-]+)", sipgpu.ok("help", *command.split()).out, re.MULTILINE))
        assert completed(script, "sipgpu", *command.split(), "--") == options, command
    assert completed(script, "sipgpu", "train", "--model", "2") == {"2.0", "2.1"}
    assert completed(script, "sipgpu", "train", "-m", "1") == {"1.0", "1.1"}
    assert completed(script, "sipgpu", "detect", "--rule", "") == set(
        re.search(r"--rule (\S+)", sipgpu.ok("detect", "--help").out)[1].split("|"))
    assert completed(script, "sipgpu", "train", "--corpus", "x", "--set", "train.lr") == {"train.lr_schedule=", "train.lr_floor="}
    assert completed(script, "sipgpu", "corpus", "synth", "--set", "synth.dia") == {"synth.dialogs="}
    assert completed(script, "sipgpu", "corpus", "info", "c") == set()  # a file: bash's own completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_scripts(sipgpu: Sipgpu, tmp_path: Path, shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is missing")
    script = tmp_path / "script"
    script.write_text(sipgpu.ok("help", "--completion", shell).out, encoding="utf-8")
    done = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is missing")
def test_fish_completes(sipgpu: Sipgpu, tmp_path: Path) -> None:
    script = tmp_path / "sipgpu.fish"
    script.write_text(sipgpu.ok("help", "--completion", "fish").out, encoding="utf-8")

    def completes(line: str) -> set[str]:
        done = subprocess.run(["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"], capture_output=True, text=True,
                              check=True, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
        return {part.split("\t")[0] for part in done.stdout.splitlines()}

    assert completes("sipgpu ex") == {"experiment", "export"}
    assert completes("sipgpu corpus in") == {"info"}
    assert "--kmeans-restarts" in completes("sipgpu detect --") and "--kmeans-restarts" not in completes("sipgpu train --")
    assert completes("sipgpu train --model 2") == {"2.0", "2.1"}
    assert "--unseen" in completes("sipgpu corpus split --")


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is missing")
def test_zsh_completes(sipgpu: Sipgpu, tmp_path: Path) -> None:
    """What the script hands to zsh's own functions, which are stand-ins here."""
    (tmp_path / "_sipgpu").write_text(sipgpu.ok("help", "--completion", "zsh").out, encoding="utf-8")
    stand_ins = "_arguments() { print -l -- \"$@\" }; compadd() { shift; print -l -- \"$@\" }; complete() { source _sipgpu }; "

    def offered(*words: str) -> list[str]:
        line = " ".join(f"'{word}'" for word in words)
        done = subprocess.run(["zsh", "-f", "-c", f"{stand_ins} words=({line}); CURRENT={len(words)}; complete"], cwd=tmp_path,
                              capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout.splitlines()

    assert set(offered("sipgpu", "")) == {command.split()[0] for command in COMMANDS}
    assert set(offered("sipgpu", "corpus", "")) == {"synth", "import", "merge", "info", "split"}
    for command in COMMANDS:
        options = set(re.findall(r"^  (?:-., |    )(--[a-z0-9-]+)", sipgpu.ok("help", *command.split()).out, re.MULTILINE))
        if command != "help":
            assert {spec.lstrip("*").split("[")[0] for spec in offered("sipgpu", *command.split(), "--")} - {":file:_files"} \
                >= options, command
    train = offered("sipgpu", "train", "--")
    assert any(spec.startswith("*--set[") for spec in train) and any(spec.endswith(":(1.0 1.1 2.0 2.1)") for spec in train)
