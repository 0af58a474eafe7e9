"""Every read of the data-sharing services waits for its tenant's turn before it reads anything, or
says here why not. Routes over HTTP are calls of the same methods."""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from control_plane.audit.service import NAME as AUDIT
from control_plane.auth.method_access import access_of_services
from data_sharing.api import http_approvals, http_consents
from data_sharing.api.approval_service import ApprovalService
from data_sharing.api.decision_service import DecisionService
from data_sharing.api.feed_service import FeedService
from data_sharing.api.plan_service import PlanService
from data_sharing.api.platform_service import PlatformService
from data_sharing.api.registry_service import RegistryService
from data_sharing.api.rule_service import RuleService
from data_sharing.api.sharing_service import SharingService
from data_sharing.wiring.server import SERVICES
from homeport.api.datasharing.v1 import decision_pb2

SERVICERS: dict[str, Any] = {
    "RuleService": RuleService,
    "PlanService": PlanService,
    "DecisionService": DecisionService,
    "ApprovalService": ApprovalService,
    "SharingService": SharingService,
    "ApplicationRegistry": RegistryService,
    "FeedService": FeedService,
    "PlatformService": PlatformService,
}
OTHERWISE = {
    "RuleService/TestRules": "done in a process of its own, where tenants take turns",
    "FeedService/Tail": "a turn for each page, in api/reading.py",
}
MINIMAL = {
    "DecisionService/ExplainDecision": {"decision_id": "d"},
    "ApplicationRegistry/GetApplication": {"application": "lamp"},
    "ApplicationRegistry/FetchArtifact": {"application": "lamp"},
    "SharingService/ListConsents": {"subject": "anna"},
}


class TurnTaken(Exception):
    """A turn was asked for, of this tenant."""


class Turns:
    @asynccontextmanager
    async def turn(self, tenant: str, *, counted: bool = True):
        raise TurnTaken(tenant)
        yield


class AnyCaller:
    """Whoever calls is an operator of the tenant `home`."""

    def of_context(self, context: object, tenant: str) -> Any:
        caller = SimpleNamespace(name="op", may=lambda role: True)
        return SimpleNamespace(tenant="home", application="", caller=caller, is_person=True)

    def user_of_context(self, context: object, tenant: str) -> tuple[str, str]:
        return "home", "anna"


def reads() -> dict[str, Any]:
    """Methods that change nothing, by SERVICE/METHOD, to their descriptors."""
    access = access_of_services(SERVICES)
    found = {}
    for name in SERVICES:
        if name == AUDIT:  # reads a bounded page of a chain, of servers of both kinds
            continue
        service = SERVICERS[name.rpartition(".")[2]]
        descriptor = decision_pb2.DESCRIPTOR.pool.FindServiceByName(name)
        for method in descriptor.methods:
            if not access[f"/{name}/{method.name}"].changes:
                found[f"{descriptor.name}/{method.name}"] = (service, method)
    return found


@pytest.mark.parametrize("name", sorted(set(reads()) - set(OTHERWISE)))
async def test_a_read_asks_for_its_turn_before_anything_is_read(name: str) -> None:
    """There is nothing else in the servicer: a read before its turn fails otherwise."""
    kind, method = reads()[name]
    servicer = object.__new__(kind)
    servicer._turns, servicer._callers = Turns(), AnyCaller()
    if kind is PlatformService:
        servicer._tenant_of = lambda context, tenant: "home"
    request = method.input_type._concrete_class(**MINIMAL.get(name, {}))
    answer = getattr(servicer, method.name)(request, SimpleNamespace())
    with pytest.raises(TurnTaken, match="home"):
        await (anext(answer) if method.server_streaming else answer)


def test_what_is_excused_is_there_and_reads() -> None:
    assert set(OTHERWISE) <= set(reads())
    assert set(MINIMAL) <= set(reads())


def test_routes_are_methods_of_these_services() -> None:
    for route in (*http_approvals.ROUTES, *http_consents.ROUTES):
        service = str(route.method).strip("/").rpartition("/")[0].rpartition(".")[2]
        assert service in SERVICERS
