"""SIP addresses: the address of record that a `sip:` or `sips:` URI names.

What a registrar looks an address up by (RFC 3261, 10.3, step 5): without parameters and headers,
its user part decoded. RFC 3261's own comparison (19.1.4) is none that names could be kept by: by
it A equals B, and B equals C, where A and C differ. What it says of the parts that stay holds:
the user part keeps its case, the host has none, a port that is written differs from one that is
not, and sips is not sip.
"""

from __future__ import annotations

import re
from dataclasses import replace

from control_plane.identifiers.domains import read_domain
from control_plane.identifiers.identifier import (
    Flaw,
    FlawReason,
    FormChange,
    Identifier,
    IdentifierKind,
)
from control_plane.identifiers.percent import decoded, encoded
from control_plane.printable import quoted

MAX_USER_OCTETS = 255  # of the user part as it is written in normal form; the RFC names no bound
_USER_MARKS = "!*'()&=+$,;?/"  # what stands unescaped in a user part (RFC 3261, 25.1)
_PORT = re.compile(r":([0-9]{1,5})\Z")
_NUMBER_SEPARATORS = re.compile(r"[-.()]")
_REMEDY = "write it as sip:anna@talk.example"


def read_sip(kind: IdentifierKind, rest: str) -> Identifier | Flaw:
    """rest: what stands behind `sip:` or `sips:`, kind says behind which."""
    user, at, place = rest.partition("@")
    if not at or not user:
        return _flaw(kind, FlawReason.NO_USER, f"{quoted(rest)} names a host and nobody", _REMEDY)
    if ":" in user:
        return _flaw(
            kind,
            FlawReason.SECRET,
            "it holds a password, which is no part of an identifier",
            "leave out the ':' and what follows it before the '@'",
        )
    place, question, _ = place.partition("?")
    host, *parameters = place.split(";")
    try:
        name = decoded(user)
    except ValueError as error:
        return _flaw(kind, FlawReason.PERCENT, f"{quoted(user)}: {error}", _REMEDY)
    if _says_phone(parameters):
        name = _subscriber(name)
    port = _PORT.search(host)
    if port and not 0 < int(port[1]) < 65_536:
        return _flaw(kind, FlawReason.SYNTAX, f"{quoted(port[1])} is no port", _REMEDY)
    domain = read_domain(host[: port.start()] if port else host)
    if isinstance(domain, Flaw):
        return replace(domain, kind=kind)
    written = encoded(name, _USER_MARKS)
    if len(written) > MAX_USER_OCTETS:
        return _flaw(
            kind,
            FlawReason.TOO_LONG,
            f"the part before '@' has {len(written)} octets",
            f"at most {MAX_USER_OCTETS} are allowed",
        )
    changes = [*domain.changes]
    if written != user:
        changes.append(FormChange.PERCENT if "%" in user + written else FormChange.SEPARATORS)
    if parameters or question:
        changes.append(FormChange.PARAMETERS)
    tail = f":{int(port[1])}" if port else ""
    normal = f"{written}@{domain.normal}{tail}"
    return Identifier(
        kind=kind,
        normal=normal,
        shown=f"{name}@{domain.shown}{tail}",
        uri=f"{kind}:{normal}",
        changes=tuple(changes),
    )


def _says_phone(parameters: list[str]) -> bool:
    return any(one.lower() == "user=phone" for one in parameters)


def _subscriber(name: str) -> str:
    """A telephone number as the user part (RFC 3261, 19.1.6; RFC 3966, 4): without visual
    separators, its parameters in small letters and in order."""
    number, *parameters = name.split(";")
    number = _NUMBER_SEPARATORS.sub("", number) or number
    return ";".join([number, *sorted(one.lower() for one in parameters)])


def _flaw(kind: IdentifierKind, reason: FlawReason, message: str, remedy: str) -> Flaw:
    return Flaw(kind=kind, reason=reason, message=message, remedy=remedy)
