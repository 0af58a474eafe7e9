"""Bounds of a mail: each holds at its edge, and what is counted is what the parser makes."""

from __future__ import annotations

from email import policy
from email.message import Message
from email.parser import BytesParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from deployment_units.services.mail_in.mime_bounds import (
    MOST_BYTES,
    MOST_FIELD_BYTES,
    MOST_HEADER_BYTES,
    MOST_LEVELS,
    MOST_LINES,
    MOST_PARTS,
    MOST_REPORT_BYTES,
    check_bounds,
    with_line_feeds,
)


def check(raw: bytes) -> None:
    check_bounds(with_line_feeds(raw))


def nested(levels: int) -> bytes:
    opened = [
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (one, one)
        for one in range(levels)
    ]
    return b"".join(opened) + b"\nx\n"


def beside(parts: int, end: bytes = b"\n") -> bytes:
    """The whole is a part as well."""
    return b"Content-Type: multipart/mixed; boundary=b\n\n" + (b"--b" + end + b"\nx\n") * (
        parts - 1
    )


def report(size: int) -> bytes:
    return b"Content-Type: message/delivery-status\n\n" + b"x" * (size - 1)


def header(size: int) -> bytes:
    return b"A: " + b"x" * (size - 4) + b"\n\nbody\n"


def content_field(size: int) -> bytes:
    return b'Content-Type: text/plain; name="' + b"x" * (size - 34) + b'"\n\nx\n'


EDGES = [
    pytest.param(nested(MOST_LEVELS), nested(MOST_LEVELS + 1), "deeper than 20", id="levels"),
    pytest.param(
        b"Content-Type: message/rfc822\n\n" * MOST_LEVELS,
        b"Content-Type: message/rfc822\n\n" * (MOST_LEVELS + 1),
        "deeper than 20",
        id="mails in mails",
    ),
    pytest.param(beside(MOST_PARTS), beside(MOST_PARTS + 1), "more than 100 parts", id="parts"),
    pytest.param(
        beside(MOST_PARTS, b" \t\n"), beside(MOST_PARTS + 1, b" \t\n"), "more than 100 parts",
        id="parts behind spaces",
    ),
    pytest.param(
        beside(MOST_PARTS, b"\r"), beside(MOST_PARTS + 1, b"\r"), "more than 100 parts",
        id="parts in lines that end in CR",
    ),
    pytest.param(
        header(MOST_HEADER_BYTES), header(MOST_HEADER_BYTES + 1), "a header of 65,537", id="header"
    ),
    pytest.param(
        content_field(MOST_FIELD_BYTES), content_field(MOST_FIELD_BYTES + 1), "a field of 2,049",
        id="field",
    ),
    pytest.param(
        report(MOST_REPORT_BYTES), report(MOST_REPORT_BYTES + 1), "a report of 262,145",
        id="report",
    ),
    pytest.param(
        b"A: b\n\n" + b"\n" * (MOST_LINES - 2), b"A: b\n\n" + b"\n" * (MOST_LINES - 1),
        "600,001 lines", id="lines",
    ),
    pytest.param(
        b"A: b\n\n" + b"x" * (MOST_BYTES - 6), b"A: b\n\n" + b"x" * (MOST_BYTES - 5),
        "26,214,401 bytes", id="bytes",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("taken", "refused", "said"), EDGES)
def test_a_bound_holds_at_its_edge(taken: bytes, refused: bytes, said: str) -> None:
    check(taken)
    with pytest.raises(InvalidInput) as raised:
        check(refused)
    assert said in raised.value.message


@pytest.mark.parametrize(
    "hidden",
    [
        pytest.param(b"Content-Type: multipart/mixed; boundary=b\nno field\n", id="in the header"),
        pytest.param(
            b"Content-Type: multipart/mixed;\n boundary*0=a; boundary*1=b\n\n--ab\n\nx\n",
            id="a boundary in two pieces",
        ),
        pytest.param(b'Content-Type: multipart/mixed; boundary="b"\n\n', id="in quotes"),
        pytest.param(b"content-TYPE:multipart/x;BOUNDARY=b\n\n", id="in capitals"),
        pytest.param(b"From x\nContent-Type: multipart/mixed; boundary=b\n\n", id="behind From"),
    ],
)
def test_parts_are_counted_wherever_the_parser_finds_them(hidden: bytes) -> None:
    delimiter = b"--ab\n\nx\n" if b"boundary*0" in hidden else b"--b\n\nx\n"
    with pytest.raises(InvalidInput, match="100 parts"):
        check(hidden + delimiter * MOST_PARTS)


def parts_of(message: Message) -> tuple[int, int]:
    """(parts, levels) of what the parser made; of a report, none of what is in it."""
    payload = message.get_payload()
    if not isinstance(payload, list) or message.get_content_type() == "message/delivery-status":
        return 1, 0
    inner = [parts_of(one) for one in payload if isinstance(one, Message)]
    return 1 + sum(one[0] for one in inner), 1 + max((one[1] for one in inner), default=0)


LINES = st.lists(
    st.sampled_from(
        [b"Content-Type: multipart/mixed; boundary=a", b"Content-Type: multipart/digest;boundary=b",
         b"Content-Type: message/rfc822", b"Content-Type: text/plain", b"Content-Type: x",
         b"--a", b"--b", b"--a--", b"--b--", b"--a ", b"--ab", b"", b"", b"x", b" folded", b"-- ",
         b"X: y", b"From y"]
    ), max_size=40,
)  # fmt: skip


@given(LINES, st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_the_parser_makes_no_more_than_was_counted(lines: list[bytes], end: bytes) -> None:
    import deployment_units.services.mail_in.mime_bounds as bounds

    raw = with_line_feeds(end.join(lines))
    parts, levels = parts_of(BytesParser(policy=policy.compat32).parsebytes(raw))
    delimiters = sum(line.startswith(b"--") for line in raw.split(b"\n"))
    nested_mails = raw.count(b"message/rfc822")
    assert parts <= 1 + delimiters + nested_mails
    check_bounds(raw)  # forty lines are within every bound
    assert levels <= bounds.MOST_LEVELS
