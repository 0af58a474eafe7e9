"""What a mail may be made of, counted before it is parsed. Pure.

Goes over the bytes as Python's parser would (`email.feedparser`): the same lines end a header,
the same parameter is the boundary. So nothing is deeper or has more parts there than was counted
here. A mail within the bounds is not yet a good one.
"""

from __future__ import annotations

import re
from email.message import Message
from email.parser import BytesHeaderParser

from control_plane.errors import InvalidInput

MOST_BYTES = 25 << 20
MOST_LINES = 600_000  # 25 MiB in base64 are 350,000
MOST_HEADER_BYTES = 64 << 10  # of the mail, or of one part
MOST_FIELD_BYTES = 2 << 10  # of one that says what a part is: reading it is quadratic in its length
MOST_PARTS = 100
MOST_LEVELS = 20
MOST_REPORT_BYTES = 256 << 10  # of a report of a delivery, which is many small headers
_FIELDS = re.compile(rb"(?:(?:From |[!-9;-~]*:|[\t ])[^\n]*\n)*")
_CONTENT_FIELD = re.compile(rb"^content-[^\n:]*:[^\n]*\n(?:[\t ][^\n]*\n)*", re.I | re.M)
_HEADERS = BytesHeaderParser()
_EMPTY_LINE = re.compile(rb"\r?\n\r?\n")
_RETURN_ALONE = re.compile(rb"\r(?!\n)")


def check_header_lines(raw: bytes) -> None:
    """Raises InvalidInput for a header with carriage returns that end no line (RFC 5322, 2.2
    allows none): some programs see lines there and others do not, so what one has checked, a
    signature or a relay's own fields, another would not find where it reads."""
    end = _EMPTY_LINE.search(raw)
    if _RETURN_ALONE.search(raw, 0, len(raw) if end is None else end.end()):
        raise _refused(
            "has a carriage return within a line of its header", "end lines with CR and LF"
        )


def with_line_feeds(raw: bytes) -> bytes:
    """The mail with one kind of line ends, so that everybody sees the same lines. Raises
    InvalidInput where it is too large."""
    if len(raw) > MOST_BYTES:
        raise _refused(f"has {len(raw):,} bytes", f"at most {MOST_BYTES:,} are taken")
    lines = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    count = lines.count(b"\n")
    if count > MOST_LINES:
        raise _refused(f"has {count:,} lines", f"at most {MOST_LINES:,} are taken")
    return lines if lines.endswith(b"\n") else lines + b"\n"


def check_bounds(lines: bytes) -> None:
    """lines: as `with_line_feeds` gives them. Raises InvalidInput."""
    levels: list[bytes | None] = []  # boundaries, outermost first; None: a mail within a mail
    at = _entered(lines, 0, levels)
    parts = 1
    while (delimiter := _delimiter(levels)) is not None:
        found = delimiter.search(lines, at)
        if found is None:
            return
        at = found.end() + 1
        level = levels.index(found[1])
        if found[2]:
            del levels[level:]
            continue
        del levels[level + 1 :]
        parts += 1
        if parts > MOST_PARTS:
            raise _refused(f"has more than {MOST_PARTS} parts", "send fewer at a time")
        at = _entered(lines, at, levels)


def _entered(lines: bytes, at: int, levels: list[bytes | None]) -> int:
    """Where the body begins of the part whose header is here; what it holds becomes a level."""
    while True:
        if len(levels) > MOST_LEVELS:
            raise _refused(f"is nested deeper than {MOST_LEVELS} levels", "send it flatter")
        header, body = _header(lines, at)
        if header.get_content_maintype() == "multipart":
            boundary = header.get_boundary()
            if boundary is not None:
                levels.append(boundary.encode("ascii", "surrogateescape"))
            return body
        if header.get_content_maintype() != "message":
            return body
        if header.get_content_type() == "message/delivery-status":
            _check_report(lines, body, levels)
            return body
        levels.append(None)
        at = body


def _header(lines: bytes, at: int) -> tuple[Message, int]:
    found = _FIELDS.match(lines, at)
    end = found.end() if found else at
    if end - at > MOST_HEADER_BYTES:
        raise _refused(
            f"has a header of {end - at:,} bytes", f"at most {MOST_HEADER_BYTES:,} are taken"
        )
    block = lines[at:end]
    for field in _CONTENT_FIELD.finditer(block):
        if len(field[0]) > MOST_FIELD_BYTES:
            raise _refused(
                f"has a field of {len(field[0]):,} bytes that says what a part is",
                f"at most {MOST_FIELD_BYTES:,} are taken",
            )
    return _HEADERS.parsebytes(block), end + (lines[end : end + 1] == b"\n")


def _check_report(lines: bytes, at: int, levels: list[bytes | None]) -> None:
    delimiter = _delimiter(levels)
    found = delimiter.search(lines, at) if delimiter is not None else None
    size = (found.start() if found is not None else len(lines)) - at
    if size > MOST_REPORT_BYTES:
        raise _refused(
            f"has a report of {size:,} bytes", f"at most {MOST_REPORT_BYTES:,} are taken"
        )


def _delimiter(levels: list[bytes | None]) -> re.Pattern[bytes] | None:
    """A line that ends a part of any level; None where there is no level to end."""
    boundaries = [re.escape(one) for one in levels if one is not None]
    if not boundaries:
        return None
    return re.compile(rb"^--(" + b"|".join(boundaries) + rb")(--)?[ \t]*$", re.M)


def _refused(what: str, remedy: str) -> InvalidInput:
    return InvalidInput("mail", f"the mail {what}; {remedy}")
