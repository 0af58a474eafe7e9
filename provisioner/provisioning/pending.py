"""PendingProvision: one client on its way from request to answer.

Made once per client and carried through lookup, choice, ledger and encoding without a task
or future of its own. Callers that ask for the same client at the same time share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from control_plane.errors import ServiceError
from control_plane.fleet.unit import TenantSpec
from control_plane.store import port
from control_plane.store.port import KeyValue
from provisioner.geo.location import Location
from provisioner.ledger.account import Account
from provisioner.ledger.assignment import AssignmentRecord, decode_assignment, encode_assignment
from provisioner.ledger.holds import hold
from provisioner.ledger.operations import Claim
from provisioner.placement.choice import Choice

if TYPE_CHECKING:
    from provisioner.provisioning.provisioner import Provisioner


class Sink(Protocol):
    """Where an answer goes: a call, or a place in a batch."""

    def reply(self, response: bytes) -> None:
        """A ProvisionResponse."""
        ...

    def fail(self, error: ServiceError) -> None: ...


class PendingProvision(Claim):
    """See the module. `also` holds the sinks of those who asked while this was under way."""

    __slots__ = (
        "also",
        "at_ms",
        "choice",
        "client_id",
        "location",
        "looked",
        "plain",
        "provisioner",
        "sink",
        "tenant",
        "value",
        "with_ticket",
        "writes",
    )

    def __init__(
        self,
        provisioner: Provisioner,
        key: bytes,
        tenant: TenantSpec,
        client_id: str,
        location: Location,
        at_ms: int,
        expires_at: float,
        with_ticket: bool,
        sink: Sink,
    ) -> None:
        self.provisioner = provisioner
        self.key = key
        self.tenant = tenant
        self.client_id = client_id
        self.location = location
        self.at_ms = at_ms
        self.expires_at = expires_at
        self.with_ticket = with_ticket
        self.sink = sink
        self.also: list[tuple[Sink, bool]] | None = None
        self.promised = False
        self.plain = True
        self.writes: Sequence[port.Operation] = ()
        self.looked = False  # whether the store was asked for a home this client has

    def reply(self, response: bytes) -> None:
        """To the caller who came first; a ProvisionResponse."""
        self.sink.reply(response)

    def fail(self, error: ServiceError) -> None:
        """To the same."""
        self.sink.fail(error)

    def choose(self) -> Account | ServiceError:
        choice = self.provisioner.choose(self.tenant.id, self.key, self.location)
        if isinstance(choice, ServiceError):
            return choice
        self.choice: Choice = choice
        account = self.provisioner.accounts[choice.unit_index]
        self.value = encode_assignment(account.unit, 1, self.at_ms, self.location.cell)
        if self.tenant.hold_s > 0:
            self.plain = False
            until_ms = self.at_ms + int(self.tenant.hold_s * 1000)
            self.writes = (hold(self.tenant.id, self.client_id, account.unit, until_ms=until_ms),)
        return account

    def record(self) -> bytes:
        return self.value

    def assigned(self, revision: int) -> None:
        self.provisioner.answer_new(self)

    def existing(self, found: KeyValue) -> None:
        record: AssignmentRecord = decode_assignment(found.value)
        provisioner = self.provisioner
        # One look where nobody has to move: it is a known client's hot path.
        if not provisioner.fleet_view.restless or not provisioner.moves_on(self, found, record):
            provisioner.answer_existing(self, record)

    def found(self, found: KeyValue | None) -> None:
        """The outcome of looking before claiming."""
        if found is not None:
            self.existing(found)
        else:
            self.provisioner.claim_new(self)

    def failed(self, error: ServiceError) -> None:
        self.provisioner.answer_error(self, error)
