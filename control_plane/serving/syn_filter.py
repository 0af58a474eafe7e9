"""syn_filter: has the kernel drop what opens a connection (TCP's SYN) from some addresses, at a
socket that listens.

A program of classic BPF, which Linux runs for each packet that a socket gets and which takes no
privileges (socket(7), SO_ATTACH_FILTER). Whoever is dropped hears nothing and tries again by
itself, after one second, then two, then four (RFC 6298); connections that stand are not concerned.
Sockets that are accepted inherit the program, and pay for its length; so it is kept short.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import socket
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

MOST: Final = 64  # addresses: 4 KiB of a socket's memory for options, which is at least 20 KiB

SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h; Python names neither
SO_DETACH_FILTER: Final = 27

# linux/bpf_common.h
_LOAD_BYTE, _LOAD_WORD = 0x30, 0x20
_AND, _SHIFT_RIGHT = 0x54, 0x74
_JUMP, _JUMP_EQUAL, _RETURN = 0x05, 0x15, 0x06

_FLAGS = 13  # of the TCP header, where the packet begins for a TCP socket
_SYN, _SYN_ACK = 0x02, 0x12
_NETWORK = 0xFFF0_0000  # SKF_NET_OFF: from here on offsets are those of the IP header
_SOURCE_4, _SOURCE_6 = _NETWORK + 12, _NETWORK + 8
_ALL = 0xFFFF_FFFF  # bytes of the packet that pass


class Instruction(NamedTuple):
    """struct sock_filter: code, how many to skip if it is so, and if not, operand."""

    code: int
    if_so: int
    if_not: int
    operand: int


def program(groups: Sequence[str]) -> list[Instruction]:
    """Drops SYNs from these: IPv4 addresses and IPv6 networks of 64 bits, as `group_of` writes
    them; at most MOST. Raises ValueError for anything else."""
    if len(groups) > MOST:
        raise ValueError(f"{len(groups)} addresses; a filter has {MOST} at most")
    old, new = list[Instruction](), list[Instruction]()
    for group in groups:
        network = ipaddress.ip_network(group)
        first = int(network.network_address)
        if network.version == 4 and network.prefixlen == 32:
            old += [Instruction(_JUMP_EQUAL, 0, 1, first), Instruction(_RETURN, 0, 0, 0)]
        elif network.version == 6 and network.prefixlen == 64:
            new += [
                Instruction(_LOAD_WORD, 0, 0, _SOURCE_6),
                Instruction(_JUMP_EQUAL, 0, 3, first >> 96),
                Instruction(_LOAD_WORD, 0, 0, _SOURCE_6 + 4),
                Instruction(_JUMP_EQUAL, 0, 1, first >> 64 & 0xFFFF_FFFF),
                Instruction(_RETURN, 0, 0, 0),
            ]
        else:
            raise ValueError(f"{group} is neither an IPv4 address nor an IPv6 /64")
    passes = Instruction(_RETURN, 0, 0, _ALL)
    old = [Instruction(_LOAD_WORD, 0, 0, _SOURCE_4), *old, passes]
    return [
        Instruction(_LOAD_BYTE, 0, 0, _FLAGS),
        Instruction(_AND, 0, 0, _SYN_ACK),
        Instruction(_JUMP_EQUAL, 1, 0, _SYN),
        passes,
        Instruction(_LOAD_BYTE, 0, 0, _NETWORK),
        Instruction(_SHIFT_RIGHT, 0, 0, 4),  # the version of IP
        Instruction(_JUMP_EQUAL, 0, 1, 6),
        Instruction(_JUMP, 0, 0, len(old)),
        *old,
        *new,
        passes,
    ]


def attach(fd: int, groups: Sequence[str]) -> None:
    """From now on this listening socket gets no connection from these, and from all others as
    before. Raises OSError where the kernel does not have it."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=fd)
    try:
        if not groups:
            _detach(listening)
            return
        code = b"".join(struct.pack("=HBBI", *one) for one in program(groups))
        held = ctypes.create_string_buffer(code, len(code))  # while the kernel copies it
        described = struct.pack("@HP", len(code) // 8, ctypes.addressof(held))
        listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, described)
    finally:
        listening.detach()


def _detach(listening: socket.socket) -> None:
    with contextlib.suppress(FileNotFoundError):  # there was none
        listening.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
