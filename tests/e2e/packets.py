"""Writes SIP dialogs, HEP packets and pcap files: what the tests feed to the program, made by hand.

A dialog is a script of message types, a request by its method, a response by its code:

    call("a@host", "INVITE 100 180 200 ACK <BYE 200", start=10.0)

The caller sends requests and the callee answers the last of them; "<BYE" is sent by the callee, "200/BYE" answers the
last BYE.  Times are microseconds since 1970.
"""
from __future__ import annotations

import gzip
import ipaddress
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Iterable

Address = tuple[str, int]

CALLER: Address = ("192.0.2.1", 5060)
CALLEE: Address = ("198.51.100.7", 5060)
EPOCH = 1_767_323_000  # seconds; 2026-01-02

REASONS = {100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 202: "Accepted", 401: "Unauthorized",
           404: "Not Found", 407: "Proxy Authentication Required", 481: "Call/Transaction Does Not Exist",
           486: "Busy Here", 487: "Request Terminated"}


@dataclass(frozen=True)
class Message:
    """One SIP message on its way."""

    time: int
    source: Address
    destination: Address
    data: bytes

    def later(self, seconds: float) -> Message:
        return replace(self, time=self.time + round(1e6 * seconds))

    def edited(self, old: bytes, new: bytes) -> Message:
        assert old in self.data
        return replace(self, data=self.data.replace(old, new))


# ---- SIP ----


@dataclass
class Transaction:
    """A request that may be answered."""

    method: str
    cseq: int
    branch: str
    by_caller: bool


class _Writer:
    """Keeps what the messages of one dialog have in common."""

    def __init__(self, call_id: str, caller: Address, callee: Address, user: str):
        self.call_id, self.caller, self.callee, self.user = call_id, caller, callee, user
        self.key = f"{abs(hash_of(call_id)):x}"
        self.cseq = {True: 0, False: 100}
        self.open: list[Transaction] = []
        self.to_tag = ""
        self.answered = False

    def headers(self, t: Transaction, to_tag: str) -> list[str]:
        caller, callee = f"<sip:caller@{self.caller[0]}>;tag=f{self.key}", f"<sip:{self.user}@{self.callee[0]}>"
        callee += f";tag={to_tag}" if to_tag else ""
        via = self.caller if t.by_caller else self.callee
        return [f"Via: SIP/2.0/UDP {via[0]}:{via[1]};branch={t.branch}",
                f"From: {caller if t.by_caller else callee}", f"To: {callee if t.by_caller else caller}",
                f"Call-ID: {self.call_id}", f"CSeq: {t.cseq} {t.method}"]

    def request(self, method: str, by_caller: bool) -> bytes:
        last = self.last("INVITE" if method in ("ACK", "CANCEL") else method)
        if method in ("ACK", "CANCEL") and last:
            number, keep = last.cseq, method == "CANCEL" or not self.answered
        else:
            self.cseq[by_caller] += 1
            number, keep, last = self.cseq[by_caller], False, None
        branch = last.branch if keep and last else f"z9hG4bK{self.key}{method}{number}"
        t = Transaction(method, number, branch, by_caller)
        if method != "ACK":
            self.open.append(t)
        inside = self.to_tag if self.answered or method == "ACK" or not by_caller else ""
        lines = [f"{method} sip:{self.user}@{self.callee[0]} SIP/2.0", *self.headers(t, inside), "Max-Forwards: 70"]
        return ("\r\n".join(lines) + "\r\nContent-Length: 0\r\n\r\n").encode()

    def last(self, method: str) -> Transaction | None:
        return next((t for t in reversed(self.open) if t.method == method), None)

    def response(self, code: int, method: str) -> tuple[bytes, bool]:
        t = self.last(method) if method else (self.open[-1] if self.open else None)
        t = t or Transaction(method or "INVITE", 1, "z9hG4bKnone", True)
        if code > 100:
            self.to_tag = self.to_tag or f"t{self.key}"
        self.answered |= t.method == "INVITE" and 200 <= code < 300
        lines = [f"SIP/2.0 {code} {REASONS.get(code, 'Whatever')}", *self.headers(t, self.to_tag if code > 100 else "")]
        return ("\r\n".join(lines) + "\r\nContent-Length: 0\r\n\r\n").encode(), not t.by_caller


def hash_of(text: str) -> int:
    """The same in every run, unlike hash()."""
    value = 1469598103934665603
    for byte in text.encode():
        value = (value ^ byte) * 1099511628211 % 2**40
    return value


def call(call_id: str, script: str, start: float = 0, step: float = 0.1, caller: Address = CALLER,
         callee: Address = CALLEE, user: str = "bob") -> list[Message]:
    """The messages of one dialog; `start` in seconds after EPOCH, `step` seconds between messages."""
    writer, messages = _Writer(call_id, caller, callee, user), []
    for number, word in enumerate(script.split()):
        name, _, method = word.lstrip("<").partition("/")
        if name.isdigit():
            data, by_caller = writer.response(int(name), method)
        else:
            by_caller = not word.startswith("<")
            data = writer.request(name, by_caller)
        time = EPOCH * 1_000_000 + round(1e6 * (start + step * number))
        messages.append(Message(time, *((caller, callee) if by_caller else (callee, caller)), data))
    return messages


def types(script: str) -> list[str]:
    """What a script reads as: method or code."""
    return [word.lstrip("<").partition("/")[0] for word in script.split()]


def calls(*dialogs: list[Message]) -> list[Message]:
    """All messages in order of time."""
    return sorted((m for dialog in dialogs for m in dialog), key=lambda m: m.time)


# ---- packets ----


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def ip(source: str, destination: str, protocol: int, payload: bytes) -> bytes:
    a, b = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    if a.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + a.packed + b.packed + payload
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0) + a.packed + b.packed
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def udp(source: Address, destination: Address, data: bytes) -> bytes:
    """An IP packet; without UDP checksum."""
    return ip(source[0], destination[0], 17, struct.pack("!HHHH", source[1], destination[1], 8 + len(data), 0) + data)


def tcp(source: Address, destination: Address, sequence: int, data: bytes, flags: int = 0x18) -> bytes:
    header = struct.pack("!HHIIBBHHH", source[1], destination[1], sequence % 2**32, 1, 5 << 4, flags, 65535, 0, 0)
    return ip(source[0], destination[0], 6, header + data)


def ethernet(packet: bytes, tags: Iterable[int] = ()) -> bytes:
    frame = b"\2\0\0\0\0\1\2\0\0\0\0\2"
    frame += b"".join(struct.pack("!HH", 0x8100, tag) for tag in tags)
    return frame + (b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\0") + packet


# ---- pcap ----

LINK_ETHERNET, LINK_RAW = 1, 101
Record = tuple[int, bytes]


def pcap_head(link: int = LINK_ETHERNET, snap: int = 262144) -> bytes:
    return struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, snap, link)


def record(time: int, frame: bytes) -> bytes:
    return struct.pack("<IIII", time // 1_000_000, time % 1_000_000, len(frame), len(frame)) + frame


def frames(messages: Iterable[Message]) -> list[Record]:
    return [(m.time, ethernet(udp(m.source, m.destination, m.data))) for m in messages]


def pcap_bytes(records: Iterable[Record], link: int = LINK_ETHERNET) -> bytes:
    return pcap_head(link) + b"".join(record(time, frame) for time, frame in records)


def write_pcap(path: Path, messages: Iterable[Message]) -> Path:
    """Each message as a UDP datagram in an Ethernet frame; gzipped where the name ends in .gz."""
    return write_records(path, frames(messages))


def write_records(path: Path, records: Iterable[Record], link: int = LINK_ETHERNET) -> Path:
    data = pcap_bytes(records, link)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def pcapng(path: Path, links: list[int], records: Iterable[tuple[int, int, bytes]]) -> Path:
    """A pcapng file with one interface a link type; records are (interface, time, frame)."""

    def block(kind: int, body: bytes) -> bytes:
        body += b"\0" * (-len(body) % 4)
        return struct.pack("<II", kind, 12 + len(body)) + body + struct.pack("<I", 12 + len(body))

    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    for link in links:
        out += block(1, struct.pack("<HHI", link, 0, 262144))
    for interface, time, frame in records:
        out += block(6, struct.pack("<IIIII", interface, time >> 32, time % 2**32, len(frame), len(frame)) + frame)
    path.write_bytes(out)
    return path


# ---- HEP ----


def hep3(message: Message, key: bytes = b"", protocol: int = 17) -> bytes:
    """A message as kamailio and others send it."""

    def chunk(kind: int, data: bytes) -> bytes:
        return struct.pack("!HHH", 0, kind, 6 + len(data)) + data

    a, b = (ipaddress.ip_address(side[0]) for side in (message.source, message.destination))
    six = a.version == 6
    body = chunk(1, bytes([10 if six else 2])) + chunk(2, bytes([protocol]))
    body += chunk(5 if six else 3, a.packed) + chunk(6 if six else 4, b.packed)
    body += chunk(7, struct.pack("!H", message.source[1])) + chunk(8, struct.pack("!H", message.destination[1]))
    body += chunk(9, struct.pack("!I", message.time // 1_000_000)) + chunk(10,
                                                                           struct.pack("!I", message.time % 1_000_000))
    body += chunk(11, b"\1") + chunk(12, struct.pack("!I", 228)) + (chunk(14, key) if key else b"")
    body += chunk(15, message.data)
    return b"HEP3" + struct.pack("!H", 6 + len(body)) + body


# ---- many, quickly ----


class Template:
    """A dialog whose packets are made by filling in numbers: some 10^6 messages a second."""

    NUMBER = "9876543210"

    def __init__(self, script: str, step: float = 0.01):
        self.packets = []
        for m in call(f"{self.NUMBER}@mass", script, 0, step, caller=("10.99.88.77", 5060)):
            frame = ethernet(udp(m.source, m.destination, m.data))
            pattern = frame.replace(b"%", b"%%").replace(self.NUMBER.encode(), b"%b")
            self.packets.append((m.time - EPOCH * 1_000_000, len(frame), pattern, pattern.count(b"%b")))

    def records(self, number: int, source: int, start: int) -> Iterable[tuple[int, bytes]]:
        """Dialog number `number`, of caller number `source`, from `start` microseconds after EPOCH."""
        digits = b"%010d" % number
        address = bytes([10, source >> 16 & 255, source >> 8 & 255, source & 255])
        for offset, length, pattern, holes in self.packets:
            frame = (pattern % ((digits,) * holes)).replace(b"\x0a\x63\x58\x4d", address, 1)
            time = start + offset
            yield time, struct.pack("<IIII", EPOCH + time // 1_000_000, time % 1_000_000, length, length) + frame


def write_many(out: BinaryIO, templates: list[Template], count: int, spacing: int,
               one_source: bool = False) -> int:
    """`count` dialogs of the templates in turn, one begun each `spacing` microseconds; returns the messages."""
    out.write(pcap_head())
    pending: list[tuple[int, bytes]] = []
    messages, block = 0, 1000
    for first in range(0, count, block):
        for n in range(first, min(first + block, count)):
            pending += templates[n % len(templates)].records(n, 1 if one_source else n, n * spacing)
        pending.sort(key=lambda item: item[0])
        horizon = (first + block) * spacing
        ready = [data for time, data in pending if time < horizon or first + block >= count]
        out.write(b"".join(ready))
        messages += len(ready)
        pending = pending[len(ready):]
    return messages
