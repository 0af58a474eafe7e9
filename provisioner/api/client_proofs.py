"""ClientProofs: reads from a call what it shows of being the client that it is about.

Whoever speaks for clients, or may see them all, needs to show nothing more; everybody else shows
a key, a last ticket or a client certificate. A call that shows none of these is denied here,
before anything is asked of the store. What the rest prove, `provisioning.client_proof` says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from grpc import aio

from control_plane.auth.callers import Caller
from control_plane.auth.interceptor import metadata_of
from control_plane.auth.roles import Role
from control_plane.auth.shown import ShownCredentials
from control_plane.fleet.unit import TenantSpec
from control_plane.store.damaged import UNREADABLE
from control_plane.store.port import KeyValue
from provisioner.api.callers import Callers
from provisioner.ledger.assignment import AssignmentRecord, decode_assignment, split_key
from provisioner.provisioning.client_proof import (
    ANYONES,
    GATEWAYS,
    ClientProof,
    ShownTicket,
    client_denied,
    damaged,
    key_digest,
)
from provisioner.provisioning.enrolment import Enrolment
from provisioner.provisioning.ticket_fallback import TicketFallback
from provisioner.watching.home_state import HomeState

_GATEWAY = Role.GATEWAY  # a member is looked up in its class at 0.1 us
GONE = -1  # in place of the first assignment of a client that has none


class ClientProofs:
    """One per server. tickets: reads last tickets."""

    def __init__(self, callers: Callers, tickets: TicketFallback, enrolment: Enrolment) -> None:
        self._callers = callers
        self._open = callers.open
        self._tickets = tickets
        self._enrolment = enrolment
        # Whether what a group's key made is looked at before it is asked who calls.
        self.lets_enrol = callers.admits_enrolling

    def of_group(
        self, shown: ShownCredentials, tenant: TenantSpec, client_id: str, ticket: str
    ) -> ClientProof | None:
        """Of a Provision call where `lets_enrol`, by the token of a group that it shows; None: it
        was not made for this client."""
        enrols_with = self._enrolment.lets_in(tenant, client_id, shown.group_token)
        if enrols_with is None:
            return None
        return ClientProof(
            key=key_digest(shown.client_key),
            may_claim=True,
            enrols_with=enrols_with,
            binds_known=True,
            read_ticket=self._reader(tenant, client_id, ticket) if ticket else None,
        )

    def of_call(
        self,
        shown: ShownCredentials,
        caller: Caller,
        tenant: TenantSpec,
        client_id: str,
        ticket: str,
    ) -> ClientProof:
        """Of a Provision call that was admitted. Raises PermissionDenied where it shows nothing
        and may not make its client."""
        if self._open:
            key = key_digest(shown.client_key)
            return ClientProof(vouched=True, may_claim=True, key=key) if key else ANYONES
        if _GATEWAY in caller.roles:
            return GATEWAYS
        found = self._enrolment.of_caller(tenant, client_id, caller, shown)
        proof = ClientProof(
            key=key_digest(shown.client_key),
            vouched=found.itself,
            may_claim=found.may_claim,
            bootstrap=found.bootstrap,
            attributes=found.attributes,
            enrols_with=found.enrols_with,
            binds_known=True,
            read_ticket=self._reader(tenant, client_id, ticket) if ticket else None,
        )
        if not (proof.may_claim or proof.bootstrap) and proof.empty:
            raise client_denied()
        return proof

    def of_context(
        self,
        context: aio.ServicerContext[Any, Any],
        tenant: TenantSpec,
        client_id: str,
        ticket: str,
        *others: Role,
    ) -> ClientProof:
        """Of an ordinary call that was admitted. others: those besides the client, and who speaks
        for it, whom the method is for. Raises PermissionDenied where it shows nothing."""
        if self._open:
            return ANYONES
        caller = self._callers.of_context(context)
        if caller.may(Role.GATEWAY):
            return GATEWAYS
        shown = ShownCredentials(metadata_of(context))
        itself = self._enrolment.of_caller(tenant, client_id, caller, shown).itself
        may = caller.may(*others)
        proof = ClientProof(
            key=key_digest(shown.client_key),
            vouched=itself or may,
            is_client=itself and not may,
            tickets=itself,
            read_ticket=self._reader(tenant, client_id, ticket) if ticket else None,
        )
        if proof.empty:
            raise client_denied()
        return proof

    def _reader(
        self, tenant: TenantSpec, client_id: str, ticket: str
    ) -> Callable[[], ShownTicket | None]:
        return partial(self._tickets.read, tenant.id, client_id, ticket, of_any_unit=True)


def checked_record(proof: ClientProof, found: KeyValue | None) -> AssignmentRecord | None:
    """The client's record, where the caller may know of it; None: there is none. Raises
    PermissionDenied where it may not, and where there is none and it has not proved to be the
    client otherwise; DataLoss."""
    record = None
    if found is not None:
        try:
            record = decode_assignment(found.value)
        except UNREADABLE:
            if proof.vouched:
                raise damaged(split_key(found.key)[1]) from None
    if proof.vouched or (record is not None and proof.shows(record)):
        return record
    raise client_denied()


class WatchedClientProof:
    """The proof of one watch, held against its client's record again whenever the client begins
    a new life: who watched one that was released is not told of the next. find: reads it."""

    def __init__(self, proof: ClientProof, find: Callable[[], Awaitable[KeyValue | None]]) -> None:
        self._proof = proof
        self._find = find
        self._first_ms = 0
        self.tickets = proof.tickets

    async def check(self) -> None:
        """Before the watch begins. Raises PermissionDenied, Unavailable."""
        if not self._proof.vouched:
            self._accept(checked_record(self._proof, await self._find()))

    async def tells(self, home: HomeState) -> bool:
        """Whether the watcher is told of this home; False: it is past already. Raises
        PermissionDenied, Unavailable."""
        if self._proof.vouched and self._proof.tickets:
            return True
        if not home.first_ms or home.first_ms != self._first_ms:
            self._accept(checked_record(self._proof, await self._find()))
            if not home.first_ms:  # told of by a server that does not record it yet
                return self._first_ms != GONE
        return home.first_ms == self._first_ms

    def _accept(self, record: AssignmentRecord | None) -> None:
        self._first_ms = record.first_ms if record is not None else GONE
        self.tickets = record is not None and self._proof.may_have_ticket(record)
