"""A drain that is decided while another unit changes is decided again; its own unit's revision
counts as it was given."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from control_plane.errors import Conflict
from control_plane.fleet.lifecycle import LossPolicy, State
from control_plane.fleet.registry import UnitRegistry
from control_plane.fleet.transitions import (
    ATTEMPTS,
    GuardFailed,
    Transitioned,
    TransitionRequest,
    Transitions,
)
from control_plane.store.embedded import EmbeddedStore
from provisioner.api.unit_operations import UnitOperations
from provisioner.applied_policies.registry import PolicyRegistry
from provisioner.placement.fleet import PlacementFleet
from tests.support.moves_harness import MovesHarness, at_work, fleet


class ChangingFleet(Transitions):
    """Before each of the first `times` transitions somebody changes another unit."""

    def __init__(self, store: EmbeddedStore, registry: UnitRegistry, times: int) -> None:
        super().__init__(
            store, registry, wall=time.time, loss_policy=LossPolicy(), rate_per_s=1_000.0
        )
        self._units = registry
        self._times = times
        self.asked = 0

    async def apply(self, unit_id: str, request: TransitionRequest) -> Transitioned:
        self.asked += 1
        if self.asked <= self._times:
            spec = (await self._units.get("virginia")).spec
            await self._units.apply(replace(spec, labels={"change": str(self.asked)}))
        return await super().apply(unit_id, request)


class Placing:
    """What is asked of a placer here."""

    def __init__(self, harness: MovesHarness) -> None:
        self._harness = harness

    @property
    def fleet(self) -> PlacementFleet:
        return self._harness.fleet_view.fleet


@asynccontextmanager
async def operations(
    folder: Path, times: int
) -> AsyncIterator[tuple[UnitOperations, ChangingFleet, UnitRegistry]]:
    store = await EmbeddedStore.open(folder / "store.db")
    try:
        await fleet(store, dublin=10, virginia=10)
        async with at_work(store, executing=False) as harness:
            transitions = ChangingFleet(store, harness.registry, times)
            clients: Any = None  # nobody is planned or listed
            placer: Any = Placing(harness)
            operations = UnitOperations(
                store, clients, registry=harness.registry, transitions=transitions,
                job_store=harness.job_store, fleet_view=harness.fleet_view, placer=placer,
                policies=PolicyRegistry(store, wall=time.time), wall=time.time,
            )  # fmt: skip
            yield operations, transitions, harness.registry
    finally:
        await store.close()


@pytest.mark.parametrize("times", [0, 1, ATTEMPTS - 1])
async def test_it_is_decided_again_where_another_unit_changed(tmp_path: Path, times: int) -> None:
    async with operations(tmp_path, times) as (units, transitions, registry):
        view, _ = await units.drain("dublin", revision=0, rate_per_s=0.0)
        assert view.lifecycle.state is State.DRAINING
        assert transitions.asked == times + 1
        assert (await registry.get("virginia")).lifecycle.state is not State.DRAINING


async def test_where_others_never_stop_changing_it_is_refused(tmp_path: Path) -> None:
    async with operations(tmp_path, times=10 * ATTEMPTS) as (units, transitions, registry):
        with pytest.raises(GuardFailed, match="try again"):
            await units.drain("dublin", revision=0, rate_per_s=0.0)
        assert transitions.asked == ATTEMPTS
        assert (await registry.get("dublin")).lifecycle.state is not State.DRAINING


async def test_a_revision_that_is_none_any_more_is_refused_at_once(tmp_path: Path) -> None:
    async with operations(tmp_path, times=0) as (units, transitions, registry):
        stale = (await registry.get("dublin")).revision - 1
        with pytest.raises(Conflict, match="changed since"):
            await units.drain("dublin", revision=stale, rate_per_s=0.0)
        assert transitions.asked == 1
