"""What an attack is told, and what it says when it is over.

An attack is an async function over a Target that tries the same thing again and again until its
time is up. It runs in a process of its own, at the lowest priority: an attacker has a machine of
its own, and what it costs is to be the server's time, not the probe's.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec

CITY, BANK = "city", "bank"  # the tenant under attack, and the attacker's own
VICTIM = "alice"  # a client of the city
SHOP = "shop"  # an attacker's tenant that has a quota of its own
LIMITED_PER_S = 10.0
LIMITED_BURST = 50.0  # control_plane.quotas.limits.BURST_S of it


class Target(msgspec.Struct, kw_only=True):
    """A server and how long to attack it. Tokens by whose they are; they are the attacker's own,
    or what everybody may know. ticket: of the victim's, released since.
    limited: the token of a tenant that may ask LIMITED_PER_S of everything."""

    address: str
    seconds: float
    http: str = ""
    metrics: str = ""
    tokens: dict[str, str] = {}
    ticket: str = ""
    limited: str = ""

    def until(self) -> Callable[[], bool]:
        """Says whether there is time left."""
        end = time.monotonic() + self.seconds
        return lambda: time.monotonic() < end


@dataclass(kw_only=True)
class Attempts:
    """tried: how often; let_in: how often it got what it must not; codes: of what it was told."""

    tried: int = 0
    let_in: int = 0
    codes: dict[str, int] = field(default_factory=dict)

    def told(self, code: str, *, let_in: bool = False) -> None:
        """One try."""
        self.tried += 1
        self.let_in += let_in
        self.codes[code] = self.codes.get(code, 0) + 1


AttackFunction = Callable[[Target, Attempts], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """name: of its row. what: one line for docs/security.md. needs: http, or nothing."""

    name: str
    what: str
    run: AttackFunction
