"""Confirmations of held places: in groups, by each unit of its own, and said where they cannot be
written."""

from __future__ import annotations

import asyncio

import pytest

from control_plane import keys
from control_plane.errors import Unavailable
from control_plane.store.port import Txn, TxnResult
from provisioner.ledger.holds import DELETES, StoreHoldConfirmer, hold
from tests.support.held_places import (
    held,
    provisioners,
    store_of_two_units,
)


@pytest.fixture
async def store(tmp_path):
    async with store_of_two_units(tmp_path) as one:
        yield one


async def test_many_confirmations_share_transactions(store) -> None:
    async with provisioners(store) as (one,):
        many = [f"c{n}" for n in range(1000)]
        for start in range(0, 1000, 100):
            await store.commit(
                Txn(then=[hold("t", name, "a", until_ms=0) for name in many[start : start + 100]])
            )
        await asyncio.gather(*(one.confirm(name, name) for name in many))
        assert await held(store) == set()
        assert one.book.transactions <= 2 * len(many) // DELETES + 2
        before = one.book.transactions
        await one.confirm("c1", "c2")
        await one.book.confirm([], "a")
        assert one.book.transactions == before, "none stands: nothing is written"


async def test_a_unit_confirms_its_own_holds_alone(store) -> None:
    async with provisioners(store) as (one,):
        await store.commit(
            Txn(then=[hold("t", "ours", "a", until_ms=0), hold("t", "theirs", "b", until_ms=0)])
        )
        await one.book.confirm([keys.hold("t", "ours"), keys.hold("t", "theirs")], "a")
        assert await held(store) == {"theirs"}
        await one.book.confirm([keys.hold("t", "theirs")], "b")
        assert await held(store) == set()


async def test_confirmations_that_cannot_be_written_say_so_and_later_ones_work(tmp_path) -> None:
    class Away:
        away = True

        async def commit(self, txn, *, timeout_s=None):
            if self.away:
                raise Unavailable("away")
            return TxnResult(succeeded=True, revision=1, results=[[] for _ in txn.then])

    away = Away()
    book = StoreHoldConfirmer(away)
    running = asyncio.create_task(book.run())
    with pytest.raises(Unavailable):
        await book.confirm([b"a", b"b"], "u")
    away.away = False
    await book.confirm([b"a", b"b"], "u")
    running.cancel()
