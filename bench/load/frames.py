"""HTTP/2 frames (RFC 9113), as much of them as a gRPC client needs. Bytes in, bytes out.

Header blocks are literals without indexing (RFC 7541, 6.2.2), so the same block serves
every request and no table has to be kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
INITIAL_WINDOW = 65_535
LARGEST_WINDOW = (1 << 31) - 1

_HEAD = Struct(">BHBBL")  # length in 3 bytes, type, flags, stream


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame."""
    size = len(payload)
    return _HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def settings(**values: int) -> bytes:
    """A SETTINGS frame; names as in RFC 9113, lower case."""
    numbers = {"max_concurrent_streams": 3, "initial_window_size": 4, "max_frame_size": 5}
    payload = b"".join(
        numbers[name].to_bytes(2, "big") + value.to_bytes(4, "big")
        for name, value in values.items()
    )
    return frame(SETTINGS, 0, 0, payload)


def window_update(stream: int, amount: int) -> bytes:
    """Lets the other side send `amount` more bytes."""
    return frame(WINDOW_UPDATE, 0, stream, amount.to_bytes(4, "big"))


def _integer(value: int, bits: int) -> bytes:
    """An HPACK integer with a prefix of `bits` bits (RFC 7541, 5.1)."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([value])
    out = bytearray([limit])
    value -= limit
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def header_block(headers: Iterable[tuple[str, str]]) -> bytes:
    """Headers as literals without indexing, new names, no Huffman coding."""
    out = bytearray()
    for name, value in headers:
        raw = value.encode()
        out += b"\x00" + _integer(len(name), 7) + name.encode() + _integer(len(raw), 7) + raw
    return bytes(out)


def grpc_headers(path: str, authority: str) -> bytes:
    """What opens a unary gRPC call."""
    return header_block(
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", authority),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]
    )


def grpc_message(payload: bytes) -> bytes:
    """A message with gRPC's five-byte prefix, not compressed."""
    return b"\x00" + len(payload).to_bytes(4, "big") + payload
