"""PendingProvision: one client on its way from request to answer, as a claim of the ledger.

Made once per client and carried through lookup, choice, ledger and answer without a task or
future of its own. Callers that ask for the same client at the same time share it. What its
outcomes mean is the business of the use case, which it knows by `ProvisionFlow` alone.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

from control_plane.errors import ServiceError
from control_plane.fleet.unit import TenantSpec
from control_plane.native_classes import mypyc_attr
from control_plane.store import port
from control_plane.store.port import KeyValue
from provisioner.geo.location import Location
from provisioner.ledger.account import Account
from provisioner.ledger.assignment import AssignmentRecord
from provisioner.ledger.assignment_encoding import encode_assignment
from provisioner.ledger.holds import hold
from provisioner.ledger.operations import Claim
from provisioner.ledger.recent_assignments import RecentAssignments
from provisioner.moves.move_operation import Moved
from provisioner.placement.attributes import (
    NO_ATTRIBUTES,
    Attributes,
    with_attributes,
)
from provisioner.placement.choice import Choice
from provisioner.policy.told_attributes import told_anew
from provisioner.provisioning.client_proof import ANYONES, ClientProof
from provisioner.provisioning.placer import Placer
from provisioner.provisioning.room_awaited import RoomAwaited

ReceiverT = TypeVar("ReceiverT", covariant=True)


class ProvisionFlow(Protocol):
    """The use case as a pending provision sees it. Each call but `claim` ends the provision
    or hands it to whoever will."""

    placer: Placer
    recent: RecentAssignments | None  # where what single calls assign is remembered

    def claim(self, pending: AnyPending, /) -> None:
        """Chooses a unit for the client and asks the ledger for a slot there."""
        ...

    def assigned(self, pending: AnyPending, /) -> None:
        """The assignment is durable."""
        ...

    def existing(self, pending: AnyPending, found: KeyValue, /) -> None:
        """The store holds an assignment of the client already."""
        ...

    def absent(self, pending: AnyPending, /) -> None:
        """The store was asked, and holds no assignment of the client."""
        ...

    def denied(self, pending: AnyPending, /) -> None:
        """The client is not there, and may not be made."""
        ...

    def stays(self, pending: AnyPending, record: AssignmentRecord, /) -> None:
        """The client keeps the assignment it has."""
        ...

    def moved(
        self, pending: AnyPending, before: AssignmentRecord, now: Moved, rule: str, /
    ) -> None:
        """The client had an assignment, and was moved to another unit."""
        ...

    def failed(self, pending: AnyPending, error: ServiceError, /) -> None:
        """There will be no assignment, or the store did not answer."""
        ...


@mypyc_attr(allow_interpreted_subclasses=True)
class PendingProvision(Claim, Generic[ReceiverT]):
    """See the module. at_ms: Unix time of the assignment, ms; expires_at: monotonic, s.

    proof: what its caller showed of being the client; receiver: what `reply` and `fail` answer;
    joined: those who asked for the same client while this was under way; checked_store: whether
    the store was asked for an assignment of it; stamp: of the policies by which `choose` chose.
    attributes: that its caller tells of it; kept: what it has of them where it is new; placed_by:
    by what it is placed then. waits_since_ms: as its caller's waiting token says, Unix ms; 0: it
    begins to wait.
    """

    __slots__ = (
        "at_ms",
        "attributes",
        "checked_store",
        "choice",
        "client_id",
        "flow",
        "guards",
        "joined",
        "kept",
        "location",
        "placed_by",
        "plain",
        "proof",
        "receiver",
        "stamp",
        "tenant",
        "waits_since_ms",
        "with_ticket",
        "writes",
    )

    def __init__(
        self,
        flow: ProvisionFlow,
        key: bytes,
        tenant: TenantSpec,
        client_id: str,
        location: Location,
        at_ms: int,
        expires_at: float,
        with_ticket: bool,
        receiver: ReceiverT,
        proof: ClientProof = ANYONES,
        attributes: Attributes = NO_ATTRIBUTES,
    ) -> None:
        """attributes: checked."""
        self.flow = flow
        self.key = key
        self.tenant = tenant
        self.client_id = client_id
        self.location = location
        self.at_ms = at_ms
        self.expires_at = expires_at
        self.with_ticket = with_ticket
        self.receiver = receiver
        self.proof = proof
        self.attributes = attributes
        self.kept: Attributes | None = None
        self.placed_by = key
        given = proof.enrols_with
        if attributes is not NO_ATTRIBUTES or given is not NO_ATTRIBUTES:
            self.kept = told_anew(given, attributes)
            self.placed_by = with_attributes(key, self.kept)
        self.joined: list[AnyPending] | None = None
        self.reserved = False
        self.plain = True
        self.guards: Sequence[port.Compare] = ()
        self.writes: Sequence[port.Operation] = ()
        self.checked_store = False
        self.waits_since_ms = 0

    def join(self, other: AnyPending) -> None:
        """Who asks for the same client comes along; who has waited longest counts."""
        if self.joined is None:
            self.joined = []
        self.joined.append(other)
        if other.waits_since_ms:
            self.waits_since_ms = min(self.waits_since_ms or self.at_ms, other.waits_since_ms)

    def told(self, error: ServiceError) -> ServiceError:
        """The error as its caller hears it: who waits for room, with since when it does."""
        if not isinstance(error, RoomAwaited):
            return error
        since_ms = self.waits_since_ms or self.at_ms
        return error.told(
            self.flow.placer.waiting.issue(
                self.tenant.id, self.client_id, since_ms=since_ms, now_ms=self.at_ms
            )
        )

    @abstractmethod
    def reply(self, response: bytes) -> None:
        """Answers whoever asked first with a ProvisionResponse."""

    @abstractmethod
    def fail(self, error: ServiceError) -> None:
        """Answers whoever asked first with an error."""

    @property
    def shows_ticket(self) -> bool:
        """Whether who asked showed a last ticket, by which it is answered where the store fails."""
        return getattr(self.receiver, "shows_ticket", False)

    # -- as a claim of the ledger ------------------------------------------------------

    def choose(self) -> Account | ServiceError:
        placer = self.flow.placer
        since_ms = self.waits_since_ms
        waited_s = max(0, self.at_ms - since_ms) / 1000.0 if since_ms else 0.0
        choice = placer.choose(self.tenant.id, self.placed_by, self.location, waited_s)
        if isinstance(choice, ServiceError):
            return choice
        self.choice: Choice = choice
        account = placer.accounts[choice.unit_index]
        location = self.location
        why = placer.provenance(choice, location)
        self.stamp = placer.policies.stamp_of(self.tenant.id)
        self.value = encode_assignment(
            account.unit, 1, self.at_ms, location.cell, self.stamp[0], why=why,
            key=self.proof.bound_key, subdivision=location.subdivision,
            attributes=self.kept,
        )  # fmt: skip
        if self.tenant.hold_s > 0:
            self.plain = False
            until_ms = self.at_ms + int(self.tenant.hold_s * 1000)
            self.writes = (hold(self.tenant.id, self.client_id, account.unit, until_ms=until_ms),)
        consumes = self.proof.consumes
        if consumes is not None:
            self.plain = False
            self.guards = (port.unchanged(consumes.key, consumes.mod_revision),)
            self.writes = (*self.writes, port.Delete(consumes.key))
        return account

    def is_current(self) -> bool:
        return self.flow.placer.policies.stamp_of(self.tenant.id) == self.stamp

    def assigned(self, revision: int) -> None:
        self.flow.assigned(self)

    def existing(self, found: KeyValue) -> None:
        self.flow.existing(self, found)

    def changed(self, found: KeyValue | None) -> None:
        if found is not None:
            self.flow.existing(self, found)
        else:
            self.flow.denied(self)  # another client took what it was to be let in by

    def failed(self, error: ServiceError) -> None:
        self.flow.failed(self, error)

    # -- as a lookup of the ledger, before the claim -----------------------------------

    def found(self, found: KeyValue | None) -> None:
        if found is not None:
            self.flow.existing(self, found)
        else:
            self.flow.absent(self)


AnyPending: TypeAlias = PendingProvision[object]


class LookupBeforeRefusal:
    """Looks a client up for whom there is no room: it may have an assignment already."""

    __slots__ = ("_error", "_pending", "expires_at", "key")

    def __init__(self, pending: AnyPending, error: ServiceError) -> None:
        self.key = pending.key
        self.expires_at = pending.expires_at
        self._pending = pending
        self._error = error

    def found(self, found: KeyValue | None) -> None:
        if found is not None:
            self._pending.existing(found)
        else:
            self._pending.failed(self._error)

    def failed(self, error: ServiceError) -> None:
        self._pending.failed(error)
