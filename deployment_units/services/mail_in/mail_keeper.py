"""MailKeeper: what becomes of a mail in the unit where its account is at home.

An answer is a message of the participant whose reply address it came to, or presses a button of the
card that it answers, where it is surely the participant's; a stranger's begins a
conversation with the account, or goes on with the one that it answers. Either is one transaction
with the mail as it came, so who was told 250 may forget it, and the same mail again changes
nothing. Reports of deliveries are evidence of them and no messages.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import NamedTuple, Protocol

import msgspec

from control_plane.errors import NotFound, Refused
from control_plane.identifiers.emails import read_email
from control_plane.identifiers.identifier import Flaw, Identifier
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.cards.action_tokens import without_links
from deployment_units.services.channels import mail_kept
from deployment_units.services.channels.reply_tokens import ReplyOwner
from deployment_units.services.conversations import kept as conversations
from deployment_units.services.conversations.answering import AnswerInWords, AnswerPresses
from deployment_units.services.conversations.message import NewMessage
from deployment_units.services.conversations.sending import MessageDoors
from deployment_units.services.mail_in.addressees import is_blind_copy, others_than
from deployment_units.services.mail_in.authenticity import Authenticity, judged
from deployment_units.services.mail_in.delivery_reports import ReportedOutcome
from deployment_units.services.mail_in.loops import MailOrigin
from deployment_units.services.mail_in.reading import MailReading
from deployment_units.services.profiles import kept_names
from deployment_units.services.profiles.names import PROVED
from deployment_units.services.profiles.profile import Mode
from deployment_units.services.profiles.relations import is_open_to
from deployment_units.services.state.database import UnitDatabase
from homeport.api.communication.v1 import conversation_pb2 as pb

NOTHING_NEW = "(no text)"
_ID_BYTES = 16


class NobodysMail(Refused):
    """The mail is of nobody that it could be a message of."""

    reason = "NOBODYS_MAIL"


class Reports(Protocol):
    """Notes what servers say became of mails that were sent."""

    def note(
        self, db: sqlite3.Connection, owner: int, whose: ReplyOwner, outcome: ReportedOutcome, /
    ) -> bool:
        """Whether it says something of a mail to that participant. Inside a transaction."""
        ...


class Mailbox(NamedTuple):
    """Where mail for an address goes. whose: of a reply address; None: of a stranger's mail, to
    the account itself. role: it is for a role that the account has, such as postmaster."""

    resident: Resident
    whose: ReplyOwner | None = None
    role: bool = False


class MailKeeper:
    """Of one unit. reports: of mails that it has sent; presses: what presses a button."""

    def __init__(
        self,
        database: UnitDatabase,
        accounts: Accounts,
        doors: MessageDoors,
        reports: Reports,
        presses: AnswerPresses,
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._doors = doors
        self._reports = reports
        self._presses = presses

    def of_token(self, tenant: str, token: str) -> Mailbox | None:
        """The mailbox of a reply address, where its account lives here and has the conversation
        still. Raises StoreUnavailable."""
        return self._database.read(partial(_of_token, tenant=tenant, token=token))

    def of_handle(self, tenant: str, handle: str) -> Resident | None:
        """The account that lives here and has the handle, as its profile says; handle: in normal
        form. Raises StoreUnavailable."""
        return self._database.read(lambda db: mail_kept.resident_of_handle(db, tenant, handle))

    def of_account(self, resident: Resident, *, role: bool = False) -> Mailbox | None:
        """That of an account that strangers reach by mail, or for a role that it has. Raises
        StaleEpoch, StoreUnavailable."""
        if role:
            return Mailbox(resident, role=True)
        is_open = self._accounts.read(resident, partial(_is_open, account=resident.account))
        return Mailbox(resident) if is_open else None

    async def keep(self, mailbox: Mailbox, reading: MailReading, content: bytes) -> None:
        """Raises NotFound where nobody is there any more, NobodysMail, and what Accounts.change
        and MessageDoors.send do."""
        work: Callable[[sqlite3.Connection, int], None]
        if reading.outcomes and not mailbox.role:
            work = partial(self._note, mailbox=mailbox, reading=reading)
        elif mailbox.whose is not None:
            if await self._pressed(mailbox.resident, mailbox.whose, reading):
                return
            work = partial(
                self._answer, mailbox=mailbox, whose=mailbox.whose, reading=reading, content=content
            )
        else:
            work = partial(self._begin, mailbox=mailbox, reading=reading, content=content)
        await self._accounts.change(mailbox.resident, work)

    async def _pressed(self, resident: Resident, whose: ReplyOwner, reading: MailReading) -> bool:
        """Whether it is a press. What nobody vouches for presses nothing: it is a message, shown as
        unverified; and a program's mail is nobody's decision."""
        found = judged(_address(reading), reading.results, whose)
        if found.authenticity is not Authenticity.VERIFIED:
            return False
        answers = self._accounts.read(resident, lambda db, owner: _answered(db, owner, reading))
        if reading.origin is not MailOrigin.PERSON or not answers:
            return False
        answer = AnswerInWords(
            id=_answer_id(reading, whose),
            conversation=whose.conversation,
            participant=whose.participant,
            text=reading.text,
            answers=answers,
        )
        return await self._presses.press(resident, answer)

    def _note(
        self, db: sqlite3.Connection, owner: int, *, mailbox: Mailbox, reading: MailReading
    ) -> None:
        whose = mailbox.whose
        noted = [
            self._reports.note(db, owner, whose, one)
            for one in reading.outcomes
            if whose is not None
        ]
        if not any(noted):
            raise NobodysMail("the report is about no mail of ours")

    def _answer(
        self,
        db: sqlite3.Connection,
        owner: int,
        *,
        mailbox: Mailbox,
        whose: ReplyOwner,
        reading: MailReading,
        content: bytes,
    ) -> None:
        members = conversations.members_of(db, owner, whose.conversation)
        account = mailbox.resident.account
        if members is None or whose.participant not in (account, *members):
            raise NotFound("the conversation is over")
        found = judged(_address(reading), reading.results, whose)
        own = found.sender is not None and found.sender.normal == whose.address
        if reading.origin is not MailOrigin.PERSON and not own:
            # A server's words on a mail, in its own form: nobody's message.
            raise NobodysMail("a program's mail, and not of the participant")
        verified = found.authenticity is Authenticity.VERIFIED
        if whose.participant == account:
            # What it was sent and sends back has links that press in its name.
            reading = msgspec.structs.replace(reading, text=without_links(reading.text))
        message = NewMessage(
            id=_answer_id(reading, whose),
            conversation=whose.conversation,
            sender=whose.participant,
            via="" if whose.participant == account else account,
            content=_content(db, owner, reading, found.sender, verified=verified),
        )
        self._take_in(db, owner, mailbox.resident, message, members, content)

    def _begin(
        self,
        db: sqlite3.Connection,
        owner: int,
        *,
        mailbox: Mailbox,
        reading: MailReading,
        content: bytes,
    ) -> None:
        account = mailbox.resident.account
        if not mailbox.role and not is_open_to(db, owner, account, "", Mode.MAIL):
            raise NotFound("nobody is there")
        found = judged(_address(reading), reading.results, None)
        if found.sender is None:
            raise NobodysMail(reading.sender_flaw or "it has no sender")
        writer = found.sender.uri
        root = (reading.answers_to or (reading.message_id or reading.identity.hex(),))[0]
        # Whoever is not vouched for goes on with nothing of whom they say they are.
        conversation = _id(
            "conversation", account.encode(), writer.encode(), root.encode(),
            b"aligned" if found.aligned else b"not aligned",
        )  # fmt: skip
        message = NewMessage(
            id=_id("mail", reading.identity, conversation),
            conversation=conversation,
            sender=writer,
            via=account,
            content=_content(
                db, owner, reading, found.sender, verified=found.aligned, to_others=True
            ),
        )
        self._take_in(db, owner, mailbox.resident, message, (writer,), content)

    def _take_in(
        self,
        db: sqlite3.Connection,
        owner: int,
        resident: Resident,
        message: NewMessage,
        members: tuple[str, ...],
        content: bytes,
    ) -> None:
        """Once: of one that came before, who vouched for it then counts."""
        if mail_kept.keep_received(db, owner, message.id, content):
            self._doors.send(db, owner, resident, message, members)


def _of_token(db: sqlite3.Connection, *, tenant: str, token: str) -> Mailbox | None:
    for place in mail_kept.reply_places(db, token):
        there = conversations.members_of(db, place.owner, place.whose.conversation) is not None
        if there and place.resident.tenant == tenant:
            return Mailbox(place.resident, place.whose)
    return None


def _is_open(db: sqlite3.Connection, owner: int, *, account: str) -> bool:
    return is_open_to(db, owner, account, "", Mode.MAIL)


def _address(reading: MailReading) -> Identifier | Flaw:
    return read_email(reading.sender)


def _content(
    db: sqlite3.Connection,
    owner: int,
    reading: MailReading,
    sender: Identifier | None,
    *,
    verified: bool,
    to_others: bool = False,
) -> bytes:
    """to_others: with whom else it says that it is to, where nobody else is passed it on."""
    answered = _answered(db, owner, reading)
    made = pb.Content(
        text=(reading.text.strip() and reading.text) or NOTHING_NEW,
        in_reply_to=answered,
        by_mail=pb.ByMail(
            address="" if sender is None else sender.normal,
            verified=verified,
            subject=reading.subject,
            message_id=reading.message_id,
            attachments=reading.attachments,
            lost=reading.lost,
        ),
    )
    if to_others and reading.origin is not MailOrigin.LIST:
        own = [reading.recipient, *_own_addresses(db, owner)]
        made.by_mail.addressees.extend(others_than(reading.addressees, own))
        made.by_mail.blind_copy = is_blind_copy(reading.addressees, own)
    encoded: bytes = made.SerializeToString(deterministic=True)
    return encoded


def _own_addresses(db: sqlite3.Connection, owner: int) -> list[str]:
    """That the account has proved."""
    return [
        uri.removeprefix("mailto:")
        for uri, name in kept_names.identifiers(db, owner).items()
        if uri.startswith("mailto:") and name.state in PROVED
    ]


def _answered(db: sqlite3.Connection, owner: int, reading: MailReading) -> bytes:
    """The message of the account that it answers, where it is one of ours; else nothing."""
    for one in reversed(reading.answers_to):
        try:
            found = bytes.fromhex(one.partition("@")[0].partition("-")[0])
        except ValueError:
            continue
        if len(found) == _ID_BYTES and conversations.find(db, owner, found) is not None:
            return found
    return b""


def _answer_id(reading: MailReading, whose: ReplyOwner) -> bytes:
    return _id("answer", reading.identity, whose.conversation, whose.participant.encode())


def _id(what: str, *parts: bytes) -> bytes:
    """The same for the same, so that what comes twice is kept once."""
    digest = sha256()
    for part in (b"homeport mail", what.encode(), *parts):
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()[:_ID_BYTES]
