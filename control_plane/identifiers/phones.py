"""Telephone numbers: E.164, as `+442079460018`.

Read by `phonenumbers` (Google's libphonenumber) after the text was looked at, for that library
takes what it can use out of any text, and calls `911` +1911. A national number is read in a
region that is given, never in one that is guessed. Numbers of a possible length that are in no
range of their plan are taken and noted: numbers for fiction are so, and plans grow. Extensions
and sub-addresses are refused: no code that is sent reaches them, so nobody could prove one.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from control_plane.identifiers.folding import ordinary_width
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

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

_MAX_READ = 64  # characters of a text that is looked at; E.164 has 15 digits at most
_E164 = re.compile(r"\+[1-9][0-9]{4,14}\Z")
_DASHES = "\u00ad\u2010-\u2015\u2212"
_SPACES = "\u00a0\u2000-\u200a\u202f\u3000"
_SEPARATORS = re.compile(rf"[ \t().\-/{_DASHES}{_SPACES}]+")
_REMAINS = re.compile(r"\+?[0-9]+\Z")
_EXTENSION = re.compile(r"[0-9][^0-9]*(?:ext|x|#|,|;)[^0-9]*[0-9]", re.I)
_REMEDY = "write + and the country code, such as +442079460018"
_NO_COUNTRY = "001"  # libphonenumber's region of numbers that are no country's
_SHORTEST_SUBSCRIBER = 7  # digits, below which a national number may be one of a service


def read_phone(text: str, region: str | None = None) -> Identifier | Flaw:
    """The number that a text means. region: the ISO 3166 code of the country that a number
    without '+' is read in, `GB`."""
    if len(text) > _MAX_READ:
        return _flaw(FlawReason.TOO_LONG, f"it has {len(text):,} characters", _REMEDY)
    bare = text.strip()
    changes = [FormChange.SPACE] if bare != text else []
    if not bare:
        return _flaw(FlawReason.EMPTY, "the number is empty", _REMEDY)
    if not _E164.match(bare):
        dialled = _dialled(bare, changes)
        if isinstance(dialled, Flaw):
            return dialled
        bare = dialled
    if region is not None and (flaw := region_flaw(region)):
        return flaw
    return _by_plan(bare, region.upper() if region else None, changes)


def _dialled(text: str, changes: list[FormChange]) -> str | Flaw:
    """Its digits and the plus before them; nothing else may be in it."""
    ascii_digits = _ascii_digits(text)
    if ascii_digits != text:
        changes.append(FormChange.DIGITS)
    if _EXTENSION.search(ascii_digits):
        return _flaw(
            FlawReason.EXTENSION,
            f"{quoted(text)} has an extension, or digits to be dialled afterwards",
            "write the number without it",
        )
    # The 0 of +44 (0)20 is dialled within the country alone, that of +39 (0)6 always: each plan
    # says so to the library.
    plain = _SEPARATORS.sub("", ascii_digits)
    if plain != ascii_digits:
        changes.append(FormChange.SEPARATORS)
    if _REMAINS.match(plain):
        return plain
    if any(one.isalpha() for one in plain):
        return _flaw(
            FlawReason.LETTERS,
            f"{quoted(text)} has letters in it",
            "write the digits that the letters stand for",
        )
    for place, one in enumerate(plain):
        if one not in "0123456789" and not (one == "+" and not place):
            return _flaw(FlawReason.CHARACTER, f"{character_name(one)} is in no number", _REMEDY)
    return _flaw(FlawReason.SYNTAX, f"{quoted(text)} has no digits", _REMEDY)


def _ascii_digits(text: str) -> str:
    if text.isascii():
        return text
    text = ordinary_width(text)
    return "".join(
        [one if (value := unicodedata.decimal(one, None)) is None else str(value) for one in text]
    )


def region_flaw(region: str) -> Flaw | None:
    """Why numbers cannot be read in a region; None: they can."""
    from phonenumbers import SUPPORTED_REGIONS

    if region.isascii() and region.upper() in SUPPORTED_REGIONS:
        return None
    return _flaw(
        FlawReason.UNKNOWN_REGION,
        f"{quoted(region)} is no region with a numbering plan",
        "give the two letters of ISO 3166, such as GB",
    )


def country_of(e164: str) -> str | None:
    """ISO 3166, of the country in whose plan a number is, in E.164; None: it is no country's."""
    import phonenumbers

    region = phonenumbers.region_code_for_number(phonenumbers.parse(e164, None))
    return None if region in (None, _NO_COUNTRY) else region


def _by_plan(dialled: str, region: str | None, changes: list[FormChange]) -> Identifier | Flaw:
    import phonenumbers

    if not dialled.startswith("+"):
        if region is None:
            return _flaw(
                FlawReason.NEEDS_REGION,
                f"{quoted(dialled)} is a national number, and means another one in each country",
                f"{_REMEDY}, or give the region it is dialled in",
            )
        if flaw := _service_flaw(dialled, region):
            return flaw
    try:
        number = phonenumbers.parse(dialled, region)
    except phonenumbers.NumberParseException as error:
        return _unreadable(dialled, error)
    if flaw := _length_flaw(dialled, number):
        return flaw
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if not _E164.match(e164) or (e164 != dialled and not _is_fixed(e164)):
        return _flaw(
            FlawReason.AMBIGUOUS, f"{quoted(dialled)} can be read as several numbers", _REMEDY
        )
    if not dialled.startswith("+"):
        changes.append(FormChange.NATIONAL)
    elif e164 != dialled:
        changes.append(FormChange.INTERNATIONAL)
    valid = phonenumbers.is_valid_number(number)
    international = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    return Identifier(
        kind=IdentifierKind.PHONE,
        normal=e164,
        shown=international,
        uri=f"tel:{e164}",
        changes=tuple(changes),
        notes=() if valid else (IdentifierNote.NOT_ASSIGNED,),
    )


def _is_fixed(e164: str) -> bool:
    """Whether the library reads it as the number that it wrote it for: it may take another zero
    off each time."""
    import phonenumbers

    try:
        again = phonenumbers.parse(e164, None)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.format_number(again, phonenumbers.PhoneNumberFormat.E164) == e164


def _service_flaw(dialled: str, region: str) -> Flaw | None:
    """Judged as dialled: made international, 911 would be +1911 and no emergency number."""
    from phonenumbers import shortnumberinfo

    if (
        shortnumberinfo.connects_to_emergency_number(dialled, region)
        and len(dialled) < _SHORTEST_SUBSCRIBER
    ):
        return _flaw(
            FlawReason.EMERGENCY,
            f"{quoted(dialled)} is an emergency number in {region}",
            "dial it; nobody has it",
        )
    if len(dialled) < _SHORTEST_SUBSCRIBER:
        import phonenumbers

        number = phonenumbers.PhoneNumber(
            country_code=phonenumbers.country_code_for_region(region), national_number=int(dialled)
        )
        if shortnumberinfo.is_valid_short_number_for_region(number, region):
            return _flaw(
                FlawReason.SHORT_NUMBER,
                f"{quoted(dialled)} is a short number of a service in {region}",
                _REMEDY,
            )
    return None


def _length_flaw(dialled: str, number: PhoneNumber) -> Flaw | None:
    import phonenumbers

    possible = phonenumbers.is_possible_number_with_reason(number)
    result = phonenumbers.ValidationResult
    if possible == result.IS_POSSIBLE:
        return None
    if possible == result.IS_POSSIBLE_LOCAL_ONLY:
        return _flaw(FlawReason.LOCAL_NUMBER, f"{quoted(dialled)} lacks its area code", _REMEDY)
    if possible == result.TOO_SHORT:
        return _flaw(
            FlawReason.TOO_SHORT,
            f"{quoted(dialled)} is too short for a number of its plan",
            _REMEDY,
        )
    if possible == result.INVALID_COUNTRY_CODE:
        return _no_country(dialled)
    return _flaw(
        FlawReason.TOO_LONG,
        f"{quoted(dialled)} has a length that no number of its plan has",
        _REMEDY,
    )


def _unreadable(dialled: str, error: Exception) -> Flaw:
    import phonenumbers

    kind = getattr(error, "error_type", None)
    exception = phonenumbers.NumberParseException
    if kind == exception.INVALID_COUNTRY_CODE:
        return _no_country(dialled)
    if kind in (exception.TOO_SHORT_NSN, exception.TOO_SHORT_AFTER_IDD):
        return _flaw(FlawReason.TOO_SHORT, f"{quoted(dialled)} is too short for a number", _REMEDY)
    if kind == exception.TOO_LONG:
        return _flaw(FlawReason.TOO_LONG, f"{quoted(dialled)} is too long for a number", _REMEDY)
    return _flaw(FlawReason.SYNTAX, f"{quoted(dialled)} is no telephone number", _REMEDY)


def _no_country(dialled: str) -> Flaw:
    return _flaw(
        FlawReason.COUNTRY_CODE, f"{quoted(dialled)} begins with no country code in use", _REMEDY
    )


def _flaw(reason: FlawReason, message: str, remedy: str) -> Flaw:
    return Flaw(kind=IdentifierKind.PHONE, reason=reason, message=message, remedy=remedy)
