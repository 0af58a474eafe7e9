"""UnitRemoval: takes a unit out of the store, once it can have no client any more.

A unit with reserved slots is closed first, and its provisioners get a few seconds to give them
back; if it is not removed then, it is opened again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from control_plane import keys
from control_plane.errors import Conflict, NotFound, Refused, Unavailable
from control_plane.fleet.capacity import encode_capacity
from control_plane.fleet.lifecycle import TAKING
from control_plane.fleet.unit_reader import UnitReader
from control_plane.fleet.unit_view import UnitSnapshot, changed_since, revision_of
from control_plane.printable import number_of
from control_plane.store.port import Delete, Put, Store, Txn, unchanged

ATTEMPTS = 10
REMOVE_WAIT_S = 5.0  # how long provisioners get to give a closed unit's grants back
POLL_S = 0.05


class UnitRemoval:
    """Over one store. Raises StoreUnavailable and OutcomeUnknown besides what is said. clock:
    monotonic seconds; wall: Unix seconds."""

    def __init__(
        self,
        store: Store,
        reader: UnitReader,
        *,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._store = store
        self._reader = reader
        self._clock = clock
        self._wall = wall

    async def remove(
        self, unit_id: str, *, expected_revision: int = 0, dry_run: bool = False
    ) -> None:
        """Removes a unit without clients. Raises NotFound; Refused when it has clients, and
        then nothing has changed; Conflict when it changed since `expected_revision`, or when
        others kept changing it."""
        end = self._clock() + REMOVE_WAIT_S
        closed_here = removed = False
        try:
            while not removed:
                seen = await self._reader.snapshot(unit_id)
                if seen.unit is None:
                    raise NotFound(f"there is no unit {unit_id}")
                if expected_revision and seen.revision != expected_revision:
                    raise changed_since(unit_id, expected_revision)
                if seen.clients > 0:
                    raise Refused(
                        f"unit {unit_id} has {number_of(seen.clients, 'client')}; drain it, or "
                        "release them, first"
                    )
                if dry_run:
                    return
                if seen.record.vacant:
                    removed = await self._delete(unit_id, seen)
                elif seen.record.open:
                    closed_here = True  # before the write: its outcome may stay unknown
                    await self._set_open(unit_id, False)
                    await self._reader.raise_gates(unit_id)
                if not removed:
                    if self._clock() > end:
                        raise Conflict(
                            f"unit {unit_id} still has slots reserved by a provisioner; "
                            "try again shortly"
                        )
                    await asyncio.sleep(POLL_S)
        finally:
            # Also when the operator's call was cancelled: nobody else would open it again.
            if closed_here and not removed:
                await self._reopen(unit_id)

    async def _reopen(self, unit_id: str) -> None:
        for _ in range(ATTEMPTS):
            if await self._set_open(unit_id, True):
                return

    async def _delete(self, unit_id: str, seen: UnitSnapshot) -> bool:
        compares = [
            unchanged(keys.unit(unit_id), revision_of(seen.unit)),
            unchanged(keys.capacity(unit_id), revision_of(seen.capacity)),
            unchanged(keys.lifecycle(unit_id), revision_of(seen.lifecycle)),
            unchanged(keys.live(unit_id), revision_of(seen.live)),
            *(unchanged(pair.key, pair.mod_revision) for pair in seen.usages),
        ]
        result = await self._store.commit(
            Txn(
                compares=compares,
                then=[
                    Delete(keys.unit(unit_id)),
                    Delete(keys.capacity(unit_id)),
                    Delete(keys.fence(unit_id)),
                    Delete(keys.starving(unit_id)),
                    Delete(keys.agent(unit_id)),
                    Delete(keys.live(unit_id)),
                    Delete(keys.lifecycle(unit_id)),
                    Delete(keys.applied(unit_id)),
                    Put(keys.removed(unit_id), b"%d" % int(self._wall() * 1000)),
                    Delete(keys.usage(unit_id, ""), prefix=True),
                ],
            )
        )
        if result.succeeded and seen.live is not None:
            # Else its agent would go on renewing a lease that keeps nothing, and be deaf to its
            # unit's end, and to its return.
            with suppress(Unavailable):  # then the agent learns of it when its status changes
                await self._store.lease_revoke(seen.live.lease)
        return result.succeeded

    async def _set_open(self, unit_id: str, is_open: bool) -> bool:
        """Opens or closes a unit for new clients, with a new fence; False when it changed
        meanwhile. One that takes none by its state stays closed."""
        seen = await self._reader.snapshot(unit_id)
        if seen.capacity is None:
            return False
        is_open = is_open and seen.state.state in TAKING
        key = keys.capacity(unit_id)
        result = await self._store.commit(
            Txn(
                compares=[
                    unchanged(key, seen.capacity.mod_revision),
                    unchanged(keys.lifecycle(unit_id), revision_of(seen.lifecycle)),
                ],
                then=[
                    Put(key, encode_capacity(replace(seen.record, open=is_open))),
                    Put(keys.fence(unit_id), b"open" if is_open else b"closed"),
                ],
            )
        )
        return result.succeeded
