"""Callers: who is calling, for which tenant and application, and what they may do.

Without tokens configured everybody who can connect may do everything, which is why servers
listen on loopback unless told otherwise. A token may belong to one tenant, and to one
application of it: then it has nothing to do with any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from grpc import aio

from control_plane.auth.tokens import ANYONE_LOCAL, CLIENT, Caller, Right, Tokens
from control_plane.errors import InvalidInput, PermissionDenied, Unauthenticated
from control_plane.identity.names import check_slug

DEFAULT_TENANT = "default"


class Party(NamedTuple):
    """On whose behalf a call is made."""

    caller: Caller
    tenant: str
    application: str  # the only one it may speak for; empty: any

    def may(self, right: Right) -> bool:
        return right in self.caller.rights


class Callers:
    """One per server. `tokens` None: no tokens are asked for."""

    def __init__(self, tokens: Tokens | None) -> None:
        self._tokens = tokens

    def party(
        self, metadata: Iterable[tuple[str, str | bytes]], tenant: str, *rights: Right
    ) -> Party:
        """Who sent this metadata, for `tenant` (empty: the token's, else the default one).

        Raises Unauthenticated; PermissionDenied where it has none of the rights, or the token
        is another tenant's; InvalidInput for what is no tenant's name.
        """
        caller = ANYONE_LOCAL if self._tokens is None else self._tokens.caller(metadata)
        if caller is CLIENT:
            raise Unauthenticated("a token is needed here: send authorization: Bearer <token>")
        if rights and not caller.rights.intersection(rights):
            named = " or ".join(right.value for right in rights)
            raise PermissionDenied(f"{caller.name} has no right to {named} here")
        if not tenant:
            tenant = caller.tenant or DEFAULT_TENANT
        elif caller.tenant and caller.tenant != tenant:
            raise PermissionDenied(f"{caller.name} has nothing to do with tenant {tenant!r}")
        return Party(caller, check_slug(tenant, "tenant"), caller.application)

    def of_context(
        self, context: aio.ServicerContext[Any, Any], tenant: str, *rights: Right
    ) -> Party:
        """The same for an ordinary call."""
        metadata = [(key, value) for key, value in context.invocation_metadata() or ()]
        return self.party(metadata, tenant, *rights)


def reader_of(party: Party, application: str) -> str:
    """The application that reads; empty: an operator, who reads everything of the tenant.

    Raises PermissionDenied for another than the token's; InvalidInput where one has to be
    named.
    """
    if party.application and application not in ("", party.application):
        raise PermissionDenied(
            f"{party.caller.name} speaks for {party.application}, not for {application!r}"
        )
    application = application or party.application
    if application:
        return check_slug(application, "application")
    if not party.may(Right.OPERATE):
        raise InvalidInput("application", "application is missing: say which one reads")
    return ""
