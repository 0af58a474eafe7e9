"""A unit with accounts and its HTTP port, and browsers that are signed in to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from control_plane.errors import ServiceError
from control_plane.serving.connection_limits import ConnectionLimits
from control_plane.serving.server import Server, Service, Transport
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.conversations.service import NAME as CONVERSATIONS
from deployment_units.services.identities.service import NAME as IDENTITIES
from deployment_units.services.profiles.service import NAME as PROFILES
from deployment_units.services.web.card_confirmations import CardConfirmations, NewHome
from deployment_units.services.web.message_pages import MessagePages
from deployment_units.services.web.server import WebServer
from homeport.api.communication.v1 import (
    conversation_pb2_grpc,
    delivery_pb2,
    delivery_pb2_grpc,
    identity_pb2_grpc,
    invite_pb2,
    invite_pb2_grpc,
    profile_pb2_grpc,
)
from tests.support.account_units import TENANT, AccountUnit, account_unit

WAIT_S = 20.0


class Event(NamedTuple):
    """One server-sent event."""

    kind: str
    id: str
    data: Any


class Browser:
    """One that keeps cookies, and sends what a page of the unit would."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session
        self.content = b""  # of the last answer

    async def ask(
        self, verb: str, path: str, document: Any = None, **named: Any
    ) -> tuple[int, Any, aiohttp.ClientResponse]:
        """Status, what the JSON says (None: it is none), and the response."""
        headers = {"sec-fetch-site": "same-origin", **named.pop("headers", {})}
        if document is not None:
            named["data"] = json.dumps(document)
            headers.setdefault("content-type", "application/json")
        async with self.session.request(
            verb, self.url + path, headers=headers, allow_redirects=False, **named
        ) as response:
            content = self.content = await response.read()
            is_json = response.content_type == "application/json"
            return response.status, json.loads(content) if is_json else None, response

    async def sign_in(self, ticket: str) -> None:
        status, said, _ = await self.ask("POST", "/session", {"ticket": ticket})
        assert status == 200, said

    async def call(self, method: str, document: Any = None) -> Any:
        """What a method of ConversationService answers."""
        status, said, _ = await self.ask(
            "POST", f"/api/ConversationService/{method}", {} if document is None else document
        )
        assert status == 200, said
        return said

    @asynccontextmanager
    async def events(
        self, *, last: str = "", after: int = 0
    ) -> AsyncIterator[AsyncIterator[Event]]:
        """Of the account, as a browser's EventSource has them."""
        headers = {"last-event-id": last} if last else {}
        url = f"{self.url}/events" + (f"?after={after}" if after else "")
        async with self.session.get(url, headers=headers) as response:
            assert response.status == 200, await response.text()
            yield _events(response)


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for line in response.content:
        text = line.decode().rstrip("\n")
        if text:
            name, _, value = text.partition(": ")
            fields[name] = value
            continue
        if "data" in fields:
            kind = fields.get("event", "message")
            yield Event(kind, fields.get("id", ""), json.loads(fields["data"]))
        fields = {}


class FakeDeliveries(delivery_pb2_grpc.DeliveryServiceServicer):
    """A unit that knows this of messages that are on their way."""

    def __init__(self) -> None:
        self.known: list[delivery_pb2.Delivery] = []

    async def ListDeliveries(self, request: Any, context: Any) -> Any:
        return delivery_pb2.ListDeliveriesResponse(deliveries=self.known)


class FakeInvites(invite_pb2_grpc.InviteServiceServicer):
    """A unit that keeps these invitations of everybody. failure: of the next answer."""

    def __init__(self) -> None:
        self.known: list[invite_pb2.Invite] = []
        self.failure: ServiceError | None = None

    async def ListInvites(self, request: Any, context: Any) -> Any:
        return invite_pb2.ListInvitesResponse(invites=self.known)

    async def AcceptInvite(self, request: Any, context: Any) -> Any:
        return self._answered(request, invite_pb2.INVITE_STATE_ACCEPTED)

    async def DeclineInvite(self, request: Any, context: Any) -> Any:
        return self._answered(request, invite_pb2.INVITE_STATE_DECLINED)

    def _answered(self, request: Any, state: invite_pb2.InviteState.ValueType) -> invite_pb2.Invite:
        one = next(one for one in self.known if one.invitation == request.invitation)
        if self.failure is not None:
            failure, self.failure = self.failure, None
            one.refused = failure.message
            raise failure
        one.state, one.refused = state, ""
        return one


class WebUnit:
    """unit: what it stands on; server: its HTTP port; deliveries, invites: what it knows of them;
    moved: where accounts are since they left, by account."""

    def __init__(
        self,
        unit: AccountUnit,
        server: WebServer,
        deliveries: FakeDeliveries,
        invites: FakeInvites,
        moved: dict[str, NewHome],
    ) -> None:
        self.moved = moved
        self.unit = unit
        self.deliveries = deliveries
        self.invites = invites
        self.server = server
        self.url = f"http://{server.address}"

    def ticket(
        self, account: str, *, tenant: str = TENANT, unit: str = "", ends_s: float = 3600.0
    ) -> str:
        """One for this unit, or another."""
        return self.unit.issuer.issue(
            unit or self.unit.unit_id, tenant, account, 1, self.unit.now, ends_s
        )

    @asynccontextmanager
    async def browser(self, account: str = "", tenant: str = TENANT) -> AsyncIterator[Browser]:
        """Signed in as an account; empty: as nobody."""
        jar = aiohttp.CookieJar(unsafe=True)  # cookies of IP addresses
        timeout = aiohttp.ClientTimeout(total=WAIT_S)
        async with aiohttp.ClientSession(cookie_jar=jar, timeout=timeout) as session:
            browser = Browser(self.url, session)
            if account:
                await browser.sign_in(self.ticket(account, tenant=tenant))
            yield browser


@asynccontextmanager
async def web_unit(folder: Path, *accounts: str) -> AsyncIterator[WebUnit]:
    """accounts: that live there."""
    async with account_unit(folder) as unit:
        for account in accounts:
            resident = Resident(tenant=TENANT, account=account, epoch=1)
            await unit.accounts.change(resident, lambda db, owner: None)
        deliveries, moved = FakeDeliveries(), dict[str, NewHome]()
        invites = FakeInvites()
        services = (
            Service(
                add=delivery_pb2_grpc.add_DeliveryServiceServicer_to_server,
                servicer=deliveries, name="homeport.api.communication.v1.DeliveryService", hot={},
            ),
            Service(
                add=invite_pb2_grpc.add_InviteServiceServicer_to_server,
                servicer=invites, name="homeport.api.communication.v1.InviteService", hot={},
            ),
            Service(
                add=identity_pb2_grpc.add_IdentityServiceServicer_to_server,
                servicer=unit.identities, name=IDENTITIES, hot={},
            ),
            Service(
                add=profile_pb2_grpc.add_ProfileServiceServicer_to_server,
                servicer=unit.profiles, name=PROFILES, hot={},
            ),
            Service(
                add=conversation_pb2_grpc.add_ConversationServiceServicer_to_server,
                servicer=unit.conversations, name=CONVERSATIONS, hot={},
            ),
        )  # fmt: skip
        server = WebServer(
            unit.unit_id, "127.0.0.1:0", services, unit.callers,
            confirmations=CardConfirmations(
                unit.database, unit.accounts, unit.conversations.clicking, unit.checks,
                moved=lambda tenant, account, resident: moved.get(account),
                wall_ms=unit.wall_ms,
            ),
            messages=MessagePages(
                unit.database, unit.accounts, unit.checks,
                moved=lambda tenant, account, resident: moved.get(account),
                wall_ms=unit.wall_ms,
            ),
            beside=Server([], transport=Transport.GRPCIO), limits=ConnectionLimits(),
            wall=lambda: unit.now, keep_alive_s=0.1,
        )  # fmt: skip
        await server.start()
        try:
            yield WebUnit(unit, server, deliveries, invites, moved)
        finally:
            async with asyncio.timeout(WAIT_S):
                await server.stop()
