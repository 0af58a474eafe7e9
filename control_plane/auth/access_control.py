"""AccessControl: who calls, and whether a method is for them and for what they name.

One for each server. The roles of each method come from the contract, so a method that says
nothing about them is for nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from google.protobuf.message import Message

from control_plane.auth.authenticator import Authenticator
from control_plane.auth.callers import ANYONE_LOCAL, STRANGER, Caller
from control_plane.auth.method_access import MethodAccess, field_of
from control_plane.auth.roles import Role
from control_plane.auth.shown import ShownCredentials
from control_plane.errors import PermissionDenied, Unauthenticated
from control_plane.printable import quoted
from control_plane.serving.peer_identity import PeerIdentity

DEFAULT_TENANT = "default"


class Denial(StrEnum):
    """What was not the caller's; each has lines of its own in the log."""

    METHOD = "denied-method"
    TENANT = "denied-tenant"
    UNIT = "denied-unit"
    PLATFORM = "denied-platform"


class AccessControl:
    """authenticator None: no credentials are asked for, and whoever can connect may do
    everything."""

    def __init__(
        self, methods: Mapping[str, MethodAccess], authenticator: Authenticator | None
    ) -> None:
        self._methods = methods
        self._authenticator = authenticator

    @property
    def open(self) -> bool:
        """Whether no credentials are asked for."""
        return self._authenticator is None

    def caller(
        self, metadata: Iterable[tuple[str, str | bytes]], identity: PeerIdentity | None = None
    ) -> Caller:
        """Who sent this metadata, over a connection with that identity. Raises Unauthenticated
        for a credential nobody knows."""
        if self._authenticator is None:
            return ANYONE_LOCAL
        return self._authenticator.caller(ShownCredentials(metadata), identity) or STRANGER

    def admit(
        self,
        method: str,
        metadata: Iterable[tuple[str, str | bytes]],
        identity: PeerIdentity | None = None,
    ) -> Caller:
        """Who calls this method, by its full path. Raises Unauthenticated, PermissionDenied
        where it is not for them."""
        return self.admit_shown(method, ShownCredentials(metadata), identity)

    def admit_shown(
        self, method: str, shown: ShownCredentials, identity: PeerIdentity | None = None
    ) -> Caller:
        """The same, of metadata that was read already."""
        access = self._methods.get(method)
        if access is None:
            raise PermissionDenied(f"{method} is for nobody: its contract does not say who calls")
        authenticator = self._authenticator
        if authenticator is None:
            caller = ANYONE_LOCAL
        else:
            caller = authenticator.caller(shown, identity) or STRANGER
        if caller.roles.isdisjoint(access.roles):
            if caller is STRANGER:
                if authenticator is not None:
                    authenticator.note_stranger(shown, identity)
                raise Unauthenticated(
                    "a credential is needed here; send authorization: Bearer <token>, "
                    "or show a certificate that names who you are"
                )
            named = ", ".join(sorted(role.value for role in access.roles))
            raise self._denied(
                Denial.METHOD,
                PermissionDenied(f"{caller.name} may not call this; it is for: {named}"),
            )
        if caller.tenant and not access.tenant_field and Role.ANYONE not in access.roles:
            raise self._denied(
                Denial.TENANT,
                PermissionDenied(
                    f"{caller.name} is of tenant {caller.tenant} alone, and this is about all of "
                    "them"
                ),
            )
        return caller

    def admits_enrolling(self, method: str) -> bool:
        """Whether a call of this method that shows a token which a group's key made for its client
        is a STRANGER's who may call it, so that nobody has to ask `admit_shown`."""
        access, authenticator = self._methods.get(method), self._authenticator
        if access is None or authenticator is None or STRANGER.roles.isdisjoint(access.roles):
            return False
        return authenticator.strangers_enrol

    def check(self, method: str, caller: Caller, message: Message) -> None:
        """Whether an admitted caller may name what it names; a tenant left out becomes its own.
        Raises PermissionDenied."""
        if self._authenticator is None:
            return
        access = self._methods[method]
        if access.tenant_field:
            found = field_of(message, access.tenant_field)
            if found is not None:
                named, put = found
                tenant = self.tenant_for(caller, named)
                if not named and caller.tenant:
                    put(tenant)
        roles = caller.roles & access.roles
        if roles == {Role.UNIT} and access.unit_field:
            self._names_itself(message, access.unit_field, caller, caller.units, Denial.UNIT)
        if roles == {Role.PLATFORM} and access.platform_field:
            own = {caller.platform}
            self._names_itself(message, access.platform_field, caller, own, Denial.PLATFORM)

    def tenant_for(self, caller: Caller, named: str) -> str:
        """See `tenant_for`; a refusal is told to the operator."""
        if not caller.tenant:  # nothing to be refused
            return named or DEFAULT_TENANT
        try:
            return tenant_for(caller, named)
        except PermissionDenied as error:
            raise self._denied(Denial.TENANT, error) from None

    def _names_itself(
        self,
        message: Message,
        path: tuple[str, ...],
        caller: Caller,
        own: Iterable[str],
        denial: Denial,
    ) -> None:
        found = field_of(message, path)
        if found is not None and found[0] and found[0] not in own:
            raise self._denied(
                denial,
                PermissionDenied(
                    f"{caller.name} has nothing to do with {path[-1]} {quoted(found[0])}"
                ),
            )

    def _denied(self, denial: Denial, error: PermissionDenied) -> PermissionDenied:
        """The same, told to the operator."""
        if self._authenticator is not None:
            self._authenticator.note_denial(denial, error.message)
        return error


def tenant_for(caller: Caller, named: str) -> str:
    """The tenant that a request is about; left out: the caller's, or the default one. Raises
    PermissionDenied where the caller has nothing to do with it."""
    if not named:
        return caller.tenant or DEFAULT_TENANT
    if caller.tenant and caller.tenant != named:
        raise PermissionDenied(f"{caller.name} has nothing to do with tenant {quoted(named)}")
    return named
