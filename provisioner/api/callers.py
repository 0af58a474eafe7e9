"""Callers: who is calling, what they may do, and which address counts as theirs.

Without tokens configured everybody who can connect may do everything, which is why servers
listen on loopback unless told otherwise. With tokens, a caller that shows none is a client
that may provision itself by the address it comes from, and nothing else.
"""

from __future__ import annotations

from typing import Any

from grpc import aio

from control_plane.auth.tokens import ANYONE_LOCAL, Caller, Right, Tokens
from control_plane.errors import PermissionDenied
from control_plane.serving.calls import HotCall
from control_plane.serving.peers import Proxies


class Callers:
    """One per server. `tokens` None: no tokens are asked for."""

    def __init__(self, proxies: Proxies, tokens: Tokens | None) -> None:
        self._proxies = proxies
        self._tokens = tokens

    def admit(self, call: HotCall, declares: bool) -> str | None:
        """Checks a Provision call; `declares`: it says where its client is. Returns the
        address to locate the client by when the request itself does not say.

        Raises Unauthenticated, PermissionDenied.
        """
        if self._tokens is not None:
            caller = _of_this_side(self._tokens.caller(call.metadata()))
            if declares and Right.SPEAK_FOR_OTHERS not in caller.rights:
                raise PermissionDenied(
                    "this caller may not say where a client is; leave address and position out"
                )
        if declares:
            return None
        return self._proxies.client_address(call.peer(), call.metadata())

    def of_context(self, context: aio.ServicerContext[Any, Any]) -> Caller:
        """Who is behind an ordinary call. Raises Unauthenticated."""
        if self._tokens is None:
            return ANYONE_LOCAL
        return _of_this_side(self._tokens.caller(_metadata(context)))

    def require(self, context: aio.ServicerContext[Any, Any], right: Right) -> None:
        """Raises PermissionDenied where the caller has not got the right."""
        caller = self.of_context(context)
        if right not in caller.rights:
            raise PermissionDenied(f"{caller.name} has no right to {right.value} here")

    def peer_of_context(self, context: aio.ServicerContext[Any, Any]) -> str | None:
        """The address that counts for an ordinary call."""
        return self._proxies.client_address(context.peer(), _metadata(context))


def _of_this_side(caller: Caller) -> Caller:
    """Tokens of one tenant are for data sharing: here nothing is cut by tenant, so such a token
    would open more than it says. Raises PermissionDenied."""
    if caller.tenant:
        raise PermissionDenied(f"{caller.name} is for data sharing in {caller.tenant} alone")
    return caller


def _metadata(context: aio.ServicerContext[Any, Any]) -> list[tuple[str, str | bytes]]:
    return [(key, value) for key, value in context.invocation_metadata() or ()]
