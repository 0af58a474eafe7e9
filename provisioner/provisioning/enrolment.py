"""Enrolment: whether whoever calls may become a client of a tenant, and is it already by what it
shows.

A JWT of the tenant's issuer and a certificate name the client, so they prove it as well. A group's
token and an API token let it in once: from then on its key or its ticket proves it. A bootstrap
token is looked at when its record has been read.
"""

from __future__ import annotations

import msgspec

from control_plane.auth.callers import STRANGER, Caller
from control_plane.auth.credentials import JWT
from control_plane.auth.roles import Role
from control_plane.auth.shown import ShownCredentials
from control_plane.fleet.enrolment import DEFAULT_METHODS, EnrolmentMethod
from control_plane.fleet.unit import TenantSpec
from control_plane.identity.bootstrap_tokens import PREFIX as BOOTSTRAP_PREFIX
from control_plane.identity.enrolment_groups import EnrolmentGroups
from provisioner.placement.attributes import NO_ATTRIBUTES, Attributes
from provisioner.provisioning.tenant_issuers import TenantIssuers

# Members are looked up in their class at 0.1 us each.
OPEN, TOKEN, X509, BOOTSTRAP = EnrolmentMethod


class Enrolled(msgspec.Struct, frozen=True):
    """What a caller may be. itself: it has proved to be the client; may_claim: it may become it;
    bootstrap: it may if this token is good; empty: there is none; attributes: that its proof says
    of it; enrols_with: those that it has where it is made now."""

    itself: bool
    may_claim: bool
    bootstrap: str = ""
    attributes: Attributes = NO_ATTRIBUTES
    enrols_with: Attributes = NO_ATTRIBUTES


class Enrolment:
    """One per server. issuers: of tenants, for JWTs; groups: for HMACs."""

    def __init__(self, groups: EnrolmentGroups, issuers: TenantIssuers) -> None:
        self._groups = groups
        self._issuers = issuers

    def lets_in(self, tenant: TenantSpec, client_id: str, token: str) -> Attributes | None:
        """With which attributes a stranger may become this client by a token of one of the tenant's
        groups; None: it may not."""
        if TOKEN in (tenant.enrolment or DEFAULT_METHODS) and self._groups.proves(
            token, tenant.id, client_id
        ):
            return self._groups.gives(token, tenant.id) or NO_ATTRIBUTES
        return None

    def of_caller(
        self, tenant: TenantSpec, client_id: str, caller: Caller, shown: ShownCredentials
    ) -> Enrolled:
        """Of a caller that was admitted, by what it shows."""
        methods = tenant.enrolment or DEFAULT_METHODS
        certified, may_claim = False, OPEN in methods
        if caller is not STRANGER:  # whom nothing names
            # A bearer that names a caller was found by whoever admitted it: an API token.
            if not caller.client_id:
                listed = TOKEN in methods and caller.may(Role.CLIENT)
                return Enrolled(False, may_claim or listed)
            certified = names(caller, tenant.id, client_id)
            may_claim = may_claim or (certified and X509 in methods)
        found = shown.bearer()
        if found is None:
            return Enrolled(certified, may_claim)
        bearer = found.text
        if found.form is JWT:
            told = self._issuers.client_of(tenant.id, bearer)
            if told is None or told.client_id != client_id:
                return Enrolled(certified, may_claim)
            return Enrolled(True, may_claim or TOKEN in methods, attributes=told.attributes)
        enrols_with = NO_ATTRIBUTES
        if TOKEN in methods and self._groups.proves(bearer, tenant.id, client_id):
            may_claim = True
            enrols_with = self._groups.gives(bearer, tenant.id) or NO_ATTRIBUTES
        bootstrap = ""
        if not may_claim and BOOTSTRAP in methods and bearer.startswith(BOOTSTRAP_PREFIX):
            bootstrap = bearer
        return Enrolled(certified, may_claim, bootstrap, enrols_with=enrols_with)


def names(caller: Caller, tenant_id: str, client_id: str) -> bool:
    """Whether a certificate names the caller as this client."""
    return bool(caller.client_id) and (caller.tenant, caller.client_id) == (tenant_id, client_id)
