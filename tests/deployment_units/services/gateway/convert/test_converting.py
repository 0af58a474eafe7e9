"""Content as each channel shows it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from deployment_units.services.channels.channel import Channel
from deployment_units.services.gateway.convert.converting import MOST_PUSHED, Content, convert
from deployment_units.services.gateway.convert.html_text import html_to_text
from deployment_units.services.gateway.convert.text_html import text_to_html

LINK = "https://talk.example/m/7Q2X"


def test_mail_has_both_parts_and_they_say_the_same() -> None:
    made = convert(Content(text="Hello\nBen & all\n\nsee https://a.example/x."), Channel.MAIL)
    assert made.lost == ()
    assert made.html == (
        "<p>Hello<br>\nBen &amp; all</p>\n"
        '<p>see <a href="https://a.example/x" rel="noopener noreferrer">https://a.example/x</a>.</p>'
    )
    assert html_to_text(made.html).text == made.text


def test_html_without_a_text_is_read() -> None:
    made = convert(Content(html="<h1>Hi</h1><img alt='a cat'>"), Channel.IN_APP)
    assert made.text == "Hi\n\n[a cat]"
    assert made.lost == ("formatting", "image")


def test_a_long_text_becomes_one_message_with_a_link() -> None:
    made = convert(Content(text="roast " * 100), Channel.TEXT, link=LINK)
    assert made.messages is not None
    assert len(made.messages.segments) == 1
    assert made.text.endswith(f"... {LINK}")
    assert made.lost == ("length",)
    assert convert(Content(text="roast"), Channel.TEXT).lost == ()
    whole = convert(Content(text="roast " * 50), Channel.TEXT, most_messages=2)
    assert whole.messages is not None
    assert len(whole.messages.segments) == 2


def test_a_push_is_cut() -> None:
    made = convert(Content(text="x" * 5_000), Channel.PUSH, link=LINK)
    assert len(made.text) == MOST_PUSHED
    assert made.text.endswith(f"… {LINK}")
    assert made.lost == ("length",)


@pytest.mark.parametrize(
    ("content", "options", "field"),
    [
        pytest.param(Content(), {}, "content", id="nothing"),
        pytest.param(Content(text=" \n"), {}, "content", id="spaces"),
        pytest.param(Content(html="<script>x</script>"), {}, "content", id="nothing to show"),
        pytest.param(Content(text="x" * 300_000), {}, "text", id="too long a text"),
        pytest.param(Content(html="x" * 600_000), {}, "html", id="too long an HTML"),
        pytest.param(Content(text="x" * 500), {}, "link", id="too long and no link"),
        pytest.param(Content(text="x"), {"link": "https://a b"}, "link", id="no link"),
        pytest.param(Content(text="x"), {"link": "x" * 101}, "link", id="a long link"),
        pytest.param(Content(text="x"), {"most_messages": 0}, "most_messages", id="no message"),
    ],
)
def test_what_cannot_be_converted(content: Content, options: dict[str, int], field: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        convert(content, Channel.TEXT, **options)  # type: ignore[arg-type]
    assert raised.value.field == field


@pytest.mark.parametrize(
    ("text", "links"),
    [
        pytest.param("see https://a.example/x, or", ["https://a.example/x"], id="a comma after"),
        pytest.param("(https://a.example/x)", ["https://a.example/x"], id="in brackets"),
        pytest.param("https://a.example/x_(y)", ["https://a.example/x_(y)"], id="with brackets"),
        pytest.param("https://a.example/?a=1&b=2", ["https://a.example/?a=1&b=2"], id="with &"),
        pytest.param("http://a.example javascript:x", [], id="other schemes"),
        pytest.param('https://a.example/"><script>', ["https://a.example/"], id="no way out"),
        pytest.param("https://a.example/\u202etxt", ["https://a.example/"], id="turned around"),
    ],
)
def test_only_addresses_become_links_and_show_themselves(text: str, links: list[str]) -> None:
    html = text_to_html(text)
    links = [link.replace("&", "&amp;") for link in links]
    assert html.count("<a ") == len(links)
    for link in links:
        assert f'<a href="{link}" rel="noopener noreferrer">{link}</a>' in html
    assert "<script" not in html


@given(st.text(max_size=300))
def test_nothing_of_a_text_is_markup(text: str) -> None:
    html = text_to_html(text)
    for piece in ("<p>", "</p>", "<br>\n", "</a>"):
        html = html.replace(piece, "")
    import re

    bare = re.sub(r'<a href="https://[^"<>]*" rel="noopener noreferrer">', "", html)
    assert not set("<>\"'") & set(bare)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), st.sampled_from(Channel))
def test_any_text_is_shown_on_any_channel(text: str, channel: Channel) -> None:
    if not text.strip():
        return
    assert convert(Content(text=text), channel, link=LINK, most_messages=3).text
