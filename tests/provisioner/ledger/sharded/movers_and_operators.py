"""Everybody else in the simulation: movers of shards and who thaws what they left, operators, and
an reclaimer that makes a mistake. The steps are the real ones; what goes wrong between them is
the fleet's."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from control_plane import keys
from control_plane.errors import Conflict, NotFound, ServiceError
from control_plane.fleet.capacity import decode_capacity, encode_capacity
from control_plane.store.port import Put, StoreUnavailable, Txn, unchanged
from provisioner.ledger.sharded import cross_cluster_transactions
from provisioner.shards import map_changes
from provisioner.shards.fencing_token import AttemptSuperseded
from provisioner.shards.move_attempt import MoveAttempt
from provisioner.shards.shard_map import ShardMoveStage
from tests.provisioner.ledger.sharded.scenario import CLUSTERS, UNITS
from tests.provisioner.ledger.sharded.simulated_cluster import (
    ChangedKeys,
    RemoteCluster,
    SimulatedCluster,
)

if TYPE_CHECKING:
    from tests.provisioner.ledger.sharded.simulated_fleet import SimulatedFleet


async def mover(fleet: SimulatedFleet, move_id: str) -> None:
    """The order of provisioner.shards.mover, with what goes wrong in between."""
    move = fleet.map.move(move_id)
    source, target = fleet.clusters[move.source], fleet.clusters[move.target]
    attempt = MoveAttempt(
        RemoteCluster(fleet.control), RemoteCluster(source), RemoteCluster(target), move
    )
    first = True
    while True:
        try:
            if first or fleet.bug != "no-attempt":
                stage = await attempt.take_over()
                fleet.done["taken"] += 1
            else:
                stage = await attempt.stage()
            first = False
            if stage in (ShardMoveStage.COPYING, ShardMoveStage.FROZEN):
                await copy_and_switch(fleet, attempt, source)
                stage = ShardMoveStage.SWITCHED
            if stage is ShardMoveStage.SWITCHED:
                if fleet.bug == "cleared-early":
                    await map_changes.change_map(
                        RemoteCluster(fleet.control), lambda before: before.opened(move_id)
                    )
                else:
                    await attempt.open()
            await attempt.clear()
            fleet.done["moved"] += 1
            return
        except (AttemptSuperseded, NotFound):
            return
        except ServiceError:
            continue


async def copy_and_switch(
    fleet: SimulatedFleet, attempt: MoveAttempt, source: SimulatedCluster
) -> None:
    copy = await attempt.begin_copying()
    feed = ChangedKeys(source, source.revision, attempt.keys.concerns)
    await copy.copy_everything()
    await copy.copy(feed.drain())
    if fleet.bug == "no-freeze":
        await map_changes.change_map(
            RemoteCluster(fleet.control), lambda before: before.frozen(attempt.id)
        )
    else:
        revision = await attempt.freeze()
        assert source.revision >= revision
    await copy.copy(feed.drain())
    await attempt.switch(copy)


async def open_or_thaw(fleet: SimulatedFleet) -> None:
    """What servers do about moves that stand still."""
    control = RemoteCluster(fleet.control)
    shard_map, _ = await map_changes.read_map(control)
    for move in shard_map.moves:
        try:
            if move.stage is ShardMoveStage.FROZEN:
                await map_changes.thaw(control, move.id)
                fleet.done["thawed"] += 1
            source = RemoteCluster(fleet.clusters[move.source])
            await map_changes.open_target(control, source, move.id)
        except (NotFound, Conflict):
            continue


async def operate(fleet: SimulatedFleet, unit: str) -> None:
    """One change of capacity, until it is acknowledged."""
    control, limits = RemoteCluster(fleet.control), fleet.limits[unit]
    pair = await read_until_answered(lambda: control.get(keys.capacity(unit)))
    before = decode_capacity(pair.value)
    after = replace(before, capacity=fleet.rng.randint(1, 9), open=fleet.rng.random() < 0.85)
    limits.append(after.capacity if after.open else 0)
    writes = [Put(keys.capacity(unit), encode_capacity(after)), Put(keys.fence(unit), b"")]
    txn = Txn(compares=[unchanged(keys.capacity(unit), pair.mod_revision)], then=writes)
    try:
        result = await control.commit(txn)
    except ServiceError:
        return  # never acknowledged: it may be so or not, from now on
    if not result.succeeded:
        limits.pop()
        fleet.changing.discard(unit)
        return
    for cluster in CLUSTERS:
        here = RemoteCluster(fleet.clusters[cluster])
        while True:
            gate = await read_until_answered(lambda h=here: h.get(keys.gate(unit)))
            if cross_cluster_transactions.gate_says(gate) >= result.revision:
                break
            revision = gate.mod_revision if gate else 0
            stale = cross_cluster_transactions.StaleGate(
                unit=unit, revision=revision, fence=result.revision
            )
            try:
                await here.commit(cross_cluster_transactions.update_gate(stale))
            except ServiceError:
                continue
    limits[:] = limits[-1:]
    fleet.changing.discard(unit)


async def read_until_answered(read: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Reads until the store answers."""
    while True:
        try:
            return await read()
        except StoreUnavailable:
            continue


async def reclaim_wrongly(control: RemoteCluster, here: RemoteCluster, cluster: str) -> None:
    """Takes a U without session for one that nobody absorbed."""
    for unit in UNITS:
        pair = await control.get(keys.capacity(unit))
        record = decode_capacity(pair.value)
        for usage in (await here.range(keys.usage(unit, ""))).items:
            who = usage.key.rpartition(b"/")[2].decode()
            if await here.get(keys.session(who)) is not None:
                continue
            whole = record.with_allowance(who, record.grants.get(who, int(usage.value)))
            after = whole.absorb(who, usage=int(usage.value))
            await control.commit(
                cross_cluster_transactions.write_capacity(unit, after, pair.mod_revision)
            )
            await here.commit(
                cross_cluster_transactions.delete_usage(who, unit, usage.mod_revision)
            )
            break
