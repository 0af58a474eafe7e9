"""Starting: with the store, or without it from a snapshot of what it said last.

Where there is a usable snapshot, a store that does not answer is not waited for: the server
begins with what the snapshot holds, and everything it is made of goes on to the store by
itself as soon as that is there. Without one it waits, because it knows nobody.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from control_plane.errors import ServiceError
from control_plane.identity.key_ring_follower import KeyRingFollower
from control_plane.identity.key_wrapping import Wrapping
from control_plane.store.opening import StoreUrl, open_store
from control_plane.store.port import OutcomeUnknown, Store, StoreUnavailable
from control_plane.store.snapshot import Snapshot, UnusableSnapshot, read_snapshot
from provisioner.applied_policies.followed import FollowedPolicies
from provisioner.fleet_view import FleetView
from provisioner.ledger.port import Ledger
from provisioner.settings import Settings

log = logging.getLogger("homeport")

T = TypeVar("T")

STORE_RETRY_S = 1.0
START_S = 3.0  # a store that says nothing for so long is away, if there is a snapshot


def endpoints_of(settings: Settings) -> tuple[str, ...]:
    """Of the store; none where it is embedded. Raises InvalidInput."""
    return StoreUrl.parse(settings.store).endpoints


def usable_snapshot(settings: Settings, wrapping: Wrapping) -> Snapshot | None:
    """What this server may start from, if it has to. A file that cannot be used is told in the
    log and counts as none; the embedded store needs none, it comes with the process. Raises
    InvalidInput for a wrong store."""
    endpoints = endpoints_of(settings)
    if settings.snapshot is None or not endpoints:
        return None
    try:
        found = read_snapshot(settings.snapshot, endpoints=endpoints)
        if found is not None:
            KeyRingFollower.check(found.pairs, settings.master_key_file, wrapping)
    except (UnusableSnapshot, ServiceError) as error:
        log.warning("ignoring the snapshot: %s", error)
        return None
    return found


async def open_when_there(
    settings: Settings, stop: asyncio.Event, *, required: bool
) -> Store | None:
    """The store, waiting for it for as long as it takes; None when told to stop first.
    required: see EtcdStore.connect."""
    access = settings.store_access(required=required)
    return await when_there(
        lambda: open_store(settings.store, access=access), f"the store at {settings.store}", stop
    )


async def when_there(
    attempt: Callable[[], Awaitable[T]], what: str, stop: asyncio.Event
) -> T | None:
    """What `attempt` gives once it does, for as long as it takes; None when told to stop
    first. Raises its errors that waiting does not help."""
    logged = False
    while not stop.is_set():
        try:
            return await attempt()
        except ServiceError as error:
            if error.retry_after_s is None:
                raise
            if not logged:
                logged = True
                log.warning("waiting for %s: %s", what, error)
        try:
            async with asyncio.timeout(STORE_RETRY_S):
                await stop.wait()
        except TimeoutError:
            continue
    return None


async def begin(
    store: Store,
    snapshot: Snapshot | None,
    ring: KeyRingFollower,
    ledger: Ledger,
    fleet_view: FleetView,
    policies: FollowedPolicies,
) -> Snapshot | None:
    """Reads what serving needs from the store, or takes it from the snapshot where the store
    does not answer; returns the snapshot then. Raises what the store raises where there is
    no snapshot."""
    try:
        async with asyncio.timeout(START_S if snapshot is not None else None):
            await ring.start()
            await fleet_view.start()
            await policies.start()
            await ledger.start()  # last: its session's lease is renewed once everything is built
    except (StoreUnavailable, OutcomeUnknown, TimeoutError) as error:
        if snapshot is None:
            raise
        ring.restore(snapshot.pairs)
        ledger.capacity.restore(snapshot.pairs)
        fleet_view.restore(snapshot.pairs)
        await policies.restore(snapshot.pairs)
        log.warning(
            "the store does not answer (%s); serving from the snapshot of %s, %d units at "
            "revision %d: known clients get answers, new ones are told to come back",
            error or f"nothing for {START_S:.0f} s",
            time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(snapshot.confirmed_at)),
            len(fleet_view.units),
            snapshot.revision,
        )
        return snapshot
    if snapshot is not None and snapshot.cluster != store.health.cluster:
        log.error(
            "the snapshot was of store %s, this one is %s; it will be written over",
            snapshot.cluster,
            store.health.cluster,
        )
    return None
