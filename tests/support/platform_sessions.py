"""Sessions of platforms as tests give them: `hub` of tenant acme, with the alarm installed."""

from __future__ import annotations

from data_sharing.delivery.platform_sessions import PlatformFacts, PlatformSession
from tests.support.instructions import NOW_MS, RING


def session(
    name: str = "hub",
    *,
    tenant: str = "acme",
    incarnation: str = "0001",
    capacity: int = 2,
    ready: bool = True,
) -> PlatformSession:
    made = PlatformSession(
        facts=PlatformFacts(
            tenant=tenant, name=name, incarnation=incarnation, version="1", capacity=capacity,
            ttl_s=10.0, wanted=(("alarm", ""),), connected_at_ms=NOW_MS,
        )
    )  # fmt: skip
    if ready:
        made.ready[RING.application, RING.version] = RING.artifact
    return made
