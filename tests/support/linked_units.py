"""Units with accounts that bring each other messages over gRPC, with a directory in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc

from control_plane.errors import NotFound, Refused, ServiceError
from control_plane.identity.introductions import INTRODUCTION_TTL_S, IntroductionIssuer
from control_plane.serving.server import Server, Service, Transport
from deployment_units.agent.inviting import inviting
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.port import OutgoingChannel
from deployment_units.services.conversations.service import NAME
from deployment_units.services.directory.port import RESOLVE, DirectoryMethod
from deployment_units.services.gateway.carriers import Carriers
from deployment_units.services.gateway.carrying_out import CarryingOut
from deployment_units.services.gateway.composing import Composer
from deployment_units.services.gateway.grpc_peers import GrpcPeers
from deployment_units.services.gateway.handing_over import HandingOver
from deployment_units.services.gateway.health import ChannelHealth
from deployment_units.services.gateway.homes import Homes
from deployment_units.services.gateway.measures import OutboxMeasures
from deployment_units.services.gateway.outbox import Outbox
from deployment_units.services.gateway.receipts import Telling
from deployment_units.services.gateway.recipients import Recipients
from deployment_units.services.gateway.service import NAME as DELIVERIES
from deployment_units.services.gateway.service import DeliveryService
from deployment_units.services.gateway.waiting import OutboxLimits
from deployment_units.services.profiles.service import NAME as PROFILES
from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.communication.v1 import (
    conversation_pb2_grpc,
    delivery_pb2,
    delivery_pb2_grpc,
    profile_pb2_grpc,
)
from homeport.api.directory.v1 import directory_pb2
from tests.support.account_units import NOW, TENANT, AccountUnit, account_unit, an_issuer

WAIT_S = 20.0
InvitationAnswers = Callable[[str, DirectoryMethod, Resident, Any], Awaitable[Any]]
"""What InvitationService answers to a unit, of this id, that asks for a resident."""


class FakeDirectory:
    """Where accounts are at home: unit and epoch, by name. failure: of every question."""

    def __init__(self) -> None:
        self.now = NOW
        self.homes: dict[str, tuple[str, int]] = {}
        self.endpoints: dict[str, str] = {}
        self.issuer = an_issuer()
        self.failure: ServiceError | None = None
        self.asked = 0
        self.units: list[AccountUnit] = []
        self.invitations: InvitationAnswers | None = None  # None: nobody asks about any

    def of(self, unit_id: str) -> Asking:
        return Asking(self, unit_id)


class Asking:
    """A UnitDirectory, as one unit asks."""

    def __init__(self, directory: FakeDirectory, unit_id: str) -> None:
        self._directory = directory
        self._unit_id = unit_id

    async def call(self, method: DirectoryMethod, resident: Resident, request: Any) -> Any:
        on = self._directory
        on.asked += 1
        if on.failure is not None:
            raise on.failure
        if on.invitations is not None and method.service == "InvitationService":
            return await on.invitations(self._unit_id, method, resident, request)
        assert method is RESOLVE
        if on.homes.get(resident.account) != (self._unit_id, resident.epoch):
            raise Refused("the viewer is at home elsewhere")
        if request.account not in on.homes:
            raise NotFound("nobody is found by this identifier")
        unit, epoch = on.homes[request.account]
        found = directory_pb2.Residence(
            account=request.account, unit_id=unit, endpoint=on.endpoints.get(unit, ""), epoch=epoch,
            introduction=IntroductionIssuer(on.issuer).make(
                unit, resident.tenant, request.account, epoch, on.now,
                viewer=resident.account, from_unit=self._unit_id,
            ),
        )  # fmt: skip
        found.expire_time.FromMilliseconds(int((on.now + INTRODUCTION_TTL_S) * 1_000))
        return directory_pb2.ResolveResponse(residences=[found])


class LinkedUnit:
    """One unit that serves and brings messages. `settled`: nothing is due in it."""

    def __init__(self, unit: AccountUnit, directory: FakeDirectory) -> None:
        self.unit = unit
        self.directory = directory
        self.channels: dict[Channel, OutgoingChannel] = {}
        self.health = ChannelHealth()
        self.recipients = Recipients(self.channels, unit.activity, self.health.down)
        unit.routed = self.recipients.has_more_than_one_way
        self.deliveries = DeliveryService(
            unit.accounts, unit.callers, unit.agenda, self.recipients, wall_ms=unit.wall_ms
        )
        self.peers = GrpcPeers(
            unit.unit_id,
            Homes(directory.of(unit.unit_id), wall=lambda: unit.now),
            connect=grpc.aio.insecure_channel,
            read_introduction=unit.callers.introduction,
            take_in=unit.conversations.take_in,
            hear=self.deliveries.hear,
            take_press=unit.conversations.take_press,
        )
        by_clock: Any = {"wall_ms": unit.wall_ms, "jitter": lambda: 1.0}
        self.measures = OutboxMeasures()
        measured: Any = {**by_clock, "measures": self.measures}
        self.composer = composer = Composer(
            pages=f"https://{unit.unit_id}.talk.example/a/",
            message_pages=f"https://{unit.unit_id}.talk.example/m/",
            checks=unit.checks,
            host="talk.example",
            number="+442079460399",
            new_key=lambda: bytes(32),
            wall_ms=unit.wall_ms,
        )
        parts: Any = SimpleNamespace(
            sender=unit.sender, peers=self.peers, conversations=unit.conversations
        )
        channels: Any = SimpleNamespace(all=self.channels, composer=composer)
        self.invites = inviting(
            unit.database, unit.accounts, unit.callers, directory.of(unit.unit_id), parts,
            unit.checks, channels, client="https://talk.example", **by_clock,
        )  # fmt: skip
        self.server = Server(
            [
                Service(
                    add=conversation_pb2_grpc.add_ConversationServiceServicer_to_server,
                    servicer=unit.conversations, name=NAME, hot={},
                ),
                Service(
                    add=delivery_pb2_grpc.add_DeliveryServiceServicer_to_server,
                    servicer=self.deliveries, name=DELIVERIES, hot={},
                ),
                Service(
                    add=profile_pb2_grpc.add_ProfileServiceServicer_to_server,
                    servicer=unit.profiles, name=PROFILES, hot={},
                ),
                self.invites.service,
            ],
            transport=Transport.GRPCIO,
        )  # fmt: skip
        self.outbox = Outbox(
            unit.database,
            unit.agenda,
            Carriers(
                HandingOver(unit.database, unit.accounts, self.peers, **measured),
                CarryingOut(
                    unit.accounts, self.channels, composer, self.recipients, self.health, **measured
                ),
            ),
            Telling(unit.database, unit.accounts, self.peers, **by_clock).tell,
            wall_ms=unit.wall_ms,
        )

    async def settled(self) -> None:
        """Returns once nothing is due any more."""
        await self.outbox.turns.look()
        self.outbox.turns.idle.clear()
        self.unit.agenda.changed.set()
        async with asyncio.timeout(WAIT_S):
            await self.outbox.turns.idle.wait()

    async def pass_time(self, seconds: float) -> None:
        """By everybody's clock; what is due in this unit then is done when this returns."""
        self.directory.now += seconds
        for unit in self.directory.units:
            unit.now = self.directory.now
        await self.settled()

    async def send(
        self, sender: str, number: int, text: str, *members: str, talk: bytes = b"conversation-one"
    ) -> pb.SendMessageResponse:
        request = pb.SendMessageRequest(
            conversation=talk, id=number.to_bytes(16, "big"), members=members,
            content=pb.Content(text=text),
        )  # fmt: skip
        _, epoch = self.directory.homes[sender]
        return await self.unit.conversations.SendMessage(
            request, self.unit.by_ticket(sender, epoch)
        )

    async def deliveries_of(self, account: str, number: int) -> dict[str, str]:
        """The state of each delivery of a message, by recipient."""
        _, epoch = self.directory.homes[account]
        listed = await self.deliveries.ListDeliveries(
            delivery_pb2.ListDeliveriesRequest(message=number.to_bytes(16, "big")),
            self.unit.by_ticket(account, epoch),
        )
        return {
            one.recipient: delivery_pb2.DeliveryState.Name(one.state).removeprefix(
                "DELIVERY_STATE_"
            )
            for one in listed.deliveries
        }

    async def mark_seen(
        self, account: str, position: int, talk: bytes = b"conversation-one"
    ) -> None:
        _, epoch = self.directory.homes[account]
        request = pb.MarkSeenRequest(conversation=talk, device="laptop", position=position)
        await self.unit.conversations.MarkSeen(request, self.unit.by_ticket(account, epoch))

    async def has(self, account: str, position: int) -> None:
        """A client of the account subscribes behind that position, and ends it."""
        _, epoch = self.directory.homes[account]
        stream = self.unit.conversations.Subscribe(
            pb.SubscribeRequest(after=position), self.unit.by_ticket(account, epoch)
        )
        reading = asyncio.ensure_future(anext(stream))
        async with asyncio.timeout(WAIT_S):
            while not (len(self.unit.arrivals) or reading.done()):  # noqa: ASYNC110
                await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    async def read(self, account: str, talk: bytes = b"conversation-one") -> list[tuple[str, str]]:
        """Sender and text of each message, in order."""
        _, epoch = self.directory.homes[account]
        ask = pb.ListMessagesRequest(conversation=talk, page_size=100)
        listed = await self.unit.conversations.ListMessages(
            ask, self.unit.by_ticket(account, epoch)
        )
        return [(one.sender, one.content.text) for one in listed.messages]


@asynccontextmanager
async def linked_unit(unit: AccountUnit, directory: FakeDirectory) -> AsyncIterator[LinkedUnit]:
    """A unit that serves, with its outbox running."""
    linked = LinkedUnit(unit, directory)
    directory.units.append(unit)
    directory.endpoints[unit.unit_id] = f"127.0.0.1:{linked.server.bind('127.0.0.1:0')}"
    async with AsyncExitStack() as stack:
        await linked.server.start()
        stack.push_async_callback(linked.server.stop, 0.0)
        stack.push_async_callback(linked.peers.close)
        running = asyncio.create_task(linked.outbox.turns.run())
        stack.push_async_callback(_ended, running)
        yield linked


@asynccontextmanager
async def linked_units(
    folder: Path, *units: str, limits: OutboxLimits | None = None
) -> AsyncIterator[list[LinkedUnit]]:
    """limits: of what waits in each; None: as by default."""
    directory = FakeDirectory()
    async with AsyncExitStack() as stack:
        made = []
        for name in units:
            unit = await stack.enter_async_context(
                account_unit(folder / name, name, directory.issuer, limits=limits)
            )
            linked = await stack.enter_async_context(linked_unit(unit, directory))
            made.append(linked)
        yield made


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def enter(unit: LinkedUnit, account: str, epoch: int = 1) -> None:
    """Makes it an account at home there, that the unit knows."""
    unit.directory.homes[account] = (unit.unit.unit_id, epoch)
    resident = Resident(tenant=TENANT, account=account, epoch=epoch)
    await unit.unit.accounts.change(resident, lambda db, owner: None)
