"""The TCP timestamp in the header of a SYN, as Linux keeps it of a connection (TCP_SAVED_SYN): the
IP header and the TCP header with its options. Pure. Formats: RFC 791, 8200, 9293, 7323."""

from __future__ import annotations

from typing import Final

MOST_BYTES: Final = 40 + 256 + 60  # IPv6 with extension headers, and TCP with all options
_TCP: Final = 6
_TCP_BYTES: Final = 20
_END, _NOTHING, _TIMESTAMPS, _TIMESTAMPS_BYTES = 0, 1, 8, 10
_EXTENSIONS: Final = frozenset({0, 43, 60})  # hop-by-hop, routing, destination options


def timestamp_of(header: bytes) -> int | None:
    """TSval, 0 to 2^32 - 1; None: there is none, or this is no such header."""
    tcp = _tcp(header)
    if tcp is None or len(tcp) < _TCP_BYTES:
        return None
    options = tcp[_TCP_BYTES : (tcp[12] >> 4) * 4]
    at = 0
    while at < len(options) and options[at] != _END:
        if options[at] == _NOTHING:
            at += 1
            continue
        length = options[at + 1] if at + 1 < len(options) else 0
        if length < 2 or at + length > len(options):
            return None
        if options[at] == _TIMESTAMPS and length == _TIMESTAMPS_BYTES:
            return int.from_bytes(options[at + 2 : at + 6], "big")
        at += length
    return None


def _tcp(header: bytes) -> bytes | None:
    version = header[0] >> 4 if header else 0
    if version == 4 and len(header) >= 20 and header[9] == _TCP:
        return header[(header[0] & 15) * 4 :]
    if version != 6 or len(header) < 40:
        return None
    kind, at = header[6], 40
    while kind in _EXTENSIONS and at + 8 <= len(header):
        kind, at = header[at], at + (header[at + 1] + 1) * 8
    return header[at:] if kind == _TCP else None
