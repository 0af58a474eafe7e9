"""The values of a profile. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from control_plane.identifiers.identifier import IdentifierKind
from deployment_units.services.profiles.names import NO_NAME, Name

MAX_NAME = 100  # characters
MAX_LABEL = 64  # characters
MAX_IDENTIFIERS = 64
MAX_NAMED = 64  # accounts of one audience

KINDS = frozenset(
    {
        IdentifierKind.EMAIL,
        IdentifierKind.PHONE,
        IdentifierKind.SIP,
        IdentifierKind.SIPS,
        IdentifierKind.XMPP,
    }
)
"""What an account adds itself; handles and domains are claimed."""


class Mode(StrEnum):
    """A way to reach somebody."""

    IN_APP = "in-app"
    MAIL = "mail"
    TEXT = "text"
    TELEPHONE = "telephone"


REACHED_BY: dict[Mode, tuple[IdentifierKind, ...]] = {
    Mode.IN_APP: (),
    Mode.MAIL: (IdentifierKind.EMAIL,),
    Mode.TEXT: (IdentifierKind.PHONE,),
    Mode.TELEPHONE: (IdentifierKind.PHONE, IdentifierKind.SIPS, IdentifierKind.SIP),
}
"""By which kinds of identifiers, the best first; none: by the account itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """To whom something is open; nothing set: to nobody."""

    everyone: bool = False
    contacts: bool = False
    accounts: frozenset[str] = frozenset()


NOBODY = Audience()
EVERYONE = Audience(everyone=True)
CONTACTS = Audience(contacts=True)
OPEN_AT_FIRST = {mode: EVERYONE if mode is Mode.IN_APP else CONTACTS for mode in Mode}
"""Who may reach an account by each mode, until it says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileIdentifier:
    """One identifier of an account, and who sees it."""

    kind: IdentifierKind
    uri: str  # in normal form
    shown: str = ""  # as its owner wrote it, for people; its domain in Unicode
    label: str = ""  # the owner's word for it
    proved: bool = False
    disclosed_to: Audience = NOBODY
    name: Name = NO_NAME  # for its owner alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """All that an account says of itself."""

    account: str
    name: str = ""
    identifiers: tuple[ProfileIdentifier, ...] = ()  # in order of their URIs
    preferred: tuple[Mode, ...] = ()  # the best first
    open_to: dict[Mode, Audience] = field(default_factory=dict)  # where the owner has said so
    handles: dict[str, Name] = field(default_factory=dict)  # the one that is held first
    asked_ms: int | None = None  # when the directory was asked last of names, Unix ms

    def may_reach(self, mode: Mode) -> Audience:
        """Who may reach it by a mode."""
        return self.open_to.get(mode, OPEN_AT_FIRST[mode])


class Relation(StrEnum):
    """What a viewer is to an account."""

    OWNER = "owner"
    CONTACT = "contact"
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Who looks at a profile. account: empty: nobody in particular."""

    account: str = ""
    relation: Relation = Relation.STRANGER

    def is_in(self, audience: Audience) -> bool:
        """Whether something that is open to the audience is open to this viewer."""
        if self.relation is Relation.OWNER or audience.everyone:
            return True
        if audience.contacts and self.relation is Relation.CONTACT:
            return True
        return self.account != "" and self.account in audience.accounts
