"""The timestamp in a SYN, in every shape of header."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.device_graph.syn_header import timestamp_of

VALUES = st.integers(0, (1 << 32) - 1)


def ipv4(tcp: bytes, options: bytes = b"") -> bytes:
    return struct.pack(
        ">BBHHHBBH4s4s", 0x40 | (5 + len(options) // 4), 0, 20 + len(options) + len(tcp), 1, 0, 64,
        socket.IPPROTO_TCP, 0, bytes(4), bytes(4),
    ) + options + tcp  # fmt: skip


def ipv6(tcp: bytes, extension: bytes = b"") -> bytes:
    kind = 0 if extension else socket.IPPROTO_TCP
    return (
        struct.pack(">IHBB", 6 << 28, len(extension + tcp), kind, 64) + bytes(32) + extension + tcp
    )


def tcp(options: bytes) -> bytes:
    padded = options + bytes(-len(options) % 4)
    return struct.pack(
        ">HHIIBBHHH", 40_000, 443, 1, 0, (5 + len(padded) // 4) << 4, 2, 64_240, 0, 0
    ) + padded  # fmt: skip


def timestamps(value: int) -> bytes:
    return struct.pack(">BBII", 8, 10, value, 0)


@given(VALUES)
def test_as_linux_and_others_order_their_options(value: int) -> None:
    mss, sack, scale, nothing = b"\x02\x04\x05\xb4", b"\x04\x02", b"\x03\x03\x07", b"\x01"
    for options in (
        mss + sack + timestamps(value) + nothing + scale,
        mss + nothing + scale + nothing + nothing + timestamps(value) + sack + b"\x00\x00",
        timestamps(value),
    ):
        assert timestamp_of(ipv4(tcp(options))) == value
        assert timestamp_of(ipv4(tcp(options), options=bytes(4))) == value
        assert timestamp_of(ipv6(tcp(options))) == value
        hop_by_hop = bytes([socket.IPPROTO_TCP, 0]) + bytes(6)
        assert timestamp_of(ipv6(tcp(options), extension=hop_by_hop)) == value


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\x45",
        ipv4(b""),
        ipv4(tcp(b"\x02\x04\x05\xb4")),  # none: Windows sends none unless it is told to
        ipv4(tcp(b"\x00" + timestamps(7))),  # behind the end
        ipv4(tcp(b"\x08\x0b" + bytes(9))),
        ipv4(tcp(b"\x05\x00\x08\x0a")),
        ipv4(tcp(timestamps(7)))[:-8],
        ipv6(b"", extension=bytes([0, 255]) + bytes(6)),
    ],
)
def test_what_has_none(header: bytes) -> None:
    assert timestamp_of(header) is None


@given(st.binary(max_size=120))
def test_whatever_it_is_ends(header: bytes) -> None:
    found = timestamp_of(header)
    assert found is None or 0 <= found < 1 << 32
