"""ConversationService: the gRPC servicer of conversations in one unit."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from grpc import aio

from control_plane.errors import AlreadyExists, NotFound, PermissionDenied
from control_plane.faultpoints import passing
from control_plane.identity.introductions import Introduction
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.callers import Callers, introduced
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.conversations import kept, presses
from deployment_units.services.conversations.arrivals import Arrivals
from deployment_units.services.conversations.card_checks import CardChecks
from deployment_units.services.conversations.clicking import (
    Clicking,
    NoApplications,
    PressDoors,
)
from deployment_units.services.conversations.message import KeptMessage, NewMessage
from deployment_units.services.conversations.messages import (
    STATES,
    conversation_to_proto,
    message_to_proto,
)
from deployment_units.services.conversations.requests import (
    DEFAULT_CONVERSATIONS,
    DEFAULT_MESSAGES,
    MAX_CONVERSATIONS,
    MAX_MESSAGES,
    content_of,
    device_of,
    id_of,
    members_of,
    optional_id,
    page_size_of,
    press_of,
    refuse_card,
)
from deployment_units.services.conversations.revisions import superseded
from deployment_units.services.profiles.profile import Mode
from deployment_units.services.profiles.relations import is_open_to
from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.communication.v1 import conversation_pb2_grpc as pb_grpc

NAME = "homeport.api.communication.v1.ConversationService"
LOOK_S = 15.0  # a subscription looks as often whether its ticket is good, and for what came
_NEWEST = 2**63 - 1

_Context = aio.ServicerContext[Any, Any]


class ConversationService(pb_grpc.ConversationServiceServicer):
    """Servicer of one unit. wall_ms: Unix ms."""

    def __init__(
        self,
        accounts: Accounts,
        callers: Callers,
        arrivals: Arrivals,
        *,
        press_doors: PressDoors | None = None,
        wall_ms: Callable[[], int],
        look_s: float = LOOK_S,
    ) -> None:
        """press_doors: who hands presses on; None: nobody here."""
        self._accounts = accounts
        self._callers = callers
        self._arrivals = arrivals
        self._wall_ms = wall_ms
        self._look_s = look_s
        self._cards = CardChecks()
        self.clicking = Clicking(
            accounts, self._cards, press_doors or NoApplications(), wall_ms=wall_ms
        )

    async def SendMessage(
        self, request: pb.SendMessageRequest, context: _Context
    ) -> pb.SendMessageResponse:
        resident = self._resident(context)
        refuse_card(request.content)
        message = NewMessage(
            id=id_of(request.id, "id"),
            conversation=id_of(request.conversation, "conversation"),
            sender=resident.account,
            content=content_of(request.content),
            replaces=optional_id(request.replaces, "replaces"),
        )
        named = members_of(request.members, resident.account)
        mine, members, kept_for = await self._accounts.change(
            resident, partial(self._send, resident=resident, message=message, named=named)
        )
        for account in (resident.account, *kept_for):
            self._arrivals.tell(resident.tenant, account)
        return pb.SendMessageResponse(
            message=message_to_proto(mine),
            kept_for=kept_for,
            elsewhere=[one for one in members if one not in kept_for],
        )

    def _send(
        self,
        db: sqlite3.Connection,
        owner: int,
        *,
        resident: Resident,
        message: NewMessage,
        named: tuple[str, ...],
    ) -> tuple[KeptMessage, tuple[str, ...], list[str]]:
        """The sender's copy, the other members, and for whom of them it was kept as well."""
        members = named or kept.members_of(db, owner, message.conversation)
        if not members:
            raise NotFound("there is no such conversation; name the members of a new one")
        now_ms = self._wall_ms()
        mine = kept.keep(db, owner, message, members, now_ms=now_ms)
        message = replace(message, revision=mine.revision)
        kept_for = []
        for member in members:
            other = self._accounts.beside(
                db, resident.tenant, member, room_bytes=message.room_bytes
            )
            if other is None or not is_open_to(db, other, member, resident.account, Mode.IN_APP):
                continue
            theirs = {resident.account, *members} - {member}
            try:
                kept.keep(db, other, message, theirs, now_ms=now_ms)
            except AlreadyExists:  # of its copy alone, and nothing was written to it
                continue
            kept_for.append(member)
        return mine, members, kept_for

    async def Deliver(self, request: pb.DeliverRequest, context: _Context) -> pb.DeliverResponse:
        caller = self._callers.caller(context.invocation_metadata() or ())
        if not isinstance(caller, Introduction) or not caller.viewer:
            raise PermissionDenied("show an introduction that names who sends the message")
        card = await self._cards.checked(request.content.card, "content.card")
        message = NewMessage(
            id=id_of(request.id, "id"),
            conversation=id_of(request.conversation, "conversation"),
            sender=caller.viewer,
            content=content_of(request.content, card=card),
            replaces=optional_id(request.replaces, "replaces"),
            revision=request.revision or 1,
            answers=request.content.answers,
        )
        members = members_of(request.members, caller.viewer)
        if caller.account not in members:
            raise PermissionDenied("the account is no member of the conversation")
        theirs = {caller.viewer, *members} - {caller.account}

        def deliver(db: sqlite3.Connection, owner: int) -> None:
            if not is_open_to(db, owner, caller.account, caller.viewer, Mode.IN_APP):
                raise PermissionDenied("the account is not reached in-app by this sender")
            kept.keep(db, owner, message, theirs, now_ms=self._wall_ms())

        await self._accounts.change(introduced(caller), deliver)
        self._arrivals.tell(caller.tenant, caller.account)
        return pb.DeliverResponse()

    async def Click(self, request: pb.ClickRequest, context: _Context) -> pb.ClickResponse:
        resident = self._resident(context)
        clicked = await self.clicking.click(resident, press_of(request))
        passing("click.kept.after")
        pressed = self._accounts.read(
            resident,
            lambda db, owner: presses.of_viewer(db, owner, clicked.shown.root, resident.account),
        )
        return pb.ClickResponse(
            state=STATES[clicked.state],
            press=clicked.press,
            current=message_to_proto(clicked.shown, pressed=pressed),
        )

    async def DeliverPress(
        self, request: pb.DeliverPressRequest, context: _Context
    ) -> pb.DeliverPressResponse:
        caller = self._callers.caller(context.invocation_metadata() or ())
        if not isinstance(caller, Introduction) or not caller.viewer:
            raise PermissionDenied("show an introduction that names who presses")
        clicked = await self.clicking.take(introduced(caller), caller.viewer, press_of(request))
        return pb.DeliverPressResponse(state=STATES[clicked.state])

    async def Subscribe(
        self, request: pb.SubscribeRequest, context: _Context
    ) -> AsyncIterator[pb.SubscribeResponse]:
        resident = self._resident(context)
        after = request.after
        with self._arrivals.subscribed(resident.tenant, resident.account) as arrived:
            while True:
                arrived.clear()
                page, more = self._messages(resident, after=after, most=MAX_MESSAGES)
                for message in page:
                    yield pb.SubscribeResponse(message=message)
                    after = message.position
                if more:
                    continue
                try:
                    async with asyncio.timeout(self._look_s):
                        await arrived.wait()
                except TimeoutError:
                    pass
                # It ends with its ticket, and where the account lives elsewhere by now.
                resident = self._resident(context)

    async def ListConversations(
        self, request: pb.ListConversationsRequest, context: _Context
    ) -> pb.ListConversationsResponse:
        resident = self._resident(context)
        size = page_size_of(request.page_size, usual=DEFAULT_CONVERSATIONS, most=MAX_CONVERSATIONS)
        read = partial(kept.conversations, before=request.before or _NEWEST, most=size)
        found, more = self._accounts.read(resident, read)
        return pb.ListConversationsResponse(
            conversations=map(conversation_to_proto, found), more=more
        )

    async def ListMessages(
        self, request: pb.ListMessagesRequest, context: _Context
    ) -> pb.ListMessagesResponse:
        resident = self._resident(context)
        conversation = id_of(request.conversation, "conversation")
        size = page_size_of(request.page_size, usual=DEFAULT_MESSAGES, most=MAX_MESSAGES)
        found, more = self._messages(
            resident, after=request.after, most=size, conversation=conversation
        )
        return pb.ListMessagesResponse(messages=found, more=more)

    async def GetMessage(
        self, request: pb.GetMessageRequest, context: _Context
    ) -> pb.GetMessageResponse:
        resident = self._resident(context)
        wanted = id_of(request.id, "id")

        def read(db: sqlite3.Connection, owner: int) -> pb.Message:
            found = kept.shown(db, owner, wanted)
            if found is None:
                raise NotFound("the account has no such message")
            pressed = presses.of_viewer(db, owner, found.root, resident.account)
            return message_to_proto(found, pressed=pressed)

        return pb.GetMessageResponse(message=self._accounts.read(resident, read))

    async def MarkSeen(self, request: pb.MarkSeenRequest, context: _Context) -> pb.MarkSeenResponse:
        resident = self._resident(context)
        conversation = id_of(request.conversation, "conversation")
        device = device_of(request.device)
        seen = await self._accounts.change(
            resident,
            lambda db, owner: kept.mark_seen(db, owner, conversation, device, request.position),
        )
        return pb.MarkSeenResponse(position=seen)

    async def RemoveConversation(
        self, request: pb.RemoveConversationRequest, context: _Context
    ) -> pb.RemoveConversationResponse:
        resident = self._resident(context)
        conversation = id_of(request.conversation, "conversation")
        more = await self._accounts.change(
            resident, lambda db, owner: kept.remove_some(db, owner, conversation)
        )
        return pb.RemoveConversationResponse(more=more)

    def _resident(self, context: _Context) -> Resident:
        return self._callers.resident(context.invocation_metadata() or ())

    def _messages(
        self, resident: Resident, *, after: int, most: int, conversation: bytes | None = None
    ) -> tuple[list[pb.Message], bool]:
        """A page as it is answered, and whether there is more behind it."""

        def page(db: sqlite3.Connection, owner: int) -> tuple[list[pb.Message], bool]:
            found, more = kept.messages(
                db, owner, after=after, most=most, conversation=conversation
            )
            old = superseded(db, owner, found)
            return [
                message_to_proto(
                    one,
                    superseded=one.id in old,
                    pressed=presses.of_viewer(db, owner, one.root, resident.account),
                )
                for one in found
            ], more

        return self._accounts.read(resident, page)
