"""Held places over a real store: ledgers whose clock a test moves, and who has what."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from control_plane import keys
from control_plane.fleet.capacity import CapacityRecord, encode_capacity
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Put, Store, Txn
from provisioner.ledger.departure_lease import DepartureLease
from provisioner.ledger.hold_expiry import HoldExpiry
from provisioner.ledger.holds import StoreHoldConfirmer, hold
from provisioner.ledger.single_store import single_store_ledger
from provisioner.ledger.store_ledger import StoreLedger
from tests.support.ledger_operations import FirstWithRoom, Leaving
from tests.support.supervision import FailFast

WAIT_S = 10.0
HOLD_S = 30.0
names = itertools.count()


class HeldClaim(FirstWithRoom):
    """A client whose place is held."""

    def __init__(self, ledger: StoreLedger, client: str, units: list[str]) -> None:
        super().__init__(ledger, client, units)
        self.writes = (hold("t", client, units[0], until_ms=0),)


class Provisioner:
    """One ledger with its expiry of holds, whose clock the test moves."""

    def __init__(self, store: Store) -> None:
        self.now = time.monotonic()  # as the ledger counts, or it would give up at once
        self.hold_s = HOLD_S
        self.store = store
        self.ledger = single_store_ledger(
            store,
            clock=time.monotonic,
            jitter=lambda: 0.0,
            new_id=lambda: f"h{next(names)}",
            supervisor=FailFast(),
        )
        self.book = StoreHoldConfirmer(store)
        self.expiry = self.new_expiry(store)

    def new_expiry(self, store: Store) -> HoldExpiry:
        departures = DepartureLease(store, longest_ticket_s=lambda: 3600.0, clock=lambda: self.now)
        return HoldExpiry(
            store,
            hold_s=lambda tenant: self.hold_s,
            shortest_hold_s=lambda: self.hold_s,
            account=self.ledger.account,
            release=self.ledger.release,
            lease=departures.current,
            clock=lambda: self.now,
            wall=lambda: 5.0,
            jitter=lambda: 0.5,
        )

    async def provision(self, client: str, unit: str = "a") -> tuple[str, str]:
        wish = HeldClaim(self.ledger, client, [unit])
        choice = wish.choose()
        if isinstance(choice, Exception):
            return ("failed", "")
        wish.account = choice
        self.ledger.submit(wish)
        return await asyncio.wait_for(wish.outcome, WAIT_S)

    async def leave(self, client: str) -> None:
        pair = await self.store.get(keys.assignment("t", client))
        if pair is not None:
            bye = Leaving(self.ledger, pair)
            self.ledger.release(bye)
            await asyncio.wait_for(bye.outcome, WAIT_S)

    async def confirm(self, *names: str) -> None:
        """By the unit that each is at."""
        for unit in ("a", "b"):
            await self.book.confirm([keys.hold("t", name) for name in names], unit)


@asynccontextmanager
async def provisioners(store: Store, count: int = 1):
    async with AsyncExitStack() as stack:
        made = [Provisioner(store) for _ in range(count)]
        for one in made:
            await one.ledger.start()
            one.ledger.follow(["a", "b"])
            for work in (one.ledger.run(), one.book.run()):
                task = asyncio.create_task(work)
                stack.push_async_callback(asyncio.gather, task, return_exceptions=True)
                stack.callback(task.cancel)
        await asyncio.sleep(0)
        yield made


@asynccontextmanager
async def store_of_two_units(folder: Path):
    """Units a and b, each with fifty places."""
    opened = await EmbeddedStore.open(folder / "store.db")
    for unit in ("a", "b"):
        record = CapacityRecord(capacity=50)
        await opened.commit(Txn(then=[Put(keys.capacity(unit), encode_capacity(record))]))
    yield opened
    await opened.close()


async def held(store: Store) -> set[str]:
    page = await store.range(keys.HOLDS)
    return {pair.key.decode().rpartition("/")[2] for pair in page.items}


async def housed(store: Store) -> set[str]:
    page = await store.range(keys.ASSIGNMENTS)
    return {pair.key.decode().rpartition("/")[2] for pair in page.items}
