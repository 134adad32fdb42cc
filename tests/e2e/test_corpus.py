"""The corpus commands from outside: what they write is read by h5py and counted again."""
import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest

from sip_rules import is_legal

ROOT = Path(__file__).resolve().parents[2]
SIPGPU = os.environ.get("SIPGPU", str(ROOT / "build/release/sipgpu"))
CAPTURES = ROOT.parent / "shared/captures/open"

PAPER_TYPES = "INVITE ACK BYE CANCEL REGISTER OPTIONS SUBSCRIBE NOTIFY 100 180 183 200 401 407 404 480 486 487".split()


def run(*words, code=0, stdin=None):
    done = subprocess.run([SIPGPU, *map(str, words)], capture_output=True, text=True, input=stdin, timeout=120)
    assert done.returncode == code, done.stderr
    return done


def fails(*words, code=1, part=""):
    done = run(*words, code=code)
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("sipgpu: "), done.stderr
    assert part in lines[0], lines[0]
    assert done.stdout == ""
    return lines[0]


class Corpus:
    def __init__(self, path):
        with h5py.File(path) as f:
            self.attributes = {k: v.decode() if isinstance(v, bytes) else v for k, v in f.attrs.items()}
            self.alphabet = [x.decode() for x in f["alphabet"][:]]
            for group in ("dialogs", "classes"):
                for name, data in f[group].items():
                    setattr(self, f"{group}_{name}", data[:])
            self.split, self.split_seed = f["split"][:], int(f["split"].attrs["seed"])

    def sequence(self, row, length):
        return [self.alphabet[t - 1] for t in row[:length]]

    def dialogs(self):
        return [self.sequence(s, n) for s, n in zip(self.dialogs_sequence, self.dialogs_length)]

    def check(self):
        """Everything the format promises, counted again."""
        s, n, label = self.dialogs_sequence, self.dialogs_length, self.dialogs_label
        assert self.attributes["format"] == "sipgpu-corpus" and self.attributes["version"] == 1
        assert s.dtype == (np.uint8 if len(self.alphabet) < 256 else np.uint16)
        assert n.dtype == np.uint16 and label.dtype == np.int32 and self.split.dtype == np.uint8
        assert s.shape == (len(label), self.attributes["max_length"])
        assert n.min() >= 1 and s.max() <= len(self.alphabet)
        assert np.array_equal(s != 0, np.arange(s.shape[1]) < n[:, None])
        unique, first, counts = np.unique(s, axis=0, return_index=True, return_counts=True)
        order = np.argsort(first)
        assert len(unique) == self.attributes["num_classes"] == len(self.classes_count)
        assert np.array_equal(unique[order], self.classes_sequence)
        assert np.array_equal(counts[order], self.classes_count)
        assert np.array_equal(self.classes_sequence[label], s)
        assert np.array_equal(self.classes_length[label], n)
        assert self.split.max() <= 2 and self.dialogs_user_agent.min() >= 0
        assert np.isfinite(self.dialogs_start_time).all()

    def unseen(self):
        known = np.isin(self.dialogs_label, self.dialogs_label[self.split == 0])
        return [int((~known & (self.split == k)).sum()) for k in (1, 2)]


def synth(path, *words):
    run("corpus", "synth", "--out", path, *words)
    return Corpus(path)


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    path = tmp_path_factory.mktemp("paper") / "paper.h5"
    synth(path, "--preset", "paper", "--seed", 11)
    return path


@pytest.fixture()
def small(tmp_path):
    path = tmp_path / "small.h5"
    synth(path, "--preset", "small")
    return path


# ---- synthesis ----


def test_preset_paper_has_every_published_figure(paper):
    c = Corpus(paper)
    c.check()
    assert c.alphabet == PAPER_TYPES
    assert len(c.dialogs_label) == 18782
    assert len(np.unique(c.dialogs_user_agent)) == 249
    assert len(c.classes_count) == 1492 and (c.classes_count == 1).sum() == 988
    assert len(np.unique(c.dialogs_sequence)) == 19  # 18 types and the padding
    assert c.dialogs_length.max() == 56 == c.attributes["max_length"]
    assert np.bincount(c.split).tolist() == [9331, 3847, 5604]
    assert c.unseen() == [277, 362]


def test_preset_paper_looks_like_traffic(paper):
    c = Corpus(paper)
    assert 8 <= np.median(c.dialogs_length) <= 12
    common = Counter(" ".join(d) for d in c.dialogs()).most_common(12)
    for natural in ("REGISTER 401 REGISTER 200", "INVITE 407 ACK INVITE 100 180 200 ACK BYE 200",
                    "INVITE 100 180 200 ACK BYE 200", "OPTIONS 200"):
        assert natural in [text for text, _ in common]
    train = c.dialogs_label[c.split == 0]
    rows = np.random.default_rng(1)
    for batch, low, high in ((933, 170, 215), (93, 36, 50)):
        unique = [len(np.unique(rows.choice(train, batch, replace=False))) for _ in range(40)]
        assert low <= np.mean(unique) <= high
    assert (np.diff(c.dialogs_start_time) > 0).all()


@pytest.mark.parametrize("words", [("--preset", "paper"), ("--preset", "small"),
                                   ("--preset", "small", "--set", "synth.message_types=40", "--set",
                                    "synth.unique=1200", "--set", "synth.max_length=80"),
                                   ("--preset", "small", "--set", "synth.message_types=9")])
def test_dialogs_obey_sip(tmp_path, words):
    c = synth(tmp_path / "c.h5", *words, "--seed", 4)
    wrong = [d for d in (c.sequence(s, n) for s, n in zip(c.classes_sequence, c.classes_length)) if not is_legal(d)]
    assert not wrong, "\n".join(" ".join(d) for d in wrong[:10])


@pytest.mark.parametrize("text", [
    "200", "ACK", "BYE 200", "CANCEL 200", "INVITE ACK", "INVITE 100 487 ACK", "INVITE 180 200", "REGISTER 200 200",
    "INVITE 180 200 ACK CANCEL 200", "INVITE 486 ACK BYE 200", "INVITE 486 ACK 180", "OPTIONS 180", "OPTIONS 487",
    "INVITE 200 ACK ACK", "INVITE 200 ACK BYE 200 INVITE 200 ACK", "INVITE INVITE INVITE INVITE INVITE INVITE INVITE "
    "INVITE", "INVITE 100 REGISTER 200", "REGISTER 401 ACK REGISTER 200", "INVITE 100 BYE 200 487 ACK"])
def test_the_rules_refuse_nonsense(text):
    assert not is_legal(text.split())


def test_the_rules_accept_captured_normal_traffic():
    path = CAPTURES / "normal_udp.pcap.truth.seq.tsv"
    if not path.exists():
        pytest.skip("no captures")
    lines = [line.split("\t")[2] for line in path.read_text().splitlines()[1:]]
    legal = sum(is_legal(line.split()) for line in lines)
    assert legal >= 0.97 * len(lines)


def test_same_seed_same_bytes(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        synth(tmp_path / name, "--preset", "small", "--seed", seed, "--set", "synth.call_id=true")
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b and a != c


def test_configuration_file_and_dump(tmp_path):
    dump = run("corpus", "synth", "--preset", "small", "--set", "synth.dialogs=500", "--dump-config").stdout
    config = tmp_path / "synth.ini"
    config.write_text(dump)
    c = synth(tmp_path / "c.h5", "--config", config, "--set", "synth.user_agents=3")
    assert len(c.dialogs_label) == 500 and len(np.unique(c.dialogs_user_agent)) == 3
    c.check()


# ---- splits ----


def philox(counter, key):
    """Philox4x32-10 of Salmon et al. (SC 2011)."""
    c, (k0, k1) = list(counter), key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k0, p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ k1, p0 & 0xFFFFFFFF]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c


def draw_split(seed, sizes):
    """Fisher and Yates over the stream (seed, purpose 4, step 0), as split.h says."""
    stream = iter(w for block in range(1 << 32)
                  for w in philox((block & 0xFFFFFFFF, block >> 32, 0, 4), (seed & 0xFFFFFFFF, seed >> 32)))
    total, order = sum(sizes), list(range(sum(sizes)))
    for i in range(sizes[0] + sizes[1]):
        n = total - i
        m = next(stream) * n
        while m & 0xFFFFFFFF < n and m & 0xFFFFFFFF < (1 << 32) % n:
            m = next(stream) * n
        j = i + (m >> 32)
        order[i], order[j] = order[j], order[i]
    split = np.full(total, 2, np.uint8)
    split[order[:sizes[0]]] = 0
    split[order[sizes[0]:sizes[0] + sizes[1]]] = 1
    return split


def test_the_split_is_a_function_of_its_seed(paper, tmp_path):
    c = Corpus(paper)
    assert np.array_equal(c.split, draw_split(c.split_seed, (9331, 3847, 5604)))
    run("corpus", "split", paper, "--out", tmp_path / "same.h5", "--sizes", "9331,3847,5604", "--seed", c.split_seed)
    same = Corpus(tmp_path / "same.h5")
    assert np.array_equal(same.split, c.split) and np.array_equal(same.dialogs_label, c.dialogs_label)
    run("corpus", "split", paper, "--out", tmp_path / "found.h5", "--sizes", "9331,3847,5604", "--seed", 11,
        "--unseen", "277,362")
    assert Corpus(tmp_path / "found.h5").split_seed == c.split_seed
    run("corpus", "split", paper, "--out", tmp_path / "other.h5", "--train", 0.8, "--validation", 0.1, "--test", 0.1)
    other = Corpus(tmp_path / "other.h5")
    other.check()
    assert np.bincount(other.split).tolist() == [15026, 1878, 1878] and other.split_seed == 1


def test_split_errors(small, tmp_path):
    out = tmp_path / "out.h5"
    fails("corpus", "split", small, "--out", out, "--sizes", "1,2,3", part="sum to 6")
    fails("corpus", "split", small, "--out", out, "--sizes", "1,2", code=2, part="3 whole numbers")
    fails("corpus", "split", small, "--out", out, "--train", 0.9, part="sum to")
    fails("corpus", "split", small, "--out", out, "--unseen", "380,570", "--tries", 100, part="nearest")
    fails("corpus", "split", "--out", out, code=2, part="needs CORPUS")
    fails("corpus", "split", small, code=2, part="--out")
    assert os.listdir(tmp_path) == ["small.h5"]


# ---- description ----


def test_info_counts_as_h5py_does(paper):
    c, j = Corpus(paper), json.loads(run("corpus", "info", paper, "--json").stdout)
    assert (j["dialogs"], j["user_agents"], j["unique"], j["once"]) == (18782, 249, 1492, 988)
    assert j["messages"] == int(c.dialogs_length.sum()) and j["length"]["median"] == np.median(c.dialogs_length)
    used = Counter(m for d in c.dialogs() for m in d)
    assert {t["name"]: t["messages"] for t in j["alphabet"]} == used
    assert [j["split"][k]["unseen"] for k in ("train", "validation", "test")] == [0, 277, 362]
    assert round(j["split"]["validation"]["ceiling"], 4) == 0.9280 and round(j["split"]["test"]["ceiling"], 4) == 0.9354
    assert j["split"]["seed"] == c.split_seed
    for bins, values in (("lengths", c.classes_length), ("multiplicities", c.classes_count)):
        for b in j[bins]:
            inside = (values >= b["from"]) & (values <= b["to"])
            assert b["classes"] == inside.sum() and b["dialogs"] == c.classes_count[inside].sum()
    assert j["batch"]["rows"] == 933 and j["batch"]["row_steps"] == 52248
    assert 4.5 < j["batch"]["factor"] < 6.5


def test_info_measures_the_trie(small):
    c = Corpus(small)
    j = json.loads(run("corpus", "info", small, "--json", "--batch", 950).stdout)  # the whole of train
    rows = c.dialogs_sequence[c.split == 0]
    nodes = sum(len(np.unique(rows[:, :t + 1], axis=0)) for t in range(rows.shape[1]))
    assert j["batch"]["nodes"] == nodes and j["batch"]["unique"] == len(np.unique(rows, axis=0))


def test_info_as_text(paper):
    text = run("corpus", "info", paper, "--paper").stdout
    for part in ("18782", "988 (66.22%)", "66.23%", "277 (7.20%)", "362 (6.46%)", "92.80%", "93.54%", "INVITE"):
        assert part in text


# ---- files that are not what they should be ----


def damage_version(f):
    f.attrs.modify("version", 9)


def damage_token(f):
    f["dialogs/sequence"][5, 0] = 200


def damage_padding(f):
    f["dialogs/length"][5] += 1


def damage_label(f):
    f["dialogs/label"][7] = 150


def damage_rank(f):
    del f["split"]
    f["split"] = np.zeros((1900, 1), np.uint8)


def damage_type(f):
    del f["dialogs/label"]
    f["dialogs/label"] = np.zeros(1900, np.float32)


def damage_soft_link(f):
    f.move("split", "elsewhere")
    f["split"] = h5py.SoftLink("/elsewhere")


def damage_external_link(f):
    del f["split"]
    f["split"] = h5py.ExternalLink("other.h5", "/split")


def damage_group(f):
    del f["dialogs"]


@pytest.mark.parametrize("damage, part", [
    (damage_version, "version 9"), (damage_token, "/dialogs/sequence row 5"), (damage_padding, "padding disagrees"),
    (damage_label, "/dialogs/label row 7 is 150"), (damage_rank, "2 dimensions"), (damage_type, "wrong type"),
    (damage_soft_link, "links are not followed"), (damage_external_link, "links are not followed"),
    (damage_group, "/dialogs/label")])
def test_bad_files_get_one_line(small, damage, part):
    with h5py.File(small, "r+") as f:
        damage(f)
    for words in (("info", small), ("info", small, "--json"), ("split", small, "--out", small.parent / "x.h5")):
        assert str(small) in fails("corpus", *words, part=part)
    assert os.listdir(small.parent) == ["small.h5"]


def test_damaged_data_is_found(small):
    """A changed byte in any stored chunk shows in its checksum."""
    good = small.read_bytes()
    with h5py.File(small) as f:
        names = []
        f.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        places = [(name, f[name].id.get_chunk_info(0)) for name in names]
    assert len(places) == 10
    for name, chunk in places:
        bad = bytearray(good)
        bad[chunk.byte_offset + chunk.size // 2] ^= 0x10
        small.write_bytes(bad)
        fails("corpus", "info", small, part="/" + name)


def test_cut_and_foreign_files(small, tmp_path):
    good = small.read_bytes()
    for size in (0, 100, len(good) // 2, len(good) - 1):
        small.write_bytes(good[:size])
        fails("corpus", "info", small)
    fails("corpus", "info", tmp_path / "absent.h5", part="No such file")
    fails("corpus", "info", tmp_path, part="is a folder")


def test_usage(small, tmp_path):
    fails("corpus", "info", code=2, part="needs CORPUS")
    fails("corpus", "info", small, small, code=2, part="unexpected word")
    fails("corpus", "synth", code=2, part="--out")
    fails("corpus", "synth", "--out", tmp_path / "x", "--set", "synth.dialog=3", code=2, part="synth.dialogs?")
    fails("corpus", "synth", "--out", small, part="--force")
    fails("corpus", "synth", "--out", tmp_path / "no/such/folder.h5", "--preset", "small", part="cannot write")
    fails("corpus", "synth", "--out", tmp_path / "x", "--set", "synth.unique=20000", part="synth.unique")
    for command in ("synth", "import", "info", "split"):
        assert "usage: sipgpu corpus " + command in run("corpus", command, "--help").stdout
    run("corpus", "synth", "--preset", "small", "--out", small, "--force", "-q")
    assert os.listdir(tmp_path) == ["small.h5"]


# ---- import ----


def truth_files():
    return sorted(p for p in CAPTURES.glob("*.truth.tsv")) if CAPTURES.exists() else []


@pytest.mark.parametrize("path", truth_files() or [None], ids=lambda p: p.name if p else "none")
def test_imports_what_tshark_read(path, tmp_path):
    if path is None:
        pytest.skip("no captures")
    out = tmp_path / "c.h5"
    run("corpus", "import", path, "--out", out, "--order", "file")
    c = Corpus(out)
    c.check()
    lines = path.with_name(path.name.replace(".truth.tsv", ".truth.seq.tsv")).read_text().splitlines()[1:]
    want = {call: sequence.split() for call, _, sequence in (line.split("\t") for line in lines)}
    got = dict(zip((x.decode() for x in c.dialogs_call_id), c.dialogs()))
    assert got == want
    # By time, only dialogs whose packets were captured out of order differ.
    note = run("corpus", "import", path, "--out", out, "--force").stderr
    c = Corpus(out)
    changed = sum(want[x.decode()] != d for x, d in zip(c.dialogs_call_id, c.dialogs()))
    assert changed == 0 if "order of time" not in note else f"{changed} dialogs were put in order of time" in note


def test_import_reports_and_splits(tmp_path):
    table = "call_id\ttime\tfrom\tmessage\n" + "".join(
        f"c{i}\t{i}.0\tua{i % 3}\tOPTIONS\nc{i}\t{i}.5\tua{i % 3}\t200\n" for i in range(10)) + "c1\tx\t\tACK\n"
    done = run("corpus", "import", "-", "--out", tmp_path / "c.h5", "--seed", 3, stdin=table)
    assert "1 records skipped (no time), the first is standard input:22: c1" in done.stderr
    c = Corpus(tmp_path / "c.h5")
    c.check()
    assert np.bincount(c.split).tolist() == [5, 2, 3] and c.split_seed == 3
    assert np.array_equal(c.split, draw_split(3, (5, 2, 3)))
    assert c.dialogs_user_agent.tolist() == [i % 3 for i in range(10)]
    assert json.loads(run("corpus", "info", tmp_path / "c.h5", "--json").stdout)["unique"] == 1


def test_import_errors(tmp_path):
    table, out = tmp_path / "t.csv", tmp_path / "c.h5"
    table.write_text("a,b,c\n1,2,3\n")
    fails("corpus", "import", table, "--out", out, part="t.csv:1: no column call_id")
    fails("corpus", "import", table, code=2, part="--out")
    fails("corpus", "import", "--out", out, code=2, part="needs FILE or --pcap FILE")
    fails("corpus", "import", tmp_path / "absent", "--out", out, part="No such file")
    table.write_text("call_id,time,message\nx,1,nothing at all\n".replace("nothing", "9"))
    fails("corpus", "import", table, "--out", out, part="no usable message")
    assert os.listdir(tmp_path) == ["t.csv"]
