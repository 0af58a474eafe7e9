"""MoveOperation: the move of one client to another unit, as an operation of the ledger.

The assignment is written over at the next epoch, with the usage of both units, the departure
for the old one's agent, and the hold where one stands, in one transaction. Compares make it
idempotent: a repeat finds the epoch gone on and changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from control_plane import keys
from control_plane.errors import ServiceError
from control_plane.fleet.unit import Reprovision, TenantSpec
from control_plane.store.port import KeyValue, Put, unchanged
from provisioner.geo.location import Location
from provisioner.ledger.account import Account
from provisioner.ledger.assignment import AssignmentRecord
from provisioner.ledger.assignment_encoding import encode_assignment
from provisioner.ledger.departure import DepartureRecord, encode_departure
from provisioner.ledger.holds import hold
from provisioner.ledger.operations import Move
from provisioner.ledger.provenance import Provenance, encode_provenance
from provisioner.moves.plan import MoveStrategy
from provisioner.placement.filters import Stamp

DRAINED = "drained"
FAILED_OVER = "failed-over"
RETURNED = "returned-home"
REPROVISIONED = "reprovisioned"
REBALANCED = "rebalanced"
PLACED_ANEW = "placed-anew"
MOVED_BACK = "moved-back"
HAD_TO = frozenset({DRAINED, FAILED_OVER})  # causes that make a client's old unit its home


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveRequest:
    """A client that is to move. `to`: the only unit it may go to; empty: as `strategy` finds.
    rule: by which placement chose `to`, if it did; job: that moves it; empty: it asked.
    policy_version: it moves by this version of its tenant's policy alone; 0: by whichever is in
    force."""

    tenant: TenantSpec
    client_id: str
    found: KeyValue  # A as last seen
    record: AssignmentRecord  # the same, decoded
    location: Location
    cause: str
    strategy: MoveStrategy
    to: str = ""
    rule: str = ""
    job: str = ""
    policy_version: int = 0

    @property
    def placed_by(self) -> bytes:
        """By what its new unit is found."""
        return self.record.placed_by(self.found.key)

    @property
    def takes_state(self) -> bool:
        """Whether its state goes first. A lost unit can hand nothing over: who does not wait for
        it gets a home without its state."""
        return self.tenant.reprovision is Reprovision.MOVE_WITH_STATE and self.cause != FAILED_OVER

    @property
    def home(self) -> str:
        """The unit that the client had to leave, when this move is over; empty: none."""
        if self.cause in HAD_TO:
            return self.record.home or self.record.unit
        return ""


class MoveTarget(NamedTuple):
    """Where a client is to go, and what decided it: of what policies said under this stamp."""

    account: Account
    why: Provenance
    stamp: Stamp


class Moved(NamedTuple):
    """The client has a new home, durably."""

    unit: str
    epoch: int
    at_ms: int
    first_ms: int  # as AssignmentRecord has it


class Superseded(NamedTuple):
    """The assignment is not what it was: written since, or gone."""

    found: KeyValue | None


class NotMoved(NamedTuple):
    """The client stays where it is, for a reason fit for an operator."""

    reason: str


Outcome: TypeAlias = Moved | Superseded | NotMoved


class MoveOperation(Move):
    """See the module. `outcome` is set once. find(request): where it should go, as things
    stand; stamp_of(tenant): of what its policy says now; lease: of its departure;
    held: the hold that stands beside the assignment."""

    __slots__ = (
        "_at_ms",
        "_find",
        "_held",
        "_lease",
        "_stamp",
        "_stamp_of",
        "outcome",
        "request",
    )  # fmt: skip

    def __init__(
        self,
        request: MoveRequest,
        source: Account,
        *,
        find: Callable[[MoveRequest], MoveTarget | ServiceError],
        stamp_of: Callable[[str], Stamp],
        lease: int,
        held: KeyValue | None,
        at_ms: int,
        expires_at: float,
    ) -> None:
        self.key = request.found.key
        self.revision = request.found.mod_revision
        self.source = source
        self.expires_at = expires_at
        self.reserved = False
        self.request = request
        self.guards = ()
        self.writes = ()
        self._find = find
        self._stamp_of = stamp_of
        self._stamp: Stamp = (0, 0)
        self._lease = lease
        self._held = held
        self._at_ms = at_ms
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        if held is not None:
            self.guards = (unchanged(held.key, held.mod_revision),)

    def choose(self) -> Account | ServiceError:
        target = self._find(self.request)
        if isinstance(target, ServiceError):
            return target
        self._stamp = target.stamp
        account, request, record = target.account, self.request, self.request.record
        unit, epoch = account.unit, record.epoch + 1
        home = request.home if request.home != unit else ""
        why = encode_provenance(target.why)
        self.value = encode_assignment(
            unit, epoch, self._at_ms, request.location.cell, target.stamp[0], home, why,
            record.key, record.first_ms, request.location.subdivision, record.attributes,
        )  # fmt: skip
        departure = DepartureRecord(
            epoch=epoch,
            unit=unit,
            cause=request.cause,
            at_ms=self._at_ms,
            first_ms=record.first_ms,
        )
        departed = Put(
            keys.move(record.unit, request.tenant.id, request.client_id),
            encode_departure(departure),
            self._lease,
        )
        self.writes = (departed,)
        if self._held is not None:
            # Nobody has seen the client yet: its new place is held like the old one was.
            until_ms = self._at_ms + int(request.tenant.hold_s * 1000)
            self.writes = (
                departed,
                hold(request.tenant.id, request.client_id, unit, until_ms=until_ms),
            )
        return account

    def is_current(self) -> bool:
        return self._stamp_of(self.request.tenant.id) == self._stamp

    def assigned(self, revision: int) -> None:
        epoch = self.request.record.epoch + 1
        first_ms = self.request.record.first_ms
        self._resolve(Moved(self.account.unit, epoch, self._at_ms, first_ms))

    def changed(self, found: KeyValue | None) -> None:
        self._resolve(Superseded(found))

    def failed(self, error: ServiceError) -> None:
        self._resolve(NotMoved(error.message))

    def _resolve(self, outcome: Outcome) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)
