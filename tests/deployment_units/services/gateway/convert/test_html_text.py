"""HTML as text: what people would have read, what was lost, and no document that takes long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.gateway.convert.html_text import (
    MOST_CHARACTERS,
    MOST_LEVELS,
    MOST_TEXT,
    html_to_text,
)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        pytest.param("", "", id="nothing"),
        pytest.param("plain &amp; simple", "plain & simple", id="no elements"),
        pytest.param("<p>one</p><p>two</p>", "one\n\ntwo", id="paragraphs"),
        pytest.param("one<br>two<br/>three", "one\ntwo\nthree", id="lines"),
        pytest.param("one<br><br>two", "one\n\ntwo", id="two breaks are a blank line"),
        pytest.param("<div>one</div><div>two</div>", "one\ntwo", id="blocks"),
        pytest.param("<div><br></div><div>a</div>", "a", id="blank lines at the beginning"),
        pytest.param("a  \n\t b", "a b", id="spaces fall together"),
        pytest.param("<b>a</b> <i>b</i>c", "a bc", id="words are not torn"),
        pytest.param("a&nbsp;&nbsp;b", "a  b", id="hard spaces do not"),
        pytest.param("<ul><li>a<li>b</ul>", "- a\n- b", id="a list without ends"),
        pytest.param("<ol><li>a</li><li>b</li></ol>", "1. a\n2. b", id="a list with numbers"),
        pytest.param("<ul><li>a<ol><li>b</ol><li>c</ul>", "- a\n  1. b\n- c", id="nested"),
        pytest.param("<table><tr><td>a<td>b<tr><td>c<td>d</table>", "a  b\nc  d", id="a table"),
        pytest.param("<pre>a\n  b</pre>", "a\n  b", id="preformatted"),
        pytest.param("<h1>T</h1>x", "T\n\nx", id="a heading"),
        pytest.param("a<hr>b", f"a\n{'-' * 20}\nb", id="a rule"),
        pytest.param("<blockquote>a<br>b</blockquote>c", "> a\n> b\n\nc", id="a quotation"),
        pytest.param(
            "<blockquote>a<blockquote>b</blockquote></blockquote>", "> a\n>\n> > b\n>",
            id="a quotation in one",
        ),
        pytest.param("<style>x</style><title>t</title>a", "a", id="what is no content"),
        pytest.param("<!-- x -->a<!-- unfinished", "a", id="comments"),
        pytest.param('<div style="display: NONE">x</div>a', "a", id="what is hidden"),
        pytest.param("<p hidden>x</p>a", "a", id="what is hidden by its attribute"),
        pytest.param("a\u200bb\ufeff", "ab", id="characters without width"),
        pytest.param("<p>unfinished <b>bold", "unfinished bold", id="ends are missing"),
        pytest.param("a &lt;script&gt;", "a <script>", id="what was escaped is text"),
        pytest.param("<o:p>&nbsp;</o:p><p class=MsoNormal>a</p>", "a", id="as Outlook writes it"),
    ],
)  # fmt: skip
def test_what_is_read(html: str, text: str) -> None:
    assert html_to_text(html).text == text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        pytest.param('<a href="https://a.example/x">here</a>', "here <https://a.example/x>",
                     id="elsewhere than its words say"),
        pytest.param('<a href="https://a.example/">a.example</a>', "a.example", id="as it says"),
        pytest.param('<a href="mailto:a@b.example">a@b.example</a>', "a@b.example", id="a mailbox"),
        pytest.param('<a href="https://evil.example">bank.example</a>',
                     "bank.example <https://evil.example>", id="not as it says"),
        pytest.param('<a href="javascript:x()">a</a>', "a", id="a program"),
        pytest.param('<a href="#top">a</a>', "a", id="within the page"),
        pytest.param("<a>a</a>", "a", id="nowhere"),
    ],
)  # fmt: skip
def test_links_show_where_they_go(html: str, text: str) -> None:
    assert html_to_text(html).text == text


@pytest.mark.parametrize(
    ("html", "lost"),
    [
        pytest.param('<img src=x alt="a cat">', ("image",), id="a picture"),
        pytest.param("<img src=x width=1 height=1>", (), id="a picture of a pixel"),
        pytest.param("a<script>x</script>", ("script",), id="a program"),
        pytest.param("<video src=x></video><iframe></iframe>", ("iframe", "video"), id="media"),
        pytest.param("<b>a</b>", (), id="bold letters are formatting"),
        pytest.param("x" * (MOST_CHARACTERS + 1), ("html",), id="a document that is too large"),
    ],
)  # fmt: skip
def test_what_is_lost_is_told(html: str, lost: tuple[str, ...]) -> None:
    assert html_to_text(html).lost == lost


def test_words_of_a_picture_stand_for_it() -> None:
    assert html_to_text('see <img src=x alt="a cat">').text == "see [a cat]"


@pytest.mark.parametrize(
    "piece",
    ["<div>", "<blockquote>", "<div></p>", "<div><object></div>", "<b>", "<font><i>", "<svg>"],
)
def test_elements_nested_deeper_than_the_bound_are_not_parsed(piece: str) -> None:
    found = html_to_text(piece * (MOST_LEVELS + 1) + "x")
    assert (found.text, found.lost) == ("", ("html",))


def test_elements_nested_as_deep_as_the_bound_are() -> None:
    assert html_to_text("<div>" * MOST_LEVELS + "x").text == "x"


@pytest.mark.parametrize("piece", ["<p>x", "<li>x", "<br>", "<td>x", "<div>x</div>", "<img>"])
def test_many_elements_beside_each_other_are_no_nesting(piece: str) -> None:
    assert "html" not in html_to_text(piece * 5_000).lost


def test_what_comes_out_is_bounded() -> None:
    long_link = f"<a href='https://a.example/{'x' * 2_000}'>a</a>"
    found = html_to_text(long_link * (MOST_CHARACTERS // len(long_link)))
    assert len(found.text) < MOST_TEXT + MOST_CHARACTERS
    assert html_to_text("x " * (MOST_TEXT // 2 + 10) + "<b>end</b>").lost == ("length",)


@given(st.text("<>/ab&;!-='\" \n", max_size=200))
def test_any_text_is_read(html: str) -> None:
    assert "\x00" not in html_to_text(html).text


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=100))
def test_escaped_text_comes_out_as_its_words(text: str) -> None:
    from html import escape

    seen = html_to_text(f"<p>{escape(text)}</p>").text
    unseen = "\u200b\u200c\u2060\ufeff\u00ad\u034f"
    expected = " ".join(part for part in text.translate(dict.fromkeys(map(ord, unseen))).split())
    assert seen.split() == expected.split()
