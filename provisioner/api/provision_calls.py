"""ProvisionCalls: one Provision call, from its message to the use case that answers it.

Who calls, for which client of which tenant, from where, and whether it may ask again so soon is
found out here, in this order and without an await; what is wrong is answered at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeAlias

from control_plane.auth.callers import STRANGER
from control_plane.auth.shown import ShownCredentials
from control_plane.errors import ServiceError
from control_plane.fleet.unit import DEFAULT_TENANT
from control_plane.quotas.limits import Quota
from control_plane.quotas.quotas import Quotas
from control_plane.serving.calls import HotCall
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.api.callers import Callers
from provisioner.api.client_proofs import ClientProofs
from provisioner.api.client_tenant import client_tenant
from provisioner.api.requests import read_provision, told_attributes
from provisioner.fleet_view import FleetView
from provisioner.placement.attributes import NO_ATTRIBUTES
from provisioner.provisioning.bootstrap_lookup import BootstrapEnrolment
from provisioner.provisioning.provisioner import DEFAULT_TIMEOUT_S
from provisioner.provisioning.sampled_steps import SampledSteps
from provisioner.provisioning.single import SingleProvision, Sink
from provisioner.provisioning.ticket_fallback import FallbackResponder, TicketFallback

KindOf: TypeAlias = Callable[[pb.ProvisionRequest, str, str | None], Callable[..., SingleProvision]]
"""By request, tenant and the client's address; None: it declared where it is."""
PROVISIONS = Quota.PROVISIONS  # a member is looked up in its class at 0.1 us


class UseCase(Protocol):
    """Provisioner, as far as a call needs it."""

    @property
    def steps(self) -> SampledSteps:
        """How long steps take, of sampled calls."""
        ...

    @property
    def provision(self) -> Callable[..., None]:
        """Begins a client."""
        ...


class ProvisionCalls:
    """One per server. kind_of: what makes the pending provision of a call that asks for more than
    a home, or waits."""

    def __init__(
        self,
        use_case: UseCase,
        *,
        fallback: TicketFallback,
        fleet_view: FleetView,
        callers: Callers,
        proofs: ClientProofs,
        bootstrap: BootstrapEnrolment,
        quotas: Quotas,
        kind_of: KindOf,
    ) -> None:
        self._provisioner = use_case
        self._fallback = fallback
        self._fleet_view = fleet_view
        self._callers = callers
        self._proofs = proofs
        self._bootstrap = bootstrap
        self._quotas = quotas
        self._kind_of = kind_of

    def begin(self, call: HotCall, refused: ServiceError | None = None) -> None:
        """Provision, as a hot method. refused: the client is not begun: it hears this, or is
        answered by the ticket that it shows."""
        sink: Sink = call
        steps = self._provisioner.steps
        steps.open = False
        if steps.due:
            steps.begin()
        try:
            request = read_provision(call.payload)
            client_id, last_ticket = request.client_id, request.ticket
            with_ticket = not request.without_ticket
            origin, told = request.WhichOneof("origin"), NO_ATTRIBUTES
            if request.attributes:
                told = told_attributes(request)
            shown = ShownCredentials(call.metadata())
            proof = tenant = None
            declares = origin is not None or bool(told)
            if shown.group_token and not declares and self._proofs.lets_enrol:
                # As most new clients come: who calls is known by the token alone.
                tenant = self._fleet_view.tenant(request.tenant or DEFAULT_TENANT.id)
                if tenant is not None:
                    proof = self._proofs.of_group(shown, tenant, client_id, last_ticket)
            if proof is None or tenant is None:
                caller, tenant_id = self._callers.admit(call, shown, request.tenant, declares)
                tenant = client_tenant(self._fleet_view, tenant_id, caller)
            else:
                caller = STRANGER
            address = position = None
            peer = self._callers.address(call)
            if origin is None:
                address = peer
            elif origin == "address":
                address = request.address
            else:
                position = (request.position.latitude, request.position.longitude)
            left_s = call.time_left_s()
            # Whoever asks for another's client must not use up what that one may ask, and a proof
            # is not held against the record yet: a client is counted as this caller asks for it.
            self._quotas.take(
                PROVISIONS,
                tenant.id,
                client=client_id,
                asker=shown.client_key or caller.name,
                address=peer,
            )
            if proof is None:
                proof = self._proofs.of_call(shown, caller, tenant, client_id, last_ticket)
            if last_ticket:
                sink = FallbackResponder(
                    self._fallback, tenant, client_id, last_ticket, with_ticket, call
                )
            if refused is not None:
                sink.fail(refused)
                return
            timeout_s = DEFAULT_TIMEOUT_S if left_s is None else min(left_s, DEFAULT_TIMEOUT_S)
            provision = self._provisioner.provision
            if request.with_network or request.waiting_token:
                provision = partial(provision, kind=self._kind_of(request, tenant.id, address))
            if not proof.bootstrap:
                provision(
                    tenant, client_id, address, position, sink,
                    proof=proof, with_ticket=with_ticket, timeout_s=timeout_s, attributes=told,
                )  # fmt: skip
                return
            begin = partial(
                provision, tenant, client_id, address, position, sink,
                proof=proof, with_ticket=with_ticket, timeout_s=timeout_s, attributes=told,
            )  # fmt: skip
            steps.open = False
            self._bootstrap.begin(tenant.id, proof, begin, sink)
        except ServiceError as error:
            sink.fail(error)
