"""What requests to the services of organisations have in common: tenant, who does it, and names."""

from __future__ import annotations

from typing import Any

from grpc import aio

from control_plane.auth.roles import Role
from control_plane.errors import InvalidInput
from control_plane.identity.names import check_client_id, check_slug
from provisioner.api.callers import Callers
from provisioner.api.lookup_calls import acting_home
from provisioner.fleet_view import FleetView
from provisioner.organisations.actors import Actor

MOST_DOMAIN_TEXT = 1_000  # characters


class OrganisationCallers:
    """One per server."""

    def __init__(self, fleet_view: FleetView, callers: Callers) -> None:
        self._fleet_view = fleet_view
        self._callers = callers

    def tenant(self, request: Any) -> str:
        """Raises NotFound."""
        return self._fleet_view.tenant_or_raise(request.tenant).id

    def actor(self, request: Any, context: aio.ServicerContext[Any, Any]) -> Actor:
        """Who does it: an account through its home; an operator, for itself or for an account.
        Raises InvalidInput."""
        unit = acting_home(request.home, free=lambda: self.is_operator(context))
        if unit is None and not request.account:
            return Actor()
        return Actor(account=check_client_id(request.account, "account"), unit=unit)

    def actor_with_account(self, request: Any, context: aio.ServicerContext[Any, Any]) -> Actor:
        """The same where an account has to be named."""
        actor = self.actor(request, context)
        if not actor.account:
            raise InvalidInput("account", "account is empty; name the account that it is done for")
        return actor

    def is_operator(self, context: aio.ServicerContext[Any, Any]) -> bool:
        """Whether the caller need not say for which unit it acts."""
        return self._callers.of_context(context).may(Role.OPERATOR)


def slug_of(request: Any, field: str) -> str:
    """An id in a field of the request. Raises InvalidInput."""
    value: str = getattr(request, field)
    return check_slug(value, field)


def domain_text(request: Any) -> str:
    """What a request names as domain. Raises InvalidInput for what is far too long."""
    text: str = request.domain
    if len(text) > MOST_DOMAIN_TEXT:
        raise InvalidInput("domain", f"domain has {len(text):,} characters; at most 253 octets")
    return text
