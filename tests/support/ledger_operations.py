"""Clients of a ledger under test: one that wants a home, one that leaves, how many there are."""

from __future__ import annotations

import asyncio
import time

from control_plane import keys
from control_plane.errors import Exhausted, ServiceError
from control_plane.fleet.capacity import decode_capacity
from provisioner.ledger.assignment import decode_assignment
from provisioner.ledger.assignment_encoding import encode_assignment
from provisioner.ledger.operations import Claim, Release
from provisioner.ledger.port import Ledger

WAIT_S = 10.0


class FirstWithRoom(Claim):
    """A client that wants the first of some units with room."""

    __slots__ = ("ledger", "outcome", "units")

    def __init__(self, ledger: Ledger, client: str, units: list[str], *, tenant: str = "t") -> None:
        self.ledger = ledger
        self.units = units
        self.key = keys.assignment(tenant, client)
        self.expires_at = time.monotonic() + WAIT_S
        self.outcome = asyncio.get_running_loop().create_future()

    def choose(self):
        for unit in self.units:
            account = self.ledger.account(unit)
            if account.reachable > 0:
                self.value = encode_assignment(account.unit, 1, 0, "x")
                return account
        self.ledger.request_slots(self.units)
        return Exhausted("full")

    def assigned(self, revision: int) -> None:
        self.outcome.set_result(("new", self.account.unit))

    def existing(self, found) -> None:
        self.outcome.set_result(("known", decode_assignment(found.value).unit))

    def failed(self, error: ServiceError) -> None:
        self.outcome.set_result(("failed", error.reason))


class Leaving(Release):
    """A client that leaves."""

    __slots__ = ("outcome",)

    def __init__(self, ledger: Ledger, pair) -> None:
        self.key, self.revision = pair.key, pair.mod_revision
        self.account = ledger.account(decode_assignment(pair.value).unit)
        self.expires_at = time.monotonic() + WAIT_S
        self.outcome = asyncio.get_running_loop().create_future()

    def released(self) -> None:
        self.outcome.set_result("released")

    def changed(self, found) -> None:
        self.outcome.set_result("changed")

    def failed(self, error: ServiceError) -> None:
        self.outcome.set_result(error.reason)


async def clients_at(store, unit: str) -> tuple[int, int]:
    """(as the ledger has it, as counted)."""
    record = decode_capacity((await store.get(keys.capacity(unit))).value)
    used = sum(int(p.value) for p in (await store.range(keys.usage(unit, ""))).items)
    homes = [decode_assignment(p.value).unit for p in (await store.range(keys.ASSIGNMENTS)).items]
    return record.settled + used, homes.count(unit)
