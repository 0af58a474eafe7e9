"""A text as text messages: encoding, segments, and the beginning with a link where it is too long.
Pure.

3GPP TS 23.040: a message has 140 octets. That are 160 septets of the GSM alphabet or 70 units of
UCS-2; in a message of several, a header of 6 octets (9.2.3.24.1, a reference of 8 bits) leaves
153 or 67 in each. A pair of surrogates and an escape with what it escapes are never parted; nor
is a letter from its marks, nor an emoji from what joins it, where there is room.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from control_plane.printable import number_of
from deployment_units.services.gateway.convert.gsm_alphabet import PLAIN, SEPTETS

MOST_CHARACTERS = 64 * 1024  # of a text that is looked at
MOST_SEGMENTS = 255  # 23.040, 9.2.3.24.1: their number has an octet
_ALONE = {"gsm7": 160, "ucs2": 70}
_OF_SEVERAL = {"gsm7": 153, "ucs2": 67}
_LONGEST_CLUSTER = 12  # characters that are kept together


class NeedsLink(ValueError):
    """A text takes too many messages, and there is no link to the rest of it."""


class TextEncoding(StrEnum):
    GSM7 = "gsm7"
    UCS2 = "ucs2"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSegment:
    """One text message. units: septets, or 16-bit units of UCS-2, without the header."""

    text: str
    units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TextMessages:
    """A text as messages. lost: "typography" where quotes, dashes and the like became plain ones,
    "length" where a link stands for the rest."""

    encoding: TextEncoding
    segments: tuple[TextSegment, ...]
    lost: tuple[str, ...] = ()


def segmented(text: str) -> TextMessages:
    """As few messages as can be, with nothing left out; typography is made plain where that
    alone keeps the text out of the GSM alphabet. Raises ValueError beyond 64 Ki characters or
    255 messages."""
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"the text has {len(text):,} characters; at most {MOST_CHARACTERS:,}")
    text, lost = _read(text)
    encoding = _encoding_of(text)
    pieces = _clusters(text) if encoding is TextEncoding.UCS2 else list(text)
    units = [_units(piece, encoding) for piece in pieces]
    if sum(units) <= _ALONE[encoding]:
        segments = [TextSegment(text=text, units=sum(units))]
    else:
        segments = _parted(pieces, units, _OF_SEVERAL[encoding])
    if len(segments) > MOST_SEGMENTS:
        raise ValueError(f"the text takes {len(segments):,} messages; at most {MOST_SEGMENTS}")
    return TextMessages(encoding=encoding, segments=tuple(segments), lost=lost)


def shortened(text: str, link: str, *, most_segments: int = 1) -> TextMessages:
    """The text, or as much of its beginning as fits into so many messages with a link behind it.
    Raises NeedsLink where it does not fit and there is none, ValueError where the link alone does
    not fit."""
    head = text[: most_segments * _ALONE[TextEncoding.GSM7] + 1]
    if len(head) == len(text):
        whole = segmented(text)
        if len(whole.segments) <= most_segments:
            return whole
    if not link:
        raise NeedsLink(
            f"the text does not fit into {number_of(most_segments, 'text message')} without one"
        )
    low, high, best = 0, len(head), None
    while low <= high:  # the longest beginning that fits: more characters never take less room
        middle = (low + high) // 2
        tried = _with_link(head[:middle], link)
        if len(tried.segments) <= most_segments:
            best, low = middle, middle + 1
        else:
            high = middle - 1
    if best is None:
        raise ValueError(f"the link does not fit into {number_of(most_segments, 'text message')}")
    while 0 < best < len(text) and _belongs(text[best - 1], text[best]):
        best -= 1
    found = _with_link(_at_a_word(head[:best]), link)
    return TextMessages(
        encoding=found.encoding,
        segments=found.segments,
        lost=tuple(sorted({*found.lost, "length"})),
    )


def _with_link(beginning: str, link: str) -> TextMessages:
    beginning = beginning.rstrip()
    return segmented(f"{beginning}... {link}" if beginning else link)


def _at_a_word(text: str) -> str:
    """Cut at the last space, where that takes away no more than a long word."""
    cut = max(text.rfind(" "), text.rfind("\n"))
    return text[:cut] if cut > 0 and len(text) - cut <= 24 else text


def _read(text: str) -> tuple[str, tuple[str, ...]]:
    """With line feeds alone, composed, and plain where that is enough for the GSM alphabet."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if not all(map(SEPTETS.__contains__, text)):
        plain = text.translate(PLAIN)
        if all(map(SEPTETS.__contains__, plain)):
            return plain, ("typography",)
    return text, ()


def _encoding_of(text: str) -> TextEncoding:
    in_alphabet = all(map(SEPTETS.__contains__, text))
    return TextEncoding.GSM7 if in_alphabet else TextEncoding.UCS2


def _units(piece: str, encoding: TextEncoding) -> int:
    if encoding is TextEncoding.GSM7:
        return sum(len(SEPTETS[one]) for one in piece)
    return len(piece.encode("utf-16-le")) // 2


def _parted(pieces: list[str], units: list[int], room: int) -> list[TextSegment]:
    segments: list[TextSegment] = []
    held: list[str] = []
    used = 0
    for piece, size in zip(pieces, units, strict=True):
        if used + size > room:
            segments.append(TextSegment(text="".join(held), units=used))
            held, used = [], 0
        held.append(piece)
        used += size
    segments.append(TextSegment(text="".join(held), units=used))
    return segments


def _clusters(text: str) -> list[str]:
    """Characters with what belongs to them: marks, joiners and what they join, the second of two
    regional indicators (a plain form of UAX #29, 3), up to a length that fits anywhere."""
    clusters: list[str] = []
    for one in text:
        if clusters and len(clusters[-1]) < _LONGEST_CLUSTER and _belongs(clusters[-1], one):
            clusters[-1] += one
        else:
            clusters.append(one)
    return clusters


def _belongs(cluster: str, one: str) -> bool:
    if one in "\u200d\ufe0f" or "\U0001f3fb" <= one <= "\U0001f3ff" or unicodedata.combining(one):
        return True
    if unicodedata.category(one) in ("Mn", "Me", "Mc"):
        return True
    if cluster[-1] == "\u200d":
        return True
    indicators = "\U0001f1e6" <= one <= "\U0001f1ff" and len(cluster) == 1
    return indicators and "\U0001f1e6" <= cluster <= "\U0001f1ff"
