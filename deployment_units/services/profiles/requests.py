"""What requests to ProfileService say, checked: names, labels, identifiers, audiences, modes.
Everything has a bound before anything is done with it. Raises InvalidInput."""

from __future__ import annotations

import re
from collections.abc import Sequence

from control_plane.errors import InvalidInput
from control_plane.identifiers.handles import read_handle
from control_plane.identifiers.identifier import (
    MAX_TEXT,
    Flaw,
    Identifier,
    IdentifierKind,
)
from control_plane.identifiers.precis import PrecisError, nickname
from control_plane.identifiers.uris import read_any
from control_plane.identity.names import check_client_id
from control_plane.printable import quoted
from deployment_units.services.profiles.profile import (
    KINDS,
    MAX_LABEL,
    MAX_NAME,
    MAX_NAMED,
    Audience,
    Mode,
)
from homeport.api.communication.v1 import profile_pb2 as pb

MAX_CHANGED = 1_000  # contacts in one request
MAX_PAGE = 1_000
DEFAULT_PAGE = 100
MAX_CODE = 64  # characters
MAX_OFFER = 2_048  # characters
_REQUEST_ID = re.compile(r"[\x21-\x7e]{0,64}\Z")
_ADDED = (
    "an address (anna@talk.example), a number with its + (+442079460018), or a URI (mailto:, tel:, "
    "sip:, sips: or xmpp:)"
)

_MODES = {
    pb.MODE_IN_APP: Mode.IN_APP,
    pb.MODE_MAIL: Mode.MAIL,
    pb.MODE_TEXT: Mode.TEXT,
    pb.MODE_TELEPHONE: Mode.TELEPHONE,
}


def name_of(text: str, field: str, most: int = MAX_NAME) -> str:
    """A name for people, in normal form (PRECIS, RFC 8266); empty: none."""
    if len(text) > most:
        raise InvalidInput(field, f"{field} has {len(text)} characters; at most {most} are allowed")
    if not text.strip():
        return ""
    try:
        name = nickname(text)
    except PrecisError as error:
        raise InvalidInput(
            field, f"{field} {quoted(text)} cannot be shown to people ({error}); leave out "
            "control characters and what has no meaning by itself",
        ) from error  # fmt: skip
    if len(name) > most:  # NFKC can make a text longer
        raise InvalidInput(field, f"{field} has more than {most} characters when it is written out")
    return name


def label_of(text: str, field: str = "label") -> str:
    """The owner's word for an identifier; empty: none."""
    return name_of(text, field, MAX_LABEL)


def identifier_of(uri: str, field: str = "uri") -> Identifier:
    """An identifier of a kind that an account adds itself: a URI, or an address or a number without
    its scheme."""
    if len(uri) > MAX_TEXT:
        raise InvalidInput(field, f"{field} has more than {MAX_TEXT} characters")
    read = read_any(uri)
    if isinstance(read, Identifier) and read.kind in KINDS:
        return read
    if isinstance(read, Flaw) and read.kind is not IdentifierKind.HANDLE:
        raise InvalidInput(field, f"{field}: {read}")
    raise InvalidInput(field, f"{quoted(uri)} is neither address nor number; write {_ADDED}")


def handle_of(text: str, field: str = "handle") -> str:
    """A handle that somebody asks for, in normal form, without '@'."""
    read = read_handle(text)
    if isinstance(read, Flaw):
        raise InvalidInput(field, f"{field}: {read}")
    return read.normal


def code_of(text: str) -> str:
    """A code as it was typed; the directory says whether it is one."""
    if len(text) > MAX_CODE:
        raise InvalidInput("code", f"code has more than {MAX_CODE} characters")
    return text


def offer_of(text: str) -> str:
    """The offer of a handle, which the directory reads."""
    if len(text) > MAX_OFFER:
        raise InvalidInput("offer", f"offer has more than {MAX_OFFER:,} characters")
    return text


def request_id_of(text: str) -> str:
    """Empty: the unit makes one."""
    if not _REQUEST_ID.match(text):
        raise InvalidInput(
            "request_id", "request_id has up to 64 printable characters of ASCII, no spaces"
        )
    return text


def audience_of(message: pb.Audience, field: str = "audience") -> Audience:
    """To whom something is to be open."""
    if len(message.accounts) > MAX_NAMED:
        raise InvalidInput(
            f"{field}.accounts", f"{field} names {len(message.accounts)} accounts; at most "
            f"{MAX_NAMED} are allowed. Make them contacts",
        )  # fmt: skip
    return Audience(
        everyone=message.everyone,
        contacts=message.contacts,
        accounts=frozenset(accounts_of(message.accounts, f"{field}.accounts")),
    )


def accounts_of(ids: Sequence[str], field: str) -> list[str]:
    """The ids of accounts, each once. Their number has been checked."""
    return list(dict.fromkeys(check_client_id(one, f"{field}[{n}]") for n, one in enumerate(ids)))


def mode_of(mode: pb.Mode.ValueType, field: str) -> Mode:
    """A mode that has to be named."""
    found = _MODES.get(mode)
    if found is None:
        raise InvalidInput(field, f"{field} names no mode; use in-app, mail, text or telephone")
    return found


def modes_of(modes: Sequence[pb.Mode.ValueType], field: str) -> list[Mode]:
    """Modes in an order of preference, each once."""
    if len(modes) > len(Mode):
        raise InvalidInput(field, f"{field} names {len(modes)} modes; there are {len(Mode)}")
    found = [mode_of(one, f"{field}[{n}]") for n, one in enumerate(modes)]
    if len(set(found)) < len(found):
        raise InvalidInput(field, f"{field} names a mode twice")
    return found


def page_size_of(size: int) -> int:
    """How many to list."""
    if size > MAX_PAGE:
        raise InvalidInput("page_size", f"page_size is {size}; at most {MAX_PAGE} are listed")
    return size or DEFAULT_PAGE
