"""Ledger: the port through which slots of units are handed out, exactly and durably.

Whoever provisions, moves or measures sees only this. `StoreLedger` keeps it over one store,
`ShardedLedger` over several clusters. Which unit a client should have is not the ledger's
business: a claim brings that along (`choose`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from control_plane.errors import ServiceError
from control_plane.fleet.capacity import CapacityRecord
from control_plane.histogram import Histogram
from control_plane.store.replica import Replica
from control_plane.tracing.tracer import Tracer
from provisioner.geo.location import Location
from provisioner.ledger.account import Account
from provisioner.ledger.operations import Claim, Lookup, Release
from provisioner.ledger.session import Session
from provisioner.placement.choice import Choice, NoChoice
from provisioner.placement.filters import PolicySource
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.occupancy import Occupancy


class UnitChooser(Protocol):
    """Chooses among the units that have room as things stand."""

    def choose(
        self, location: Location, tenant: str, client_key: bytes, waited_s: float
    ) -> Choice | NoChoice:
        """As placement.policy_chooser.PolicyChooser."""
        ...

    def is_alike(self, location: Location, tenant: str, client_key: bytes) -> bool:
        """As placement.policy_chooser.PolicyChooser."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerCounts:
    """What a ledger tells its operator."""

    waiting: int  # operations in queues, now
    transactions: int  # group commits since the start
    conflicts: int  # of these, refused
    reclaimed: int  # grants of expired sessions that this one reclaimed
    under_way: int = 0  # group commits that the store has now
    sessions: int = 0  # begun since the start; each after the first because one was lost
    requests: int = 0  # blocks of slots that were asked for
    without_slot: int = 0  # claims that wait for a grant
    idle: Mapping[str, int] = field(default_factory=dict)  # slots by unit, granted and not used
    sizes: Sequence[Histogram] = ()  # of group commits, in operations
    seconds: Sequence[Histogram] = ()  # from a group commit to its result
    damaged: Sequence[str] = ()  # keys that are left out because they cannot be read


class Ledger(Protocol):
    """Use from one event loop. `run` is a task of the owner's; what is submitted is written
    while it is at work."""

    # -- what is asked of it -----------------------------------------------------------

    def submit(self, claim: Claim) -> None:
        """`claim.account` has been chosen; exactly one of its outcomes will be called."""
        ...

    def release(self, release: Release) -> None:
        """Exactly one of its outcomes will be called."""
        ...

    def look_up(self, lookup: Lookup) -> None:
        """Exactly one of its outcomes will be called."""
        ...

    def why_no_place(self, assignment_key: bytes) -> ServiceError | None:
        """Why the tenant of this key may have no further client as things stand; None: it may."""
        ...

    def request_slots(self, unit_ids: Sequence[str]) -> None:
        """A client was turned away by all of these units: asks the other provisioners for
        slots that they can spare."""
        ...

    # -- units -------------------------------------------------------------------------

    def follow(self, unit_ids: Sequence[str]) -> None:
        """From now on unit i is `unit_ids[i]`, in a new `occupancy`."""
        ...

    def account(self, unit: str) -> Account:
        """The account at a unit, to be named in an operation; an empty one for a unit nobody
        heard of."""
        ...

    def chooser(self, fleet: PlacementFleet, policies: PolicySource) -> UnitChooser:
        """Chooses units that have room as things stand, for each client by its policy."""
        ...

    @property
    def occupancy(self) -> Occupancy:
        """By unit as last followed: slots that can be had by whoever asks, and the share
        that is taken."""
        ...

    def occupancy_for(self, assignment_key: bytes) -> Occupancy:
        """The same, for one client."""
        ...

    @property
    def capacity(self) -> Replica[tuple[CapacityRecord, int]]:
        """The capacity records and their mod_revisions, as followed."""
        ...

    # -- its life ----------------------------------------------------------------------

    def use_tracer(self, tracer: Tracer) -> None:
        """From now on transactions with clients that are traced have a span."""
        ...

    async def start(self) -> None:
        """Begins a session and reads the capacity records. Raises Unavailable; then `run`
        does both when the store is there."""
        ...

    async def run(self) -> None:
        """Works until cancelled."""
        ...

    async def return_idle_slots(self, *, timeout_s: float) -> None:
        """Before leaving: gives all idle slots back, as far as that works within the time.
        Only while `run` is at work; what is left over is reclaimed when the session ends."""
        ...

    async def close(self) -> None:
        """Ends the session."""
        ...

    # -- how it is ---------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """Of the store with the control data: for what is written there besides capacity."""
        ...

    @property
    def may_write(self) -> bool:
        """Whether it has a session, and may write at all."""
        ...

    @property
    def connected(self) -> bool:
        """Whether the store answers, as far as is known."""
        ...

    @property
    def lookups_waiting(self) -> int:
        """Lookups in queues."""
        ...

    def counts(self) -> LedgerCounts:
        """For metrics."""
        ...
