"""New clients wait for their policy's hook; who has a home never does, and nobody for ever."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress

import pytest

from control_plane.errors import ServiceError
from control_plane.store.embedded import EmbeddedStore
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.hooks import HookUse
from provisioner.placement_hooks.asked_hook import AskedHook
from provisioner.placement_hooks.hooked_policies import HookedPolicies
from provisioner.provisioning.placer import HookUnanswered
from tests.support.fakes.placement_hook import FakeHook
from tests.support.provisioning_harness import AwaitedSink, provisioning
from tests.support.servers import units
from tests.support.supervision import FailFast

LATENCY = HookUse(name="latency", deadline_ms=2_000)
NEEDED = HookUse(name="latency", deadline_ms=2_000, away="refuse", by_client=True)


@asynccontextmanager
async def asking(hook, use, folder):
    """The use case over two units, under one policy with a hook."""
    asked = AskedHook("latency", hook, at_once=8, clock=time.monotonic)
    hooked = HookedPolicies(
        PlacementPolicy(hook=use), {"latency": asked}, supervisor=FailFast(), clock=time.monotonic
    )
    store = await EmbeddedStore.open(folder / "store.db")
    running = asyncio.create_task(hooked.run())
    async with provisioning(store, units(dublin=3, virginia=100), hooked=hooked) as harness:
        yield harness
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await store.close()


def unit_of(answer):
    if isinstance(answer, ServiceError):
        return type(answer)
    told = pb.ProvisionResponse.FromString(answer)
    return told.assignment.unit_id, told.decision.rule


async def test_new_clients_get_the_unit_that_the_hook_names(tmp_path):
    async with asking(FakeHook("virginia"), LATENCY, tmp_path) as harness:
        assert unit_of(await harness.ask("anna")) == ("virginia", "hook")


async def test_who_asks_while_the_hook_thinks_gets_what_it_says(tmp_path):
    hook = FakeHook("virginia")
    async with asking(hook, LATENCY, tmp_path) as harness:
        hook.open.clear()
        waiting = [AwaitedSink() for _ in range(3)]
        for sink, client in zip(waiting, ("anna", "ben", "anna"), strict=True):
            harness.begin(client, sink)
        while not hook.asked:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert not any(sink.answer.done() for sink in waiting)
        assert harness.provisioner.under_way == 2
        hook.open.set()
        told = [unit_of(await sink.answer) for sink in waiting]
        assert told == [("virginia", "hook")] * 3
        assert harness.provisioner.under_way == 0


@pytest.mark.parametrize("hangs", [True, False], ids=["it-hangs", "it-is-down"])
async def test_who_has_a_home_does_not_wait_for_it_and_who_has_none_is_told_to_come_again(
    tmp_path, hangs
):
    hook = FakeHook("virginia")
    async with asking(hook, NEEDED, tmp_path) as harness:
        assert unit_of(await harness.ask("anna")) == ("virginia", "hook")
        harness.placer.policies._kept.clear()
        asked = len(hook.asked)
        if hangs:
            hook.open.clear()
        else:
            hook.down = True
        assert unit_of(await harness.ask("anna")) == ("virginia", "existing")
        assert len(hook.asked) == asked
        if not hangs:
            refused = await harness.ask("ben")
            assert isinstance(refused, HookUnanswered)
            assert refused.retry_after_s
            assert "hook latency of its policy gave no answer" in refused.message
            # Its answer is known for the moment: there is none. Homes are found all the same.
            assert unit_of(await harness.ask("ben")) is HookUnanswered
