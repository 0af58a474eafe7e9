"""What `homeport store` does with the stores: opens them as a server would, reads, moves."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from control_plane import keys
from control_plane.errors import InvalidInput, Refused
from control_plane.fleet.records import decode_tenant
from control_plane.fleet.unit import DEFAULT_TENANT
from control_plane.printable import number_of, why_unreadable
from control_plane.settings import problems_of
from control_plane.store.opening import open_store
from control_plane.store.port import Store, range_all
from provisioner.ledger.departure_lease import SHARED_S
from provisioner.settings import Settings, read_settings
from provisioner.shards.client_keys import PAGE
from provisioner.shards.clusters import (
    check_control,
    cluster_tagged,
    join,
    open_clusters,
    parse_clusters,
)
from provisioner.shards.mover import ShardMover
from provisioner.shards.shard_map import ShardMap, ShardMoveStage, plan_moves, shard_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveOrder:
    """What an operator asks for; see the command."""

    source: str
    target: str
    count: int
    at_once: int
    dry_run: bool
    resume: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The stores."""

    control: Store
    clusters: Mapping[str, Store]
    shard_map: ShardMap


def settings_of(store: str | None, assignment_stores: str | None, config: Path | None) -> Settings:
    """As `homeport serve` reads them. Raises InvalidInput, also where there are no assignment
    clusters."""
    settings = any_settings_of(store, assignment_stores, config)
    if not settings.assignment_stores:
        raise InvalidInput(
            "assignment_stores",
            "say where the assignment clusters are: --assignment-stores, or --config with the "
            "servers' settings",
        )
    return settings


def any_settings_of(
    store: str | None, assignment_stores: str | None, config: Path | None
) -> Settings:
    """The same, with assignment clusters or without."""
    words = [f"--config={config}"] if config else []
    words += [f"--store={store}"] if store else []
    words += [f"--assignment-stores={assignment_stores}"] if assignment_stores else []
    try:
        return read_settings(words)
    except FileNotFoundError as error:
        raise InvalidInput("config", str(error)) from error
    except (OSError, ValueError) as error:
        if isinstance(error, ValidationError):
            raise _invalid(error) from error
        raise InvalidInput("config", f"{config} cannot be read: {why_unreadable(error)}") from error


def _invalid(error: ValidationError) -> InvalidInput:
    where, said = next(problems_of(error))
    return InvalidInput(where, f"{where}: {said}")


def read(settings: Settings, *, counting: bool) -> dict[str, Any]:
    """The map as a document; with clients and servers if `counting`."""
    return _run(_read(settings, counting))


def carry_out(settings: Settings, order: MoveOrder, tell: Callable[[str], None]) -> dict[str, Any]:
    """Moves shards; what was done, as a document."""
    return _run(_carry_out(settings, order, tell))


def _run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Opened]:
    urls = parse_clusters(settings.assignment_stores)
    check_control(settings.store)
    async with AsyncExitStack() as stack:
        access = settings.store_access()
        control = await open_store(settings.store, access=access)
        stack.push_async_callback(control.close)
        if await control.get(keys.SHARD_MAP) is None:
            raise Refused(
                "this store has no shard map; the first server started with "
                "--assignment-stores makes it"
            )
        clusters = await open_clusters(urls, access)
        for one in clusters.values():
            stack.push_async_callback(one.close)
        shard_map = await join(control, clusters)
        yield Opened(
            control=control, clusters=cluster_tagged(shard_map, clusters), shard_map=shard_map
        )


async def _read(settings: Settings, counting: bool) -> dict[str, Any]:
    async with _opened(settings) as stores:
        found: list[dict[str, Any]] = []
        shard_map = stores.shard_map
        for name in shard_map.clusters:
            one: dict[str, Any] = {
                "name": name,
                "shards": len(shard_map.shards_of(name)),
                "arriving": _on_their_way(shard_map, target=name),
                "leaving": _on_their_way(shard_map, source=name),
            }
            if counting:
                one["clients"] = await _clients(stores.clusters[name], shard_map, name)
                one["servers"] = await _servers(stores.clusters[name], name)
            found.append(one)
        moves = [
            {
                "id": move.id,
                "source": move.source,
                "target": move.target,
                "shards": len(move.shards),
                "stage": move.stage.value,
                "attempt": move.attempt,
            }
            for move in shard_map.moves
        ]
        return {"version": shard_map.version, "clusters": found, "moves": moves}


def _on_their_way(shard_map: ShardMap, *, source: str = "", target: str = "") -> int:
    """Shards of moves that have not been switched yet."""
    return sum(
        len(move.shards)
        for move in shard_map.moves
        if move.stage in (ShardMoveStage.COPYING, ShardMoveStage.FROZEN)
        and (move.source == source or move.target == target)
    )


async def _clients(store: Store, shard_map: ShardMap, name: str) -> int:
    """Those whose shard is owned here; copies of others do not count."""
    readers, count = shard_map.readers(), 0
    after: bytes | None = None
    while True:
        page = await store.range(keys.ASSIGNMENTS, start_after=after, limit=PAGE, keys_only=True)
        count += sum(readers[shard_of(pair.key)] == name for pair in page.items)
        if not page.more:
            return count
        after = page.items[-1].key


async def _servers(store: Store, name: str) -> int:
    sessions = (await range_all(store, keys.SESSIONS, keys_only=True)).items
    return len(
        {
            pair.key.partition(b".")[0]
            for pair in sessions
            if keys.cluster_of(pair.key.decode()) == name
        }
    )


async def _carry_out(
    settings: Settings, order: MoveOrder, tell: Callable[[str], None]
) -> dict[str, Any]:
    async with _opened(settings) as stores:
        mover = ShardMover(
            stores.control,
            stores.clusters,
            new_id=lambda: secrets.token_hex(4),
            departure_lease_s=await _departures_live_s(stores.control),
            clock=time.monotonic,
            on_progress=lambda move, what: tell(
                f"{number_of(len(move.shards), 'shard')} from {move.source} "
                f"to {move.target}: {what}"
            ),
        )
        if order.resume:
            moves = [(move.source, move.target, move.shards) for move in stores.shard_map.moves]
            if not order.dry_run:
                await mover.finish_all()
        else:
            planned = plan_moves(
                stores.shard_map, order.target, source=order.source, count=order.count
            )
            moves = [
                (source, order.target, part)
                for source, shards in planned.items()
                for part in _groups(shards, order.at_once)
            ]
            for source, target, shards in moves if not order.dry_run else ():
                await mover.finish(await mover.begin(shards, source, target))
        return {
            "dry_run": order.dry_run,
            "shards": sum(len(shards) for _, _, shards in moves),
            "clients": mover.copied,
            "longest_pause_ms": round(mover.frozen_s * 1000),
            "moves": [
                {"source": source, "target": target, "shards": len(shards)}
                for source, target, shards in moves
            ],
        }


def _groups(shards: Sequence[int], size: int) -> list[tuple[int, ...]]:
    return [tuple(shards[start : start + size]) for start in range(0, len(shards), size)]


async def _departures_live_s(control: Store) -> int:
    """As long as the longest ticket may be out."""
    tenants = (await range_all(control, keys.TENANTS)).items
    longest_s = max(
        [DEFAULT_TENANT.ticket_ttl_s, *(decode_tenant(pair).ticket_ttl_s for pair in tenants)]
    )
    return int(longest_s + 2 * SHARED_S)
