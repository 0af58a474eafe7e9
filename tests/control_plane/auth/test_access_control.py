"""AccessControl: a method is for whom its contract names, about what is theirs."""

from __future__ import annotations

import pytest

from control_plane.auth.access_control import AccessControl
from control_plane.auth.callers import Caller
from control_plane.auth.method_access import access_of_services
from control_plane.auth.roles import Role, with_implied
from control_plane.errors import PermissionDenied, Unauthenticated
from homeport.api.datasharing.v1 import platform_pb2, registry_pb2, rule_pb2
from homeport.api.fleet.v1 import fleet_pb2
from tests.support.credentials import authenticator_of, tokens_of

DATA = "homeport.api.datasharing.v1"
FLEET = "homeport.api.fleet.v1.FleetService"
METHODS = access_of_services([FLEET, f"{DATA}.RuleService", f"{DATA}.PlatformService"])
LIST_RULES, CONNECT = f"/{DATA}.RuleService/ListRules", f"/{DATA}.PlatformService/Connect"


def caller(*roles: Role, **bound) -> Caller:
    return Caller(name="ann", roles=with_implied(roles), **bound)


def control(who: Caller) -> AccessControl:
    return AccessControl(METHODS, authenticator_of(tokens_of(t=who)))


SHOWN = [("authorization", "Bearer t")]


def test_a_role_opens_what_names_it():
    admitted = control(caller(Role.VIEWER)).admit(f"/{FLEET}/ListUnits", SHOWN)
    assert admitted.name == "ann"
    with pytest.raises(PermissionDenied, match="it is for: operator"):
        control(caller(Role.VIEWER)).admit(f"/{FLEET}/DrainUnit", SHOWN)
    with pytest.raises(PermissionDenied):
        control(caller()).admit(f"/{FLEET}/ListUnits", SHOWN)


def test_who_shows_nothing_is_asked_for_a_credential():
    with pytest.raises(Unauthenticated, match="credential is needed"):
        control(caller(Role.ADMIN)).admit(LIST_RULES, [])


def test_a_method_that_says_nothing_is_for_nobody():
    for method in ("/homeport.api.unit.v1.UnitService/Admit", "/x.Y/Z"):
        with pytest.raises(PermissionDenied, match="for nobody"):
            control(caller(Role.ADMIN)).admit(method, SHOWN)
        with pytest.raises(PermissionDenied, match="for nobody"):
            AccessControl(METHODS, None).admit(method, [])


def test_of_one_tenant_is_of_that_tenant_alone():
    who = caller(Role.ADMIN, tenant="city")
    with pytest.raises(PermissionDenied, match="about all of them"):
        control(who).admit(f"/{FLEET}/ListUnits", SHOWN)
    access = control(who)
    assert access.admit(LIST_RULES, SHOWN) is who
    access.check(LIST_RULES, who, rule_pb2.ListRulesRequest(tenant="city"))
    with pytest.raises(PermissionDenied, match='nothing to do with tenant "bank"'):
        access.check(LIST_RULES, who, rule_pb2.ListRulesRequest(tenant="bank"))


def test_a_tenant_left_out_is_the_callers():
    own, all_tenants = caller(Role.VIEWER, tenant="city"), caller(Role.VIEWER)
    for who, expected in ((own, "city"), (all_tenants, "")):
        request = rule_pb2.ListRulesRequest()
        control(who).check(LIST_RULES, who, request)
        assert request.tenant == expected


def test_a_tenant_deep_in_a_message_counts_where_it_is_there():
    access_of_services([f"{DATA}.ApplicationRegistry"])
    submit = f"/{DATA}.ApplicationRegistry/SubmitApplication"
    who = caller(Role.DEVELOPER, tenant="city")
    access = AccessControl(
        access_of_services([f"{DATA}.ApplicationRegistry"]), authenticator_of(tokens_of())
    )
    piece = registry_pb2.SubmitApplicationRequest(artifact=b"x")
    access.check(submit, who, piece)
    assert piece.WhichOneof("part") == "artifact", "a head is not made where none was sent"
    head = registry_pb2.SubmitApplicationRequest(head=registry_pb2.SubmissionHead(tenant="bank"))
    with pytest.raises(PermissionDenied):
        access.check(submit, who, head)


def test_a_unit_names_itself_and_an_operator_any():
    apply = f"/{FLEET}/ApplyUnit"
    own = fleet_pb2.ApplyUnitRequest(spec=fleet_pb2.UnitSpec(unit_id="dublin"))
    other = fleet_pb2.ApplyUnitRequest(spec=fleet_pb2.UnitSpec(unit_id="virginia"))
    agent = caller(Role.UNIT, units=frozenset({"dublin"}))
    control(agent).check(apply, agent, own)
    with pytest.raises(PermissionDenied, match='nothing to do with unit_id "virginia"'):
        control(agent).check(apply, agent, other)
    both = caller(Role.UNIT, Role.OPERATOR, units=frozenset({"dublin"}))
    control(both).check(apply, both, other)


def test_a_platform_names_itself():
    who = caller(Role.PLATFORM, tenant="city", platform="p-1")
    for name, fine in (("p-1", True), ("p-2", False)):
        hello = platform_pb2.ConnectRequest(hello=platform_pb2.Hello(platform=name))
        if fine:
            control(who).check(CONNECT, who, hello)
            assert hello.hello.tenant == "city"
        else:
            with pytest.raises(PermissionDenied, match='nothing to do with platform "p-2"'):
                control(who).check(CONNECT, who, hello)


def test_where_no_credentials_are_asked_for_everybody_may():
    access = AccessControl(METHODS, None)
    who = access.admit(f"/{FLEET}/RemoveUnit", [])
    access.check(f"/{FLEET}/Heartbeat", who, fleet_pb2.HeartbeatRequest(unit_id="dublin"))


def test_what_is_denied_is_told_to_the_operator_kind_by_kind(caplog):
    unit = caller(Role.UNIT, units=frozenset({"cork"}))
    platform = caller(Role.PLATFORM, tenant="city", platform="hub")
    city = caller(Role.ADMIN, tenant="city")
    hello = platform_pb2.Hello(tenant="city", platform="car")
    access = control(unit)
    for denied in (
        lambda: access.admit(f"/{FLEET}/DrainUnit", SHOWN),
        lambda: access.check(f"/{FLEET}/GetUnit", unit, fleet_pb2.GetUnitRequest(unit_id="dublin")),
        lambda: access.check(CONNECT, platform, platform_pb2.ConnectRequest(hello=hello)),
        lambda: access.check(LIST_RULES, city, rule_pb2.ListRulesRequest(tenant="bank")),
    ):
        for _ in range(3):
            with pytest.raises(PermissionDenied) as refused:
                denied()
        assert caplog.records[-1].getMessage() == f"a call was denied: {refused.value.message}"
    assert len(caplog.records) == 4
