"""What requests to InviteService say, checked. Raises InvalidInput."""

from __future__ import annotations

import re

from control_plane.errors import InvalidInput
from control_plane.identifiers.identifier import Flaw, IdentifierKind
from control_plane.identifiers.uris import read_any
from deployment_units.services.invites.invite import ID_BYTES
from homeport.api.communication.v1 import invite_pb2 as pb

INVITE_S, LEAST_INVITE_S, MOST_INVITE_S = 7 * 86_400.0, 60.0, 30 * 86_400.0
MOST_PAGE = 100
MOST_IDENTIFIER_BYTES = 512
_ID = re.compile(r"[a-z0-9.-]{16,63}\Z")
_TOKEN = re.compile(r"([0-9]{1,16})\.(sent|received)\.([a-z0-9.-]{16,63})\Z")
_KINDS = frozenset({IdentifierKind.EMAIL, IdentifierKind.HANDLE, IdentifierKind.PHONE})
FIRST = (2**62, "", "")


def invitation_id(text: str) -> str:
    if not _ID.match(text):
        raise InvalidInput("invitation", "invitation is the id of one, as it was told")
    return text


def request_id(value: bytes) -> bytes:
    if len(value) != ID_BYTES:
        raise InvalidInput(
            "request_id", f"request_id has {len(value)} bytes; it is {ID_BYTES} random ones"
        )
    return value


def identifier(text: str) -> str:
    """In normal form, as a URI, or a handle with its '@'."""
    found = read_any(text)
    if isinstance(found, Flaw):
        raise InvalidInput("identifier", f"identifier: {found}")
    if found.kind not in _KINDS:
        raise InvalidInput(
            "identifier", "identifier is none that is invited: name an e-mail address, a handle or "
            "a telephone number",
        )  # fmt: skip
    if len(found.uri.encode()) > MOST_IDENTIFIER_BYTES:
        raise InvalidInput("identifier", f"identifier is longer than {MOST_IDENTIFIER_BYTES} bytes")
    return found.uri


def optional_identifier(text: str) -> str:
    """Empty: none."""
    return identifier(text) if text else ""


def lasts_ms(request: pb.CreateInviteRequest) -> int:
    if not request.HasField("ttl"):
        return int(INVITE_S * 1_000)
    lasts_s = request.ttl.seconds + request.ttl.nanos / 1e9
    if not LEAST_INVITE_S <= lasts_s <= MOST_INVITE_S:
        raise InvalidInput("ttl", f"ttl is {lasts_s:g} s; it must be 60 s to 30 days")
    return int(lasts_s * 1_000)


def page_of(request: pb.ListInvitesRequest) -> tuple[int, tuple[int, str, str]]:
    """How many, and before which one."""
    size = request.page_size or MOST_PAGE
    if not 1 <= size <= MOST_PAGE:
        raise InvalidInput("page_size", f"page_size is {size}; it must be 1 to {MOST_PAGE}")
    if not request.page_token:
        return size, FIRST
    found = _TOKEN.match(request.page_token)
    if found is None:
        raise InvalidInput("page_token", "page_token is none that a page before brought")
    return size, (int(found[1]), found[2], found[3])
