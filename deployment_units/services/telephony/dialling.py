"""What was dialled: an emergency number, an ordinary one, or none that calls go to. Pure.

Emergency is judged first, on the digits as they were dialled: made international, 911 would be
+1911 and no emergency number any more. It is judged widely, by `connects_to_emergency_number` for
the region of the trunk (1120 reaches 112 in Germany), and 112 is one everywhere: a call too many at
the emergency trunk is the smaller mistake.

What a number costs is judged by its type in libphonenumber. A call is made to an ordinary number of
a country that the tenant allows (`refusal_of`), and to no other: not to premium, shared-cost,
personal, satellite and other numbers of no country, nor to what is in no known range.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Set
from dataclasses import dataclass
from enum import StrEnum

from control_plane.identifiers.folding import ordinary_width
from control_plane.identifiers.identifier import Flaw, FlawReason
from control_plane.identifiers.phones import country_of, read_phone
from deployment_units.services.telephony.port import MOST_DIALLED, Refused, RefusedCause

_BETWEEN = re.compile(r"[\s().\-/\u2010-\u2015]+")  # what people write between digits
_SOS = re.compile(r"urn:service:sos(\.[a-z0-9.-]*)?\Z", re.I)  # RFC 5031
_EVERYWHERE = "112"
_NO_COUNTRY = "001"  # libphonenumber's region of numbers that are no country's
_SHORT = frozenset({FlawReason.SHORT_NUMBER, FlawReason.EMERGENCY, FlawReason.LOCAL_NUMBER})


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyDialled:
    """number: the digits to be dialled at the emergency trunk."""

    number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordinary:
    """A number of somebody's. e164: `+442079460018`."""

    e164: str


def classify(dialled: str, region: str) -> EmergencyDialled | Ordinary | Refused:
    """What a text is that was dialled, or the user part of a SIP or tel URI. region: ISO 3166, of
    the trunk; where it is unknown, only 112 is an emergency number, and national ones are none."""
    if len(dialled) > MOST_DIALLED:
        return Refused(cause=RefusedCause.NOT_A_NUMBER)
    emergency = _emergency(dialled, region)
    if emergency:
        return EmergencyDialled(number=emergency)
    read = read_phone(dialled, _known(region))
    if isinstance(read, Flaw):
        short = read.reason in _SHORT
        return Refused(cause=RefusedCause.NOT_ORDINARY if short else RefusedCause.NOT_A_NUMBER)
    if _worth(read.normal) is _Worth.COSTLY:
        return Refused(cause=RefusedCause.NOT_ORDINARY)
    return Ordinary(e164=read.normal)


def refusal_of(target: str, *, countries: Set[str], ours: Set[str]) -> RefusedCause | None:
    """Why no call may be made to a number, in E.164; None: it may. countries: ISO 3166, that the
    tenant calls; ours: V and T, to which a call would come back."""
    if target in ours:
        return RefusedCause.LOOP
    if _worth(target) is not _Worth.ORDINARY:
        return RefusedCause.NOT_ORDINARY
    return None if country_of(target) in countries else RefusedCause.COUNTRY


class _Worth(StrEnum):
    """What is known of a number's plan."""

    ORDINARY = "ordinary"
    UNKNOWN = "unknown"
    COSTLY = "costly"


def _worth(e164: str) -> _Worth:
    import phonenumbers

    number = phonenumbers.parse(e164, None)
    if phonenumbers.region_code_for_country_code(number.country_code or 0) == _NO_COUNTRY:
        return _Worth.COSTLY  # satellite, international premium, and such
    of = phonenumbers.PhoneNumberType
    kind = phonenumbers.number_type(number)
    if kind in (of.FIXED_LINE, of.MOBILE, of.FIXED_LINE_OR_MOBILE, of.VOIP):
        return _Worth.ORDINARY
    return _Worth.UNKNOWN if kind == of.UNKNOWN else _Worth.COSTLY


def _emergency(dialled: str, region: str) -> str | None:
    """The digits to be dialled; None: it is no emergency number."""
    if _SOS.match(dialled.strip()):
        return _EVERYWHERE
    # Parameters of a tel URI say where a number is dialled, not which.
    plain = _BETWEEN.sub("", ordinary_width(dialled.partition(";")[0]))
    if plain.removeprefix("+") == _EVERYWHERE:  # +1 12 would be nobody's
        return _EVERYWHERE
    if not plain.isdecimal():
        return None
    from phonenumbers import shortnumberinfo

    digits, known = str.translate(plain, _digits_of(plain)), _known(region)
    if digits == _EVERYWHERE:
        return digits
    if known and shortnumberinfo.connects_to_emergency_number(digits, known):
        return digits
    return None


def _digits_of(text: str) -> dict[int, str]:
    return {ord(one): str(unicodedata.decimal(one)) for one in text}


def _known(region: str) -> str | None:
    from phonenumbers import SUPPORTED_REGIONS

    upper = region.upper() if region.isascii() else ""
    return upper if upper in SUPPORTED_REGIONS else None
