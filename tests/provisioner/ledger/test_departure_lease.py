"""The lease of departures outlives every ticket, and is shared for an hour."""

from __future__ import annotations

import pytest

from control_plane.errors import Unavailable
from provisioner.ledger.departure_lease import SHARED_S, DepartureLease


class FakeLeases:
    """As much of a store as grants leases; `granted` holds their TTLs."""

    def __init__(self) -> None:
        self.granted: list[int] = []
        self.away = False

    async def lease_grant(self, ttl_s: int) -> int:
        if self.away:
            raise Unavailable("away")
        self.granted.append(ttl_s)
        return len(self.granted)


class Stage:
    def __init__(self) -> None:
        self.store = FakeLeases()
        self.now = 1_000.0
        self.longest_ticket_s = 3_600.0
        self.lease = DepartureLease(
            self.store, longest_ticket_s=lambda: self.longest_ticket_s, clock=lambda: self.now
        )


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_departures_of_an_hour_share_a_lease(stage):
    assert await stage.lease.current() == 1
    stage.now += SHARED_S - 1
    assert await stage.lease.current() == 1
    stage.now += 1
    assert await stage.lease.current() == 2


async def test_the_last_departure_of_the_hour_outlives_a_ticket_signed_with_it(stage):
    await stage.lease.current()
    assert stage.store.granted[0] >= SHARED_S + stage.longest_ticket_s


async def test_a_tenant_with_longer_tickets_gets_a_longer_lease_at_once(stage):
    await stage.lease.current()
    stage.longest_ticket_s = 7_200.0
    assert await stage.lease.current() == 2
    stage.longest_ticket_s = 60.0
    assert await stage.lease.current() == 2


async def test_a_lease_that_was_not_granted_is_asked_for_again(stage):
    stage.store.away = True
    with pytest.raises(Unavailable):
        await stage.lease.current()
    stage.store.away = False
    assert await stage.lease.current() == 1
