"""Callers: who is calling, for which tenant, and which address counts as theirs.

Whether a method is for its caller at all, `control_plane.auth` says. Without tokens configured
everybody who can connect may do everything, which is why servers listen on loopback unless told
otherwise. With tokens, a caller that shows none is a client, and nothing else.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message
from grpc import aio

from control_plane.auth.access_control import DEFAULT_TENANT, AccessControl
from control_plane.auth.callers import ANYONE_LOCAL, Caller
from control_plane.auth.interceptor import metadata_of
from control_plane.auth.roles import Role
from control_plane.auth.shown import ShownCredentials
from control_plane.errors import PermissionDenied
from control_plane.serving.calls import HotCall
from control_plane.serving.peer_identity import identity_of
from control_plane.serving.peers import Proxies

PROVISION = "/homeport.api.provisioning.v1.ProvisioningService/Provision"


class Callers:
    """One per server."""

    def __init__(self, proxies: Proxies, control: AccessControl) -> None:
        self._proxies = proxies
        self._control = control
        self.open = control.open  # whether no credentials are asked for
        self.admits_enrolling = control.admits_enrolling(PROVISION)

    def admit(
        self, call: HotCall, shown: ShownCredentials, tenant: str, declares: bool
    ) -> tuple[Caller, str]:
        """Checks a Provision call that shows this, for `tenant` (empty: the caller's, else the
        default one); `declares`: it says where or what its client is. Returns who calls, and the
        tenant.

        Raises Unauthenticated, PermissionDenied.
        """
        if self.open:
            return ANYONE_LOCAL, tenant
        caller = self._control.admit_shown(PROVISION, shown, call.peer_identity())
        if caller.tenant:
            tenant = self._control.tenant_for(caller, tenant)
        elif not tenant:
            tenant = DEFAULT_TENANT
        if declares:
            check_declares(caller)
        return caller, tenant

    def admit_message(self, method: str, call: HotCall, message: Message) -> Caller:
        """Checks a hot call of a method, by its full path, and what its message names; a tenant
        that is left out becomes the caller's. Raises Unauthenticated, PermissionDenied."""
        shown = ShownCredentials(call.metadata())
        caller = self._control.admit_shown(method, shown, call.peer_identity())
        self._control.check(method, caller, message)
        return caller

    def address(self, call: HotCall) -> str | None:
        """The address to locate a client by when its request does not say."""
        return self._proxies.client_address(call.peer(), call.metadata())

    def of_context(self, context: aio.ServicerContext[Any, Any]) -> Caller:
        """Who is behind an ordinary call, which was checked before it came here."""
        return self._control.caller(metadata_of(context), identity_of(context))

    def peer_of_context(self, context: aio.ServicerContext[Any, Any]) -> str | None:
        """The address that counts for an ordinary call."""
        return self._proxies.client_address(context.peer(), metadata_of(context))


def check_declares(caller: Caller) -> None:
    """Raises PermissionDenied where the caller may not say where a client is, or what."""
    if not caller.may(Role.GATEWAY):
        raise PermissionDenied(
            "this caller may not say where a client is, or what; leave address, position and "
            "attributes out"
        )
