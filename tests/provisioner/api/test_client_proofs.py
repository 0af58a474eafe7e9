"""What an ordinary call shows of being the client that it is about, and what it may see by that."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from control_plane.auth.callers import ANYONE_LOCAL, STRANGER, Caller
from control_plane.auth.roles import Role, with_implied
from control_plane.fleet.unit import DEFAULT_TENANT
from provisioner.api.client_proofs import ClientProofs
from provisioner.provisioning.enrolment import Enrolled


def caller(*roles: Role) -> Caller:
    return Caller(name="somebody", roles=with_implied(set(roles)))


def proof_of(who: Caller, *, itself: bool, is_open: bool = False) -> Any:
    """Of a caller that has, or has not, proved to be the client, and shows nothing else but a
    key."""
    callers = SimpleNamespace(open=is_open, admits_enrolling=False, of_context=lambda _: who)
    enrolment = SimpleNamespace(of_caller=lambda *_: Enrolled(itself, False))
    proofs = ClientProofs(cast(Any, callers), cast(Any, None), cast(Any, enrolment))
    context = SimpleNamespace(invocation_metadata=lambda: (("homeport-client-key", "A" * 43),))
    return proofs.of_context(cast(Any, context), DEFAULT_TENANT, "phone-5", "", Role.VIEWER)


@pytest.mark.parametrize(
    ("who", "itself", "sees_rules"),
    [
        pytest.param(caller(Role.VIEWER), False, True, id="a viewer"),
        pytest.param(caller(Role.OPERATOR), False, True, id="an operator"),
        pytest.param(caller(Role.GATEWAY), False, True, id="a gateway"),
        pytest.param(caller(Role.VIEWER), True, True, id="a viewer who is the client as well"),
        pytest.param(caller(Role.CLIENT), True, False, id="the client, by a certificate"),
        pytest.param(STRANGER, True, False, id="the client, by a token of an issuer"),
        pytest.param(STRANGER, False, False, id="whoever shows a key"),
    ],
)
def test_rules_of_the_tenant_are_for_those_who_see_all_its_clients(who, itself, sees_rules):
    assert proof_of(who, itself=itself).sees_rules is sees_rules


def test_where_no_credentials_are_asked_for_everybody_sees_rules():
    assert proof_of(ANYONE_LOCAL, itself=False, is_open=True).sees_rules
