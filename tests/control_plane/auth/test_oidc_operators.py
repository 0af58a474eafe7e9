"""Operators by the claims of their provider: roles by mapped values, and nothing by others."""

from __future__ import annotations

import pytest

from control_plane.auth.oidc_operators import ClaimRules, caller_of_claims, role_mapping
from control_plane.auth.roles import GIVEN, Role
from control_plane.errors import InvalidInput

ROLES = {"team-ops": Role.OPERATOR, "team-sre": Role.ADMIN, "staff": Role.VIEWER}


@pytest.mark.parametrize(
    ("claim", "claims", "role"),
    [
        ("roles", {"roles": ["team-ops", "other"]}, Role.OPERATOR),
        ("scope", {"scope": "openid staff"}, Role.VIEWER),
        ("realm_access.roles", {"realm_access": {"roles": ["team-sre"]}}, Role.ADMIN),
        ("https://a.example/roles", {"https://a.example/roles": ["staff"]}, Role.VIEWER),
    ],
)
def test_values_give_roles(claim, claims, role):
    rules = ClaimRules(roles=ROLES, roles_claim=claim)
    assert role in caller_of_claims({"sub": "ann", **claims}, rules).roles


@pytest.mark.parametrize(
    "value",
    [
        None, [], ["admin"], ["TEAM-OPS"], "team", 7, True, {"team-ops": True}, [["team-ops"]],
        [None],
    ],
)  # fmt: skip
def test_other_values_give_nothing(value):
    caller = caller_of_claims({"sub": "ann", "roles": value}, ClaimRules(roles=ROLES))
    assert caller.roles.isdisjoint(GIVEN)


def test_who_it_is_and_of_which_tenant():
    rules = ClaimRules(roles=ROLES, tenant_claim="org")
    caller = caller_of_claims({"sub": "ann\x1b[31m", "org": "city"}, rules)
    assert (caller.name, caller.tenant) == ("oidc:ann␛[31m", "city")


@pytest.mark.parametrize(
    "claims",
    [{}, {"sub": ""}, {"sub": 7}, {"sub": "x" * 256}, {"sub": None}],
)
def test_who_it_is_has_to_be_said(claims):
    with pytest.raises(ValueError, match="sub is"):
        caller_of_claims(claims, ClaimRules())


@pytest.mark.parametrize("org", [None, "", "A b", 7, ["city"], "city/bank", "*"])
def test_a_tenant_that_is_none_is_not_all_of_them(org):
    with pytest.raises(ValueError, match="org is"):
        caller_of_claims({"sub": "ann", "org": org}, ClaimRules(tenant_claim="org"))


def test_mappings():
    assert role_mapping(["a=viewer", "b=c=admin"], "s") == {"a": Role.VIEWER, "b=c": Role.ADMIN}


@pytest.mark.parametrize(
    "pair", ["a", "=viewer", "a=", "a=root", "a=unit", "a=platform", "a=client", "a=ADMIN"]
)
def test_mappings_that_are_none(pair):
    with pytest.raises(InvalidInput, match=r"s: .* is not <name>=<role>; roles are viewer"):
        role_mapping([pair], "s")


def test_a_value_has_one_role():
    with pytest.raises(InvalidInput, match="twice"):
        role_mapping(["a=viewer", "a=admin"], "s")
