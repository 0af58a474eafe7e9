"""E-mail addresses: one address, as SMTP takes it, and when two are the same mailbox to us.

An addr-spec of RFC 5321 (4.1.2) with the characters of RFC 6531, in the quoted form only where it
is needed; the domain in A-labels. What display names, comments and folding would make longer
(RFC 5322) is refused: it is no part of an address.

Whether `Ann@` and `ann@` are one mailbox only their host knows (RFC 5321, 2.4). Here they are one
identifier, as nearly all hosts have it, and mail goes to the local part as it was written
(`shown`). Sub-addresses (`ann+news@`) and a provider's aliases (dots at gmail.com) stay apart.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from urllib.parse import quote

from control_plane.identifiers.domains import read_domain
from control_plane.identifiers.folding import fold
from control_plane.identifiers.identifier import (
    Flaw,
    FlawReason,
    FormChange,
    Identifier,
    IdentifierKind,
    IdentifierNote,
    character_name,
)
from control_plane.printable import quoted

MAX_LOCAL_OCTETS = 64  # RFC 5321, 4.5.3.1.1
MAX_OCTETS = 254  # of the whole: a path of 256 with its brackets (RFC 5321, 4.5.3.1.3)
_MAX_READ = 1_000  # characters of a text that is looked at
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ORDINARY = re.compile(rf"{_ATOM}(?:\.{_ATOM})*\Z")
_ATOM_MARKS = frozenset("!#$%&'*+/=?^_`{|}~-.")
_NEVER = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"})
_JOINERS = "\u200c\u200d"
_REMEDY = "write one address such as anna@talk.example"


def read_email(text: str) -> Identifier | Flaw:
    """The mailbox that an address names."""
    if len(text) > _MAX_READ:
        return _flaw(FlawReason.TOO_LONG, f"it has {len(text):,} characters", _length_remedy())
    bare = text.strip(" \t\r\n")
    changes = [FormChange.SPACE] if bare != text else []
    if not bare:
        return _flaw(FlawReason.EMPTY, "the address is empty", _REMEDY)
    written, at, host = bare.rpartition("@")
    if not at or not written or not host:
        return _no_parts(bare)
    if bare.endswith(">"):
        return _flaw(
            FlawReason.DISPLAY_NAME,
            f"{quoted(bare)} is an address with a name or brackets around it",
            "write what stands between '<' and '>'",
        )
    local = _local_part(written)
    if isinstance(local, Flaw):
        return local
    domain = read_domain(host)
    if isinstance(domain, Flaw):
        return replace(domain, kind=IdentifierKind.EMAIL)
    folded = fold(local)
    if flaw := _too_long(local, folded, domain.normal):
        return flaw
    changes += _changes(written, local, folded)
    changes += [one for one in domain.changes if one not in changes]
    return _identifier(local, folded, domain, changes)


def _identifier(
    local: str, folded: str, domain: Identifier, changes: list[FormChange]
) -> Identifier:
    normal = f"{_written(folded)}@{domain.normal}"
    # RFC 6068, 2: of what a local part may hold, these need no encoding.
    encoded = quote(_written(folded), safe="!$'*+._~-")
    return Identifier(
        kind=IdentifierKind.EMAIL,
        normal=normal,
        shown=f"{_written(local)}@{domain.shown}",
        uri=f"mailto:{encoded}@{domain.normal}",
        changes=tuple(changes),
        notes=() if local.isascii() else (IdentifierNote.NEEDS_SMTPUTF8,),
    )


def _local_part(written: str) -> str | Flaw:
    """What a local part says, composed and without quotes and backslashes."""
    if _ORDINARY.match(written):
        return written
    if written.startswith('"'):
        content = _unquoted(written)
        if isinstance(content, Flaw):
            return content
    else:
        content = written
        if flaw := _dot_atom_flaw(written):
            return flaw
    content = unicodedata.normalize("NFC", content)
    for place, one in enumerate(content):
        if ord(one) > 0x7F and unicodedata.category(one) in _NEVER and not _joins(content, place):
            return _character_flaw(one)
    return content


def _unquoted(written: str) -> str | Flaw:
    """The content of a quoted string (RFC 5321, 4.1.2: Quoted-string, QcontentSMTP)."""
    if len(written) < 2 or not written.endswith('"'):
        return _quotes_flaw(written)
    content, escaped = [], False
    for one in written[1:-1]:
        if one < " " or one == "\x7f":
            return _character_flaw(one)
        if escaped:
            if not one.isascii():
                return _quotes_flaw(written)
            content.append(one)
            escaped = False
        elif one == "\\":
            escaped = True
        elif one == '"':
            return _quotes_flaw(written)
        else:
            content.append(one)
    if escaped or not content:
        return _quotes_flaw(written)
    return "".join(content)


def _dot_atom_flaw(written: str) -> Flaw | None:
    for one in written:
        if one.isascii() and not one.isalnum() and one not in _ATOM_MARKS:
            if one in "()":
                return _flaw(
                    FlawReason.COMMENT, f"{quoted(written)} holds a comment", "leave it out"
                )
            if one in "<>" or (one in ' "' and "<" in written):
                return _flaw(
                    FlawReason.DISPLAY_NAME,
                    f"{quoted(written)} is a name beside an address",
                    "write what stands between '<' and '>'",
                )
            if one in ",;@":
                return _flaw(
                    FlawReason.SEVERAL, f"{quoted(written)} is of several addresses", _REMEDY
                )
            return _character_flaw(one)
    if written.startswith(".") or written.endswith(".") or ".." in written:
        return _flaw(
            FlawReason.SEPARATORS,
            f"{quoted(written)} begins or ends with a dot, or has two together",
            'put it in quotes if it is really so: "a..b"@talk.example',
        )
    return None


def _joins(content: str, place: int) -> bool:
    """Whether a joiner stands where a script has it (RFC 5892, A.1 and A.2)."""
    if content[place] not in _JOINERS:
        return False
    import idna

    try:
        return idna.valid_contextj(content, place)
    except (ValueError, UnicodeError):
        return False


def _written(local: str) -> str:
    """A local part as it stands in an address: quoted where it has to be."""
    if _ORDINARY.match(local):
        return local
    atoms = all(not one.isascii() or one.isalnum() or one in _ATOM_MARKS for one in local)
    if atoms and not (local.startswith(".") or local.endswith(".") or ".." in local):
        return local
    escaped = local.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _changes(written: str, local: str, folded: str) -> list[FormChange]:
    changes = []
    if written.startswith('"') and _written(local) != written:
        changes.append(FormChange.QUOTES)
    if not written.isascii() and unicodedata.normalize("NFC", written) != written:
        changes.append(FormChange.COMPOSITION)
    if folded != local:
        changes.append(FormChange.CASE)
    return changes


def _too_long(local: str, folded: str, host: str) -> Flaw | None:
    octets = max(len(_written(one).encode()) for one in (local, folded))
    if octets > MAX_LOCAL_OCTETS:
        return _flaw(
            FlawReason.TOO_LONG, f"the part before '@' has {octets} octets", _length_remedy()
        )
    if octets + 1 + len(host) > MAX_OCTETS:
        octets += 1 + len(host)
        return _flaw(FlawReason.TOO_LONG, f"it has {octets} octets", _length_remedy())
    return None


def _no_parts(bare: str) -> Flaw:
    if "@" not in bare:
        return _flaw(FlawReason.SYNTAX, f"{quoted(bare)} has no '@'", _REMEDY)
    return _flaw(FlawReason.SYNTAX, f"{quoted(bare)} has nothing before or behind '@'", _REMEDY)


def _quotes_flaw(written: str) -> Flaw:
    return _flaw(
        FlawReason.SYNTAX,
        f"{quoted(written)} is no quoted local part",
        "begin and end it with '\"', and write '\\' before each '\"' and '\\' in it",
    )


def _character_flaw(one: str) -> Flaw:
    return _flaw(
        FlawReason.CHARACTER, f"{character_name(one)} is not allowed before the '@'", _REMEDY
    )


def _length_remedy() -> str:
    return f"at most {MAX_LOCAL_OCTETS} octets before the '@' and {MAX_OCTETS} in all are allowed"


def _flaw(reason: FlawReason, message: str, remedy: str) -> Flaw:
    return Flaw(kind=IdentifierKind.EMAIL, reason=reason, message=message, remedy=remedy)
