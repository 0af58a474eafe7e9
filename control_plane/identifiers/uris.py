"""Any identifier from one text: a URI, an `@handle`, or what a person types.

`read_uri` takes `acct:`, `mailto:`, `tel:`, `sip:`, `sips:`, `xmpp:` and `@handle`, as programs
send them; the `uri` of what it gives reads as the same identifier. `read_any` takes these, and
tells an address, a number, a domain and a handle by their looks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import replace

from control_plane.identifiers.domains import ends_in_top_level, read_domain
from control_plane.identifiers.emails import read_email
from control_plane.identifiers.handles import read_handle
from control_plane.identifiers.identifier import (
    MAX_TEXT,
    Flaw,
    FlawReason,
    FormChange,
    Identifier,
    IdentifierKind,
)
from control_plane.identifiers.percent import decoded, encoded
from control_plane.identifiers.phones import read_phone
from control_plane.identifiers.sip import read_sip
from control_plane.identifiers.xmpp import read_xmpp
from control_plane.printable import quoted

MAX_ACCT_USER_OCTETS = 255  # of the user part in its normal form; RFC 7565 names no bound
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_ACCT_MARKS = "!$&'()*+,;="  # sub-delims (RFC 7565, 7; RFC 3986, 2.2)
_PHONE = re.compile(r"[\s()+.\-/\d\u2010-\u2015\uff0b]+\Z")
_RECIPIENTS = frozenset({"to", "cc", "bcc"})
_SCHEMES = "acct:, mailto:, tel:, sip:, sips: or xmpp:"


def read_uri(
    text: str, *, region: str | None = None, own_hosts: Collection[str] = ()
) -> Identifier | Flaw:
    """The identifier that a URI or an `@handle` names. region: for a `tel:` without '+'.
    own_hosts: domains in A-labels whose `acct:` URIs are our handles."""
    if flaw := _text_flaw(text):
        return flaw
    text = text.strip(" \t\r\n")
    if text.startswith("@"):
        return _at_handle(text, own_hosts)
    found = _SCHEME.match(text)
    if found is None:
        return Flaw(
            reason=FlawReason.SCHEME,
            message=f"{quoted(text)} does not say what it is",
            remedy=f"begin it with {_SCHEMES}, or a handle with '@'",
        )
    scheme, rest = found[1].lower(), text[found.end() :]
    match scheme:
        case "acct":
            result = _acct(rest, own_hosts)
        case "mailto":
            result = _mailto(rest)
        case "tel":
            result = _tel(rest, region)
        case "sip" | "sips":
            result = read_sip(IdentifierKind(scheme), rest)
        case "xmpp":
            result = read_xmpp(rest)
        case _:
            return Flaw(
                reason=FlawReason.SCHEME,
                message=f"nobody is reached at a URI of {quoted(scheme + ':')}",
                remedy=f"use {_SCHEMES}",
            )
    return result


def read_as(
    kind: IdentifierKind,
    text: str,
    *,
    region: str | None = None,
    own_hosts: Collection[str] = (),
) -> Identifier | Flaw:
    """The identifier of one kind that a text means, with or without its scheme."""
    if flaw := _text_flaw(text):
        return flaw
    bare = text.strip(" \t\r\n")
    if kind is not IdentifierKind.HANDLE and bare.lower().startswith(f"{kind}:"):
        return read_uri(bare, region=region, own_hosts=own_hosts)
    match kind:
        case IdentifierKind.HANDLE:
            return read_handle(text)
        case IdentifierKind.EMAIL:
            return read_email(text)
        case IdentifierKind.PHONE:
            return read_phone(text, region)
        case IdentifierKind.DOMAIN:
            return read_domain(text)
        case _:
            return read_uri(f"{kind}:{bare}", own_hosts=own_hosts)


def read_any(
    text: str, *, region: str | None = None, own_hosts: Collection[str] = ()
) -> Identifier | Flaw:
    """The identifier that a person means. What has an '@' behind its first character is an
    address, what is digits and what stands between them a number, what ends in a known public
    suffix a domain, and all else a handle."""
    if flaw := _text_flaw(text):
        return flaw
    bare = text.strip()
    if bare.startswith("@") or _known_scheme(bare) or "://" in bare:
        return read_uri(bare, region=region, own_hosts=own_hosts)
    if "@" in bare:
        return read_email(text)
    if _PHONE.match(bare) and any(one.isdigit() for one in bare) and not _is_address(bare):
        return read_phone(text, region)
    domain = read_domain(text)
    if isinstance(domain, Identifier):
        return domain if ends_in_top_level(domain) else read_handle(text)
    if domain.reason is FlawReason.IP_ADDRESS:
        return domain
    if _SCHEME.match(bare):
        return read_uri(bare)
    return read_handle(text)


def _text_flaw(text: str) -> Flaw | None:
    if len(text) <= MAX_TEXT:
        return None
    return Flaw(
        reason=FlawReason.TOO_LONG,
        message=f"it has {len(text):,} characters",
        remedy=f"no identifier has more than {MAX_TEXT:,}",
    )


def _known_scheme(text: str) -> bool:
    found = _SCHEME.match(text)
    return found is not None and found[1].lower() in (
        "acct",
        "mailto",
        "tel",
        "sip",
        "sips",
        "xmpp",
    )


def _is_address(text: str) -> bool:
    return text.count(".") == 3 and all(
        0 < len(one) <= 3 and one.isdigit() for one in text.split(".")
    )


def _with_scheme(result: Identifier | Flaw, *more: FormChange) -> Identifier | Flaw:
    if isinstance(result, Flaw):
        return result
    return replace(result, changes=(FormChange.SCHEME, *result.changes, *more))


def _at_handle(text: str, own_hosts: Collection[str]) -> Identifier | Flaw:
    """`@anna`; or `@anna@talk.example`, as people write accounts of other hosts."""
    user, at, host = text[1:].rpartition("@")
    if not at or not user:
        return read_handle(text)
    return _account(user, host, own_hosts)


def _acct(rest: str, own_hosts: Collection[str]) -> Identifier | Flaw:
    """RFC 7565. The user part keeps its case, which only its host can know the worth of."""
    user, at, host = rest.rpartition("@")
    if not at or not user:
        return Flaw(
            kind=IdentifierKind.ACCT,
            reason=FlawReason.NO_USER,
            message=f"{quoted(rest)} names no account at a host",
            remedy="write it as acct:anna@talk.example",
        )
    return _with_scheme(_account(user, host, own_hosts))


def _account(user: str, host: str, own_hosts: Collection[str]) -> Identifier | Flaw:
    domain = read_domain(host)
    if isinstance(domain, Flaw):
        return replace(domain, kind=IdentifierKind.ACCT)
    try:
        name = decoded(user)
    except ValueError as error:
        return _percent_flaw(IdentifierKind.ACCT, user, error)
    if domain.normal in own_hosts:
        handle = read_handle(name)
        if isinstance(handle, Flaw):
            return handle
        return replace(handle, changes=(FormChange.OWN_HOST, *handle.changes))
    written = encoded(name, _ACCT_MARKS)
    if len(written) > MAX_ACCT_USER_OCTETS:
        return Flaw(
            kind=IdentifierKind.ACCT,
            reason=FlawReason.TOO_LONG,
            message=f"the part before '@' has {len(written)} octets",
            remedy=f"at most {MAX_ACCT_USER_OCTETS} are allowed",
        )
    normal = f"{written}@{domain.normal}"
    return Identifier(
        kind=IdentifierKind.ACCT,
        normal=normal,
        shown=f"{name}@{domain.shown}",
        uri=f"acct:{normal}",
        changes=(*domain.changes, *((FormChange.PERCENT,) if written != user else ())),
    )


def _percent_flaw(kind: IdentifierKind, text: str, error: ValueError) -> Flaw:
    return Flaw(
        kind=kind,
        reason=FlawReason.PERCENT,
        message=f"{quoted(text)}: {error}",
        remedy="encode the octets of UTF-8, two hexadecimal digits each",
    )


def _mailto(rest: str) -> Identifier | Flaw:
    """RFC 6068, of one recipient. Headers say what to write, not whom to; but for recipients."""
    address, question, headers = rest.partition("?")
    names = {one.partition("=")[0].lower() for one in headers.split("&")}
    if names & _RECIPIENTS or "," in address:
        return Flaw(
            kind=IdentifierKind.EMAIL,
            reason=FlawReason.SEVERAL,
            message=f"{quoted(rest)} has room for several recipients",
            remedy="write one address, without to, cc and bcc",
        )
    try:
        plain = decoded(address)
    except ValueError as error:
        return _percent_flaw(IdentifierKind.EMAIL, address, error)
    return _with_scheme(read_email(plain), *((FormChange.PARAMETERS,) if question else ()))


def _tel(rest: str, region: str | None) -> Identifier | Flaw:
    """RFC 3966. Parameters that a carrier adds (rn, npdi, verstat, …) are left out; those that
    name another subscriber, or have to be understood, are not."""
    number, *parameters = rest.split(";")
    names = {one.partition("=")[0].lower() for one in parameters}
    if names & {"ext", "isub"}:
        return Flaw(
            kind=IdentifierKind.PHONE,
            reason=FlawReason.EXTENSION,
            message=f"{quoted(rest)} has an extension or a sub-address",
            remedy="write the number without it",
        )
    if "phone-context" in names or (not number.strip().startswith("+") and region is None):
        return Flaw(
            kind=IdentifierKind.PHONE,
            reason=FlawReason.LOCAL_NUMBER,
            message=f"{quoted(rest)} is a local number, and means another one elsewhere",
            remedy="write + and the country code, such as tel:+442079460018",
        )
    if unknown := sorted(one for one in names if one.startswith("m-")):
        return Flaw(
            kind=IdentifierKind.PHONE,
            reason=FlawReason.PARAMETER,
            message=f"the parameter {quoted(unknown[0])} has to be understood, and is not here",
            remedy="leave it out",
        )
    plain = unicodedata.normalize("NFC", number.replace("%20", " "))
    left_out = (FormChange.PARAMETERS,) if parameters else ()
    return _with_scheme(read_phone(plain, region), *left_out)
