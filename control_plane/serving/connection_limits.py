"""ConnectionLimits: how many connections whom may have, and how long they may say nothing; and
which of those that stand have to go.

Pure. An address is an IPv4 address or an IPv6 /64, which is what one customer has (RFC 6177).
Where there are too many, those go that are of the least use, of whom there are most: those that
never made a call, then those that have been silent for long. One that is in use goes last.
So a flood from one address takes nothing from others, and who comes from there gets in as well.
"""

from __future__ import annotations

import ipaddress
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

GREETING_BYTES: Final = 33  # the preface of HTTP/2 and the smallest SETTINGS frame
FLOOD_BYTES: Final = 512  # with more, and no message among it, it is no client that has just come
TLS_FLOOD_BYTES: Final = 4_096  # the same, where a handshake with a certificate is among it
CALL_BYTES: Final = 128  # less than what a client has sent that has made a call
YOUNG_S: Final = 1.0  # such a connection may not have come to its first call
IN_USE_S: Final = 45.0  # a client with calls has answered a PING by then
PROXY_SHARE: Final = 10  # a trusted proxy may have as many connections as so many addresses
IPV6_NETWORK: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Of one server. 0 connections: no such limit. Times in s. handshakes: of TLS, at once; of
    more, those that have taken longest are given up."""

    per_address: int = 1_000
    overall: int = 0
    spare_descriptors: int = 128  # of the process: for the store, files and health
    greeting_s: float = 10.0
    idle_s: float = 300.0
    streams: int = 0  # of one connection at once; 0: as the transport can bear
    first_message_s: float = 10.0
    handshake_s: float = 10.0
    handshakes: int = 1_024


class Reason(StrEnum):
    """Why a connection is closed."""

    SILENT = "did not say what they want in time"
    IDLE = "idle"
    ADDRESS = "too many from one address"
    OVERALL = "too many in all"
    WASTED = "began too many calls and gave them up, or sent them no message"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenConnection:
    """One connection. key: whatever its owner knows it by; group: from `group_of`; received:
    bytes; silent_s: since the last of them."""

    key: int
    group: str
    proxy: bool
    age_s: float
    silent_s: float
    received: int


def group_of(address: str) -> str:
    """Whose address counts as whose: IPv6 by its /64, IPv4 (mapped or not) by itself.

    >>> group_of("2001:db8:0:1::7"), group_of("::ffff:192.0.2.1")
    ('2001:db8:0:1::/64', '192.0.2.1')
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, IPV6_NETWORK), strict=False))


def to_close(
    connections: Sequence[OpenConnection], limits: ConnectionLimits, *, most: int
) -> Iterator[tuple[OpenConnection, Reason]]:
    """Each that has to go, once. most: what the process has descriptors for, or the limit
    overall."""
    groups: dict[str, list[OpenConnection]] = defaultdict(list)
    for one in connections:
        if one.received < GREETING_BYTES and one.age_s > limits.greeting_s:
            yield one, Reason.SILENT
        elif one.silent_s > limits.idle_s:
            yield one, Reason.IDLE
        else:
            groups[one.group].append(one)
    for group, members in groups.items():
        bound = limits.per_address * (PROXY_SHARE if members[0].proxy else 1)
        if bound and len(members) > bound:
            members.sort(key=_worth)
            excess = len(members) - bound
            for one in members[:excess]:
                yield one, Reason.ADDRESS
            groups[group] = members[excess:]
    for one in _beyond(groups.values(), most):
        yield one, Reason.OVERALL


def _beyond(groups: Iterable[list[OpenConnection]], most: int) -> Iterator[OpenConnection]:
    """Those beyond `most`, of the largest groups."""
    by_size = [sorted(members, key=_worth, reverse=True) for members in groups if members]
    excess = sum(map(len, by_size)) - most
    if excess <= 0:
        return
    # The size that groups are cut down to: the largest at which few enough are left.
    sizes = Counter(map(len, by_size))
    level, wide = max(sizes), 0
    while level > 0 and excess > 0:
        wide += sizes[level]  # groups that are larger than level - 1
        excess -= wide
        level -= 1
    kept = -excess  # so many groups keep one more than `level`
    for members in by_size:
        if len(members) <= level:
            continue
        allowed = level
        if kept > 0:
            allowed, kept = level + 1, kept - 1
        yield from members[allowed:]


def _worth(one: OpenConnection) -> tuple[int, float]:
    """Those of the least use come first: of which no call came in time; that have called, and
    been silent since; that have only just come; that are in use."""
    if one.received < CALL_BYTES:
        rank = 2 if one.age_s < YOUNG_S else 0
    else:
        rank = 3 if one.silent_s < IN_USE_S else 1
    return rank, -one.silent_s
