"""Convert: a message's content as one channel shows it, and what was lost on the way. Pure.

What is lost is told to the sender with the delivery: "formatting", "image", "typography",
"length" and the like, a word for each kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from control_plane.errors import InvalidInput
from deployment_units.services.channels.channel import Channel
from deployment_units.services.gateway.convert.html_text import (
    MOST_CHARACTERS,
    HtmlText,
    html_to_text,
)
from deployment_units.services.gateway.convert.segments import (
    NeedsLink,
    TextMessages,
    shortened,
)
from deployment_units.services.gateway.convert.text_html import text_to_html

MOST_TEXT = 256 * 1024  # characters of a message
MOST_LINK = 100  # characters: a link is ours, and short
MOST_TEXT_MESSAGES = 10
MOST_PUSHED = 1_000  # characters: what telephones show of a push, and with room in its 4 KiB


class TooLong(InvalidInput):
    """A text that does not fit into its messages, and has no link to the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What somebody wrote. Where there is text, html is the same with formatting."""

    text: str = ""
    html: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """html: for mail alone. messages: for text messages alone, whose text is theirs together."""

    text: str
    html: str = ""
    messages: TextMessages | None = None
    lost: tuple[str, ...] = ()


def convert(
    content: Content,
    channel: Channel,
    *,
    link: str = "",
    most_messages: int = 1,
    read: Callable[[str], HtmlText] = html_to_text,
    writes_html: bool = True,
) -> Converted:
    """link: where the whole message can be seen, for channels on which it may be too long;
    most_messages: of a text; read: reads HTML that has no text beside it; writes_html: whether that
    of a mail is made here. Raises InvalidInput where there is nothing to show, or too much; TooLong
    of a text that needs a link."""
    _check(content, link, most_messages)
    text, lost = content.text, set[str]()
    if content.html and not text.strip():
        found = read(content.html)
        text = found.text
        lost |= set(found.lost)
    if content.html:
        lost.add("formatting")
    if not text.strip():
        raise InvalidInput("content", "content: there is no text in it that could be shown")
    html, messages = "", None
    if channel is Channel.MAIL:
        html = text_to_html(text) if writes_html else ""
    elif channel is Channel.TEXT:
        messages = _text_messages(text, link, most_messages)
        text = "".join(one.text for one in messages.segments)
        lost |= set(messages.lost)
    elif channel is Channel.PUSH and len(text) > MOST_PUSHED:
        end = f"… {link}" if link else "…"
        text = text[: MOST_PUSHED - len(end)].rstrip() + end
        lost.add("length")
    return Converted(text=text, html=html, messages=messages, lost=tuple(sorted(lost)))


def _text_messages(text: str, link: str, most: int) -> TextMessages:
    try:
        return shortened(text, link, most_segments=most)
    except NeedsLink as error:
        raise TooLong("link", f"link: {error}") from None
    except ValueError as error:
        raise InvalidInput("link", f"link: {error}") from None


def _check(content: Content, link: str, most_messages: int) -> None:
    for name, value, most in (
        ("text", content.text, MOST_TEXT), ("html", content.html, MOST_CHARACTERS),
        ("link", link, MOST_LINK),
    ):  # fmt: skip
        if len(value) > most:
            raise InvalidInput(name, f"{name}: has {len(value):,} characters; at most {most:,}")
    if any(one.isspace() for one in link):
        raise InvalidInput("link", "link: has a space in it")
    if not 1 <= most_messages <= MOST_TEXT_MESSAGES:
        raise InvalidInput("most_messages", f"most_messages: must be 1 to {MOST_TEXT_MESSAGES}")
