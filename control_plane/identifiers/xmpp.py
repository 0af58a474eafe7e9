"""XMPP addresses: the bare JID that an `xmpp:` URI names (RFC 5122, RFC 7622).

The local part is PRECIS UsernameCaseMapped without the eight characters that RFC 7622 (3.3.1)
takes out; the domain is kept in A-labels here. Resource, query and fragment name a connection or
an action, and are left out.
"""

from __future__ import annotations

from dataclasses import replace

from control_plane.identifiers.domains import read_domain
from control_plane.identifiers.identifier import (
    Flaw,
    FlawReason,
    FormChange,
    Identifier,
    IdentifierKind,
    character_name,
)
from control_plane.identifiers.percent import decoded, encoded
from control_plane.identifiers.precis import PrecisError, username_case_mapped
from control_plane.printable import quoted

MAX_LOCAL_OCTETS = 1023  # RFC 7622, 3.3
_EXCLUDED = "\"&'/:<>@"
_NODE_MARKS = "!$()*+,;="  # what stands unescaped in a node (RFC 5122, 2.2)
_REMEDY = "write it as xmpp:anna@talk.example"


def read_xmpp(rest: str) -> Identifier | Flaw:
    """rest: what stands behind `xmpp:`."""
    if rest.startswith("//"):
        return _flaw(
            FlawReason.SYNTAX,
            f"{quoted(rest)} says as whom to connect, which is no part of an identifier",
            _REMEDY,
        )
    path, _, fragment = rest.partition("#")
    path, _, query = path.partition("?")
    address, slash, _ = path.partition("/")
    node, at, host = address.partition("@")
    if not at or not node:
        return _flaw(FlawReason.NO_USER, f"{quoted(rest)} names a host and nobody", _REMEDY)
    local = _local_part(node)
    if isinstance(local, Flaw):
        return local
    try:
        domain = read_domain(decoded(host))
    except ValueError as error:
        return _flaw(FlawReason.PERCENT, f"{quoted(host)}: {error}", _REMEDY)
    if isinstance(domain, Flaw):
        return replace(domain, kind=IdentifierKind.XMPP)
    changes = [*domain.changes]
    written = encoded(local, _NODE_MARKS)
    if written != node:
        same = written.lower() == node.lower()
        changes.append(FormChange.CASE if same else FormChange.PERCENT)
    if slash:
        changes.append(FormChange.RESOURCE)
    if query or fragment:
        changes.append(FormChange.PARAMETERS)
    return Identifier(
        kind=IdentifierKind.XMPP,
        normal=f"{local}@{domain.normal}",
        shown=f"{local}@{domain.shown}",
        uri=f"xmpp:{written}@{domain.normal}",
        changes=tuple(dict.fromkeys(changes)),
    )


def _local_part(node: str) -> str | Flaw:
    try:
        text = decoded(node)
    except ValueError as error:
        return _flaw(FlawReason.PERCENT, f"{quoted(node)}: {error}", _REMEDY)
    if len(text) > MAX_LOCAL_OCTETS:
        return _too_long(len(text))
    if text.isascii() and text.isalnum():
        local = text.lower()
    else:
        try:
            local = username_case_mapped(text)
        except PrecisError as error:
            return _flaw(
                FlawReason.CHARACTER,
                f"{quoted(text)} breaks a rule of RFC 8264: {error}",
                "use letters, digits and ordinary marks",
            )
    for one in local:
        if one in _EXCLUDED:
            return _flaw(
                FlawReason.CHARACTER,
                f"{character_name(one)} is in no local part (RFC 7622)",
                "use letters, digits and ordinary marks",
            )
    octets = len(local.encode())
    return _too_long(octets) if octets > MAX_LOCAL_OCTETS else local


def _too_long(octets: int) -> Flaw:
    return _flaw(
        FlawReason.TOO_LONG,
        f"the part before '@' has {octets:,} octets",
        f"at most {MAX_LOCAL_OCTETS:,} are allowed",
    )


def _flaw(reason: FlawReason, message: str, remedy: str) -> Flaw:
    return Flaw(kind=IdentifierKind.XMPP, reason=reason, message=message, remedy=remedy)
