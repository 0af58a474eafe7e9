"""The values of this package: an identifier in normal form, and why a text is none.

A text that is refused is a normal answer and no exception: a `Flaw` says which rule spoke and
what would do. Two identifiers are equal when kind and normal form are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from control_plane.printable import quoted

MAX_TEXT = 2048  # characters of any text that is read here at all; parts have bounds of their own


class IdentifierKind(StrEnum):
    """What an identifier is. The value is the scheme of its URI, where it has one; it is part of
    what is digested, so values never change."""

    HANDLE = "handle"
    ACCT = "acct"
    EMAIL = "mailto"
    PHONE = "tel"
    SIP = "sip"
    SIPS = "sips"
    XMPP = "xmpp"
    DOMAIN = "domain"


class FormChange(StrEnum):
    """What was done to a text on the way to its normal form."""

    SPACE = "spaces around it removed"
    WIDTH = "wide or narrow characters made ordinary"
    CASE = "capitals made small"
    COMPOSITION = "letters and their marks composed (NFC)"
    A_LABEL = "labels outside ASCII made A-labels (xn--)"
    MAPPED = "characters mapped as UTS 46 says"
    TRAILING_DOT = "the dot of the root removed"
    QUOTES = "needless quotes and backslashes removed"
    SEPARATORS = "visual separators removed"
    DIGITS = "digits of other scripts made ASCII"
    INTERNATIONAL = "written as +, country code and number"
    NATIONAL = "a national number, read in its region"
    PERCENT = "percent-encoding made canonical"
    SCHEME = "the scheme of its URI taken off"
    PARAMETERS = "parameters and headers left out"
    RESOURCE = "the resource left out"
    OWN_HOST = "an account at one of our own hosts: its handle"


class FlawReason(StrEnum):
    """Why a text is no identifier. UPPER_SNAKE, for programs; values never change."""

    EMPTY = "EMPTY"
    TOO_SHORT = "TOO_SHORT"
    TOO_LONG = "TOO_LONG"
    CHARACTER = "CHARACTER"
    SYNTAX = "SYNTAX"
    NORMALISATION = "NORMALISATION"
    DIRECTION = "DIRECTION"
    MIXED_SCRIPTS = "MIXED_SCRIPTS"
    MIXED_DIGITS = "MIXED_DIGITS"
    MARKS = "MARKS"
    SEPARATORS = "SEPARATORS"
    NO_LETTER = "NO_LETTER"
    LIKE_ADDRESS = "LIKE_ADDRESS"
    LIKE_DOMAIN = "LIKE_DOMAIN"
    RESERVED = "RESERVED"
    LABEL = "LABEL"
    NOT_QUALIFIED = "NOT_QUALIFIED"
    IP_ADDRESS = "IP_ADDRESS"
    DISPLAY_NAME = "DISPLAY_NAME"
    COMMENT = "COMMENT"
    SEVERAL = "SEVERAL"
    LETTERS = "LETTERS"
    EXTENSION = "EXTENSION"
    EMERGENCY = "EMERGENCY"
    SHORT_NUMBER = "SHORT_NUMBER"
    LOCAL_NUMBER = "LOCAL_NUMBER"
    NEEDS_REGION = "NEEDS_REGION"
    UNKNOWN_REGION = "UNKNOWN_REGION"
    COUNTRY_CODE = "COUNTRY_CODE"
    AMBIGUOUS = "AMBIGUOUS"
    SCHEME = "SCHEME"
    PARAMETER = "PARAMETER"
    SECRET = "SECRET"
    NO_USER = "NO_USER"
    PERCENT = "PERCENT"


class IdentifierNote(StrEnum):
    """What else is known of an identifier that is accepted."""

    NOT_ASSIGNED = "of a possible length, and in no range of its plan that is in use"
    NEEDS_SMTPUTF8 = "reached by servers with SMTPUTF8 alone (RFC 6531)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifier:
    """One name in normal form."""

    kind: IdentifierKind
    normal: str  # compared, digested; what `uri` is made of
    # For people: the local part as written, the domain in Unicode. An address for mail is made
    # of the part before the last '@' of this one and the domain of `normal`.
    shown: str = field(compare=False)
    uri: str = field(compare=False)  # reading it again gives this identifier
    changes: tuple[FormChange, ...] = field(default=(), compare=False)
    notes: tuple[IdentifierNote, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """Why a text is no identifier of its kind, and what would do."""

    reason: FlawReason
    message: str  # one sentence for people
    remedy: str  # another: what to write instead
    kind: IdentifierKind | None = None  # as what it was read, where that is known

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}"


def character_name(character: str) -> str:
    """A character for a message: shown and by its code point.

    >>> character_name("а")
    '"а" (U+0430)'
    """
    return f"{quoted(character)} (U+{ord(character):04X})"
