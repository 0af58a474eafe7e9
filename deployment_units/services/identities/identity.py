"""The values of choosing identities: who can write as what, who is written to, what was before.

A contactor is an account that writes and has identifiers of its own to choose from; a contactee is
somebody it writes to, with one identifier or several. Identifiers are URIs in normal form
(`mailto:`, `tel:`, `sip:`), a handle with its '@', or the id of an account. Values only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

MOST_OWN = 10  # identities of one contactor that are looked at
MOST_RECIPIENTS = 100  # of one message
MOST_IDENTIFIERS = 16  # of one contactee


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnIdentity:
    """An identifier as which its owner writes. proved: that it is the owner's; others are never
    suggested. organisation: the domain of the organisation that it belongs to; empty: of none.
    patterns: addresses that are this identity's as well, one '*' standing for anything
    (`*@northwind.example`). copies, blind_copies: who always gets a copy of what it writes."""

    uri: str
    proved: bool = True
    organisation: str = ""
    patterns: tuple[str, ...] = ()
    copies: tuple[Mailbox, ...] = ()
    blind_copies: tuple[Mailbox, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContacteeIdentifier:
    """One identifier of somebody. organisation: as in OwnIdentity; reachable: as far as is known,
    they can be reached by it."""

    uri: str
    organisation: str = ""
    reachable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Contactee:
    """Somebody who is written to. member: as conversations name them."""

    member: str
    identifiers: tuple[ContacteeIdentifier, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What the user has chosen already: as whom to write, empty: nothing; and by member, at which
    identifier. Nothing of it is ever changed."""

    contactor: str = ""
    contactees: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


NOTHING_CHOSEN = Chosen()


@dataclass(frozen=True, slots=True, kw_only=True)
class PairUse:
    """How an own identity and an identifier of somebody were used together. rank_ms: how often and
    how lately, as one number (see frequency); last_ms: Unix ms."""

    rank_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What was before. pairs: by somebody's identifier, then by own identity; thread: the own
    identity that wrote last in the thread, empty: none did."""

    pairs: Mapping[str, Mapping[str, PairUse]] = field(default_factory=lambda: MappingProxyType({}))
    thread: str = ""

    def knows(self, identifier: str, own: str) -> bool:
        """Whether somebody has seen an own identity at that identifier."""
        return own in self.pairs.get(identifier, ())


NO_HISTORY = History()


class IdentityRule(StrEnum):
    """What spoke for an own identity, in the order in which it is listened to."""

    OWN_MESSAGE = "own message"  # it wrote the message that is answered or sent on
    RECEIVED_AT = "received at"  # the message came to it
    PATTERN = "pattern"  # the message came to an address that is its own as well
    THREAD = "thread"  # it wrote last in the thread
    CONTACT = "contact"  # it was used with these contactees
    ORGANISATION = "organisation"  # it belongs to the organisation of one of them
    DEFAULT = "default"  # nothing else spoke


class ContacteeRule(StrEnum):
    """What spoke for, or against, an identifier of a contactee."""

    REACH = "reach"  # whether it can be reached from the own identity
    KNOWN = "known"  # whether they know the own identity there
    ORGANISATION = "organisation"  # it is in the organisation of the own identity
    CONTACT = "contact"  # how often and how lately it was used
    LISTED = "listed"  # it is one of theirs


CHOSEN_RULE = "chosen"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityReason:
    """One clause that had its part in an answer."""

    rule: str
    clause: str
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedIdentifier:
    """One that may be chosen, with what speaks for it: at least one reason."""

    uri: str
    why: tuple[IdentityReason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is suggested, or was chosen. uri: empty: there is nothing to choose from. ranked: all
    that may be chosen, the best first."""

    uri: str
    ranked: tuple[RankedIdentifier, ...]
    why: tuple[IdentityReason, ...]
    chosen: bool = False


class LeakRule(StrEnum):
    """What a message would show that its writer may not want shown."""

    UNKNOWN_IDENTITY = "unknown identity"  # nobody there knows it, and they know another one
    ORGANISATION_OUTSIDE = "organisation outside"  # an organisation's address, to outsiders alone
    BLIND_COPY = "blind copy"  # others learn that its writer had a copy
    OWN_RECIPIENT = "own recipient"  # another own identity is among the recipients
    UNREACHED = "unreached"  # what was chosen does not reach what was chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityWarning:
    """about: the identifier or organisation that it is about; text: for people."""

    rule: LeakRule
    about: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """As whom to write, and at which identifier of whom: by member, in the order asked."""

    contactor: Choice
    contactees: Mapping[str, Choice]
    warnings: tuple[IdentityWarning, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """An identifier in a message, with the name that stands beside it."""

    uri: str
    name: str = ""


class ReplyMode(StrEnum):
    """What is written upon a message."""

    REPLY = "reply"  # to who wrote it
    REPLY_ALL = "reply all"
    REPLY_LIST = "reply list"  # to the mailing list that it came by
    FORWARD = "forward"


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """A message that is answered or sent on, as its headers say. sent: the account itself wrote
    it, as its unit knows; mails of others' systems say so by `sender` and `bcc` alone. open: who
    has it sees who else has, whatever it names, as in a conversation."""

    sender: Mailbox
    to: tuple[Mailbox, ...] = ()
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    reply_to: tuple[Mailbox, ...] = ()
    mail_reply_to: tuple[Mailbox, ...] = ()
    mail_followup_to: tuple[Mailbox, ...] = ()
    list_post: str = ""  # a URI
    x_original_to: tuple[Mailbox, ...] = ()
    delivered_to: tuple[Mailbox, ...] = ()
    envelope_to: tuple[Mailbox, ...] = ()
    sent: bool = False
    open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Whom an answer is from and to. received_at: the address at which the original came, where
    it is the identity's by a pattern alone."""

    contactor: Choice
    to: tuple[Mailbox, ...] = ()
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    reply_to: tuple[Mailbox, ...] = ()
    received_at: str = ""
    why: tuple[IdentityReason, ...] = ()
    warnings: tuple[IdentityWarning, ...] = ()


def same_uri(one: str, other: str) -> bool:
    """Whether two identifiers are one, whatever their case."""
    return one == other or one.casefold() == other.casefold()


def proved(identities: Collection[OwnIdentity]) -> tuple[OwnIdentity, ...]:
    """Those that may be suggested, in their order; the first is the default."""
    return tuple(one for one in identities if one.proved)[:MOST_OWN]
