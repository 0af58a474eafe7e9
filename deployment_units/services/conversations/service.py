"""ConversationService: the gRPC servicer of conversations in one unit."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from grpc import aio

from control_plane.errors import NotFound, PermissionDenied, Unavailable
from control_plane.faultpoints import passing
from control_plane.identity.introductions import Introduction
from deployment_units.services.accounts.accounts import AccountFull, Accounts
from deployment_units.services.accounts.callers import Callers, introduced
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.conversations import kept, presses, progress
from deployment_units.services.conversations.addressing import (
    addressing_of,
    judged,
    note_sent,
    received_addressing,
)
from deployment_units.services.conversations.arrivals import Arrivals
from deployment_units.services.conversations.bring_budget import BringBudget
from deployment_units.services.conversations.card_checks import Bringer, CardChecks
from deployment_units.services.conversations.clicking import (
    Clicking,
    NoApplications,
    PressDoors,
)
from deployment_units.services.conversations.finding import MemberNames, find_member
from deployment_units.services.conversations.handling import encoded
from deployment_units.services.conversations.members import is_uri, read_member
from deployment_units.services.conversations.message import UNADDRESSED, NewMessage
from deployment_units.services.conversations.messages import (
    STATES,
    conversation_to_proto,
    handling_of,
    message_to_proto,
)
from deployment_units.services.conversations.requests import (
    DEFAULT_CONVERSATIONS,
    DEFAULT_MESSAGES,
    MAX_CONVERSATIONS,
    MAX_MESSAGES,
    by_mail_of,
    caused_by_of,
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
from deployment_units.services.conversations.send_budget import SendBudget
from deployment_units.services.conversations.sending import MessageDoors, Sent
from deployment_units.services.directory.port import UnitDirectory
from deployment_units.services.identities.kept import forget_thread
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
        doors: MessageDoors,
        checks: CardChecks,
        *,
        directory: UnitDirectory | None = None,
        press_doors: PressDoors | None = None,
        budget: SendBudget | None = None,
        brings: BringBudget | None = None,
        wall_ms: Callable[[], int],
        look_s: float = LOOK_S,
    ) -> None:
        """doors: where messages go in; directory: finds members, press_doors: who hands presses
        on; None: nobody here. budget, brings: of this unit's accounts, and of other units; None:
        as much as they like."""
        self._accounts = accounts
        self._callers = callers
        self._arrivals = arrivals
        self._doors = doors
        self._budget = budget
        self.brings = brings
        self._directory = directory
        self.names: MemberNames | None = None  # None: nobody tells them here
        # Whether this unit has a way to somebody without an account, by their URI.
        self.sends_to: Callable[[str], bool] = lambda uri: True
        self._look_s = look_s
        self._wall_ms = wall_ms
        self._cards = checks
        self.clicking = Clicking(
            accounts, self._cards, press_doors or NoApplications(), wall_ms=wall_ms
        )

    async def SendMessage(
        self, request: pb.SendMessageRequest, context: _Context
    ) -> pb.SendMessageResponse:
        resident = self._resident(context)
        refuse_card(request.content)
        addressing = addressing_of(request.from_identifier, request.to_identifiers)
        message = NewMessage(
            id=id_of(request.id, "id"),
            conversation=id_of(request.conversation, "conversation"),
            sender=resident.account,
            content=content_of(request.content, addressing=addressing),
            replaces=optional_id(request.replaces, "replaces"),
            handling=_handling(request),
            addressing=addressing,
        )
        named = members_of(request.members, resident.account)
        if self._budget is not None:  # the least: who has spent it takes nothing of the store
            self._budget.take(resident.tenant, resident.account, 1)

        def send(db: sqlite3.Connection, owner: int) -> Sent:
            if self._budget is not None:
                goes_to = named or kept.members_of(db, owner, message.conversation) or ()
                if len(goes_to) > 1:
                    self._budget.take(resident.tenant, resident.account, len(goes_to) - 1)
            if not (addressing or message.replaces):
                return self._doors.send(db, owner, resident, message, named)
            members = named or kept.members_of(db, owner, message.conversation) or ()
            known = kept.find(db, owner, message.id, bringer=resident.account)
            whole = judged(db, owner, message, members, known=known is not None)
            sent = self._doors.send(db, owner, resident, whole, named)
            if known is None:
                note_sent(db, owner, whole, members, self._wall_ms())
            return sent

        sent = await self._accounts.change(resident, send)
        passing("message.kept.after")
        return pb.SendMessageResponse(
            message=message_to_proto(sent.message),
            kept_for=sent.kept_for,
            elsewhere=sent.elsewhere,
        )

    async def Deliver(self, request: pb.DeliverRequest, context: _Context) -> pb.DeliverResponse:
        caller = self._callers.caller(context.invocation_metadata() or ())
        if not isinstance(caller, Introduction):
            raise PermissionDenied("show an introduction that names who sends the message")
        if self.brings is not None:
            self.brings.take(caller)
        await self.take_in(caller, request)
        return pb.DeliverResponse()

    async def take_in(self, bringer: Introduction, request: pb.DeliverRequest) -> None:
        """Deliver, for whoever shows the introduction. Raises as the contract says."""
        if not bringer.viewer:
            raise PermissionDenied("show an introduction that names who sends the message")
        whose = Bringer(bringer.tenant, bringer.viewer)
        card = await self._cards.checked(whose, request.content.card, "content.card")
        members = members_of(request.members, bringer.viewer)
        author = read_member(request.author, "author") if request.author else bringer.viewer
        # Who has no account writes as itself.
        addressing = (
            UNADDRESSED if request.author else received_addressing(request.content, bringer.account)
        )
        message = NewMessage(
            id=id_of(request.id, "id"),
            conversation=id_of(request.conversation, "conversation"),
            sender=author,
            content=content_of(
                request.content,
                card=card,
                by_mail=by_mail_of(request.content),
                refused=request.content.refused,
                caused_by=caused_by_of(request.content),
                addressing=addressing,
            ),
            replaces=optional_id(request.replaces, "replaces"),
            revision=request.revision or 1,
            answers=request.content.answers,
            refused=request.content.refused,
            via=bringer.viewer if request.author else "",
            handling=_handling(request),
            addressing=addressing,
        )
        resident = introduced(bringer)
        await self._accounts.change(
            resident,
            lambda db, owner: self._doors.receive(
                db, owner, resident, message, (bringer.viewer, *members)
            ),
        )

    async def Click(self, request: pb.ClickRequest, context: _Context) -> pb.ClickResponse:
        resident, press = self._resident(context), press_of(request)
        if self._budget is not None:
            self._budget.take(resident.tenant, resident.account, 1)
        clicked = await self.clicking.click(resident, press)
        passing("click.kept.after")
        pressed = self._accounts.read(
            resident,
            lambda db, owner: presses.of_viewer(
                db, owner, clicked.shown.root, clicked.shown.sender, resident.account
            ),
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
        if not isinstance(caller, Introduction):
            raise PermissionDenied("show an introduction that names who presses")
        if self.brings is not None:
            self.brings.take(caller)
        return await self.take_press(caller, request)

    async def take_press(
        self, bringer: Introduction, request: pb.DeliverPressRequest
    ) -> pb.DeliverPressResponse:
        """DeliverPress, for whoever shows the introduction. Raises as the contract says."""
        if not bringer.viewer:
            raise PermissionDenied("show an introduction that names who presses")
        clicked = await self.clicking.take(introduced(bringer), bringer.viewer, press_of(request))
        return pb.DeliverPressResponse(state=STATES[clicked.state])

    async def Subscribe(
        self, request: pb.SubscribeRequest, context: _Context
    ) -> AsyncIterator[pb.SubscribeResponse]:
        resident = self._resident(context)
        after = min(request.after, _NEWEST)
        await self._acknowledge(resident, after)
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
        read = partial(
            kept.conversations, before=min(request.before or _NEWEST, _NEWEST), most=size
        )
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
            resident,
            after=min(request.after, _NEWEST),
            most=size,
            conversation=conversation,
            before=min(request.before, _NEWEST),
        )
        return pb.ListMessagesResponse(messages=found, more=more)

    async def FindMember(
        self, request: pb.FindMemberRequest, context: _Context
    ) -> pb.FindMemberResponse:
        resident = self._resident(context)
        if self._directory is None:
            raise Unavailable("this unit asks no directory")
        found = await find_member(self._directory, resident, request.name)
        name = ""
        if self.names is not None and not is_uri(found.member):
            name = await self.names.name(resident, found.member)
        unreached = is_uri(found.member) and not self.sends_to(found.member)
        return pb.FindMemberResponse(
            member=found.member, shown=found.shown, name=name, unreached=unreached
        )

    async def GetMessage(
        self, request: pb.GetMessageRequest, context: _Context
    ) -> pb.GetMessageResponse:
        resident = self._resident(context)
        wanted = id_of(request.id, "id")

        def read(db: sqlite3.Connection, owner: int) -> pb.Message:
            found = kept.shown(db, owner, wanted)
            if found is None:
                raise NotFound("the account has no such message")
            pressed = presses.of_viewer(db, owner, found.root, found.sender, resident.account)
            return message_to_proto(found, pressed=pressed)

        return pb.GetMessageResponse(message=self._accounts.read(resident, read))

    async def MarkSeen(self, request: pb.MarkSeenRequest, context: _Context) -> pb.MarkSeenResponse:
        resident = self._changing(context)
        conversation = id_of(request.conversation, "conversation")
        device = device_of(request.device)

        def mark(db: sqlite3.Connection, owner: int) -> int:
            before = progress.seen_up_to(db, owner, conversation)
            seen = kept.mark_seen(db, owner, conversation, device, request.position)
            if seen > before:
                self._doors.seen(db, owner, resident, conversation)
            return seen

        return pb.MarkSeenResponse(position=await self._accounts.change(resident, mark))

    async def RemoveConversation(
        self, request: pb.RemoveConversationRequest, context: _Context
    ) -> pb.RemoveConversationResponse:
        resident = self._changing(context)
        conversation = id_of(request.conversation, "conversation")

        def remove(db: sqlite3.Connection, owner: int) -> bool:
            forget_thread(db, owner, conversation)
            gone = kept.removed_next(db, owner, conversation)
            self._doors.removed(db, owner, conversation, gone)
            return kept.remove_some(db, owner, conversation)

        more = await self._accounts.change(resident, remove)
        return pb.RemoveConversationResponse(more=more)

    def _changing(self, context: _Context) -> Resident:
        return self._callers.changing(context.invocation_metadata() or ())

    def _resident(self, context: _Context) -> Resident:
        return self._callers.resident(context.invocation_metadata() or ())

    async def _acknowledge(self, resident: Resident, position: int) -> None:
        """A client has all messages up to there. What cannot be noted now is with the next one."""
        if position <= self._accounts.read(resident, progress.acknowledged):
            return
        with suppress(Unavailable, AccountFull):
            await self._accounts.change(
                resident,
                lambda db, owner: self._doors.acknowledged(db, owner, resident, position),
            )

    def _messages(
        self,
        resident: Resident,
        *,
        after: int,
        most: int,
        conversation: bytes | None = None,
        before: int = 0,
    ) -> tuple[list[pb.Message], bool]:
        """A page as it is answered, and whether there is more behind it."""

        def page(db: sqlite3.Connection, owner: int) -> tuple[list[pb.Message], bool]:
            found, more = kept.messages(
                db, owner, after=after, most=most, conversation=conversation, before=before
            )
            old = superseded(db, owner, found)
            return [
                message_to_proto(
                    one,
                    superseded=one.id in old,
                    pressed=presses.of_viewer(db, owner, one.root, one.sender, resident.account),
                )
                for one in found
            ], more

        return self._accounts.read(resident, page)


def _handling(request: pb.SendMessageRequest | pb.DeliverRequest) -> str:
    return encoded(handling_of(request.handling)) if request.HasField("handling") else ""
