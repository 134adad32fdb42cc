"""A real SIP server in front: kamailio's siptrace sends HEP to `sipgpu watch` while sipp calls, registers and attacks.

The model is trained here, on what siptrace sent of normal traffic.  Everything is on loopback and on free ports; no
privileges are needed.  Skipped where kamailio (package kamailio) or sipp (sip-tester) is not installed.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from conftest import ROOT, Sipgpu, settings

HERE = Path(__file__).with_name("kamailio")
SIPTRACE = ROOT / "configs/examples/kamailio-siptrace.cfg"
MODULE_FOLDERS = ("/usr/lib/x86_64-linux-gnu/kamailio/modules", "/usr/lib/kamailio/modules",
                  "/usr/lib64/kamailio/modules", "/usr/local/lib/kamailio/modules")
KEY = "s3cret"  # as in the example configuration
CALLS = 12
CALLER, ATTACKER = "127.0.0.1", "127.0.0.3"


def find_program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def free_port(address: str = "127.0.0.1") -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((address, 0))
        return s.getsockname()[1]


def wait_until(what: Callable[[], Any], seconds: float, why: str) -> Any:
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, why
        time.sleep(0.05)
    return found


class Proxy:
    """kamailio as registrar and proxy, and a callee behind it; siptrace sends HEP to `hep_port`."""

    def __init__(self, folder: Path, hep_port: int, version: int):
        self.folder, self.port, self.callee_port = folder, free_port(), free_port()
        folder.mkdir()
        trace = SIPTRACE.read_text(encoding="utf-8").replace("192.0.2.10:9060", f"127.0.0.1:{hep_port}")
        self.write("siptrace.cfg", trace.replace('"hep_version", 3', f'"hep_version", {version}'))
        text = (HERE / "kamailio.cfg").read_text(encoding="utf-8")
        modules = next(path for path in MODULE_FOLDERS if Path(path).is_dir())
        for word, value in (("SIP_PORT", self.port), ("MODULES", modules), ("FOLDER", folder)):
            text = text.replace(f"@{word}@", str(value))
        self.write("kamailio.cfg", text)
        self.processes = [
            self.start("kamailio", find_program("kamailio"), "-f", folder / "kamailio.cfg", "-DD", "-E", "-m", 32,
                       "-M", 4, "-Y", folder, "-w", folder),
            self.start("callee", find_program("sipp"), "-sf", HERE / "callee.xml", "-i", "127.0.0.1", "-p",
                       self.callee_port, "-nostdin")]
        wait_until(self.answers, 10, f"kamailio does not answer: {self.log('kamailio')}")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")[-2000:]

    def start(self, name: str, *words: Any) -> subprocess.Popen[bytes]:
        with open(self.folder / f"{name}.log", "wb") as log:
            return subprocess.Popen([str(word) for word in words], cwd=self.folder, stdin=subprocess.DEVNULL,
                                    stdout=log, stderr=subprocess.STDOUT)

    def answers(self) -> bool:
        """Whether the port of kamailio is taken; nothing is sent, so that no trace of it is left."""
        for process in self.processes:
            assert process.poll() is None, self.log("kamailio") + self.log("callee")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            try:
                s.bind(("127.0.0.1", self.port))
            except OSError:
                return True
        return False

    def sipp(self, scenario: str, calls: int, *words: Any, address: str = CALLER) -> None:
        command = [find_program("sipp"), "-sf", HERE / f"{scenario}.xml", "-i", address, "-p", free_port(address),
                   "-m", calls, "-r", 25, "-timeout", 20, "-nostdin", *words, f"127.0.0.1:{self.port}"]
        done = subprocess.run([str(word) for word in command], cwd=self.folder, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=40, check=False)
        assert done.returncode == 0, f"{scenario}: {done.stdout[-1500:]}{done.stderr[-500:]}"

    def normal_traffic(self) -> None:
        self.sipp("register", CALLS, "-s", "alice", "-set", "callee", self.callee_port)
        self.sipp("call", CALLS, "-s", "alice")
        self.sipp("refused", CALLS)
        self.sipp("options", CALLS)

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int, int], Proxy]]:
    """proxy(hep_port, version) is a running one, stopped at the end."""
    for name, package in (("kamailio", "kamailio"), ("sipp", "sip-tester")):
        if not find_program(name):
            pytest.skip(f"{name} is not installed (package {package})")
    if not any(Path(path).is_dir() for path in MODULE_FOLDERS):
        pytest.skip("kamailio's modules are in none of the known folders")
    started: list[Proxy] = []

    def start(hep_port: int, version: int) -> Proxy:
        started.append(Proxy(tmp_path_factory.mktemp("kamailio") / "run", hep_port, version))
        return started[-1]

    yield start
    for one in started:
        one.stop()


# ---- a corpus and a model from HEP ----


def record(sink: socket.socket, path: Path) -> int:
    """Writes the datagrams that wait at the socket as a capture of raw IP packets; returns how many there were."""
    count = 0
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))
        while True:
            try:
                data, (address, port) = sink.recvfrom(65535, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return count
            udp = struct.pack("!HHHH", port, sink.getsockname()[1], 8 + len(data), 0) + data
            ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), count & 0xffff, 0, 64, 17, 0,
                             socket.inet_aton(address), socket.inet_aton("127.0.0.1"))
            packet, now = ip + udp, time.time_ns() // 1000
            out.write(struct.pack("<IIII", now // 1000000, now % 1000000, len(packet), len(packet)) + packet)
            count += 1


@pytest.fixture(scope="module")
def model(sipgpu: Sipgpu, proxy: Callable[[int, int], Proxy], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the normal traffic as siptrace reports it."""
    folder = tmp_path_factory.mktemp("hep")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        sink.bind(("127.0.0.1", 0))
        server = proxy(sink.getsockname()[1], 3)
        server.normal_traffic()
        time.sleep(0.3)
        server.stop()
        assert record(sink, folder / "hep.pcap") >= CALLS * (4 + 13 + 4 + 2)
    told = sipgpu.ok("corpus", "import", "--pcap", folder / "hep.pcap", "--retransmissions", "collapse", "--types", 32,
                     "--out", folder / "hep.h5").err
    assert f"{4 * CALLS} dialogs" in told, told
    sipgpu.ok("train", "--quiet", "--corpus", folder / "hep.h5", "--out", folder / "run",
              *settings(model__units=24, train__epochs=150, train__batch_size=16, train__learning_rate=0.005))
    return folder / "run/model.h5"


# ---- watching ----


def alerts(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def reasons(path: Path) -> set[str]:
    return {alert["anomaly"]["reason"] for alert in alerts(path)}


def watch(sipgpu: Sipgpu, model: Path, port: int, eve: Path, *words: Any) -> subprocess.Popen[str]:
    """`sipgpu watch` once it listens.  Everybody has the same address here: only guessing is looked for by source."""
    process = sipgpu.start("watch", "--model", model, "-L", f"udp:127.0.0.1:{port}", "--hep-allow", "127.0.0.1",
                           "--eve", eve, "--quiet-s", 0, "--flood", 0, "--scan", 0, "--enumeration", 0, "--half-open",
                           0, "--json", *words)

    def listens() -> bool:
        assert process.poll() is None, process.communicate()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                return True
        return False

    wait_until(listens, 10, "watch does not listen")
    return process


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.mark.parametrize("version", (3, 1))
def test_normal_traffic_is_quiet_and_attacks_are_not(sipgpu: Sipgpu, proxy: Callable[[int, int], Proxy], model: Path,
                                                     tmp_path: Path, children: list[subprocess.Popen[str]],
                                                     version: int) -> None:
    port, eve = free_port(), tmp_path / "eve.json"
    process = watch(sipgpu, model, port, eve, *(("--hep-key", KEY) if version == 3 else ()))
    children.append(process)
    server = proxy(port, version)

    server.normal_traffic()
    time.sleep(0.5)
    assert alerts(eve) == []

    server.sipp("guess", 1, address=ATTACKER)
    server.sipp("stray", CALLS, address=ATTACKER)
    wanted = {"sequence", "guessing", "stray"}
    wait_until(lambda: wanted <= reasons(eve), 10, f"alerts of {wanted} wanted, {reasons(eve)} were raised")
    server.stop()
    summary = finish(process)

    found = {reason: [a for a in alerts(eve) if a["anomaly"]["reason"] == reason] for reason in wanted}
    assert {alert["source"]["ip"] for alert in found["guessing"]} == {ATTACKER}
    assert len(found["stray"]) == CALLS
    for alert in found["stray"]:
        assert (alert["src_ip"], alert["sip"]["seq"]) == (ATTACKER, ["ACK"])
    assert ["REGISTER", "401"] * 2 in [alert["sip"]["seq"][:4] for alert in found["sequence"]]
    assert summary["verdicts"]["known"] == 4 * CALLS
    assert summary["verdicts"]["abnormal"] == 1 + CALLS
    assert summary["capture"]["hep_messages"] == summary["capture"]["hep_packets"] == summary["messages"]


def test_another_key_is_refused(sipgpu: Sipgpu, proxy: Callable[[int, int], Proxy], model: Path, tmp_path: Path,
                                children: list[subprocess.Popen[str]]) -> None:
    port, eve = free_port(), tmp_path / "eve.json"
    process = watch(sipgpu, model, port, eve, "--hep-key", "another")
    children.append(process)
    server = proxy(port, 3)
    server.sipp("stray", 3, address=ATTACKER)
    time.sleep(0.3)
    server.stop()
    summary = finish(process)
    assert alerts(eve) == [] and summary["messages"] == 0
    assert summary["capture"]["hep_wrong_key"] == summary["capture"]["hep_packets"] == 3
