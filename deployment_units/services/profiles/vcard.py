"""vCards: what a viewer sees of a profile, as other address books read it (vCard 4.0, RFC 6350).

Written here and never read: of the libraries, vobject writes version 3.0 alone, and a card has six
properties. Pure.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from control_plane.identifiers.identifier import IdentifierKind
from deployment_units.services.profiles.disclosure import ProfileCard
from deployment_units.services.profiles.profile import ProfileIdentifier

_NOBODY = "Somebody"
_LINE_OCTETS = 75  # without the line break; RFC 6350, 3.2
_ESCAPED = str.maketrans({"\\": "\\\\", ",": "\\,", ";": "\\;", "\n": "\\n", "\r": None})
_TYPES = {"work": "work", "office": "work", "home": "home", "private": "home"}


def vcard(card: ProfileCard, *, tenant: str) -> str:
    """The card, with lines that end as the RFC has it. A card has to have a name: of a profile
    without one that is its handle, or the account's id where the viewer may know it, who has that
    as the card's id as well."""
    handle = f"@{card.handle}" if card.handle else ""
    uid = f"UID:homeport:{quote(tenant, safe='')}:{quote(card.account, safe='')}"
    lines = [
        "BEGIN:VCARD",
        "VERSION:4.0",
        *([uid] if card.account else []),
        f"FN:{_text(card.name or handle or card.account or _NOBODY)}",
        *(_property(one) for one in card.identifiers),
        "END:VCARD",
    ]
    return "".join(f"{_folded(line)}\r\n" for line in lines)


def _property(identifier: ProfileIdentifier) -> str:
    kind = _TYPES.get(identifier.label.lower())
    typed = f";TYPE={kind}" if kind else ""
    match identifier.kind:
        case IdentifierKind.EMAIL:
            # A text and no URI (RFC 6350, 6.4.2): as it is written in an address line.
            return f"EMAIL{typed}:{_text(_address(identifier))}"
        case IdentifierKind.PHONE:
            return f"TEL;VALUE=uri{typed}:{identifier.uri}"
        case _:
            return f"IMPP{typed}:{identifier.uri}"


def _address(identifier: ProfileIdentifier) -> str:
    """What mail is sent to: the local part as its owner wrote it, since capitals may matter to the
    server that takes it (RFC 5321, 2.4), at the domain in A-labels."""
    normal = unquote(identifier.uri.removeprefix("mailto:"))
    local = identifier.shown.rpartition("@")[0] or normal.rpartition("@")[0]
    return f"{local}@{normal.rpartition('@')[2]}"


def _text(text: str) -> str:
    """A text as a value: RFC 6350, 3.4. Other control characters have no place in it."""
    escaped = text.translate(_ESCAPED)
    return "".join(one for one in escaped if one >= " " and one != "\x7f")


def _folded(line: str) -> str:
    """The line in lines of at most 75 octets, no character cut in two: RFC 6350, 3.2."""
    folded: list[str] = []
    room = _LINE_OCTETS
    for character in line:
        octets = len(character.encode())
        if octets > room:
            folded.append("\r\n ")
            room = _LINE_OCTETS - 1
        folded.append(character)
        room -= octets
    return "".join(folded)
