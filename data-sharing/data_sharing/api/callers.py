"""Callers: on whose behalf a call is made, and which application it speaks for.

Whether a method is for its caller at all, `control_plane.auth` says. A credential may belong to
one tenant, and to one application of it: then it has nothing to do with any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from grpc import aio

from control_plane.auth.access_control import AccessControl, tenant_for
from control_plane.auth.callers import Caller
from control_plane.auth.interceptor import metadata_of
from control_plane.auth.roles import Role
from control_plane.errors import InvalidInput, PermissionDenied
from control_plane.identity.names import check_slug
from control_plane.printable import quoted
from control_plane.serving.peer_identity import PeerIdentity, identity_of
from control_plane.serving.peers import peer_group


class Party(NamedTuple):
    """On whose behalf a call is made."""

    caller: Caller
    tenant: str
    application: str  # the only one it may speak for; empty: any
    is_person: bool = False  # who sees no more of what is governed than operators do


class Callers:
    """One per server."""

    def __init__(self, control: AccessControl) -> None:
        self._control = control

    def admit(
        self,
        method: str,
        metadata: Iterable[tuple[str, str | bytes]],
        identity: PeerIdentity | None,
    ) -> Caller:
        """Who calls this method, by its full path; for methods that nobody has checked yet, and
        before anything of the request is read. Raises Unauthenticated, PermissionDenied."""
        return self._control.admit(method, metadata, identity)

    def of_context(self, context: aio.ServicerContext[Any, Any], tenant: str) -> Party:
        """Who is behind an ordinary call, which was checked before it came here."""
        found = party(self._control.caller(metadata_of(context), identity_of(context)), tenant)
        reads_along = not found.application and found.caller.may(Role.VIEWER)
        return found._replace(is_person=reads_along and not self._control.open)

    def user_of_context(
        self, context: aio.ServicerContext[Any, Any], tenant: str
    ) -> tuple[str, str]:
        """The tenant, and the user of it whose ticket is shown. Raises PermissionDenied."""
        found = self.of_context(context, tenant)
        if not found.caller.client_id:
            raise PermissionDenied(
                "nothing shown here proves to be a user: show the ticket that the user has for its "
                "unit, signed with EdDSA, as bearer; this server has to know the tickets' keys "
                "(--ticket-keys)"
            )
        return found.tenant, found.caller.client_id

    def counted_as(self, whose: Party, peer: str) -> str:
        """Whom limits of a caller are of: its name; its address where no credentials are asked
        for, and everybody has the same name."""
        return peer_group(peer) or peer if self._control.open else whose.caller.name


def party(caller: Caller, tenant: str) -> Party:
    """On whose behalf `caller` calls for `tenant` (empty: its own, else the default one). Raises
    PermissionDenied where the tenant is not for it; InvalidInput for what is no tenant's name."""
    return Party(caller, check_slug(tenant_for(caller, tenant), "tenant"), caller.application)


def reader_of(party: Party, application: str) -> str:
    """The application that reads; empty: an operator, who reads everything of the tenant.

    Raises PermissionDenied for another than the credential's; InvalidInput where one has to be
    named.
    """
    if party.application and application not in ("", party.application):
        raise PermissionDenied(
            f"{party.caller.name} speaks for {party.application}, not for {quoted(application)}"
        )
    application = application or party.application
    if application:
        return check_slug(application, "application")
    if not party.caller.may(Role.VIEWER):
        raise InvalidInput("application", "application is missing: say which one reads")
    return ""
