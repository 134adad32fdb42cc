"""`sipgpu export` and `sipgpu import` without the programs they are for: files, round trips, bad input.

What onnxruntime and Keras make of the files is in peers/.
"""

from __future__ import annotations

import json
import random
import shutil
import zipfile
from pathlib import Path
from typing import Any, Callable

import h5py
import numpy as np
import pytest
from conftest import Sipgpu, assert_same_tensors, contents

Edit = Callable[[Path, Callable[[h5py.File], object]], Path]


@pytest.fixture(scope="session")
def exported(sipgpu: Sipgpu, quick_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with m.keras, m.weights.h5 and m.json, m.onnx, and whole.h5 as Keras 2 wrote it."""
    folder = tmp_path_factory.mktemp("exported")
    for name in ("m.keras", "m.weights.h5", "m.onnx"):
        sipgpu.ok("export", "--model", quick_run / "model.h5", "--out", folder / name)
    write_keras_2(quick_run / "model.h5", folder / "whole.h5")
    return folder


def keras_2_config(units: int, classes: int, length: int, types: int) -> dict[str, Any]:
    lstm = {"name": "lstm_3", "trainable": True, "batch_input_shape": [None, length, types], "dtype": "float32",
            "return_sequences": False, "return_state": False, "go_backwards": False, "stateful": False,
            "unroll": False, "time_major": False, "units": units, "activation": "tanh",
            "recurrent_activation": "sigmoid", "use_bias": True, "dropout": 0.0, "recurrent_dropout": 0.25,
            "implementation": 2}
    dense = {"name": "dense_7", "trainable": True, "dtype": "float32", "units": classes, "activation": "softmax",
             "use_bias": True}
    return {"class_name": "Sequential", "config": {"name": "sequential_2", "layers": [
        {"class_name": "LSTM", "config": lstm}, {"class_name": "Dense", "config": dense}]}}


def write_keras_2(model: Path, path: Path) -> None:
    """A whole-model HDF5 file in the layout of Keras 2: names of variables end in ":0"."""
    with h5py.File(model) as f, h5py.File(path, "w") as out:
        attrs = f.attrs
        config = keras_2_config(int(attrs["units"]), int(attrs["classes"]), int(attrs["max_length"]),
                                int(attrs["message_types"]))
        out.attrs["keras_version"] = "2.11.0"
        out.attrs["backend"] = "tensorflow"
        out.attrs["model_config"] = json.dumps(config)
        for name in ("kernel", "recurrent_kernel", "bias"):
            out[f"model_weights/lstm_3/lstm_3/lstm_cell_5/{name}:0"] = f[f"params/lstm_0/{name}"][()]
        for name in ("kernel", "bias"):
            out[f"model_weights/dense_7/dense_7/{name}:0"] = f[f"params/dense/{name}"][()]


def changed_archive(path: Path, out: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    """A copy of the archive that `change` has been at."""
    with zipfile.ZipFile(path) as f:
        members = {name: f.read(name) for name in f.namelist()}
    change(members)
    with zipfile.ZipFile(out, "w") as f:
        for name, data in members.items():
            f.writestr(name, data)
    return out


def change_json(member: str, change: Callable[[Any], object]) -> Callable[[dict[str, bytes]], object]:
    def apply(members: dict[str, bytes]) -> None:
        value = json.loads(members[member])
        change(value)
        members[member] = json.dumps(value).encode()

    return apply


def layer(config: Any, class_name: str) -> Any:
    return next(item for item in config["config"]["layers"] if item["class_name"] == class_name)


# ---- export ----


def test_the_same_model_makes_the_same_bytes(sipgpu: Sipgpu, quick_run: Path, exported: Path, tmp_path: Path) -> None:
    for name in ("m.keras", "m.weights.h5", "m.onnx"):
        sipgpu.ok("export", "--model", quick_run / "model.h5", "--out", tmp_path / name, env={"TZ": "Asia/Tokyo"})
    theirs = contents(exported)
    for name, data in contents(tmp_path).items():
        assert data == theirs[name], name
    assert set(contents(tmp_path)) == {"m.keras", "m.weights.h5", "m.json", "m.onnx"}


def test_json(sipgpu: Sipgpu, quick_run: Path, corpus: Path, tmp_path: Path) -> None:
    report = sipgpu.ok("export", "--model", quick_run / "model.h5", "--out", tmp_path / "m.keras", "--json").json
    assert report["format"] == "keras" and report["classes"] == 150 and report["thresholds"] is True
    assert report["bytes"] == (tmp_path / "m.keras").stat().st_size
    report = sipgpu.ok("import", tmp_path / "m.keras", "--out", tmp_path / "m.h5", "--json").json
    assert report["units"] == 8 and report["padding"] == "post" and "splits" not in report
    report = sipgpu.ok("import", tmp_path / "m.keras", "--corpus", corpus, "--out", tmp_path / "c.h5", "--json").json
    assert report["splits"]["train"]["p_d"]["total"] == 950


def test_the_archive_is_what_keras_writes(exported: Path) -> None:
    with zipfile.ZipFile(exported / "m.keras") as f:
        assert f.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        assert f.testzip() is None
        assert all(item.compress_type == zipfile.ZIP_STORED for item in f.infolist())
        config = json.loads(f.read("config.json"))
    assert [item["class_name"] for item in config["config"]["layers"]] == ["InputLayer", "LSTM", "Dense"]
    pair = json.loads((exported / "m.json").read_text(encoding="utf-8"))
    assert pair.pop("sipgpu")["alphabet"][0] == "INVITE" and pair == config


@pytest.mark.parametrize("words, names", [
    ([], ("--model",)),
    (["--model", "MODEL"], ("--out",)),
    (["--model", "MODEL", "--out", "m.bin"], ("m.bin", "--format")),
    (["--model", "MODEL", "--out", "m.onnx", "--format", "tflite"], ("tflite", "onnx")),
    (["--model", "MODEL", "--out", "m.onnx", "--format", "keras"], ("m.onnx", ".keras")),
    (["--model", "MODEL", "--out", "m.onnx", "more"], ("more",)),
])
def test_wrong_usage(sipgpu: Sipgpu, quick_run: Path, tmp_path: Path, words: list[str],
                     names: tuple[str, ...]) -> None:
    words = [str(quick_run / "model.h5") if word == "MODEL" else word for word in words]
    sipgpu.refuses("export", *words, names=names, code=2, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["m.onnx", "m.keras", "m.weights.h5"])
def test_nothing_is_overwritten(sipgpu: Sipgpu, quick_run: Path, tmp_path: Path, name: str) -> None:
    model = quick_run / "model.h5"
    (tmp_path / name).write_text("mine", encoding="utf-8")
    sipgpu.refuses("export", "--model", model, "--out", tmp_path / name, names=(name, "--force"))
    assert contents(tmp_path) == {name: b"mine"}
    sipgpu.ok("export", "--model", model, "--out", tmp_path / name, "--force")
    assert (tmp_path / name).stat().st_size > 1000


def test_the_other_half_of_a_pair_is_not_overwritten(sipgpu: Sipgpu, quick_run: Path, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text("mine", encoding="utf-8")
    sipgpu.refuses("export", "--model", quick_run / "model.h5", "--out", tmp_path / "m.weights.h5",
                   names=("m.json", "--force"))
    assert contents(tmp_path) == {"m.json": b"mine"}


@pytest.mark.parametrize("name", ["m.onnx", "m.keras", "m.weights.h5"])
def test_unwritable_targets(sipgpu: Sipgpu, quick_run: Path, tmp_path: Path, name: str) -> None:
    model = quick_run / "model.h5"
    sipgpu.refuses("export", "--model", model, "--out", tmp_path / "no" / name, names=("cannot write", name[:2]))
    (tmp_path / name).mkdir()
    sipgpu.refuses("export", "--model", model, "--out", tmp_path / name, "--force", names=(name, "folder"))
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("name", ["m.onnx", "m.keras", "m.weights.h5"])
def test_a_full_disk(sipgpu: Sipgpu, quick_run: Path, tmp_path: Path, name: str) -> None:
    """A file size limit stands for it; the signal that comes with one is ignored, so that write() fails."""
    limited = ("bash", "-c", 'trap "" XFSZ; ulimit -f 4; exec "$@"', "bash")
    sipgpu.refuses("export", "--model", quick_run / "model.h5", "--out", tmp_path / name, prefix=limited,
                   names=("cannot write",))
    assert contents(tmp_path) == {}


def test_export_of_a_bad_model(sipgpu: Sipgpu, quick_run: Path, edited: Edit, tmp_path: Path) -> None:
    def put_nan(f: h5py.File) -> None:
        f["params/dense/bias"][3] = np.nan

    bad = edited(quick_run / "model.h5", put_nan)
    out = tmp_path / "out"
    out.mkdir()
    sipgpu.refuses("export", "--model", bad, "--out", out / "m.onnx", names=(bad, "dense/bias"))
    sipgpu.refuses("export", "--model", tmp_path / "none.h5", "--out", out / "m.onnx", names=("none.h5",))
    assert contents(out) == {}


# ---- import ----


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_round_trip(sipgpu: Sipgpu, quick_run: Path, exported: Path, tmp_path: Path, name: str) -> None:
    """Everything that the model file says comes back."""
    sipgpu.ok("import", exported / name, "--out", tmp_path / "back.h5")
    assert_same_tensors(quick_run / "model.h5", tmp_path / "back.h5")
    with h5py.File(quick_run / "model.h5") as a, h5py.File(tmp_path / "back.h5") as b:
        for group in ("/", "/thresholds", "/training"):
            ours, theirs = dict(a[group].attrs), dict(b[group].attrs)
            for key in ("partial_loss", "partial_right", "best_pd", "best_loss", "goal_reached"):
                ours.pop(key, None), theirs.pop(key, None)
            assert ours == theirs
    again = tmp_path / name
    sipgpu.ok("export", "--model", tmp_path / "back.h5", "--out", again)
    assert again.read_bytes() == (exported / name).read_bytes()


def test_with_a_corpus_limits_are_fitted(sipgpu: Sipgpu, quick_run: Path, corpus: Path, exported: Path,
                                         tmp_path: Path) -> None:
    """As `train` fits them, so detect and watch work; a file of Keras 2, with what is left out."""
    with h5py.File(quick_run / "model.h5") as model:
        precision = model["training"].attrs["precision"].decode()
    result = sipgpu.ok("import", exported / "whole.h5", "--corpus", corpus, "--out", tmp_path / "m.h5",
                       "--precision", precision)
    assert "recurrent_dropout 0.25" in result.err and "train" in result.out
    assert_same_tensors(quick_run / "model.h5", tmp_path / "m.h5", "params", "alphabet", "classes")
    with h5py.File(quick_run / "model.h5") as a, h5py.File(tmp_path / "m.h5") as b:
        for key in ("skewness", "kurtosis"):
            assert b["thresholds"].attrs[key] == pytest.approx(a["thresholds"].attrs[key], rel=1e-6)
        assert b["prefix_thresholds"][()] == pytest.approx(a["prefix_thresholds"][()], rel=1e-5, abs=1e-7)
        assert b["training"].attrs["device"] == b"Keras 2.11.0"
    sipgpu.ok("detect", "--model", tmp_path / "m.h5", "--corpus", corpus)


def test_a_poor_match_is_said(sipgpu: Sipgpu, corpus: Path, trained: Path, tmp_path: Path) -> None:
    """A well-trained network names the train dialogs; with its outputs in another order it does not."""
    sipgpu.ok("export", "--model", trained / "model.h5", "--out", tmp_path / "m.weights.h5")
    good = sipgpu.ok("import", tmp_path / "m.weights.h5", "--corpus", corpus, "--out", tmp_path / "a.h5")
    assert "another order" not in good.err
    with h5py.File(tmp_path / "m.weights.h5", "r+") as f:
        for name in ("0", "1"):
            f[f"layers/dense/vars/{name}"][...] = np.roll(f[f"layers/dense/vars/{name}"][()], 1, axis=-1)
    poor = sipgpu.ok("import", tmp_path / "m.weights.h5", "--corpus", corpus, "--out", tmp_path / "b.h5")
    assert "another order" in poor.err


def set_layer(class_name: str, key: str, value: Any) -> Callable[[Any], object]:
    return lambda config: layer(config, class_name)["config"].update({key: value})


BAD_CONFIGS: list[tuple[str, Callable[[Any], object], tuple[str, ...]]] = [
    ("gru", lambda c: layer(c, "LSTM").update(class_name="GRU"), ("layer lstm, a GRU",)),
    ("activation", set_layer("LSTM", "activation", "relu"), ("layer lstm", "activation", '"relu"', '"tanh"')),
    ("bias", set_layer("LSTM", "use_bias", False), ("layer lstm", "use_bias")),
    ("sequences", set_layer("LSTM", "return_sequences", True), ("layer lstm", "return_sequences")),
    ("backwards", set_layer("LSTM", "go_backwards", True), ("layer lstm", "go_backwards")),
    ("stateful", set_layer("LSTM", "stateful", True), ("layer lstm", "stateful")),
    ("units", set_layer("LSTM", "units", 9), ("layers/lstm/cell/vars/0", "expected 36")),
    ("huge", set_layer("LSTM", "units", 65536), ("layers/lstm/cell/vars/0", "expected 262144")),
    ("absurd", set_layer("LSTM", "units", 1e18), ("layer lstm", "units")),
    ("classes", set_layer("Dense", "units", 151), ("layers/dense/vars/0", "expected 151")),
    ("sigmoid", set_layer("Dense", "activation", "sigmoid"), ("layer dense", '"sigmoid"', '"softmax"')),
    ("types", set_layer("InputLayer", "batch_shape", [None, 24, 17]), ("layers/lstm/cell/vars/0", "expected 17")),
    ("length", set_layer("InputLayer", "batch_shape", [None, 25, 18]), ("m.keras", "25")),
    ("class", lambda c: c.update(class_name="Mine"), ("class Mine",)),
    ("no layers", lambda c: c["config"].update(layers=[]), ("ends without",)),
]


@pytest.mark.parametrize("change, names", [pytest.param(c, n, id=i) for i, c, n in BAD_CONFIGS])
def test_other_architectures(sipgpu: Sipgpu, corpus: Path, exported: Path, tmp_path: Path,
                             change: Callable[[Any], object], names: tuple[str, ...]) -> None:
    bad = changed_archive(exported / "m.keras", tmp_path / "m.keras", change_json("config.json", change))
    sipgpu.refuses("import", bad, "--corpus", corpus, "--out", tmp_path / "out.h5", names=(bad, *names))
    assert set(contents(tmp_path)) == {"m.keras"}


def described(key: str, value: Any) -> Callable[[dict[str, bytes]], object]:
    return change_json("metadata.json", lambda m: m["sipgpu"].update({key: value}))


BAD_MEMBERS: list[tuple[str, Callable[[dict[str, bytes]], object], tuple[str, ...]]] = [
    ("no config", lambda m: m.pop("config.json"), ("config.json",)),
    ("no weights", lambda m: m.pop("model.weights.h5"), ("model.weights.h5",)),
    ("no json", lambda m: m.update({"config.json": b"{"}), ("config.json", "JSON")),
    ("deep", lambda m: m.update({"config.json": b"[" * 100000}), ("config.json", "JSON")),
    ("array", lambda m: m.update({"config.json": b"[]"}), ("config.json", "JSON")),
    ("no hdf5", lambda m: m.update({"model.weights.h5": b"\x89HDF\r\n\x1a\n"}), ("HDF5",)),
    ("empty weights", lambda m: m.update({"model.weights.h5": b""}), ("HDF5",)),
    ("cut weights", lambda m: m.update({"model.weights.h5": m["model.weights.h5"][:4000]}), ("HDF5",)),
    ("no metadata", lambda m: m.pop("metadata.json"), ("--corpus",)),
    ("version", described("version", 2), ("sipgpu.version",)),
    ("alphabet", described("alphabet", ["INVITE"]), ("sipgpu.alphabet", "1 entries", "18")),
    ("names", described("alphabet", [""] * 18), ("sipgpu.alphabet",)),
    ("classes", described("classes", ["1 2"] * 149), ("sipgpu.classes", "149")),
    ("ids", described("classes", ["1 19"] * 150), ("sipgpu.classes",)),
    ("counts", described("train_count", [-1] * 150), ("sipgpu.train_count",)),
    ("padding", described("padding", "mask"), ("Masking",)),
    ("rule", described("type_rule", "mine/1"), ("sipgpu.type_rule",)),
    ("thresholds", described("thresholds", {"skewness": 1}), ("sipgpu.thresholds",)),
    ("limits", described("prefix_thresholds", [[0, 1]]), ("sipgpu.prefix_thresholds", "24")),
    ("length", described("max_length", 0), ("sipgpu.max_length",)),
]


@pytest.mark.parametrize("change, names", [pytest.param(c, n, id=i) for i, c, n in BAD_MEMBERS])
def test_bad_archives(sipgpu: Sipgpu, exported: Path, tmp_path: Path,
                      change: Callable[[dict[str, bytes]], object], names: tuple[str, ...]) -> None:
    bad = changed_archive(exported / "m.keras", tmp_path / "m.keras", change)
    sipgpu.refuses("import", bad, "--out", tmp_path / "out.h5", names=(bad, *names))
    assert set(contents(tmp_path)) == {"m.keras"}


def test_weights_that_are_not_finite(sipgpu: Sipgpu, corpus: Path, exported: Path, edited: Edit,
                                     tmp_path: Path) -> None:
    def put(value: float) -> Callable[[h5py.File], None]:
        def change(f: h5py.File) -> None:
            f["model_weights/dense_7/dense_7/bias:0"][7] = value

        return change

    for value in (np.nan, np.inf):
        bad = edited(exported / "whole.h5", put(value))
        sipgpu.refuses("import", bad, "--corpus", corpus, "--out", tmp_path / "out.h5",
                       names=(bad, "dense/bias", "not finite"))
    assert not (tmp_path / "out.h5").exists()


def test_whole_files_that_are_wrong(sipgpu: Sipgpu, corpus: Path, quick_run: Path, exported: Path, edited: Edit,
                                    tmp_path: Path) -> None:
    def refuses(path: Path, *names: str) -> None:
        sipgpu.refuses("import", path, "--corpus", corpus, "--out", tmp_path / "out.h5", names=(path, *names))

    def huge(f: h5py.File) -> None:
        del f["model_weights/dense_7/dense_7/kernel:0"]
        f.create_dataset("model_weights/dense_7/dense_7/kernel:0", (8, 150), np.float32, chunks=(8, 150),
                         compression="gzip")
        f["model_weights/dense_7/other/kernel"] = np.zeros(3)

    def linked(f: h5py.File) -> None:
        del f["model_weights/lstm_3/lstm_3/lstm_cell_5/bias:0"]
        f["model_weights/lstm_3/lstm_3/lstm_cell_5/bias:0"] = h5py.ExternalLink("/etc/passwd", "/x")

    refuses(quick_run / "model.h5", "model_config")
    refuses(edited(exported / "whole.h5", lambda f: f.attrs.update(model_config="{")), "model_config", "JSON")
    refuses(edited(exported / "whole.h5", lambda f: f.attrs.update(model_config=3)), "model_config", "type")
    refuses(edited(exported / "whole.h5", huge), "dense_7", "2 tensors named kernel")
    refuses(edited(exported / "whole.h5", linked), "lstm_3", "0 tensors named bias")
    text = tmp_path / "text.h5"
    text.write_text("no model", encoding="utf-8")
    refuses(text, "HDF5")
    refuses(tmp_path / "none.keras", "No such file")
    refuses(tmp_path, "folder")
    assert not (tmp_path / "out.h5").exists()


def test_declared_sizes_are_not_believed(sipgpu: Sipgpu, corpus: Path, exported: Path, edited: Edit,
                                         tmp_path: Path) -> None:
    """65536 units in 40 kB: refused before memory for them is taken."""
    def change(f: h5py.File) -> None:
        config = json.loads(f.attrs["model_config"])
        layer(config, "LSTM")["config"]["units"] = 65536
        f.attrs["model_config"] = json.dumps(config)
        for name, shape in (("kernel", (18, 262144)), ("recurrent_kernel", (65536, 262144)), ("bias", (262144,))):
            path = f"model_weights/lstm_3/lstm_3/lstm_cell_5/{name}:0"
            del f[path]
            f.create_dataset(path, shape, np.float32, chunks=tuple(min(n, 256) for n in shape))

    bad = edited(exported / "whole.h5", change)
    sipgpu.refuses("import", bad, "--corpus", corpus, "--out", tmp_path / "out.h5", names=(bad, "does not hold"),
                   prefix=("bash", "-c", 'ulimit -v 4000000; exec "$@"', "bash"))


def test_other_corpora(sipgpu: Sipgpu, corpus: Path, exported: Path, edited: Edit, tmp_path: Path) -> None:
    def rename(f: h5py.File) -> None:
        names = [name.decode() for name in f["alphabet"][()]]
        names[4] = "PRACK"
        del f["alphabet"]
        f["alphabet"] = names

    out = tmp_path / "out.h5"
    other = edited(corpus, rename)
    sipgpu.refuses("import", exported / "m.keras", "--corpus", other, "--out", out, names=("REGISTER", "PRACK"))
    small = tmp_path / "other.h5"
    sipgpu.ok("corpus", "synth", "--preset", "small", "--seed", 2, "--out", small, "--set", "synth.unique=140")
    for name in ("m.keras", "whole.h5"):
        sipgpu.refuses("import", exported / name, "--corpus", small, "--out", out, names=(name, "N 150", "N 140"))
    sipgpu.refuses("import", exported / "whole.h5", "--out", out, names=("whole.h5", "--corpus"))
    assert not out.exists()


def test_wrong_words(sipgpu: Sipgpu, corpus: Path, exported: Path, tmp_path: Path) -> None:
    file, out = exported / "whole.h5", tmp_path / "out.h5"
    sipgpu.refuses("import", "--out", out, names=("FILE",), code=2)
    sipgpu.refuses("import", file, file, "--out", out, names=("whole.h5",), code=2)
    sipgpu.refuses("import", file, "--corpus", corpus, names=("--out",), code=2)
    sipgpu.refuses("import", file, "--format", "onnx", "--out", out, names=("onnx", "keras"), code=2)
    sipgpu.refuses("import", file, "--corpus", corpus, "--padding", "left", "--out", out, names=("left",), code=2)
    sipgpu.refuses("import", file, "--corpus", corpus, "--padding", "mask", "--out", out, names=("Masking",))
    sipgpu.refuses("import", file, "--corpus", corpus, "--out", tmp_path / "no" / "m.h5", names=("cannot write",),
                   alone=False)
    sipgpu.ok("import", file, "--corpus", corpus, "--padding", "pre", "--out", out)
    with h5py.File(out) as f:
        assert f.attrs["padding"] == b"pre"
    before = out.read_bytes()
    sipgpu.refuses("import", file, "--corpus", corpus, "--out", out, names=("--force",))
    assert out.read_bytes() == before


def test_a_pair_wants_both_halves(sipgpu: Sipgpu, exported: Path, tmp_path: Path) -> None:
    shutil.copy(exported / "m.weights.h5", tmp_path)
    sipgpu.refuses("import", tmp_path / "m.weights.h5", "--out", tmp_path / "out.h5", names=("m.weights.h5", "m.json"))
    (tmp_path / "m.json").write_text("[]", encoding="utf-8")
    sipgpu.refuses("import", tmp_path / "m.weights.h5", "--out", tmp_path / "out.h5", names=("m.json", "JSON"))


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "whole.h5"])
def test_damaged_files(sipgpu: Sipgpu, corpus: Path, exported: Path, tmp_path: Path, name: str) -> None:
    """Cut anywhere, and bits flipped where the structure is: one line, or a model, and never a crash.

    An archive has checksums, so every flip in its members is found; plain HDF5 has none.
    """
    rng = random.Random(name)
    good = (exported / name).read_bytes()
    if name == "m.weights.h5":
        shutil.copy(exported / "m.json", tmp_path)
    bad, out = tmp_path / name, tmp_path / "out.h5"
    for round_ in range(40):
        data = bytearray(good)
        if round_ % 4 == 0:
            del data[rng.randrange(len(data)):]
        else:
            for _ in range(rng.choice([1, 3])):
                data[rng.randrange(min(len(data), 6000))] ^= 1 << rng.randrange(8)
        bad.write_bytes(data)
        result = sipgpu("import", bad, "--corpus", corpus, "--out", out, "--quiet")
        assert result.code in (0, 1), (round_, result.err)
        if result.code == 0:
            assert round_ % 4 and name != "m.keras" or bytes(data) == good, round_
            out.unlink()
        else:
            assert len(result.err.splitlines()) == 1 and str(bad) in result.err, result.err
        assert not list(tmp_path.glob("out*"))
