#!/usr/bin/env python3
"""Writes what the fuzz targets start from: a folder of inputs and, for some, a dictionary for each target.

    tests/fuzz/make_seeds.py FOLDER      FOLDER/<target>/<number>, FOLDER/<target>.dict

Everything is generated here: messages, packets, streams, captures, edits of files.  What the bytes of a target
mean stands at the top of its source.
"""

from __future__ import annotations

import gzip
import socket
import struct
import sys
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

Seeds = dict[str, list[bytes]]

# ---- SIP text ----


def request(method: str, **changes: str) -> bytes:
    headers = {"Via": "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776", "Max-Forwards": "70",
               "From": "\"A\" <sip:alice@example.com>;tag=1928", "To": "<sip:bob@example.com>",
               "Call-ID": "a84b4c76e66710@192.0.2.1", "CSeq": f"314159 {method}",
               "Contact": "<sip:alice@192.0.2.1>", "Content-Length": "0", **changes}
    lines = [f"{method} sip:bob@example.com SIP/2.0"] + [f"{k}: {v}" for k, v in headers.items() if v is not None]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def response(code: object, method: str = "INVITE", **changes: str) -> bytes:
    text = request(method, To="<sip:bob@example.com>;tag=a6c8", **changes)
    return f"SIP/2.0 {code} Text\r\n".encode() + text.split(b"\r\n", 1)[1]


def with_body(message: bytes, body: bytes, length: str | None = None) -> bytes:
    value = length if length is not None else str(len(body))
    return message.replace(b"Content-Length: 0", b"Content-Length: " + value.encode()) + body


SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\n"
INVITE = request("INVITE")
COMPACT = (b"INVITE sip:bob@example.com SIP/2.0\r\nv: SIP/2.0/TCP h;branch=z9hG4bK1\r\nf: <sip:a@h>;tag=1\r\n"
           b"t: sip:b@h\r\ni: x@h\r\nCSeq: 1 INVITE\r\nl: 4\r\n\r\nbody")


def sip_messages() -> list[bytes]:
    methods = "INVITE ACK BYE CANCEL REGISTER OPTIONS PRACK SUBSCRIBE NOTIFY PUBLISH INFO REFER MESSAGE UPDATE FOO"
    found = [request(m) for m in methods.split()]
    found += [response(c) for c in (100, 180, 183, 200, 302, 401, 404, 487, 503, 603, 20, "000", 999, 9999)]
    found += [with_body(INVITE, SDP), COMPACT, COMPACT * 3, INVITE + response(100) + request("ACK")]
    found += [with_body(INVITE, b"x" * 10, n) for n in ("-1", "4294967296", "100000000000000", "10\r\nl: 4", "")]
    found += [INVITE.replace(b"\r\n", b"\n"), INVITE[:-4], INVITE[:40], INVITE.replace(b": ", b" : "),
              INVITE.replace(b"From: ", b"From:\r\n\t"), INVITE.replace(b"Call-ID: a84", b"Call-ID: %n\"\x00{"),
              b"\r\n\r\n" + INVITE, b"junk\r\n" + INVITE, response("200  OK"), INVITE.lower(),
              INVITE.replace(b"SIP/2.0\r", b"SIP/3.0\r"), INVITE.replace(b"INVITE", b"I" * 1024),
              b"NOTIFY * HTTP/1.1\r\nHost: 239.255.255.250:1900\r\n\r\n", b"\x40\x00\x00\x10" + INVITE, b"hello",
              b"\r\n\r\n", b"\x00" * 4, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"]
    found += [request("INVITE", CSeq=value) for value in ("2147483648 INVITE", "-1 INVITE", "x", "1 BYE", "")]
    found += [request("INVITE", **{"Call-ID": value}) for value in ("", "a" * 2048, "a\r\nCall-ID: b", "\xff\xfe")]
    found += [request("SUBSCRIBE", Event="presence", Expires="3600"),
              request("NOTIFY", **{"Subscription-State": "terminated;reason=x", "User-Agent": "x \x1b[2J"})]
    return found


# ---- events of the tracker: two bytes of limits, ten bytes an event ----

METHODS = "INVITE ACK BYE CANCEL REGISTER SUBSCRIBE NOTIFY UPDATE OPTIONS REFER FOO".split()
CODES = (100, 180, 200, 202, 302, 401, 404, 487, 503, 20, 999)


def event(what: object, method: str = "INVITE", sequence: int = 1, tags: int = 5, call: int = 1, wait: int = 1,
          times: int = 1) -> bytes:
    kind = 1 + 2 * CODES.index(what) if isinstance(what, int) else 0
    name = METHODS.index(method if isinstance(what, int) else what)
    return bytes((name, kind, sequence * 8 + sequence % 8, tags, call, 1, wait, times, 0x21, 1))


def tracker_events() -> list[bytes]:
    call = event("INVITE") + event(100) + event(180) + event(200) + event("ACK")
    end = event("BYE", sequence=2) + event(200, "BYE", 2) + event("BYE", sequence=2, wait=3)
    refused = event("INVITE") + event(401) + event("ACK") + event("INVITE", sequence=2) + event(200)
    cancelled = event("INVITE") + event(180) + event("CANCEL") + event(200, "CANCEL") + event(487) + event("ACK")
    guessing = b"".join(event("REGISTER", sequence=n) + event(401, "REGISTER", n) for n in range(1, 20))
    flood = b"".join(event("INVITE", call=n) for n in range(64))
    others = event("SUBSCRIBE") + event(202, "SUBSCRIBE") + event("NOTIFY", sequence=2) + event("REFER", call=3)
    late = event("INVITE", wait=4, times=3) + event(200, wait=10) + event("BYE", wait=5) + event("ACK", wait=11)
    return [limits + flow for limits in (b"\x00\x10", b"\x3f\xff")
            for flow in (call + end, refused, cancelled, guessing, flood, others, late, call + flood + end)]


# ---- packets ----


def checksum(data: bytes) -> int:
    words = sum(struct.unpack(f"!{len(data) // 2}H", data[:len(data) // 2 * 2]))
    return ~((words & 0xffff) + (words >> 16)) & 0xffff


def ipv4(payload: bytes, protocol: int = 17, fragment: int = 0, number: int = 7, total: int | None = None) -> bytes:
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, total or 20 + len(payload), number, fragment, 64, protocol, 0,
                       socket.inet_aton("192.0.2.1"), socket.inet_aton("198.51.100.2"))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(payload: bytes, following: int = 17) -> bytes:
    return struct.pack("!IHBB16s16s", 6 << 28, len(payload), following, 64, b"\x20\x01" + b"\x00" * 13 + b"\x01",
                       b"\x20\x01" + b"\x00" * 13 + b"\x02") + payload


def udp(payload: bytes, source: int = 5060, target: int = 5060, length: int | None = None) -> bytes:
    return struct.pack("!HHHH", source, target, length if length is not None else 8 + len(payload), 0) + payload


def tcp(payload: bytes, sequence: int, flags: int = 0x18, offset: int = 5) -> bytes:
    return struct.pack("!HHIIBBHHH", 40000, 5060, sequence & 0xffffffff, 1, offset << 4, flags, 65535, 0, 0) + payload


def ethernet(payload: bytes, kind: int = 0x0800, tags: tuple[int, ...] = ()) -> bytes:
    return b"\x02" * 12 + b"".join(struct.pack("!HH", tag, 7) for tag in tags) + struct.pack("!H", kind) + payload


def fragments(payload: bytes, cut: int = 160) -> list[bytes]:
    return [ipv4(payload[:cut], fragment=0x2000), ipv4(payload[cut:2 * cut], fragment=0x2000 | cut // 8),
            ipv4(payload[2 * cut:], fragment=2 * cut // 8)]


ETHERNET, RAW, SLL, SLL2, NULL, PPP = range(6)


def packets() -> list[tuple[int, list[bytes]]]:
    plain = ipv4(udp(INVITE))
    six = ipv6(udp(INVITE))
    stream = with_body(INVITE, SDP) + response(200)
    segments = [tcp(b"", 99, 2)] + [tcp(stream[i:i + 100], 100 + i) for i in range(0, len(stream), 100)]
    pieces = fragments(udp(with_body(INVITE, SDP)))
    gre = struct.pack("!HH", 0, 0x0800) + plain
    return [
        (ETHERNET, [ethernet(plain)]), (ETHERNET, [ethernet(six, 0x86dd)]),
        (ETHERNET, [ethernet(plain, tags=(0x8100,)), ethernet(plain, tags=(0x88a8, 0x8100)),
                    ethernet(plain, tags=(0x8100,) * 5)]),
        (ETHERNET, [ethernet(b"\x11\x00\x00\x01" + struct.pack("!HH", len(plain) + 2, 0x21) + plain, 0x8864)]),
        (RAW, pieces), (RAW, pieces[::-1]), (RAW, [pieces[0], pieces[0], pieces[2]]),
        (RAW, [ipv4(plain, 4), ipv4(six, 41), ipv4(gre, 47), ipv4(struct.pack("!HHI", 0x2000, 0x800, 1) + plain, 47)]),
        (RAW, [ipv6(struct.pack("!BB6x", 17, 0) + udp(INVITE), 0), ipv6(struct.pack("!BB6x", 0, 0) * 9, 0),
               ipv6(struct.pack("!BBHI", 17, 0, 1, 5) + udp(INVITE), 44)]),
        (RAW, [ipv4(segment, 6) for segment in segments]), (RAW, [ipv4(segment, 6) for segment in segments[::-1]]),
        (RAW, [ipv4(b"\x03\x03\x00\x00\x00\x00\x00\x00" + plain, 1), ipv4(udp(INVITE, length=0)),
               ipv4(udp(INVITE, length=7)), ipv4(udp(INVITE, length=9999)), ipv4(udp(INVITE), total=10),
               ipv4(udp(INVITE), total=9999), ipv4(tcp(INVITE, 1, offset=4), 6), ipv4(tcp(INVITE, 1, offset=15), 6),
               b"\x41" + plain[1:], plain[:19], b"", plain[:30]]),
        (RAW, [ipv4(udp(hep3(), 9060, 9060)), ipv4(udp(hep1(2), 9060, 9060))]),
        (SLL, [struct.pack("!HHHQH", 0, 1, 6, 0, 0x0800) + plain]),
        (SLL2, [struct.pack("!HHIHBBQ", 0x0800, 0, 1, 1, 0, 6, 0) + plain]),
        (NULL, [struct.pack("<I", 2) + plain, struct.pack(">I", 30) + six]),
        (PPP, [b"\xff\x03\x00\x21" + plain, b"\x00\x57" + six]),
    ]


def packet_seeds() -> list[bytes]:
    return [bytes((link,)) + b"".join(struct.pack("!H", len(p)) + p for p in some) for link, some in packets()]


def tcp_steps() -> list[bytes]:
    """Five bytes (stream and flags, sequence, length, tens of microseconds) and the data."""

    def step(data: bytes, sequence: int, flags: int = 0, stream: int = 0) -> bytes:
        return struct.pack("!BHBB", stream << 5 | flags, sequence, len(data), 1) + data

    def cut(data: bytes, size: int, first: int = 0) -> list[bytes]:
        return [step(data[i:i + size], first + i) for i in range(0, len(data), size)]

    stream = with_body(INVITE, SDP) + request("ACK", **{"Content-Length": None}) + request("BYE")
    hundred, one = cut(stream, 100), cut(COMPACT, 1)
    return [b"".join(hundred), b"".join(hundred[::-1]), b"".join(one), step(b"", 0, 2) + b"".join(cut(stream, 200, 1)),
            b"".join(hundred[2:]), b"".join(hundred[:2] + hundred[3:]), b"".join(a + a for a in hundred),
            b"".join(cut(stream, 100) + cut(stream.upper(), 70)), b"".join(cut(b"\r\n\r\n" + COMPACT * 5, 250)),
            b"".join(cut(b"GET / HTTP/1.1\r\n\r\n" + INVITE, 90)), b"".join(cut(hep3() + hep3(), 60)),
            step(COMPACT, 0) + step(b"", len(COMPACT), 1) + step(COMPACT, 500, 4, 3),
            b"".join(step(COMPACT[:50], 9, stream=n) for n in range(8))]


# ---- HEP ----


def chunk(kind: int, data: bytes, vendor: int = 0, length: int | None = None) -> bytes:
    return struct.pack("!HHH", vendor, kind, 6 + len(data) if length is None else length) + data


def hep3(*more: bytes, payload: bytes = INVITE, kind: int = 15, family: int = 2) -> bytes:
    width = 4 if family == 2 else 16
    chunks = b"".join((chunk(1, bytes((family,))), chunk(2, b"\x11"), chunk(3 if family == 2 else 5, b"\x0a" * width),
                       chunk(4 if family == 2 else 6, b"\x0b" * width), chunk(7, b"\x13\xc4"), chunk(8, b"\x13\xc5"),
                       chunk(9, b"\x6a\x00\x00\x00"), chunk(10, b"\x00\x00\x00\x05"), chunk(11, b"\x01"),
                       chunk(12, b"\x00\x00\x00\x07"), *more, chunk(kind, payload)))
    return b"HEP3" + struct.pack("!H", 6 + len(chunks)) + chunks


def hep1(version: int) -> bytes:
    head = struct.pack("!BBBBHH4s4s", version, 16 if version == 1 else 28, 2, 17, 5060, 5061, b"\x0a" * 4, b"\x0b" * 4)
    return head + (struct.pack("<IIHxx", 1700000000, 5, 7) if version == 2 else b"") + INVITE


def hep_seeds() -> list[bytes]:
    bomb = zlib.compress(b"INVITE " * 20000)
    return [hep3(), hep3(family=10), hep3(chunk(14, b"key")), hep3(chunk(18, b"\x00\x07"), chunk(19, b"node")),
            hep3(kind=16, payload=zlib.compress(INVITE)), hep3(kind=16, payload=gzip.compress(INVITE, mtime=0)),
            hep3(kind=16, payload=bomb), hep3(chunk(1, b"vendor", 99)), hep3(chunk(19, b"", length=0)),
            hep3(chunk(19, b"", length=5)), hep3(chunk(19, b"", length=65535)), hep3(payload=hep3()),
            hep3() + hep3(), hep3() + b"trailing", hep3()[:50], b"HEP3\x00\x00", hep1(1), hep1(2), hep1(2)[:20]]


# ---- capture files ----


def pcap(some: list[bytes], link: int, order: str = "<", magic: int = 0xa1b2c3d4) -> bytes:
    file = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for i, packet in enumerate(some):
        file += struct.pack(order + "IIII", 1700000000 + i, 5, len(packet), len(packet)) + packet
    return file


def block(kind: int, body: bytes) -> bytes:
    body += b"\x00" * (-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def pcapng(some: list[bytes], link: int, links: int = 1) -> bytes:
    file = block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, 1, 0, -1))
    for n in range(links):
        file += block(1, struct.pack("<HHI", link + n, 0, 65535) + struct.pack("<HHB3xHH", 9, 1, 6 + 3 * n, 0, 0))
    for i, packet in enumerate(some):
        file += block(6, struct.pack("<IIIII", 0, 0x60000, i, len(packet), len(packet)) + packet)
    return file


def pcapng_seeds() -> list[bytes]:
    numbers = {ETHERNET: 1, RAW: 101, SLL: 113, SLL2: 276, NULL: 0, PPP: 9}
    found = [pcap(some, numbers[link]) for link, some in packets()]
    raw = [ipv4(udp(INVITE)), ipv4(udp(response(200)))]
    return found + [pcap(raw, 101, ">"), pcap(raw, 101, "<", 0xa1b23c4d), pcap(raw, 147), pcap(raw, 101)[:-9],
                    pcapng(raw, 101), pcapng(raw, 101, 2), gzip.compress(pcap(raw, 101), mtime=0), b"", b"\xd4\xc3"]


# ---- configurations and files ----


def config_seeds() -> list[bytes]:
    found = [path.read_bytes() for path in sorted((ROOT / "configs").glob("*.ini"))]
    lines = ["[model]\nlayers = 2\ndropout = 0.5\n", "[train]\nseed = 9e15\nbeta1=0.9 ; c\n", "[engine]\nthreads=-1",
             "[train]\nepochs = 1\n epochs = 2\n", "[data]\ncorpus = \"a b\"", "[x]\ny = z", "model.units=8",
             "engine.device=cuda:1", "data.corpus=a ;b", "[model]\nunits = 99999999999999999999\n", "[model",
             "\xef\xbb\xbf[model]\r\nunits : 8\r\n", "[train]\nlearning_rate = nan\n", "=", "[]\n=\n"]
    return found + [line.encode("latin-1") for line in lines]


def config_dictionary() -> list[bytes]:
    words = {b"[", b"]", b"=", b";", b"true", b"false", b"auto", b"1e308", b"-1", b"0x10"}
    for text in config_seeds():
        words.update(word for word in text.split() if word.isascii() and len(word) < 30)
    return sorted(words)


def edits() -> list[bytes]:
    """Kind of edit, object, and what it takes; objects are numbered in the targets."""
    number = struct.Struct("!BBBBQ")
    values = [bytes((0, n)) + b"\x00\x00\x02\xff\xff" for n in range(30)]
    shapes = [bytes((2, n, kind, 1, 3, 0)) + b"\x01\x01" for n in (1, 3, 5, 10) for kind in (0, 2, 5, 7, 12, 19)]
    large = [bytes((2, n, 4, 2, 246, 246, 0)) for n in range(1, 14)]
    links = [bytes((3, n, n + 1, kind)) for n in (1, 3, 5, 9) for kind in range(5)]
    gone = [bytes((4, 0, n)) for n in range(12)]
    numbers = [number.pack(6, 0, n, 0, value) for n in range(12) for value in (0, 2, 1 << 16, 1 << 63)]
    texts = [bytes((5, 0, n, kind, 1, 5)) + b"paper" for n in range(4) for kind in (18, 19, 6)]
    return values + shapes + large + links + gone + numbers + texts + [values[3] + links[2] + numbers[5]]


def sipm_edits() -> list[bytes]:
    """A file and what to set in it: one word of the table, the spec or the small sections at a time."""
    def edit(at: int, kind: int, value: int) -> bytes:
        return at.to_bytes(3, "little") + bytes((kind,)) + value.to_bytes(4, "little")

    words = [bytes((at // 4 % 6,)) + edit(at, 10, value) for at in range(24, 2400, 4) for value in (0, 4, 6)]
    cuts = [bytes((file,)) + edit(0, 4, size) for file in range(6) for size in (1, 31, 200, 900, 3000)]
    return [bytes((file + flags,)) for file in range(6) for flags in (0, 8, 16, 128)] + words + cuts


SIP_WORDS = [b"SIP/2.0", b"Call-ID:", b"CSeq:", b"Via:", b"From:", b"To:", b"Content-Length:", b";tag=", b";branch=",
             b"z9hG4bK", b"\r\n\r\n", b"\r\n ", b"\r\n\t", b"sip:", b"sips:", b"<", b">", b"\"", b"INVITE ", b"ACK ",
             b"Subscription-State:", b"terminated", b"Expires:", b"Event:", b"\r\ni:", b"\r\nl:", b"\r\nv:", b"%00"]


def all_seeds() -> tuple[Seeds, Seeds]:
    seeds = {"fuzz_sip_message": sip_messages(), "fuzz_tracker": tracker_events(), "fuzz_packet": packet_seeds(),
             "fuzz_tcp": tcp_steps(), "fuzz_hep": hep_seeds(), "fuzz_pcapng": pcapng_seeds(),
             "fuzz_config": config_seeds(), "fuzz_corpus": [b"", *edits()], "fuzz_model": [b"", *edits()],
             "fuzz_record": [b"", *edits()],
             "fuzz_sipm": sipm_edits()}
    dictionaries = {"fuzz_sip_message": SIP_WORDS, "fuzz_tcp": SIP_WORDS, "fuzz_config": config_dictionary()}
    return seeds, dictionaries


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: make_seeds.py FOLDER")
    folder = Path(sys.argv[1])
    seeds, dictionaries = all_seeds()
    for target, inputs in seeds.items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(inputs):
            (folder / target / f"{number:03}").write_bytes(data)
    for target, words in dictionaries.items():
        text = "".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in words)
        (folder / f"{target}.dict").write_text(text, encoding="ascii")


if __name__ == "__main__":
    main()
