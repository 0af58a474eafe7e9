"""Who calls Provision, for which tenant, and by which address a client is located."""

from __future__ import annotations

import pytest

from control_plane.auth.access_control import AccessControl
from control_plane.auth.callers import ANYONE_LOCAL, STRANGER, Caller
from control_plane.auth.certificate_callers import CertificateCallers
from control_plane.auth.method_access import access_of_services
from control_plane.auth.roles import Role, with_implied
from control_plane.auth.shown import ShownCredentials
from control_plane.errors import PermissionDenied, Unauthenticated
from control_plane.serving.calls import HotCall
from control_plane.serving.peers import Proxies, parse_networks
from provisioner.api.callers import PROVISION, Callers
from provisioner.api.provisioning_service import NAME
from tests.support.credentials import authenticator_of, tokens_of

PEER = "ipv4:192.0.2.1:5"
METHODS = access_of_services([NAME])


class Call(HotCall):
    """A call that shows a token, or none."""

    def __init__(self, token: str = "", forwarded: str = "") -> None:
        self._metadata = [("authorization", f"Bearer {token}")] if token else []
        if forwarded:
            self._metadata.append(("x-forwarded-for", forwarded))

    def metadata(self):
        return self._metadata

    def peer(self) -> str:
        return PEER

    def peer_identity(self):
        return None


def admit(by: Callers, call: Call, tenant: str, *, declares: bool):
    return by.admit(call, ShownCredentials(call.metadata()), tenant, declares)


class Context:
    """An ordinary call's context, as far as callers look at it."""

    def invocation_metadata(self):
        return None

    def peer(self) -> str:
        return PEER

    def auth_context(self):
        return {}


def callers(*roles: Role, tenant: str = "") -> Callers:
    edge = Caller(name="edge", roles=with_implied(roles), tenant=tenant)
    return Callers(Proxies(), AccessControl(METHODS, authenticator_of(tokens_of(secret=edge))))


OPEN = Callers(Proxies(), AccessControl(METHODS, None))


def test_the_method_is_there_by_that_name():
    assert PROVISION in METHODS


def test_a_token_of_one_tenant_is_of_that_tenant():
    city = callers(Role.CLIENT, tenant="city")
    assert admit(city, Call("secret"), "", declares=False)[1] == "city"
    assert admit(city, Call("secret"), "city", declares=False)[1] == "city"
    with pytest.raises(PermissionDenied, match='nothing to do with tenant "bank"'):
        admit(city, Call("secret"), "bank", declares=False)


def test_without_tokens_everybody_may_declare_where_a_client_is():
    assert admit(OPEN, Call(), "city", declares=True) == (ANYONE_LOCAL, "city")


def test_with_tokens_only_a_gateway_says_where_a_client_is():
    assert admit(callers(), Call(), "city", declares=False) == (STRANGER, "city")
    for token in ("", "secret"):
        with pytest.raises(PermissionDenied, match="may not say where a client is"):
            admit(callers(Role.CLIENT), Call(token), "city", declares=True)
    admit(callers(Role.GATEWAY), Call("secret"), "city", declares=True)


def test_a_token_nobody_issued_is_refused_even_for_what_anybody_may():
    with pytest.raises(Unauthenticated):
        admit(callers(), Call("guessed"), "", declares=False)


def test_a_token_without_roles_does_not_even_provision_itself():
    with pytest.raises(PermissionDenied, match="edge may not call this"):
        admit(callers(), Call("secret"), "", declares=False)


def test_what_a_proxy_forwards_counts_only_where_it_is_trusted():
    call = Call(forwarded="198.51.100.7")
    assert OPEN.address(call) == "192.0.2.1"
    trusting = Callers(Proxies(parse_networks(["192.0.2.0/24"])), AccessControl(METHODS, None))
    assert trusting.address(call) == "198.51.100.7"
    assert trusting.peer_of_context(Context()) == "192.0.2.1"


CERTIFICATES = CertificateCallers({"example.net"}, {})


@pytest.mark.parametrize("listed", [True, False], ids=["in the tokens file", "not there"])
@pytest.mark.parametrize("certificates", [CERTIFICATES, None], ids=["certificates", "none"])
@pytest.mark.parametrize("clients_enrol", [True, False], ids=["serves", "does not"])
@pytest.mark.parametrize("method", [PROVISION, f"/{NAME}/ProvisionMany", "/x.Y/Z"])
def test_who_enrols_is_admitted_unasked_where_whoever_asks_would_hear_of_a_stranger(
    listed, certificates, clients_enrol, method
):
    edge = Caller(name="edge", roles=with_implied({Role.CLIENT}))
    tokens = tokens_of(**({"hmac.g.x": edge} if listed else {}))
    control = AccessControl(
        METHODS, authenticator_of(tokens, clients_enrol=clients_enrol, certificates=certificates)
    )
    shown = ShownCredentials(Call("hmac.g.x").metadata())
    short = control.admits_enrolling(method)
    try:
        whole = control.admit_shown(method, shown) is STRANGER
    except (Unauthenticated, PermissionDenied):
        whole = False
    # Where certificates name callers, it is asked. Where the tokens file has it as well, what a
    # group's key made is the client's.
    assert short is (
        (whole or (listed and clients_enrol and method == PROVISION)) and certificates is None
    )


def test_where_nobody_is_asked_nobody_is_a_stranger():
    assert not AccessControl(METHODS, None).admits_enrolling(PROVISION)


@pytest.mark.parametrize("tenant", ["", "city"])
def test_a_stranger_by_a_groups_token_is_of_the_tenant_it_names_or_the_default_one(tenant):
    by = Callers(
        Proxies(), AccessControl(METHODS, authenticator_of(tokens_of(), clients_enrol=True))
    )
    admitted = admit(by, Call("hmac.g.x"), tenant, declares=False)
    assert admitted == (STRANGER, tenant or "default")
    with pytest.raises(PermissionDenied, match="may not say where a client is"):
        admit(by, Call("hmac.g.x"), tenant, declares=True)
