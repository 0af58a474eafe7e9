"""HTTP/2 frames (RFC 9113), as much of them as a gRPC client needs. Bytes in, bytes out.

Header blocks are literals without indexing (RFC 7541, 6.2.2), so the same block serves
every request and no table has to be kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 3, 4, 6, 7, 8, 9,
)  # fmt: skip
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
INITIAL_WINDOW = 65_535
INITIAL_FRAME_SIZE = 16_384
LARGEST_WINDOW = (1 << 31) - 1
HEAD_SIZE = 9
SETTING = {
    "header_table_size": 1,
    "max_concurrent_streams": 3,
    "initial_window_size": 4,
    "max_frame_size": 5,
}

_HEAD = Struct(">BHBBL")  # length in 3 bytes, type, flags, stream
_SETTING = Struct(">HL")
_UNRESERVED = (1 << 31) - 1

Frame = tuple[int, int, int, int, int]  # type, flags, stream, where its payload starts and ends


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame."""
    size = len(payload)
    return _HEAD.pack(size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def split(data: bytes) -> tuple[list[Frame], int]:
    """The whole frames at the start of `data`, and where the first that is not whole
    starts."""
    frames: list[Frame] = []
    add, unpack, size, place = frames.append, _HEAD.unpack_from, len(data), 0
    while size - place >= HEAD_SIZE:
        high, low, kind, flags, stream = unpack(data, place)
        start = place + HEAD_SIZE
        end = start + (high << 16) + low
        if end > size:
            break
        add((kind, flags, stream & _UNRESERVED, start, end))
        place = end
    return frames, place


def unpadded(flags: int, payload: bytes) -> bytes:
    """The payload of a DATA or HEADERS frame without padding and priority. Raises
    ValueError when the padding is longer than the payload."""
    start, end = 0, len(payload)
    if flags & PADDED:
        if not payload:
            raise ValueError("a padded frame without its padding's length")
        start, end = 1, end - payload[0]
    if flags & PRIORITY:
        start += 5
    if start > end:
        raise ValueError("a frame shorter than its padding")
    return payload[start:end]


def settings(**values: int) -> bytes:
    """A SETTINGS frame; names as in RFC 9113, lower case."""
    pairs = (_SETTING.pack(SETTING[name], value) for name, value in values.items())
    return frame(SETTINGS, 0, 0, b"".join(pairs))


def settings_in(payload: bytes) -> dict[int, int]:
    """Numbers and values of a SETTINGS frame; of one given twice, the last."""
    return dict(_SETTING.iter_unpack(payload))


def window_update(stream: int, amount: int) -> bytes:
    """Lets the other side send `amount` more bytes."""
    return frame(WINDOW_UPDATE, 0, stream, amount.to_bytes(4, "big"))


def number_in(payload: bytes) -> int:
    """The 31 bits that a WINDOW_UPDATE or GOAWAY starts with."""
    return int.from_bytes(payload[:4], "big") & _UNRESERVED


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


def grpc_headers(path: str, authority: str, scheme: str = "http") -> bytes:
    """What opens a unary gRPC call. scheme: https where the connection is TLS."""
    return header_block(
        [
            (":method", "POST"),
            (":scheme", scheme),
            (":path", path),
            (":authority", authority),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]
    )


def grpc_message(payload: bytes) -> bytes:
    """A message with gRPC's five-byte prefix, not compressed."""
    return b"\x00" + len(payload).to_bytes(4, "big") + payload
