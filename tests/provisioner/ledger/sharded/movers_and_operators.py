"""Everybody else in the simulation: movers of shards and who thaws what they left, operators, and
an undertaker that makes a mistake. The steps are the real ones; what goes wrong between them is
the world's."""

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
from provisioner.shards.moving import MoveRun, TakenOver
from provisioner.shards.shard_map import ShardMoveStage
from tests.provisioner.ledger.clusters.cluster import Feed, Remote, TinyCluster
from tests.provisioner.ledger.clusters.setting import CLUSTERS, UNITS

if TYPE_CHECKING:
    from tests.provisioner.ledger.clusters.world import World


async def mover(world: World, move_id: str) -> None:
    """The order of provisioner.shards.mover, with what goes wrong in between."""
    move = world.map.move(move_id)
    source, target = world.clusters[move.source], world.clusters[move.target]
    run = MoveRun(Remote(world.control), Remote(source), Remote(target), move)
    first = True
    while True:
        try:
            if first or world.bug != "no-attempt":
                stage = await run.take_over()
                world.done["taken"] += 1
            else:
                stage = await run.stage()
            first = False
            if stage in (ShardMoveStage.COPYING, ShardMoveStage.FROZEN):
                await carry_over(world, run, source)
                stage = ShardMoveStage.SWITCHED
            if stage is ShardMoveStage.SWITCHED:
                if world.bug == "cleared-early":
                    await map_changes.change_map(
                        Remote(world.control), lambda before: before.opened(move_id)
                    )
                else:
                    await run.open()
            await run.clear()
            world.done["moved"] += 1
            return
        except (TakenOver, NotFound):
            return
        except ServiceError:
            continue


async def carry_over(world: World, run: MoveRun, source: TinyCluster) -> None:
    await run.begin_copying()
    feed = Feed(source, source.revision, run.concerns)
    await run.copy_everything()
    await run.copy(feed.take())
    if world.bug == "no-freeze":
        await map_changes.change_map(Remote(world.control), lambda before: before.frozen(run.id))
    else:
        revision = await run.freeze()
        assert source.revision >= revision
    await run.copy(feed.take())
    await run.switch()


async def help_along(world: World) -> None:
    """What servers do about moves that stand still."""
    control = Remote(world.control)
    shard_map, _ = await map_changes.read_map(control)
    for move in shard_map.moves:
        try:
            if move.stage is ShardMoveStage.FROZEN:
                await map_changes.thaw(control, move.id)
                world.done["thawed"] += 1
            source = Remote(world.clusters[move.source])
            await map_changes.open_target(control, source, move.id)
        except (NotFound, Conflict):
            continue


async def operate(world: World, unit: str) -> None:
    """One change of capacity, until it is acknowledged."""
    control, limits = Remote(world.control), world.limits[unit]
    pair = await patient(lambda: control.get(keys.capacity(unit)))
    before = decode_capacity(pair.value)
    after = replace(before, capacity=world.rng.randint(1, 9), open=world.rng.random() < 0.85)
    limits.append(after.capacity if after.open else 0)
    writes = [Put(keys.capacity(unit), encode_capacity(after)), Put(keys.fence(unit), b"")]
    txn = Txn(compares=[unchanged(keys.capacity(unit), pair.mod_revision)], then=writes)
    try:
        result = await control.commit(txn)
    except ServiceError:
        return  # never acknowledged: it may be so or not, from now on
    if not result.succeeded:
        limits.pop()
        world.changing.discard(unit)
        return
    for cluster in CLUSTERS:
        here = Remote(world.clusters[cluster])
        while True:
            gate = await patient(lambda h=here: h.get(keys.gate(unit)))
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
    world.changing.discard(unit)


async def patient(read: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Reads until the store answers."""
    while True:
        try:
            return await read()
        except StoreUnavailable:
            continue


async def bury_wrongly(control: Remote, here: Remote, cluster: str) -> None:
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
