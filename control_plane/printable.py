"""What text from outside looks like where a person reads it: on a terminal, in a message. Pure.

Control characters move a terminal's cursor, colour what follows, rename its window or make it
type (ECMA-48); bidirectional ones show a text in another order than it has (Unicode TR 36).
Each becomes one character that can be seen, so that nothing is lost in silence and widths stay.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping

MAX_SHOWN = 70  # characters of a value that a message repeats
# C0, DEL and C1; bidirectional marks, embeddings and isolates; line separators; lone surrogates,
# which no terminal can be sent at all.
_UNSAFE = (
    "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff"
)
_ANY = re.compile(f"[{_UNSAFE}]")
_ANY_BUT_LINES = re.compile(f"(?![\n\t])[{_UNSAFE}]")
_ABOVE_C0 = re.compile(f"(?![\x00-\x1f])[{_UNSAFE}]")
_PICTURES = 0x2400  # Unicode's control pictures: ␀ to ␟
_DEL, _DEL_PICTURE = 0x7F, "\u2421"
_REPLACEMENT = "\ufffd"


def printable(text: str) -> str:
    """The text in one line, without any control character.

    >>> printable("a\\x1b[31mb\\n")
    'a␛[31mb␊'
    """
    return _ANY.sub(_picture, text)


def printable_lines(text: str) -> str:
    """The same; line feeds and tabs stay."""
    return _ANY_BUT_LINES.sub(_picture, text)


def printable_json(text: str) -> str:
    r"""A JSON text with the control characters escaped that JSON lets stand. Its value is the
    same.

    >>> printable_json('"\x9b"')
    '"\\u009b"'
    """
    return _ABOVE_C0.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def quoted(value: object, most: int = MAX_SHOWN) -> str:
    """A value as a message repeats it: as JSON writes it, cut where it is long.

    >>> quoted("x"), quoted(None), quoted({"a": True})
    ('"x"', 'null', '{"a": true}')
    """
    try:
        text = json.dumps(_plain(value, depth=4), ensure_ascii=False)
    except ValueError:  # a number of more than 4,300 digits
        return "a very long number"
    text = printable_json(text)
    return text if len(text) <= most else text[:most] + "…"


def number_of(count: int, one: str, many: str = "") -> str:
    """So many things, in words that agree with their number. many: where it is not `one` and s.

    >>> number_of(1, "client"), number_of(12_000, "client"), number_of(0, "entry", "entries")
    ('1 client', '12,000 clients', '0 entries')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _plain(value: object, depth: int) -> object:
    """What JSON can write of it; others, such as dates, as their text."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if depth and isinstance(value, Mapping):
        some = list(value.items())[:MAX_SHOWN]
        return {_name(key): _plain(one, depth - 1) for key, one in some}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_plain(one, depth - 1) for one in list(value)[:MAX_SHOWN]]
    if isinstance(value, bytes):
        return value[:MAX_SHOWN].decode(errors="replace")
    return str(value) if not isinstance(value, Mapping | list | tuple | set | frozenset) else "…"


def _name(key: object) -> str:
    return key if isinstance(key, str) else json.dumps(_plain(key, 1), ensure_ascii=False)


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(_PICTURES + code)
    return _DEL_PICTURE if code == _DEL else _REPLACEMENT


def why_unreadable(error: Exception) -> str:
    """Why a file could not be read or written, in one line and not as Python shows an error."""
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 (byte {error.start + 1:,})"
    if isinstance(error, UnicodeError):
        return "it is not UTF-8"
    if isinstance(error, OSError):
        return error.strerror or "the system does not say why"
    if isinstance(error, RecursionError):
        return "brackets are nested too deep"
    if str(error).startswith("Exceeds the limit"):  # int's ValueError, of Python's own setting
        return "a number has too many digits"
    return " ".join(printable_lines(str(error)).split())


def why_failed(error: Exception) -> str:
    """Why a socket, a port or a connection could not be had, in the system's words alone: of an
    OSError without Python's `[Errno 98]`, and without what asyncio writes around them.

    >>> why_failed(OSError(111, "Connection refused")), why_failed(TimeoutError("timed out"))
    ('Connection refused', 'timed out')
    """
    if isinstance(error, OSError) and error.errno is not None:
        if error.errno > 0:
            return os.strerror(error.errno)
        return error.strerror or str(error)  # a name that was not found: the resolver's words
    return str(error)
