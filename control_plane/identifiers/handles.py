"""Handles: the unique names of accounts in a tenant, shown as `@anna`.

The form is PRECIS's UsernameCaseMapped (RFC 8265, 3.3), narrowed to what can be told apart by
eye: characters that UTS #39 recommends for identifiers, of one script and one system of digits,
and three separators. `read_handle` is about the form. What may be claimed anew, `claim_flaw`,
follows lists that grow, and never makes a handle unreadable that somebody holds. Who holds one,
or one that looks like it, claims say.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from control_plane.identifiers.folding import ordinary_width
from control_plane.identifiers.identifier import (
    Flaw,
    FlawReason,
    FormChange,
    Identifier,
    IdentifierKind,
    character_name,
)
from control_plane.identifiers.precis import PrecisError, username_case_mapped
from control_plane.identifiers.reserved_handles import RESERVED
from control_plane.identifiers.scripts import digit_systems, scripts_of
from control_plane.identifiers.skeleton import handle_key
from control_plane.identifiers.unicode_tables import unicode_tables
from control_plane.printable import quoted

MIN_CHARACTERS, MAX_CHARACTERS = 2, 30  # code points of the normal form
MAX_MARKS = 4  # on one letter (UTS #39, 5.4)
_MAX_READ = 100  # characters of a text that is looked at: marks compose, and spaces go
_SEPARATORS = "-_."
_ORDINARY = re.compile(r"[A-Za-z0-9]+(?:[-_.][A-Za-z0-9]+)*\Z")
_SEPARATOR_RUN = re.compile(r"\A[-_.]|[-_.]{2}|[-_.]\Z")
_DIGITS_READ_AS = str.maketrans("013457", "oieast")  # where a reserved word is spelt with digits
_WHAT_WOULD_DO = "use letters and digits of one script, and single '-', '_' or '.' between them"


def read_handle(text: str) -> Identifier | Flaw:
    """The handle that a text means, with or without '@' before it."""
    if len(text) > _MAX_READ:
        return _flaw(FlawReason.TOO_LONG, f"it has {len(text):,} characters", _length_remedy())
    bare = text.strip(" \t\r\n")
    changes = [FormChange.SPACE] if bare != text else []
    bare = bare.removeprefix("@")
    if not bare:
        return _flaw(FlawReason.EMPTY, "it is empty", _length_remedy())
    if "@" in bare:
        remedy = "write the part before the '@', or an address where one is asked for"
        return _flaw(FlawReason.LIKE_ADDRESS, "it is an address and no handle", remedy)
    normal: str | Flaw
    if bare.isascii():
        normal = bare.lower()
        if not _ORDINARY.match(bare):
            return _ascii_flaw(normal)
    else:
        normal = _by_precis(bare)
        if isinstance(normal, Flaw):
            return normal
        changes += _changes(bare, normal)
    if normal != bare and bare.isascii():
        changes.append(FormChange.CASE)
    if flaw := _length_flaw(normal) or _composition_flaw(normal):
        return flaw
    at = f"@{normal}"
    return Identifier(
        kind=IdentifierKind.HANDLE, normal=normal, shown=at, uri=at, changes=tuple(changes)
    )


def claim_flaw(handle: Identifier) -> Flaw | None:
    """Why nobody may claim this handle anew, whoever asks; None: it may be claimed, if it is
    free. The lists behind it, reserved words and names of top-level domains, grow."""
    last = handle.normal.rpartition(".")[2] if "." in handle.normal else ""
    if last and _is_top_level(last):
        return _flaw(
            FlawReason.LIKE_DOMAIN,
            f"{quoted(handle.normal)} can be taken for the name of a domain",
            "use '-' or '_' for the last '.'",
        )
    if _looks_reserved(handle.normal):
        return _flaw(
            FlawReason.RESERVED,
            f"{quoted(handle.normal)} is, or looks like, a name that is kept for the service",
            "choose another; adding a word of your own is enough",
        )
    return None


def _by_precis(bare: str) -> str | Flaw:
    try:
        normal = username_case_mapped(bare)
    except PrecisError as error:
        return _precis_flaw(bare, error)
    # Of what came to be known after the oldest Python, case and composition are not known
    # everywhere; characters that are seldom used, or look like nothing, help nobody.
    known = unicode_tables().scripts
    for one in normal:
        if one not in known or (one.isascii() and not one.isalnum() and one not in _SEPARATORS):
            return _character_flaw(one)
    return normal


def _precis_flaw(bare: str, error: PrecisError) -> Flaw:
    """The rule in our words; precis_i18n does not say which character of the text is at fault,
    so it is looked for here."""
    if error.rule == "bidi_rule":
        return _flaw(
            FlawReason.DIRECTION,
            f"{quoted(bare)} runs right to left and left to right (RFC 5893)",
            "use letters of one direction, and a letter of it first",
        )
    if error.rule == "not_idempotent":
        return _flaw(FlawReason.NORMALISATION, f"{quoted(bare)} has no normal form", _WHAT_WOULD_DO)
    for one in unicodedata.normalize("NFC", ordinary_width(bare).lower()):
        if one not in unicode_tables().scripts:
            return _character_flaw(one)
    return _flaw(
        FlawReason.CHARACTER, f"{quoted(bare)} breaks a rule of RFC 8264: {error}", _WHAT_WOULD_DO
    )


def _ascii_flaw(normal: str) -> Flaw:
    for one in normal:
        if not one.isalnum() and one not in _SEPARATORS:
            return _character_flaw(one)
    return _separator_flaw(normal)


def _character_flaw(one: str) -> Flaw:
    return _flaw(FlawReason.CHARACTER, f"{character_name(one)} is in no handle", _WHAT_WOULD_DO)


def _separator_flaw(normal: str) -> Flaw:
    return _flaw(
        FlawReason.SEPARATORS,
        f"{quoted(normal)} begins or ends with '-', '_' or '.', or has two together",
        "put one of them between letters or digits",
    )


def _length_flaw(normal: str) -> Flaw | None:
    if len(normal) < MIN_CHARACTERS:
        return _flaw(FlawReason.TOO_SHORT, f"{quoted(normal)} is one character", _length_remedy())
    if len(normal) > MAX_CHARACTERS:
        return _flaw(FlawReason.TOO_LONG, f"it has {len(normal)} characters", _length_remedy())
    return None


def _composition_flaw(normal: str) -> Flaw | None:
    """What is wrong with characters that are each allowed."""
    if not normal.isascii():
        if _SEPARATOR_RUN.search(normal):
            return _separator_flaw(normal)
        if flaw := _marks_flaw(normal):
            return flaw
        if scripts_of(normal) == frozenset():
            return _flaw(
                FlawReason.MIXED_SCRIPTS,
                f"{quoted(normal)} mixes scripts, as names do that are made to deceive",
                "use letters of one script; Han goes with kana or with Hangul",
            )
        if len(digit_systems(normal)) > 1:
            return _flaw(
                FlawReason.MIXED_DIGITS,
                f"{quoted(normal)} has digits of several scripts",
                "use those of one",
            )
    if not any(one.isalpha() for one in normal):
        return _flaw(
            FlawReason.NO_LETTER,
            f"{quoted(normal)} has no letter and could be a number",
            "add a letter",
        )
    return None


def _marks_flaw(normal: str) -> Flaw | None:
    """UTS #39, 5.4: no mark first, none twice on one letter, and few."""
    marks: list[str] = []
    for place, one in enumerate(unicodedata.normalize("NFD", normal)):
        if unicodedata.category(one) not in ("Mn", "Me"):
            marks = []
            continue
        if not place or one in marks[-1:] or len(marks) == MAX_MARKS:
            return _flaw(
                FlawReason.MARKS,
                f"{quoted(normal)} has a mark first, one twice, or over {MAX_MARKS} on a letter",
                "leave marks out that no spelling has",
            )
        marks.append(one)
    return None


def _changes(bare: str, normal: str) -> list[FormChange]:
    changes = []
    wide = ordinary_width(bare)
    if wide != bare:
        changes.append(FormChange.WIDTH)
    if wide.lower() != wide:
        changes.append(FormChange.CASE)
    if normal != wide.lower():
        changes.append(FormChange.COMPOSITION)
    return changes


def _looks_reserved(normal: str) -> bool:
    """Of its looks without separators, and with digits read as letters: `sup-p0rt` is `support`,
    `4dm1n` is `admin`."""
    reserved = _reserved_keys()
    if handle_key(normal).replace("-", "") in reserved:
        return True
    read = normal.translate(_DIGITS_READ_AS)
    return read != normal and handle_key(read).replace("-", "") in reserved


@cache
def _reserved_keys() -> frozenset[str]:
    return frozenset(handle_key(one).replace("-", "") for one in RESERVED)


def _is_top_level(label: str) -> bool:
    from control_plane.identifiers.domains import is_top_level

    return is_top_level(label)


def _length_remedy() -> str:
    return f"use {MIN_CHARACTERS} to {MAX_CHARACTERS} characters"


def _flaw(reason: FlawReason, message: str, remedy: str) -> Flaw:
    return Flaw(kind=IdentifierKind.HANDLE, reason=reason, message=message, remedy=remedy)
