"""What somebody wrote anew in a mail, without what it quotes. Pure.

Quoted lines go wherever they stand, with the line that introduces them; answers between them stay.
Where a program quotes without marks (a block of header fields, "Original Message", or an
introduction with nothing marked behind it), all that follows goes. So do signatures and what
telephones and mailing lists put below. A mail that was passed on, and not answered, stays whole:
there the quoted part is what it is about.

Texts tell no more than they show, so this can be wrong either way; the mail is kept, and whoever
reads the text can ask for all of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from deployment_units.services.gateway.convert.html_text import html_to_text
from deployment_units.services.mail_in.mail import ReceivedMail
from deployment_units.services.mail_in.quote_phrases import (
    ADDRESS,
    BEGINS,
    FIELDS,
    FIRST_WORD,
    FORWARDED,
    FORWARDED_SUBJECT,
    INSTANT,
    ORIGINAL,
    SENT_FROM,
    WROTE,
    is_footer,
)

MOST_CHARACTERS = 256 << 10  # of a text that is looked at
MOST_LINES = 10_000
MOST_LINE = 600  # characters of a line that patterns look at
_INTRODUCTION_LINES = 4
_FIELD_LINES = 12  # in which a block of header fields has its fields
_SIGNATURE_LINES = 15  # below "--" without its space
_QUOTED = re.compile(r"^\s{0,3}>")
_RULE = re.compile(r"^\s*[_\-=*]{5,}\s*$")
_LONG_RULE = re.compile(r"^[_\-=]{20,}$")
_NAME = re.compile(r"^[-–—]{1,2}[^\W\d_][\w.'’]*(?: [^\W\d_][\w.'’]*){0,3}$")
_DECORATION = re.compile(r"^[\s*_|]+|[*_]+(?=[::])")


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibleReply:
    """text: what was written anew; empty where nothing was. quoted: whether something was left
    out as quoted. forwarded: it was passed on, and nothing was left out."""

    text: str
    quoted: bool
    forwarded: bool


def visible_reply(mail: ReceivedMail) -> VisibleReply:
    """Of its plain text, or of its HTML where it has no other."""
    text = mail.text
    if not text.strip() and mail.html.strip():
        text = html_to_text(mail.html).text
    answers = bool(mail.fields("In-Reply-To"))
    passed_on = bool(FORWARDED_SUBJECT.match(mail.words("Subject"))) and not answers
    return reply_in(text, passed_on=passed_on)


def reply_in(text: str, *, passed_on: bool = False) -> VisibleReply:
    """The same of a text alone. passed_on: something else says that it was."""
    lines = _lines(text[:MOST_CHARACTERS])
    if passed_on or any(_is_forwarded(line) for line in lines):
        whole = "\n".join(lines).strip("\n")
        return VisibleReply(text=whole, quoted=False, forwarded=True)
    end = _unmarked_quote(lines)
    quoted = end < len(lines)
    lines = lines[:end]
    marks = _marked(lines)
    quoted = quoted or any(marks)
    runs = [_without_end(run) for run in _runs(lines, marks)]
    visible = "\n\n".join(run for run in ("\n".join(run).strip("\n") for run in runs) if run)
    return VisibleReply(text=visible.rstrip(), quoted=quoted, forwarded=False)


def _lines(text: str) -> list[str]:
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    lines = text.split("\n")[:MOST_LINES]
    return [line.rstrip() if line != "-- " else line for line in lines]


def _is_forwarded(line: str) -> bool:
    return not _QUOTED.match(line) and bool(line) and bool(FORWARDED.match(line[:MOST_LINE]))


def _unmarked_quote(lines: list[str]) -> int:
    """Where what is quoted without marks begins; the number of lines where nothing is."""
    for at, line in enumerate(lines):
        if not line or _QUOTED.match(line):
            continue
        if _is_original(line[:MOST_LINE]) or _is_field_block(lines, at):
            return _above_rule(lines, at)
    marked = [at for at, line in enumerate(lines) if _QUOTED.match(line)]
    for at in range(marked[-1] + 1 if marked else 0, len(lines)):
        if WROTE.search(lines[at][-MOST_LINE:]):
            begins = _strong_introduction(lines, at)
            if begins is not None:
                return begins
    return len(lines)


def _is_original(line: str) -> bool:
    """ORIGINAL, which ends with a rule: few lines do."""
    last = line[-1]
    return (last in "-_=*" or last.isspace()) and bool(ORIGINAL.match(line))


def _is_field_block(lines: list[str], at: int) -> bool:
    """Whether From and two of Sent, To and Subject stand together from here on."""
    if ":" not in lines[at] and "\uff1a" not in lines[at]:
        return False
    if not FIELDS["from"].match(_plain(lines[at])):
        return False
    found: set[str] = set()
    for line in lines[at + 1 : at + _FIELD_LINES]:
        plain = _plain(line)
        named = next((name for name, one in FIELDS.items() if one.match(plain)), None)
        if named is not None:
            found.add(named)
        elif not plain and found:
            break
    return len(found & {"sent", "to", "subject"}) >= 2


def _plain(line: str) -> str:
    return _DECORATION.sub("", line[:MOST_LINE])


def _above_rule(lines: list[str], at: int) -> int:
    """Past blank lines, to a rule that belongs to what follows it."""
    above = at
    while above > 0 and not lines[above - 1]:
        above -= 1
    return above - 1 if above > 0 and _RULE.match(lines[above - 1]) else at


def _strong_introduction(lines: list[str], at: int) -> int | None:
    """Where an introduction begins that ends here and says when it was; None: it says not."""
    found = None
    for begins in _beginnings(lines, at):
        joined = _joined(lines, begins, at)
        if INSTANT.search(joined) and (BEGINS.match(joined) or ADDRESS.search(joined)):
            if FIRST_WORD.match(joined):
                return begins
            found = begins if found is None else found
    return found


def _joined(lines: list[str], begins: int, at: int) -> str:
    joined = " ".join(line[:MOST_LINE] for line in lines[begins : at + 1])
    return joined.strip()


def _beginnings(lines: list[str], at: int) -> list[int]:
    """Of what may be one introduction that ends at a line: it, and unquoted lines right above."""
    found = []
    for begins in range(at, max(-1, at - _INTRODUCTION_LINES), -1):
        if not lines[begins] or _QUOTED.match(lines[begins]):
            break
        found.append(begins)
    return found


def _marked(lines: list[str]) -> list[bool]:
    """Of each line, whether it is quoted or introduces what is."""
    marks = [bool(_QUOTED.match(line)) for line in lines]
    for at, quoted in enumerate(list(marks)):
        if not quoted or (at and marks[at - 1]):
            continue
        above = at - 1
        while above >= 0 and not lines[above] and at - above <= 5:
            above -= 1
        if above < 0 or marks[above] or not lines[above]:
            continue
        begins = _introduction(lines, above)
        if begins is not None:
            marks[begins:at] = [True] * (at - begins)
    return marks


def _introduction(lines: list[str], at: int) -> int | None:
    """Where the introduction of a quotation begins whose last line is here; None: it is none."""
    last = lines[at][-MOST_LINE:]
    if not last.endswith((":", "\uff1a", ">")):
        return None
    found = None
    for begins in _beginnings(lines, at):
        joined = _joined(lines, begins, at)
        known = [pattern.search(joined) for pattern in (WROTE, INSTANT, ADDRESS)]
        least = 2 if BEGINS.match(joined) else 3
        if sum(map(bool, known)) >= least:
            if FIRST_WORD.match(joined):
                return begins
            found = begins if found is None else found
    if found is None and WROTE.search(last) and (ADDRESS.search(last) or len(last.split()) <= 6):
        return at
    return found


def _runs(lines: list[str], marks: list[bool]) -> list[list[str]]:
    """The lines between quotations."""
    runs: list[list[str]] = [[]]
    for line, marked in zip(lines, marks, strict=True):
        if not marked:
            runs[-1].append(line)
        elif runs[-1]:
            runs.append([])
    return runs


def _without_end(lines: list[str]) -> list[str]:
    """Without signature, footer and the words of a telephone."""
    for at, line in enumerate(lines):
        if line == "-- " or (line == "--" and len(lines) - at <= _SIGNATURE_LINES):
            lines = lines[:at]
            break
        if _LONG_RULE.match(line) and is_footer(
            [one[:MOST_LINE] for one in lines[at + 1 : at + 7]]
        ):
            lines = lines[:at]
            break
    end = len(lines)
    while end and not lines[end - 1]:
        end -= 1
    return lines[: end - 1] if end and _ends_mail(lines[end - 1]) else lines[:end]


def _ends_mail(line: str) -> bool:
    """A line of a telephone, or a name behind a dash."""
    if len(line) > 120:
        return False
    if SENT_FROM.match(line.strip()):
        return len(line.split()) <= 10 and "," not in line and not line.endswith((".", "!", "?"))
    return bool(_NAME.match(line))
