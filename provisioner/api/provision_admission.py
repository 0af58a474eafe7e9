"""ProvisionAdmission: in which order Provision is served where more ask than can be, and what those
are told who are not.

Clients that have a home go first: those whom this server has told of it lately, and those who show
a ticket that is one. All others count as new. None of it asks the store.
"""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.message import DecodeError

from control_plane.errors import ServiceError
from control_plane.fleet.unit import DEFAULT_TENANT
from control_plane.serving.calls import HotCall
from control_plane.serving.status import Status, try_again
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.provisioning.admission_control import (
    CROWDED,
    CROWDED_BY_NEW,
    AdmissionController,
    Overloaded,
)
from provisioner.provisioning.known_clients import KnownClients
from provisioner.provisioning.ticket_fallback import TicketFallback

KNOWN, NEW = 0, 1  # ranks


class ProvisionAdmission:
    """AdmissionRules of Provision. refused(call, error): answers one that shows a ticket, by that
    where it can be."""

    def __init__(
        self,
        known: KnownClients,
        fallback: TicketFallback,
        admission: AdmissionController,
        *,
        refused: Callable[[HotCall, ServiceError], None],
    ) -> None:
        self._known = known
        self._fallback = fallback
        self._admission = admission
        self._refused = refused
        self._message, self._request = b"", pb.ProvisionRequest()  # read last

    def rank(self, message: bytes) -> int:
        """KNOWN or NEW."""
        try:
            request = self._read(message)
        except DecodeError:
            return NEW
        tenant, client_id = request.tenant or DEFAULT_TENANT.id, request.client_id
        if self._known.knows(tenant, client_id):
            return KNOWN
        ticket = request.ticket
        if ticket and self._fallback.read(tenant, client_id, ticket, of_any_unit=True) is not None:
            self._known.note(tenant, client_id)  # so that its ticket is looked at once
            return KNOWN
        return NEW

    def status(self, message: bytes, rank: int) -> Status | None:
        """With a delay of its own. None for who shows a ticket, and where something else is wrong
        than that too many wait."""
        if rank == KNOWN and self._read(message).ticket:
            return None
        delay_s = self._admission.turn_away()
        if delay_s is None:
            return None
        return try_again(Overloaded.reason, CROWDED_BY_NEW if rank == NEW else CROWDED, delay_s)

    def refuse(self, call: HotCall, rank: int) -> None:
        """With a delay of its own; who shows a ticket is answered from that where it can be."""
        if rank == NEW:
            call.fail(self._admission.refusal())
        elif self._read(call.payload).ticket:
            self._refused(call, self._admission.refusal(known=True, shows_ticket=True))
        else:
            call.fail(self._admission.refusal(known=True))

    def _read(self, message: bytes) -> pb.ProvisionRequest:
        """Raises DecodeError."""
        if message is not self._message:
            self._request = pb.ProvisionRequest.FromString(message)
            self._message = message
        return self._request
