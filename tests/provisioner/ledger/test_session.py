"""A session is renewed as soon as somebody keeps it alive, and begun anew once it was lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from control_plane.store.embedded.store import EmbeddedStore
from provisioner.ledger.session import Session

TTL_S = 60
PASS_WITHIN_S = 10.0  # less than TTL_S / 3, when it would be renewed anyhow


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class CountingStore(EmbeddedStore):
    """How often leases were renewed."""

    renewed = 0

    async def lease_keep_alive(self, lease: int, *, timeout_s: float | None = None) -> float:
        left = await super().lease_keep_alive(lease, timeout_s=timeout_s)
        self.renewed += 1
        return left


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[CountingStore]:
    store = CountingStore(tmp_path / "store.db", clock=clock, keep_revisions=100)
    yield store
    await store.close()


@pytest.fixture
def session(store: CountingStore) -> Session:
    numbers = iter(range(100))
    return Session(store, ttl_s=TTL_S, new_id=lambda: f"p-{next(numbers)}")


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PASS_WITHIN_S):
        while not holds():  # noqa: ASYNC110  # a number, which nothing announces
            await asyncio.sleep(0.01)


async def test_one_that_was_opened_a_while_ago_is_renewed_at_once(
    store: CountingStore, session: Session, clock: Clock
) -> None:
    """What else a server starts may take nearly all of the TTL."""
    await session.open()
    clock.now += TTL_S - 0.1
    keeping = asyncio.create_task(session.keep_alive())
    try:
        await eventually(lambda: store.renewed == 1)
        clock.now += TTL_S - 0.1
        assert session.id == "p-0"
        assert session.stands.is_set()
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


async def test_one_that_was_lost_begins_under_another_id(session: Session, clock: Clock) -> None:
    renewed: list[str] = []
    session.on_renewed = renewed.append
    await session.open()
    clock.now += TTL_S + 0.1
    keeping = asyncio.create_task(session.keep_alive())
    try:
        await eventually(lambda: bool(renewed))
        assert (renewed, session.id) == (["p-0"], "p-1")
        assert session.stands.is_set()
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
