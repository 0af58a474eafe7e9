"""Evidence: when a device booted, as far as what it sent tells. Pure.

There are two sources. TCP timestamps (RFC 7323) of connections to one address: a kernel counts
them in ms, so their value taken from the time of arrival is one instant for as long as it runs;
Linux shifts them, by the pair of addresses or by the connection, as `tcp_timestamps` and its
version say. So they are taken only where two connections agree: a shift by the pair of addresses
is the same for all that the device connects to here, one by the connection leaves nothing to go
by. And the uptime that the app on the device says itself.

Instants by TCP are modulo 2^32 ms, as the timestamps are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

WRAP_MS: Final = 1 << 32
AGREE_MS: Final = 100  # connections of one kernel differ by how long they were on their way
MOST_STAMPS: Final = 16
MAX_UPTIME_MS: Final = 10 * 366 * 86_400_000
READ_MS: Final = 5  # how well an uptime is read


class BootSource(StrEnum):
    """Where an instant is from."""

    TCP = "tcp"
    UPTIME = "uptime"


class NoBoot(StrEnum):
    """Why there is no instant."""

    NOTHING = "no timestamp came"
    ONE_CONNECTION = "timestamps of one connection tell nothing: it may be shifted by itself"
    NO_LINE = "the timestamps of a connection do not count milliseconds"
    DISAGREE = "connections do not agree: each is shifted by itself"


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpStamp:
    """One timestamp. connection: tells those of a device apart; value: TSval, 0 to 2^32 - 1;
    seen_ms: when it came, Unix ms."""

    connection: int
    value: int
    seen_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Uptime:
    """What an app says: for how long its device has run, sleep counted; seen_ms: when it came."""

    uptime_ms: int
    seen_ms: int


class BootInstant(msgspec.Struct, frozen=True, kw_only=True):
    """When the device booted, Unix ms ± plus_minus_ms; by TCP modulo 2^32 and perhaps shifted, and
    then the same only for what comes to the same address of ours. seen_ms: when that was so."""

    ms: int
    plus_minus_ms: int
    source: BootSource
    seen_ms: int


def boot_of(came: Uptime | Sequence[TcpStamp]) -> BootInstant | NoBoot:
    """The instant, or why there is none. Stamps: to one address of ours, MOST_STAMPS at most."""
    if isinstance(came, Uptime):
        return BootInstant(
            ms=came.seen_ms - came.uptime_ms,
            plus_minus_ms=READ_MS,
            source=BootSource.UPTIME,
            seen_ms=came.seen_ms,
        )
    if not came:
        return NoBoot.NOTHING
    by_connection: dict[int, list[TcpStamp]] = defaultdict(list)
    for stamp in came:
        by_connection[stamp.connection].append(stamp)
    starts = []
    for stamps in by_connection.values():
        start, length = stretch([(stamp.seen_ms - stamp.value) for stamp in stamps])
        if length > AGREE_MS:
            return NoBoot.NO_LINE
        starts.append(start)
    if len(starts) < 2:
        return NoBoot.ONE_CONNECTION
    first, apart = stretch(starts)
    if apart > AGREE_MS:
        return NoBoot.DISAGREE
    return BootInstant(
        ms=first,  # whatever took longer was on its way longer
        plus_minus_ms=apart + 1,
        source=BootSource.TCP,
        seen_ms=max(stamp.seen_ms for stamp in came),
    )


def apart_ms(one: int, other: int) -> int:
    """How far two instants are from each other, modulo 2^32 ms.

    >>> apart_ms(3, WRAP_MS - 4), apart_ms(WRAP_MS + 10, 4)
    (7, 6)
    """
    difference = (one - other) % WRAP_MS
    return min(difference, WRAP_MS - difference)


def stretch(instants: Sequence[int]) -> tuple[int, int]:
    """The shortest stretch modulo 2^32 ms that holds all of them, one at least: where it begins,
    and how long it is.

    >>> stretch([5, WRAP_MS - 3, 1])
    (4294967293, 8)
    """
    if len(instants) == 1:
        return instants[0] % WRAP_MS, 0
    ordered = sorted({one % WRAP_MS for one in instants})
    # It begins behind the longest gap.
    gaps = [(one - ordered[at - 1]) % WRAP_MS for at, one in enumerate(ordered)]
    first = gaps.index(max(gaps))
    return ordered[first], (ordered[first - 1] - ordered[first]) % WRAP_MS
