"""WatchAccount: what stands now, then what does after each change, and an end where it is over."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import pytest

from control_plane import keys
from control_plane.errors import Exhausted, NotFound
from control_plane.store.port import Delete, Put, Txn
from homeport.api.directory.v1 import directory_pb2 as pb
from provisioner.api.account_watches import AccountWatches
from provisioner.directory.account_changes import AccountChanges
from provisioner.directory.accounts import ActingUnit
from provisioner.directory.claim_rules import ClaimNotAllowed
from provisioner.directory.holdings import Holdings
from provisioner.directory.replica import ReadReplica
from provisioner.directory.resolving import itself
from provisioner.ledger.assignment_encoding import encode_assignment
from provisioner.ledger.departure import DepartureRecord, encode_departure
from tests.support.directory_servers import TENANT, DirectoryServer, homes, request
from tests.support.fakes.delayed_store import DelayedStore
from tests.support.watches_harness import WatchesHarness, until

WAIT_S = 20.0
LONDON = ActingUnit(unit_id="london", epoch=1)


class Served:
    """One server's directory and watches, over a store that is slow and forgets its history."""

    def __init__(self, *, hears_records: bool = True, most: int = 16, limit: int = 100) -> None:
        self.store = DelayedStore(random.Random(7))
        self.server = DirectoryServer(self.store)
        self.changes = AccountChanges(hears_records=hears_records, most_of_account=most)
        self.replica = ReadReplica(
            self.store, keys.DIRECTORY if hears_records else keys.DIRECTORY_HANDLES, itself,
            heard=self.changes.heard,
        )  # fmt: skip
        self.watches = WatchesHarness(self.store, keepalive_s=0.1, limit=limit)
        holdings = Holdings(self.server.registrar, secrets=lambda: self.server.secrets)
        self.accounts = AccountWatches(
            self.watches.clients, self.changes, holdings,
            endpoint_of=lambda unit: f"{unit}.example.net:443", pause_s=0.0,
        )  # fmt: skip

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Served]:
        self.begin()
        async with self.watches.running():
            await homes(self.store, "anna", "ben")
            await until(lambda: self.replica.revision > 0)  # it wakes nobody for beginning
            try:
                yield self
            finally:
                await self.lose_place()

    def begin(self) -> None:
        """The watch of the directory begins."""
        self.following = asyncio.create_task(self.replica.run())

    async def lose_place(self) -> None:
        """It ends."""
        self.following.cancel()
        await asyncio.gather(self.following, return_exceptions=True)

    async def claim(self, handle: str, account: str = "anna", *, rename: bool = False) -> None:
        await self.server.handles.claim(
            TENANT, account, handle, None, request=request(), rename=rename
        )

    async def move(self, unit: str, epoch: int) -> None:
        record = DepartureRecord(unit=unit, epoch=epoch, at_ms=2_000, cause="drained")
        value = encode_assignment(unit, epoch, 2_000, "", first_ms=1_000)
        left = keys.move("london", TENANT, "anna")
        await self.store.commit(
            Txn(
                then=[
                    Put(keys.assignment(TENANT, "anna"), value), Put(left, encode_departure(record))
                ]
            )
        )  # fmt: skip

    def follow(self, acting: ActingUnit | None = None, account: str = "anna") -> Any:
        return aclosing(self.accounts.follow(TENANT, account, acting))


async def news(told: AsyncIterator[pb.WatchAccountResponse]) -> pb.GetAccountResponse:
    """The next message that says something."""
    async with asyncio.timeout(WAIT_S):
        async for one in told:
            if one.HasField("account"):
                return one.account
    raise AssertionError("the stream ended")


def handles(account: pb.GetAccountResponse) -> list[str]:
    return [one.handle for one in account.handles]


@pytest.mark.parametrize("acting", [None, LONDON], ids=["a viewer", "its home"])
async def test_it_is_told_as_it_is_and_after_each_change(acting: ActingUnit | None) -> None:
    async with Served().running() as served, served.follow(acting) as told:
        first = await news(told)
        assert (handles(first), first.residence.unit_id) == ([], "london")
        assert first.residence.endpoint == "london.example.net:443"
        await served.claim("anna")
        assert handles(await news(told)) == ["anna"]
        await served.claim("annabel", rename=True)
        assert handles(await news(told)) == ["annabel"]
        await served.server.handles.release(TENANT, "anna", "annabel", None, request=request())
        assert handles(await news(told)) == []


async def test_what_happens_to_others_is_not_told() -> None:
    async with Served().running() as served, served.follow() as told:
        await news(told)
        await served.claim("ben", "ben")
        async with asyncio.timeout(WAIT_S):
            assert not (await anext(told)).HasField("account")  # a sign of life
        await served.claim("anna")
        assert handles(await news(told)) == ["anna"]


async def test_a_change_of_a_claim_alone_is_heard() -> None:
    """As where somebody else proves it: the account's record stays."""
    async with Served().running() as served, served.follow() as told:
        await served.claim("anna")
        assert handles(await news(told)) == ["anna"]
        at = keys.handle_claim(TENANT, "anna")
        key = next(one for one in served.store.model.state if one.startswith(at[:-4]))
        await served.store.commit(Txn(then=[Delete(key)]))
        assert handles(await news(told)) == []


async def test_what_changed_while_the_watch_had_lost_its_place_is_told() -> None:
    async with Served().running() as served, served.follow() as told:
        await news(told)
        await served.lose_place()
        await served.claim("anna")
        async with asyncio.timeout(WAIT_S):
            assert not (await anext(told)).HasField("account")
        served.begin()
        assert handles(await news(told)) == ["anna"]


async def test_a_move_is_told_to_a_viewer_and_ends_the_stream_of_the_unit_it_left() -> None:
    async with Served().running() as served, AsyncExitStack() as stack:
        viewer = await stack.enter_async_context(served.follow())
        unit = await stack.enter_async_context(served.follow(LONDON))
        await news(viewer)
        await news(unit)
        await served.move("stockholm", 2)
        moved = await news(viewer)
        assert (moved.residence.unit_id, moved.residence.epoch) == ("stockholm", 2)
        with pytest.raises(ClaimNotAllowed) as ended:
            await news(unit)
        assert ended.value.reason == "STALE_EPOCH"


async def test_where_records_are_not_heard_of_they_are_looked_at_now_and_then() -> None:
    async with Served(hears_records=False).running() as served, served.follow() as told:
        await news(told)
        await served.claim("anna")
        assert handles(await news(told)) == ["anna"]


async def test_who_may_not_is_told_so_at_once() -> None:
    async with Served().running() as served:
        async with served.follow(ActingUnit(unit_id="paris", epoch=1)) as told:
            with pytest.raises(ClaimNotAllowed):
                await news(told)
        async with served.follow(account="nobody") as told:
            with pytest.raises(NotFound):
                await news(told)
        assert len(served.changes) == len(served.watches.clients) == 0


@pytest.mark.parametrize(
    "bound", [{"most": 2}, {"limit": 2}], ids=["of one account", "of a server"]
)
async def test_streams_are_bounded_and_leave_nothing(bound: dict[str, int]) -> None:
    served = Served(**bound)  # type: ignore[arg-type]
    async with served.running():
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await news(await stack.enter_async_context(served.follow()))
            third = await stack.enter_async_context(served.follow())
            with pytest.raises(Exhausted):
                await news(third)
        await until(lambda: not len(served.changes))
        assert len(served.watches.clients) == 0
        async with served.follow() as told:
            await news(told)
