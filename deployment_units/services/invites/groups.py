"""Groups: the group conversation, of those who are in a group, and who joins it.

A conversation is one of its members; so whoever joins a group begins the one of all who are in it
then, with a message that says so. Its id is made of the group and its members: all of them know it.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from control_plane.errors import AlreadyExists, Exhausted, Refused
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.entry import Resident, resident_of
from deployment_units.services.conversations import kept as conversations
from deployment_units.services.conversations import places
from deployment_units.services.conversations.message import MAX_MEMBERS, NewMessage
from deployment_units.services.conversations.sending import MessageDoors
from deployment_units.services.directory.port import LIST_GROUP_MEMBERS, UnitDirectory
from deployment_units.services.invites.invite import (
    InviteRow,
    group_talk_after,
    group_talk_of,
    joined_message_of,
)
from deployment_units.services.invites.wording import joined_text
from deployment_units.services.state.owners import Owner
from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.directory.v1 import invitation_pb2 as directory

MOST_TAKEN = 64  # ids that are looked at


class GroupTooLarge(Refused):
    """More are in the group than one conversation has members."""

    reason = "GROUP_TOO_LARGE"


class GroupTalkTaken(Exhausted):
    """Others began conversations by all ids that the group's may have."""

    reason = "GROUP_TALK_TAKEN"


class GroupTalk(NamedTuple):
    """members: without the account itself, in order."""

    conversation: bytes
    members: tuple[str, ...]


class Groups:
    """Of one unit. doors: where messages go in."""

    def __init__(self, accounts: Accounts, asked: UnitDirectory, doors: MessageDoors) -> None:
        self._accounts = accounts
        self._asked = asked
        self._doors = doors

    async def talk(self, resident: Resident, organisation: str, group: str) -> GroupTalk:
        """The conversation of those who are in a group now, each time the same one. Raises
        GroupTooLarge, GroupTalkTaken; NotFound for a group that the account is not in; what else
        the directory says."""
        found: list[str] = []
        token = ""
        while True:
            request = directory.ListGroupMembersRequest(
                organisation=organisation, group=group, page_token=token
            )
            page = await self._asked.call(LIST_GROUP_MEMBERS, resident, request)
            found += page.accounts
            token = page.next_page_token
            if len(found) > MAX_MEMBERS + 1:
                raise GroupTooLarge(
                    f"more than {MAX_MEMBERS + 1} are in {group} of {organisation}; no "
                    "conversation has as many members: write to some of them"
                )
            if not token:
                break
        members = tuple(sorted({*found} - {resident.account}))
        known_as = group_talk_of(resident.tenant, organisation, group, [*members, resident.account])
        place = self._accounts.read(
            resident, lambda db, owner: _place(db, owner, known_as, members)
        )
        return GroupTalk(place, members)

    async def join(self, owner: Owner, row: InviteRow) -> None:
        """Says to all who are in the group that the account is, once. Raises as `talk`, and what
        sending does."""
        resident = resident_of(owner)
        talk = await self.talk(resident, row.organisation, row.group_id)
        if not talk.members:
            return
        text = joined_text(owner.account, row)
        content: bytes = pb.Content(text=text).SerializeToString(deterministic=True)
        message = NewMessage(
            id=joined_message_of(row.id),
            conversation=talk.conversation,
            sender=owner.account,
            content=content,
        )

        def send(db: sqlite3.Connection, number: int) -> None:
            known = conversations.find(db, number, message.id, bringer=owner.account)
            if known is None:  # it said so when others were in it
                self._doors.send(db, number, resident, message, talk.members)

        try:
            await self._accounts.change(resident, send)
        except AlreadyExists as error:
            raise Refused("a conversation with the id of the group's is there already") from error


def _place(db: sqlite3.Connection, owner: int, known_as: bytes, members: tuple[str, ...]) -> bytes:
    """Under which id the account keeps it. Where others took that, the place that they left it, or
    the first of further ids that nobody took."""
    wanted = conversations.members_as_kept(members)
    for _ in range(MOST_TAKEN):
        there = places.members_json(db, owner, known_as)
        if there is None or there == wanted:
            return known_as
        place = places.found_place(db, owner, known_as, wanted)
        if place is not None:
            return place
        known_as = group_talk_after(known_as)
    raise GroupTalkTaken("others began conversations by the ids of the group's; remove them first")
