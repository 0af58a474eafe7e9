"""Every method of a unit's services, called by somebody of another tenant with credentials of their
own, who names what is the first tenant's: the answer is that to what is not there.

The methods are those of the contract: one without a row here fails the test.
"""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import AsyncIterator, Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

import homeport.api.communication.v1 as contract
from control_plane.errors import NotFound, ServiceError
from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.push import read_allowed
from deployment_units.services.channels.push_service import PushService
from deployment_units.services.gateway.recipients import Recipients
from deployment_units.services.gateway.service import DeliveryService
from deployment_units.services.mail_in.mail_keeper import MailKeeper
from deployment_units.services.mail_in.mail_reader import MailReader
from deployment_units.services.mail_in.mail_reports import MailReports
from deployment_units.services.mail_in.reading_tasks import TASKS
from deployment_units.services.mail_in.service import MailService
from homeport.api.communication.v1 import conversation_pb2 as talk
from homeport.api.communication.v1 import device_pb2 as devices
from homeport.api.communication.v1 import profile_pb2 as profile
from homeport.api.communication.v1 import telephony_pb2 as telephony
from tests.support.account_units import TENANT, AccountUnit, account_unit, an_issuer
from tests.support.fakes.call_context import FakeContext
from tests.support.fakes.domain_names import NameTable
from tests.support.fakes.offload import FakeOffload
from tests.support.fakes.scripted_channel import TAKEN, ScriptedChannel
from tests.support.linked_units import FakeDirectory, LinkedUnit
from tests.support.number_servers import POOL
from tests.support.other_tenant_requests import FOREIGN, NOBODYS, ROWS, Named
from tests.support.telephony_units import P2, V, telephony_of


def mail_service(unit: AccountUnit) -> MailService:
    """Of a unit that takes mail for both tenants."""
    reports = MailReports(host="talk.example", due=unit.agenda.hint, wall_ms=unit.wall_ms)
    keeper = MailKeeper(unit.database, unit.accounts, unit.sender, reports, unit.presses_in_words)
    reader = MailReader(
        FakeOffload(tasks=TASKS), NameTable(), authserv_id="", is_trusted=lambda peer: False
    )
    tenants = {"talk.example": TENANT, "northwind.example": FOREIGN}
    return MailService(tenants, unit.callers, keeper, reader, most_bytes=1_000, clock=lambda: 0.0)


def invite_service(unit: AccountUnit) -> Any:
    """Of a unit whose directory keeps nothing."""
    directory = FakeDirectory()
    directory.failure = NotFound("there is nothing of the kind")
    return LinkedUnit(unit, directory).invites.servicer


SERVICERS: dict[str, Callable[[AccountUnit], Any]] = {
    "ProfileService": lambda unit: unit.profiles,
    "ConversationService": lambda unit: unit.conversations,
    "IdentityService": lambda unit: unit.identities,
    "DeviceService": lambda unit: unit.devices,
    "DeliveryService": lambda unit: DeliveryService(
        unit.accounts,
        unit.callers,
        unit.agenda,
        Recipients({}, unit.activity, dict),
        wall_ms=unit.wall_ms,
    ),
    "MailService": mail_service,
    "InviteService": invite_service,
    "TelephonyService": lambda unit: telephony_of(unit).service,
    "PushService": lambda unit: PushService(
        unit.accounts,
        unit.callers,
        read_allowed("ntfys=ntfy.talk.example"),
        ScriptedChannel(Channel.PUSH, TAKEN),
        new_id=lambda: "1",
        new_code=lambda: "12345678",
        wall_ms=unit.wall_ms,
        clock=lambda: 0.0,
    ),
}
LISTEN_S = 0.2
UPTIME = Duration(seconds=100_000)
KEPT_OF_EACH = (
    "DeviceService.GetMap",
    "ProfileService.GetSettings",
    "ProfileService.ListContacts",
    "ConversationService.ListConversations",
    "ConversationService.ListMessages",
    "DeliveryService.GetRules",
    "PushService.ListPushAddresses",
    "InviteService.ListInvites",
    "TelephonyService.ListLinks",
    "TelephonyService.ListCalls",
)


def methods() -> dict[str, MethodDescriptor]:
    """Of every service that a unit may have, by `Service.Method`."""
    found = {}
    for module in pkgutil.iter_modules(contract.__path__, f"{contract.__name__}."):
        if module.name.endswith("_pb2"):
            file = importlib.import_module(module.name).DESCRIPTOR
            for service in file.services_by_name.values():
                found |= {f"{service.name}.{one.name}": one for one in service.methods}
    return found


def test_every_method_has_a_row():
    assert sorted(methods()) == sorted(ROWS), "a method needs a row, and a service its servicer"


async def furnished(unit: AccountUnit) -> Named:
    """The first tenant's: Anna, who has all that a request can name, and talks with Ben."""
    anna, ben = unit.by_ticket("anna"), unit.by_ticket("ben")
    await unit.profiles.UpdateProfile(profile.UpdateProfileRequest(name="Ben"), ben)
    found = Named(
        account="annabel", conversation=bytes([1]) * 16, message=bytes([2]) * 16, handle="annabel",
        uri="mailto:annabel@talk.example", offer="", press=bytes([3]) * 16,
        device="the-first-phone", browser="talk.example/the-first-browser-0",
        virtual=V, contact=P2,
    )  # fmt: skip
    await unit.profiles.UpdateProfile(profile.UpdateProfileRequest(name="Ann"), anna)
    await unit.profiles.ClaimHandle(profile.ClaimHandleRequest(handle=found.handle), anna)
    for viewer in (anna, unit.by_ticket(found.account)):
        added = profile.AddIdentifierRequest(uri=found.uri)
        await unit.profiles.AddIdentifier(added, viewer)
    await unit.conversations.SendMessage(
        talk.SendMessageRequest(
            conversation=found.conversation, id=found.message, members=["ben"],
            content=talk.Content(text="for Ben alone"),
        ),
        anna,
    )  # fmt: skip
    numbers = unit.directory.there.numbers
    await numbers.virtual(1)
    await numbers.technical(101)
    await numbers.pools.assign(TENANT, "anna", POOL)
    linked = telephony.LinkContactRequest(contact=found.contact)
    await telephony_of(unit).service.LinkContact(linked, anna)
    agreed = devices.SetConsentRequest(purpose=devices.PURPOSE_REACH, given=True)
    await unit.devices.SetConsent(agreed, anna)
    report = devices.ReportDeviceRequest(device=found.device, uptime=UPTIME)
    await unit.devices.ReportDevice(report, anna)
    seen = devices.ObserveRequest(
        tenant=TENANT, site="talk.example", browser=found.browser.partition("/")[2],
        purpose=devices.PURPOSE_REACH, uptime=UPTIME,
    )  # fmt: skip
    await unit.devices.Observe(seen, anna)
    offered = profile.OfferHandleRequest(handle=found.handle, to_account="mallory")
    offer = (await unit.profiles.OfferHandle(offered, anna)).offer
    values = {one.name: getattr(found, one.name) for one in fields(found)}
    return Named(**{**values, "offer": offer})


async def outcome(unit: AccountUnit, name: str, request: Message, context: FakeContext) -> Any:
    """What a call comes to, as text."""
    service, _, method = name.partition(".")
    asked: Any = _alone(request) if methods()[name].client_streaming else request
    answering = getattr(SERVICERS[service](unit), method)(asked, context)
    try:
        async with asyncio.timeout(LISTEN_S if hasattr(answering, "__anext__") else 30):
            answer = await (anext(answering) if hasattr(answering, "__anext__") else answering)
        return str(answer)
    except TimeoutError:
        return "nothing to say"
    except ServiceError as error:
        return f"{type(error).__name__} {error.reason} {error.message} {error.metadata}"


async def _alone(request: Message) -> AsyncIterator[Message]:
    yield request


async def told(unit: AccountUnit, context: FakeContext, of: Named) -> dict[str, str]:
    """What each method says, in the order of the rows, without the names of what was named."""
    said = {}
    for name, row in ROWS.items():
        text = await outcome(unit, name, row(of), context)
        for one in fields(of):
            value = getattr(of, one.name)
            shown = value if isinstance(value, str) else str(talk.GetMessageRequest(id=value))[4:-2]
            if shown:
                text = text.replace(shown, f"<{one.name}>")
        said[name] = text
    return said


async def all_of(unit: AccountUnit) -> list[str]:
    """What the first tenant's people have."""
    found = []
    for account in ("anna", "ben"):
        context = unit.by_ticket(account)
        for name in KEPT_OF_EACH:
            request = (
                talk.ListMessagesRequest(conversation=bytes([1]) * 16)
                if name == "ConversationService.ListMessages"
                else ROWS[name](NOBODYS)
            )
            found.append(await outcome(unit, name, request, context))
    return found


@pytest.mark.parametrize("shows", ["a ticket", "an introduction"])
async def test_what_is_another_tenants_is_as_what_is_not_there(tmp_path: Path, shows: str) -> None:
    issuer, said = an_issuer(), []
    for number, of in enumerate((None, NOBODYS)):
        async with account_unit(tmp_path / f"{number}", "u", issuer) as unit:
            theirs = await furnished(unit)
            before = await all_of(unit)
            context = unit.by_ticket("mallory", tenant=FOREIGN)
            if shows != "a ticket":
                await unit.profiles.UpdateProfile(
                    profile.UpdateProfileRequest(name="A namesake"),
                    unit.by_ticket("anna", tenant=FOREIGN),
                )
                context = unit.by_introduction("anna", viewer="mallory", tenant=FOREIGN)
            said.append(await told(unit, context, of or theirs))
            assert await all_of(unit) == before, "what is theirs is as it was"
    there, nowhere = said
    assert there == nowhere
    assert "for Ben alone" not in str(there)
