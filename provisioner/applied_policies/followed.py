"""FollowedPolicies: the policies of all tenants as this server follows them, ready to be asked.

A PolicySource. A changed policy is compiled beside the event loop and counts once that is done. One
that this server cannot read never replaces the one that it could: that goes on, and the server says
so. Where it never could read a tenant's policy, the tenant's clients get no new homes from it:
nobody is placed by rules that nobody knows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from control_plane import keys
from control_plane.errors import ServiceError
from control_plane.store.port import KeyValue, Store
from control_plane.store.replica import Replica
from provisioner.applied_policies.followed_pins import FollowedPins
from provisioner.applied_policies.pin_record import PinRecord, read_pin
from provisioner.applied_policies.record import PolicyRecord, read_policy_record
from provisioner.geo.location import Location
from provisioner.placement.filters import PlacementPolicy, Stamp
from provisioner.policy.compiled import CompiledPolicy
from provisioner.policy.compiling import compile_policy

log = logging.getLogger(__name__)

HEARD_S = 1.0  # that a change is waited for
READ_S = 0.5  # and then that it is compiled, while nobody gets a home here
COMPILE_S = 60.0  # for one policy, with room for a machine that is busy with other things


_FIRST: Stamp = (0, 0)
_POLICIES = keys.POLICIES.removeprefix(keys.WHO_MAY_LIVE).decode()
_PINS = keys.POLICY_PINS.removeprefix(keys.WHO_MAY_LIVE).decode()
_Followed: TypeAlias = PolicyRecord | PinRecord | bytes


def _read(pair: KeyValue) -> _Followed:
    """A policy, a pin, or whatever else is kept beside them."""
    if pair.key.startswith(keys.POLICIES):
        return read_policy_record(pair)
    return read_pin(pair) if pair.key.startswith(keys.POLICY_PINS) else b""


class FollowedPolicies:
    """One per server; `start` reads everything once, or `restore` takes over an earlier view;
    `run` follows. default: what holds where a tenant has no policy, or its policy says nothing.
    wall: Unix seconds. heard_s, read_s: how long `heard` waits for a change, and then for what it
    brought to be compiled."""

    def __init__(
        self,
        store: Store,
        default: PlacementPolicy,
        *,
        wall: Callable[[], float],
        heard_s: float = HEARD_S,
        read_s: float = READ_S,
    ) -> None:
        self._heard_s = heard_s
        self._read_s = read_s
        self._default = default
        self.wall = wall
        self._compiled: dict[str, CompiledPolicy] = {}
        self._stamps: dict[str, Stamp] = {}
        self.pins = FollowedPins(wall=wall, on_change=self._stamp)
        self._pinned = self.pins.by_client
        self._unknown: dict[str, PlacementPolicy] = {}  # of tenants whose policy was never read
        self._behind: dict[str, str] = {}
        self._changed: dict[str, PolicyRecord | None] = {}
        self._being_read = ""  # the tenant whose policy is being compiled
        self.overdue: set[str] = set()  # tenants whose newest policy was waited for in vain
        self._awake = asyncio.Event()
        self._progress = asyncio.Condition()
        # One, so that its revision is of all that a fence asks for: a change of either rewrites it.
        self.replica = Replica(store, keys.WHO_MAY_LIVE, _read, self._note, keeps_pairs=True)

    # -- as a PolicySource -------------------------------------------------------------

    @property
    def default(self) -> PlacementPolicy:
        """That of clients of tenants without a policy."""
        return self._default

    def of(self, tenant: str, location: Location, client_key: bytes) -> PlacementPolicy:
        """By what a client is placed."""
        compiled = self._compiled.get(tenant)
        if compiled is not None:
            policy = compiled.of(location, client_key)
        elif self._unknown:
            policy = self._unknown.get(tenant, self._default)
        else:
            policy = self._default
        if self._pinned and client_key in self._pinned:
            return self.pins.applied(policy, client_key)
        return policy

    def revision_of(self, tenant: str) -> int:
        """The version of a tenant's policy that counts here now; 0: it has none."""
        compiled = self._compiled.get(tenant)
        return compiled.revision if compiled is not None else 0

    def stamp_of(self, tenant: str) -> Stamp:
        """As CurrentPolicies."""
        return self._stamps.get(tenant, _FIRST)

    def is_alike(self, tenant: str, location: Location) -> bool:
        """Whether the tenant's policy treats all its clients at a location alike, at all times, and
        none of them is pinned."""
        if self.pins.any_of(tenant):
            return False
        compiled = self._compiled.get(tenant)
        return compiled is None or compiled.is_alike(location)

    # -- how it is ---------------------------------------------------------------------

    @property
    def behind(self) -> Mapping[str, str]:
        """Tenants whose newest policy this server cannot read, and why."""
        return self._behind

    def compiled(self, tenant: str) -> CompiledPolicy | None:
        """A tenant's policy as it counts here now."""
        return self._compiled.get(tenant)

    def groups_of(self, tenant: str, client_key: bytes) -> Sequence[str]:
        """Of the tenant's policy those that a client is in, in their order. client_key: as
        `with_attributes` has it."""
        compiled = self._compiled.get(tenant)
        return compiled.groups_of(client_key) if compiled is not None else ()

    def undecided(self) -> int:
        """How often conditions could not be decided, of the policies that count now."""
        return sum(sum(one.undecided.values()) for one in self._compiled.values())

    @property
    def count(self) -> int:
        """Tenants with a policy."""
        return len(self._compiled)

    async def wait_for(self, tenant: str, version: int, *, timeout_s: float = 1.0) -> bool:
        """Whether this version, or a later one, counts here within the time."""
        try:
            async with asyncio.timeout(timeout_s), self._progress:
                await self._progress.wait_for(lambda: self.revision_of(tenant) >= version)
        except TimeoutError:
            return False
        return True

    async def heard(self, revision: int) -> bool:
        """Whether the policies and pins are known as of a revision of the store, in bounds: what
        was heard of is compiled, but for the tenants that are `overdue` then."""
        if not await self.replica.wait_for_revision(revision, timeout_s=self._heard_s):
            return False
        try:
            async with asyncio.timeout(self._read_s), self._progress:
                await self._progress.wait_for(lambda: not self._unread())
        except TimeoutError:
            self.overdue.update(self._unread())
        return True

    def _unread(self) -> set[str]:
        """Tenants of whom something was heard that is not compiled yet."""
        return {*self._changed, self._being_read} - {""}

    # -- its life ----------------------------------------------------------------------

    async def start(self) -> None:
        """Reads everything, and compiles it. Raises StoreUnavailable."""
        await self.replica.start()
        await self._compile_changed()

    async def restore(self, pairs: Iterable[KeyValue]) -> None:
        """Takes over what a snapshot holds, where the store itself was not read."""
        self.replica.restore(pairs)
        await self._compile_changed()

    async def run(self) -> None:
        """Follows the store for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.replica.run(), name="policies")
            while True:
                await self._awake.wait()
                await self._compile_changed()

    def _stamp(self, tenant: str) -> None:
        self._stamps[tenant] = self.revision_of(tenant), self.stamp_of(tenant)[1] + 1

    def _note(self, name: str, record: _Followed | None) -> None:
        """name: what follows WHO_MAY_LIVE in the key."""
        if name.startswith(_PINS):
            pin = record if isinstance(record, PinRecord) else None
            self.pins.note(name.removeprefix(_PINS), pin)
        elif name.startswith(_POLICIES):
            policy = record if isinstance(record, PolicyRecord) else None
            self._changed[name.removeprefix(_POLICIES)] = policy
            self._awake.set()

    async def _compile_changed(self) -> None:
        self._awake.clear()
        while self._changed:
            tenant, record = self._changed.popitem()
            self._being_read = tenant
            try:
                await self._take(tenant, record)
            finally:
                self._being_read = ""
            if tenant not in self._changed:
                self.overdue.discard(tenant)
            async with self._progress:
                self._progress.notify_all()

    async def _take(self, tenant: str, record: PolicyRecord | None) -> None:
        if record is None:
            for kept in (self._compiled, self._unknown, self._behind):
                kept.pop(tenant, None)
            self._stamp(tenant)
            return
        try:
            if record.fault:
                raise ServiceError(record.fault)
            work = partial(
                compile_policy,
                record.document,
                tenant=tenant,
                revision=record.version,
                base=self.default,
                wall=self.wall,
            )
            async with asyncio.timeout(COMPILE_S):
                compiled = await asyncio.to_thread(work)
        except (ServiceError, TimeoutError) as error:
            self._keep_older(tenant, record, str(error) or "compiling it takes too long here")
            return
        self._compiled[tenant] = compiled
        self._stamp(tenant)
        self._unknown.pop(tenant, None)
        if self._behind.pop(tenant, None) is not None:
            log.info("the policy of tenant %s can be read again", tenant)

    def _keep_older(self, tenant: str, record: PolicyRecord, why: str) -> None:
        first = why.splitlines()[0]
        self._behind[tenant] = f"version {record.version}: {first}"
        if tenant in self._compiled:
            older = self._compiled[tenant].revision
            log.error(
                "cannot read version %d of the policy of tenant %s, and goes on with %d: %s",
                record.version, tenant, older, first,
            )  # fmt: skip
            return
        log.error(
            "cannot read the policy of tenant %s, and gives its clients no new homes: %s",
            tenant, first,
        )  # fmt: skip
        self._stamp(tenant)
        self._unknown[tenant] = PlacementPolicy(
            denied=f"this server cannot read the policy of tenant {tenant}", denied_by="-"
        )
