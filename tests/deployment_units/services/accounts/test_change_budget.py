"""ChangeBudget: an account that changes too much waits, whatever it is, and nobody else does."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf import descriptor_pool, message_factory

from control_plane.errors import ServiceError
from control_plane.quotas.token_buckets import Rate
from deployment_units.services.accounts.callers import Callers
from deployment_units.services.accounts.change_budget import ChangeBudget, TooManyChanges
from deployment_units.services.channels import push_service
from deployment_units.services.conversations import service as conversations
from deployment_units.services.device_graph import service as devices
from deployment_units.services.gateway import service as deliveries
from deployment_units.services.identities import service as identities
from deployment_units.services.invites import service as invites
from deployment_units.services.profiles import service as profiles
from deployment_units.services.telephony import service as telephony
from homeport.api.communication.v1 import profile_pb2 as pb
from tests.support.account_units import account_unit
from tests.support.fakes.call_context import FakeContext

SERVICES: list[tuple[Any, type[Any]]] = [
    (push_service, push_service.PushService),
    (conversations, conversations.ConversationService),
    (devices, devices.DeviceService),
    (deliveries, deliveries.DeliveryService),
    (identities, identities.IdentityService),
    (invites, invites.InviteService),
    (profiles, profiles.ProfileService),
    (telephony, telephony.TelephonyService),
]
# Take nothing of it: they change nothing, are other units', or have budgets of their own.
READS = (
    "Check",
    "Get",
    "List",
    "Explain",
    "Subscribe",
    "Reach",
    "Suggest",
    "PlanReply",
    "Trace",
    "Find",
)
OF_UNITS = ("Deliver", "Receipt", "Route", "Report", "DeliverPress", "DeliverInvite")
COSTLY = ("GetGroupConversation",)  # reads that ask the directory each time
OWN = ("SendMessage", "Click", "ReportDevice", "Observe", "AddPushAddress", "LinkContact")


class Spent:
    """Callers whose budgets are spent."""

    def changing(self, metadata: object, cost: float = 1.0) -> None:
        raise TooManyChanges("wait")

    def resident(self, metadata: object) -> None:
        raise ServiceError("goes on")

    caller = resident


@pytest.mark.parametrize(("module", "kind"), SERVICES, ids=[one.__name__ for _, one in SERVICES])
async def test_every_change_by_a_ticket_takes_of_the_budget(module: Any, kind: type[Any]) -> None:
    servicer = kind.__new__(kind)
    servicer._callers, servicer._accounts = Spent(), SimpleNamespace(read=None, change=None)
    described = descriptor_pool.Default().FindServiceByName(module.NAME)
    for method in described.methods:
        request = message_factory.GetMessageClass(method.input_type)()
        called = getattr(servicer, method.name)(request, FakeContext(""))
        with pytest.raises(ServiceError) as refused:
            await (anext(called) if method.server_streaming else called)
        exempt = method.name in (*OF_UNITS, *OWN) or method.name.startswith((*READS, "Deliver"))
        exempt = exempt and method.name not in COSTLY
        assert isinstance(refused.value, TooManyChanges) is not exempt, method.name


async def test_who_changes_too_much_waits_and_nobody_else(tmp_path: Path) -> None:
    async with account_unit(tmp_path) as unit:
        now = [0.0]
        callers = Callers(
            "u",
            unit.verifier,
            wall=lambda: unit.now,
            changes=ChangeBudget(clock=lambda: now[0], rate=Rate(per_s=1.0, burst=2.0)),
        )
        service = profiles.ProfileService(unit.accounts, callers, unit.naming, wall_ms=unit.wall_ms)

        async def rename(account: str) -> None:
            request = pb.UpdateProfileRequest(name="Name")
            await service.UpdateProfile(request, unit.by_ticket(account))

        await rename("mallory")
        await rename("mallory")
        with pytest.raises(TooManyChanges) as refused:
            await rename("mallory")
        assert refused.value.retry_after_s == pytest.approx(1.0)
        await service.GetSettings(pb.GetSettingsRequest(), unit.by_ticket("mallory"))
        await rename("anna")
        now[0] = 1.0
        await rename("mallory")


async def test_contacts_cost_by_how_many_they_are(tmp_path: Path) -> None:
    async with account_unit(tmp_path) as unit:
        callers = Callers(
            "u",
            unit.verifier,
            wall=lambda: unit.now,
            changes=ChangeBudget(clock=lambda: 0.0, rate=Rate(per_s=1.0, burst=8.0)),
        )
        service = profiles.ProfileService(unit.accounts, callers, unit.naming, wall_ms=unit.wall_ms)

        async def add(count: int) -> None:
            request = pb.ChangeContactsRequest(add=[f"p{one}" for one in range(count)])
            await service.ChangeContacts(request, unit.by_ticket("anna"))

        await add(320)
        with pytest.raises(TooManyChanges):
            await add(128)
        await add(1)
