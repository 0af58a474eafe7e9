"""What requests to IdentityService say, checked. Raises InvalidInput."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from control_plane.errors import InvalidInput
from control_plane.identifiers.identifier import Flaw
from control_plane.identifiers.uris import read_uri
from control_plane.identity.names import check_client_id
from control_plane.printable import quoted
from deployment_units.services.identities.identity import (
    MOST_IDENTIFIERS,
    MOST_RECIPIENTS,
    Chosen,
    Contactee,
    ContacteeIdentifier,
    ReplyMode,
)
from deployment_units.services.identities.organisations import organisation_of
from homeport.api.communication.v1 import identity_pb2 as pb

ID_BYTES = 16
MAX_IDENTIFIER_BYTES = 512
_MODES = {
    pb.REPLY_MODE_UNSPECIFIED: ReplyMode.REPLY,
    pb.REPLY_MODE_REPLY: ReplyMode.REPLY,
    pb.REPLY_MODE_REPLY_ALL: ReplyMode.REPLY_ALL,
    pb.REPLY_MODE_FORWARD: ReplyMode.FORWARD,
}


def identifier_of(text: str, field: str) -> str:
    """A handle with its '@', a URI, or the id of an account, in normal form."""
    if not (text.startswith("@") or ":" in text):
        return check_client_id(text, field)
    found = read_uri(text)
    if isinstance(found, Flaw):
        raise InvalidInput(field, f"{field}: {found}")
    if len(found.uri.encode()) > MAX_IDENTIFIER_BYTES:
        raise InvalidInput(field, f"{field} is longer than {MAX_IDENTIFIER_BYTES} bytes")
    return found.uri


def own_choice_of(text: str) -> str:
    """An identifier of the caller's; empty: none was chosen."""
    if not text:
        return ""
    if not (text.startswith("@") or ":" in text):
        raise InvalidInput("chosen_from", "chosen_from: name a handle with its '@', or a URI")
    return identifier_of(text, "chosen_from")


def checked_of(request: pb.CheckLeaksRequest) -> tuple[list[Contactee], Chosen]:
    """Who is written to, with all of it chosen."""
    if not request.identifier:
        raise InvalidInput("identifier", "identifier: say as which of yours it is written")
    if not (request.identifier.startswith("@") or ":" in request.identifier):
        raise InvalidInput("identifier", "identifier: name a handle with its '@', or a URI")
    if not 0 < len(request.recipients) <= MOST_RECIPIENTS:
        raise InvalidInput(
            "recipients", f"{len(request.recipients)} recipients are named; 1 to {MOST_RECIPIENTS}"
        )
    found: dict[str, Contactee] = {}
    for member, at in sorted(request.recipients.items()):
        who = identifier_of(member, "recipients")
        uri = identifier_of(at, f"recipients[{quoted(member)}]")
        if who in found:
            raise InvalidInput("recipients", f"recipients: {quoted(who)} is named twice")
        chosen = ContacteeIdentifier(uri=uri, organisation=organisation_of(uri))
        found[who] = Contactee(member=who, identifiers=(chosen,))
    return [*found.values()], Chosen(
        contactor=identifier_of(request.identifier, "identifier"),
        contactees={member: one.identifiers[0].uri for member, one in found.items()},
    )


def contactees_of(several: Iterable[pb.Contactee]) -> list[Contactee]:
    """Of those who are written to, what may be chosen: the identifiers named, else the member."""
    named = list(several)
    if len(named) > MOST_RECIPIENTS:
        raise InvalidInput(
            "contactees", f"{len(named)} contactees are named; at most {MOST_RECIPIENTS}"
        )
    found: dict[str, Contactee] = {}
    for number, one in enumerate(named):
        field = f"contactees[{number}]"
        member = identifier_of(one.member, f"{field}.member")
        if member in found:
            raise InvalidInput(f"{field}.member", f"{quoted(member)} is named twice")
        if len(one.identifiers) > MOST_IDENTIFIERS:
            raise InvalidInput(
                f"{field}.identifiers",
                f"{field} has {len(one.identifiers)} identifiers; at most {MOST_IDENTIFIERS}",
            )
        uris = [
            identifier_of(text, f"{field}.identifiers[{place}]")
            for place, text in enumerate(one.identifiers)
        ] or [member]
        found[member] = Contactee(
            member=member, identifiers=tuple(_identifier(uri) for uri in dict.fromkeys(uris))
        )
    return list(found.values())


def chosen_of(
    chosen_from: str, chosen_to: Mapping[str, str], contactees: Iterable[Contactee]
) -> Chosen:
    members = {one.member for one in contactees}
    if len(chosen_to) > MOST_RECIPIENTS:
        raise InvalidInput("chosen_to", f"chosen_to names {len(chosen_to)} members")
    to = {}
    for text, chosen in sorted(chosen_to.items()):
        field = f"chosen_to[{quoted(text)}]"
        member = identifier_of(text, field)
        if member not in members:
            raise InvalidInput(field, f"{quoted(member)} is none of the contactees")
        to[member] = identifier_of(chosen, field)
    return Chosen(contactor=own_choice_of(chosen_from), contactees=to)


def with_known(
    contactees: Iterable[Contactee], chosen: Chosen, known: Mapping[str, Sequence[str]]
) -> list[Contactee]:
    """Contactees with what was chosen of them among their identifiers, and what is known of them
    besides, while there is room. known: by member."""
    whole = []
    for one in contactees:
        picked = chosen.contactees.get(one.member, "")
        named = [each.uri for each in one.identifiers]
        uris = dict.fromkeys([*([picked] if picked else ()), *named])
        uris |= dict.fromkeys(uri for uri in known.get(one.member, ()) if uri != one.member)
        some = list(uris)[: MOST_IDENTIFIERS + 1]
        whole.append(replace(one, identifiers=tuple(map(_identifier, some))))
    return whole


def conversation_of(value: bytes) -> bytes:
    """Empty: a new one."""
    return _id(value, "conversation") if value else b""


def message_of(value: bytes) -> bytes:
    return _id(value, "message")


def mode_of(value: int) -> ReplyMode:
    found: ReplyMode | None = _MODES.get(value)  # type: ignore[call-overload]
    if found is None:
        raise InvalidInput("mode", f"mode is {value}, which this unit does not know")
    return found


def _identifier(uri: str) -> ContacteeIdentifier:
    return ContacteeIdentifier(uri=uri, organisation=organisation_of(uri))


def _id(value: bytes, field: str) -> bytes:
    if len(value) != ID_BYTES:
        raise InvalidInput(field, f"{field} has {len(value)} bytes; an id has {ID_BYTES}")
    return value
