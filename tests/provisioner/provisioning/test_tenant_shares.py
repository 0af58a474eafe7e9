"""Room for clients that wait is shared between tenants: a flood of one leaves the others theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.fleet.unit import TenantId, TenantSpec
from control_plane.store.embedded import EmbeddedStore
from provisioner.provisioning.admission_control import Overloaded
from provisioner.provisioning.tenant_shares import TenantShares
from tests.support.provisioning_harness import AwaitedSink, ProvisioningHarness, provisioning
from tests.support.servers import units

FLOOD, QUIET = TenantSpec(id=TenantId("flood")), TenantSpec(id=TenantId("quiet"))


def test_alone_a_tenant_has_all_of_the_room():
    shares = TenantShares()
    assert shares.share("a", 100) == 100
    shares.enter("a")
    assert shares.share("a", 100) == 100
    assert shares.share("b", 100) == 50
    shares.leave("a")
    assert shares.share("b", 100) == 100


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=60))
def test_who_has_left_is_not_counted(entered: list[str]):
    shares = TenantShares()
    for one in entered:
        shares.enter(one)
    for tenant in "abc":
        assert shares.waiting(tenant) == entered.count(tenant)
    for one in reversed(entered):
        shares.leave(one)
    assert [shares.waiting(tenant) for tenant in "abc"] == [0, 0, 0]
    assert shares.share("d", 10) == 10


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[ProvisioningHarness]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    async with provisioning(store, units(dublin=5_000), most_waiting=100) as harness:
        yield harness
    await store.close()


async def test_a_flood_of_one_tenant_leaves_another_its_share(harness: ProvisioningHarness):
    harness.admission.limit = 100
    flood = [AwaitedSink() for _ in range(400)]
    for number, sink in enumerate(flood):
        harness.begin(f"f{number}", sink, tenant=FLOOD)
    quiet = [AwaitedSink() for _ in range(40)]
    for number, sink in enumerate(quiet):
        harness.begin(f"q{number}", sink, tenant=QUIET)
    more = [AwaitedSink() for _ in range(20)]
    for number, sink in enumerate(more):
        harness.begin(f"m{number}", sink, tenant=FLOOD)
    async with asyncio.timeout(30):
        quiet_answers = await asyncio.gather(*(sink.answer for sink in quiet))
        flood_answers = await asyncio.gather(*(sink.answer for sink in (*flood, *more)))
    assert all(isinstance(one, bytes) for one in quiet_answers)
    refused = [one for one in flood_answers if isinstance(one, Overloaded)]
    assert len(refused) >= 300
    assert harness.provisioner.under_way == 0
    alone = [AwaitedSink() for _ in range(100)]
    for number, sink in enumerate(alone):
        harness.begin(f"a{number}", sink, tenant=FLOOD)
    async with asyncio.timeout(30):
        answers = await asyncio.gather(*(sink.answer for sink in alone))
    assert all(isinstance(one, bytes) for one in answers)
