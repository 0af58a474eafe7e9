"""What a call server asks of telephony, and what it tells it. Pure: values and one protocol.

Four numbers take part in every call or text that is passed on:

    P1  the telephone of a user, that is of one of our accounts; its contacts never see it
    P2  the telephone of a contact of that user, who need not have an account
    V   the user's virtual number: it stands for P1 towards everybody, and belongs to one user
    T   a technical number: it stands for one contact, P2, towards one user; another user's T of the
        same digits stands for somebody else

    P1 dials or texts T: P2 is rung, and sees V      caller P1, dialled T: target P2, shown V
    P2 dials or texts V: P1 is rung, and sees T      caller P2, dialled V: target P1, shown T

So T is looked up together with the caller, V by itself. Whoever builds the second leg puts `target`
and `shown` into it and nothing else of the first one: neither P1 nor P2 may reach the other side in
any form.

Emergency calls need nothing of this. A call server calls `dialling.classify(dialled, region)`
itself, before it asks anything else: for that it needs no store, no directory and no state of the
unit, so it answers while all of these are away. `route` does the same first, for whoever did not.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

MOST_DIALLED = 64  # characters of what was dialled that are looked at


class CallKind(StrEnum):
    """What is passed on."""

    CALL = "call"
    TEXT = "text"


class RefusedCause(StrEnum):
    """Why a call or text goes nowhere. Behind each, the SIP status that says so best."""

    NOT_A_NUMBER = "not-a-number"  # what was dialled is none: 484
    NOT_FOUND = "not-found"  # nobody is reached by it, or not by this caller: 404
    WITHHELD = "withheld"  # a T was dialled without saying from where: 433
    NOT_ORDINARY = "not-ordinary"  # premium, shared cost, satellite, a short number, unknown: 403
    COUNTRY = "country"  # the tenant calls no numbers of that country: 403
    LOOP = "loop"  # the target would be a V or T: 482
    NO_NUMBER = "no-number"  # the user has no telephone to ring, or no V to be shown: 480
    TOO_MANY = "too-many"  # the user's calls at once, or texts a day: 486
    MINUTES = "minutes"  # the user's minutes of the day are used: 403
    NOT_OPEN = "not-open"  # the user is not open to this caller; told nobody else: 404
    UNAVAILABLE = "unavailable"  # where the user is at home could not be asked; again later: 503


class EndCause(StrEnum):
    """How a call or text ended."""

    COMPLETED = "completed"  # hung up after it was answered; of a text: the other side took it
    BUSY = "busy"  # 486, 600
    NO_ANSWER = "no-answer"  # 408, 480, and our own time for it
    CANCELLED = "cancelled"  # the caller hung up before
    REJECTED = "rejected"  # 603, 403 and other refusals of the other side
    NOBODY = "nobody"  # 404, 410, 604: no such number there
    FAILED = "failed"  # no trunk, 5xx, a broken dialogue
    LOST = "lost"  # nothing was heard any more: a session timer, or the call server ended


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingCall:
    """A call or text as it came in. caller: E.164, of P-Asserted-Identity of a listed trunk, or
    what the trunk is known to be; None: withheld, or not to be believed. dialled: as dialled,
    before anything is made of it. trunk: by which it came, its name. region: ISO 3166, in which the
    trunk's national numbers are read. id: of a text, by which its sender tells it from others."""

    caller: str | None
    dialled: str
    kind: CallKind
    trunk: str
    region: str
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """Names the record of a call or text, of the account that it is a call of. id: 16 bytes. Good
    at any call server, and after a restart."""

    tenant: str
    account: str
    id: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """The other side. target: E.164, to be rung or texted; shown: E.164, that it sees as the
    caller; None: it sees an anonymous one. account: whose call it is, of `record.tenant`. limit_s:
    after so long in seconds the call is ended, for the user's minutes of the day; 0 for texts."""

    target: str
    shown: str | None
    account: str
    record: CallRecord
    limit_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Emergency:
    """An emergency number was dialled. To be passed to the emergency trunk at once, with the caller
    as it is, unmasked; no record is kept. number: the digits that were dialled."""

    caller: str | None
    number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Nothing is passed on."""

    cause: RefusedCause


CallRoute = Leg | Emergency | Refused


class CallRouting(Protocol):
    """One of each unit: for calls and texts of all accounts of the fleet, wherever they are at
    home.

    No method raises but for being cancelled, and each ends on its own, within 10 s."""

    async def route(self, call: IncomingCall) -> CallRoute:
        """Where it goes. Each call of this that gives a Leg opens a record, counted among the calls
        at once of its user until `ended`: ask once a call."""
        ...

    async def began(self, record: CallRecord, at_ms: int) -> None:
        """The target rings: the first 18x, or the text was sent. at_ms: Unix ms."""
        ...

    async def answered(self, record: CallRecord, at_ms: int) -> None:
        """The target took the call: from here on minutes count. at_ms: Unix ms."""
        ...

    async def ended(self, record: CallRecord, at_ms: int, cause: EndCause) -> None:
        """It is over, the last that is told of a record. at_ms: Unix ms. Said again: nothing
        changes. Told for each Leg, whatever became of it."""
        ...
