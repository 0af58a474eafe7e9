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
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.provisioning.admission_control import AdmissionController
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

    def rank(self, call: HotCall) -> int:
        """KNOWN or NEW."""
        try:
            request = pb.ProvisionRequest.FromString(call.payload)
        except DecodeError:
            return NEW
        client_id = request.client_id
        if client_id in self._known:
            return KNOWN
        ticket = request.ticket
        if ticket:
            tenant = request.tenant or DEFAULT_TENANT.id
            if self._fallback.read(tenant, client_id, ticket, of_any_unit=True) is not None:
                self._known.note(client_id)  # so that its ticket is looked at once
                return KNOWN
        return NEW

    def refuse(self, call: HotCall, rank: int) -> None:
        """With a delay of its own; who shows a ticket is answered from that where it can be."""
        if rank == NEW:
            call.fail(self._admission.refusal())
        elif pb.ProvisionRequest.FromString(call.payload).ticket:
            self._refused(call, self._admission.refusal(known=True, shows_ticket=True))
        else:
            call.fail(self._admission.refusal(known=True))
