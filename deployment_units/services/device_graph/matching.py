"""Matching: on which device a browser is that was seen. Pure.

The same address at about the same time, and the same instant of booting: then the browser is on
the device. How well the instants have to agree follows from how well each is known, and from how
far clocks drift between the two times at which they were read. Where a second device could be
meant, nobody is: a power cut has all of a house boot within seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from deployment_units.services.device_graph.evidence import (
    WRAP_MS,
    BootInstant,
    BootSource,
    NoBoot,
)

DELAY_MS: Final = 50  # by which one was longer on its way than the other
DRIFT_PPM: Final = 50  # of a quartz
MOST_TOLERANCE_MS: Final = 1_000  # beyond it instants say nothing any more
GUARD: Final = 4  # so many tolerances a second device has to be away
LEAST_GUARD_MS: Final = 250
SESSION_MS: Final = 24 * 3_600_000  # how long a device is taken to be where it was


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A device as it was last reported. block: its address, or the /64 of it; server: the address
    of ours to which it came."""

    device: str
    block: str
    server: str
    boot: BootInstant


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that was seen. boot: or why it tells none."""

    browser: str
    block: str
    server: str
    boot: BootInstant | NoBoot
    seen_ms: int


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Why a browser is on a device: how far their instants are apart, how far they may be, by which
    sources, and how long the one was read before or after the other."""

    apart_ms: int
    tolerance_ms: int
    browser_source: BootSource
    device_source: BootSource
    gap_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    device: str
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambiguous:
    """Two devices or more, in order of their ids."""

    devices: tuple[str, ...]


class NoMatch(StrEnum):
    """Why no device is meant."""

    NO_BOOT = "the browser does not tell when its device booted"
    NOT_HERE = "no device was reported from that address lately"
    TOO_LONG_AGO = "what was reported from that address is too long ago to be compared"
    NONE_AGREES = "no device at that address booted then"


Decision = Linked | Ambiguous | NoMatch


def word_of(decision: Decision) -> str:
    """For counting: linked, ambiguous, no_boot, not_here, too_long_ago or none_agrees."""
    if isinstance(decision, NoMatch):
        return decision.name.lower()
    return "linked" if isinstance(decision, Linked) else "ambiguous"


def match(observation: Observation, sessions: Iterable[Session]) -> Decision:
    """sessions: of devices, perhaps several of one; those at other addresses are left out."""
    boot = observation.boot
    if isinstance(boot, NoBoot):
        return NoMatch.NO_BOOT
    # Of each device the session that says most: how far apart, how far they may be, and how long
    # between them.
    best: dict[str, tuple[int, int, int, Session]] = {}
    here = lately = False
    # Hundreds of devices may be at one address: in the loop nothing is called.
    seen_ms, block, by_tcp = boot.seen_ms, observation.block, boot.source is BootSource.TCP
    own_ms = boot.plus_minus_ms + DELAY_MS
    for session in sessions:
        other = session.boot
        gap_ms = seen_ms - other.seen_ms
        if gap_ms < 0:
            gap_ms = -gap_ms
        if gap_ms > SESSION_MS or session.block != block:
            continue
        here = True
        tolerance_ms = own_ms + other.plus_minus_ms + gap_ms * DRIFT_PPM // 1_000_000
        if tolerance_ms > MOST_TOLERANCE_MS:
            continue
        lately = True
        wraps = by_tcp or other.source is BootSource.TCP  # uptimes do not
        # Lines of TCP timestamps are shifted by whom the device connects to.
        if by_tcp and other.source is BootSource.TCP and observation.server != session.server:
            continue
        apart = boot.ms - other.ms
        if wraps:
            apart %= WRAP_MS
            if apart > WRAP_MS - apart:
                apart = WRAP_MS - apart
        elif apart < 0:
            apart = -apart
        known = best.get(session.device)
        if known is None or apart * known[1] < known[0] * tolerance_ms:
            best[session.device] = apart, tolerance_ms, gap_ms, session
    if not any(apart <= tolerance for apart, tolerance, _, _ in best.values()):
        if not here:
            return NoMatch.NOT_HERE
        return NoMatch.NONE_AGREES if lately else NoMatch.TOO_LONG_AGO
    near = [
        device
        for device, (apart, tolerance, _, _) in best.items()
        if apart <= max(GUARD * tolerance, LEAST_GUARD_MS)
    ]
    if len(near) > 1:
        return Ambiguous(devices=tuple(sorted(near)))
    apart, tolerance_ms, gap_ms, session = best[near[0]]
    evidence = Evidence(
        apart_ms=apart,
        tolerance_ms=tolerance_ms,
        browser_source=boot.source,
        device_source=session.boot.source,
        gap_ms=gap_ms,
    )
    return Linked(device=near[0], evidence=evidence)
