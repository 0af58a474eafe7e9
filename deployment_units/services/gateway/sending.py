"""MessageSender: the one way in for every message, whoever writes it.

A message of a client, of an application that answers, a mail or a text that came in: whoever has
one calls `send` inside its own transaction over the unit's database, as the account that sends it
or took it in. In that transaction it is kept in the account's copy and in those of members who live
here, and for every other member there is a delivery that is due at once. So either all of it
happened or nothing did; who waits for messages is woken, and the outbox looks, when it is
committed: the caller has nothing more to do.

    def take_in(db: sqlite3.Connection, owner: int) -> Sent:
        return sender.send(db, owner, resident, message, members)

    await accounts.change(resident, take_in)

What somebody without an account wrote has the URI as `sender`, and as `via` the account whose unit
took it in; that account passes it on to the other members and says so.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

import msgspec

from control_plane.errors import AlreadyExists, Exhausted, NotFound, PermissionDenied
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.channels import mail_kept, message_links
from deployment_units.services.conversations import kept as conversations
from deployment_units.services.conversations.addressing import for_member, note_received
from deployment_units.services.conversations.arrivals import Arrivals
from deployment_units.services.conversations.members import is_uri
from deployment_units.services.conversations.message import KeptMessage, NewMessage
from deployment_units.services.conversations.sending import Sent
from deployment_units.services.gateway import kept
from deployment_units.services.gateway.agenda import Agenda
from deployment_units.services.gateway.receipts import note_acknowledged, note_seen
from deployment_units.services.gateway.waiting import (
    OutboxLimits,
    waiting_of_account,
    waiting_of_tenant,
)
from deployment_units.services.profiles.profile import Mode
from deployment_units.services.profiles.relations import is_open_to

NO_MORE = OutboxLimits()


class OutboxFull(Exhausted):
    """Too much of the account's, or of its tenant's in this unit, waits to be delivered; some of it
    will be, or expires."""

    reason = "OUTBOX_FULL"
    retry_after_s = 30.0


class MessageSender:
    """A MessageDoors. wall_ms: Unix ms; routed: whether what comes to an owner's account is routed
    beyond its clients; shown: a client of an account has shown messages; limits: of what waits for
    others. Of one unit: `committed` is called after each transaction of its database."""

    def __init__(
        self,
        accounts: Accounts,
        arrivals: Arrivals,
        agenda: Agenda,
        *,
        wall_ms: Callable[[], int],
        routed: Callable[[sqlite3.Connection, int], bool] = lambda db, owner: False,
        shown: Callable[[str, str, int], None] = lambda tenant, account, now_ms: None,
        limits: OutboxLimits = NO_MORE,
    ) -> None:
        self._accounts = accounts
        self._arrivals = arrivals
        self._agenda = agenda
        self._wall_ms = wall_ms
        self._routed = routed
        self._shown = shown
        self._limits = limits
        self._kept_for: list[tuple[str, str]] = []

    def send(
        self,
        db: sqlite3.Connection,
        owner: int,
        resident: Resident,
        message: NewMessage,
        members: Sequence[str] = (),
    ) -> Sent:
        """See MessageDoors."""
        if is_uri(resident.account):
            raise PermissionDenied(
                "the id of this account is that of somebody without one; it writes to nobody"
            )
        everybody = tuple(members) or conversations.members_of(db, owner, message.conversation)
        if not everybody:
            raise NotFound("there is no such conversation; name the members of a new one")
        _check_author(resident, message, everybody)
        now_ms = self._wall_ms()
        mine, new, known_as = conversations.keep_once(
            db, owner, message, everybody, now_ms=now_ms, arrives=bool(message.via)
        )
        others = [one for one in everybody if one != message.sender]
        if not new:
            sent_to = kept.recipients(db, owner, mine.position)
            return Sent(
                mine,
                tuple(one for one in others if one not in sent_to),
                tuple(one for one in others if one in sent_to),
            )
        if message.replaces or known_as != message.conversation:
            message = msgspec.structs.replace(
                message, conversation=known_as, revision=mine.revision
            )
        # What was sent to somebody before goes before it, wherever they live by now.
        some_wait = kept.anything_waits(db, owner)
        kept_for = tuple(
            one
            for one in others
            if not (some_wait and kept.anything_waits(db, owner, one))
            and not is_uri(one)
            and self._keep_beside(db, resident, one, message, everybody, now_ms)
        )
        elsewhere = tuple(one for one in others if one not in kept_for)
        if elsewhere:
            self._check_room(db, owner, resident.tenant, len(elsewhere))
            for one in elsewhere:
                kept.add(db, owner, mine.position, one, now_ms)
            self._agenda.hint(owner, now_ms)
        self._arrived(resident.tenant, resident.account)
        return Sent(mine, kept_for, elsewhere)

    def receive(
        self,
        db: sqlite3.Connection,
        owner: int,
        resident: Resident,
        message: NewMessage,
        members: Sequence[str],
    ) -> KeptMessage:
        """See MessageDoors."""
        bringer = message.via or message.sender
        theirs = tuple(sorted(one for one in members if one != resident.account))
        if resident.account not in members or is_uri(resident.account):
            raise PermissionDenied("the account is no member of the conversation")
        if is_uri(bringer):
            raise PermissionDenied("who brings it has the id of somebody without an account")
        if message.via and (not is_uri(message.sender) or message.sender not in theirs):
            raise PermissionDenied("its author is no member without an account")
        if not is_open_to(db, owner, resident.account, bringer, Mode.IN_APP):
            raise PermissionDenied("the account is not reached in-app by this sender")
        now_ms = self._wall_ms()
        mine, new, _ = conversations.keep_once(
            db, owner, message, theirs, now_ms=now_ms, arrives=True
        )
        if new:
            note_received(db, owner, resident.account, message, now_ms)
            self._arrived(resident.tenant, resident.account)
            self._route(db, owner, mine)
        return mine

    def seen(
        self, db: sqlite3.Connection, owner: int, resident: Resident, conversation: bytes
    ) -> None:
        """See MessageDoors."""
        now_ms = self._wall_ms()
        self._shown(resident.tenant, resident.account, now_ms)
        if note_seen(db, owner, resident.account, conversation, now_ms):
            self._agenda.hint(owner, now_ms)

    def acknowledged(
        self, db: sqlite3.Connection, owner: int, resident: Resident, position: int
    ) -> None:
        """See MessageDoors."""
        now_ms = self._wall_ms()
        if note_acknowledged(db, owner, resident.account, position, now_ms):
            self._agenda.hint(owner, now_ms)

    def removed(
        self,
        db: sqlite3.Connection,
        owner: int,
        conversation: bytes,
        messages: Sequence[KeptMessage],
    ) -> None:
        """See MessageDoors. What is on its way is not sent any more."""
        for one in messages:
            kept.remove(db, owner, one.position)
            mail_kept.forget_received(db, owner, one.id)
            message_links.forget_message(db, owner, one.position)
        kept.forget_conversation(db, owner, conversation)
        mail_kept.forget_reply_addresses(db, owner, conversation)

    def committed(self) -> None:
        """A transaction is on disk."""
        if self._kept_for:
            kept_for, self._kept_for = self._kept_for, []
            for tenant, account in kept_for:
                self._arrivals.tell(tenant, account)
        self._agenda.committed()

    def _check_room(self, db: sqlite3.Connection, owner: int, tenant: str, more: int) -> None:
        """Raises OutboxFull, and with it undoes the transaction of whoever sends."""
        most = self._limits.of_account
        if waiting_of_account(db, owner, most=most) + more > most:
            raise OutboxFull(
                f"more than {most:,} deliveries of this account would wait; wait for some"
            )
        most = self._limits.of_tenant
        if waiting_of_tenant(db, tenant) + more > most:
            raise OutboxFull(
                f"more than {most:,} deliveries of this unit's accounts would wait; wait for some"
            )

    def _keep_beside(
        self,
        db: sqlite3.Connection,
        resident: Resident,
        member: str,
        message: NewMessage,
        everybody: Sequence[str],
        now_ms: int,
    ) -> bool:
        """Whether a member who lives here has its copy. Why one has not is not told: it is tried
        as one that lives elsewhere."""
        other = self._accounts.beside(
            db, resident.tenant, member, room_bytes=message.room_bytes(everybody)
        )
        if other is None or not is_open_to(db, other, member, resident.account, Mode.IN_APP):
            return False
        theirs = {resident.account, *everybody} - {member}
        message = for_member(message, member)
        try:
            kept_there, new, _ = conversations.keep_once(
                db, other, message, theirs, now_ms=now_ms, arrives=True
            )
        except AlreadyExists:  # of its copy alone, and nothing was written to it
            return False
        if new:
            note_received(db, other, member, message, now_ms)
            self._arrived(resident.tenant, member)
            self._route(db, other, kept_there)
        return True

    def _route(self, db: sqlite3.Connection, owner: int, message: KeptMessage) -> None:
        """What came to an account finds its way to the person, where there is more than one."""
        if self._routed(db, owner):
            kept.add(db, owner, message.position, kept.ITSELF, message.kept_ms)
            self._agenda.hint(owner, message.kept_ms)

    def _arrived(self, tenant: str, account: str) -> None:
        self._kept_for.append((tenant, account))


def _check_author(resident: Resident, message: NewMessage, members: Sequence[str]) -> None:
    if message.sender == resident.account and not message.via:
        return
    if (
        message.via != resident.account
        or not is_uri(message.sender)
        or message.sender not in members
    ):
        raise PermissionDenied("an account sends what it wrote, or passes on what a URI member did")
