"""The Markdown of cards, and what somebody else's text looks like inside ours."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.cards.markdown import marked_html, marked_text, with_dates
from deployment_units.services.cards.safe_text import isolated, safe_line, safe_lines


def paragraph(inside: str) -> str:
    return f'<p dir="auto">{inside}</p>'


@pytest.mark.parametrize(
    ("text", "html", "plain"),
    [
        pytest.param("a", paragraph("a"), "a", id="text"),
        pytest.param("**a** _b_ *c*", paragraph("<strong>a</strong> <em>b</em> <em>c</em>"),
                     "a b c", id="bold and italics"),
        pytest.param("**a _b** c_", paragraph("<strong>a _b</strong> c_"), "a _b c_",
                     id="marks that cross"),
        pytest.param("a\nb", paragraph("a<br>\nb"), "a\nb", id="two lines"),
        pytest.param("a\n\nb", paragraph("a") + "\n" + paragraph("b"), "a\nb", id="paragraphs"),
        pytest.param("3. a\n4. b", '<ol start="3">\n<li dir="auto">a</li>\n<li dir="auto">b</li>\n'
                     "</ol>", "3. a\n4. b", id="a list with numbers"),
        pytest.param("- a\n  - b", '<ul>\n<li dir="auto">a\n<ul>\n<li dir="auto">b</li>\n</ul>'
                     "</li>\n</ul>", "- a\n  - b", id="a list in a list"),
        pytest.param("# a", paragraph("# a"), "# a", id="no headings"),
        pytest.param("> a", paragraph("&gt; a"), "> a", id="no quotations"),
        pytest.param("`a`", paragraph("`a`"), "`a`", id="no code"),
        pytest.param("| a |\n|---|", paragraph("| a |<br>\n|---|"), "| a |\n|---|", id="no tables"),
        pytest.param("<b>a</b>", paragraph("&lt;b&gt;a&lt;/b&gt;"), "<b>a</b>", id="no HTML"),
        pytest.param("&lt;b&gt;&nbsp;&copy;", paragraph("&lt;b&gt;\xa0©"),
                     "<b>\xa0©", id="entities"),
        pytest.param("&#x202e;a&#7;", paragraph("�a�"), "�a�", id="entities that control"),
        pytest.param("![a](https://b.example/c)",
                     paragraph('!<a href="https://b.example/c" rel="noopener noreferrer nofollow" '
                               'target="_blank"><bdi>a</bdi></a> (b.example)'),
                     "!a (https://b.example/c)", id="no images"),
        pytest.param("[b.example](https://b.example)",
                     paragraph('<a href="https://b.example" rel="noopener noreferrer nofollow" '
                               'target="_blank"><bdi>b.example</bdi></a>'),
                     "b.example (https://b.example)", id="a link that is called like its host"),
        pytest.param("[a](http://b.example)", paragraph("a (http://b.example)"),
                     "a (http://b.example)", id="a link that is not opened"),
        pytest.param("[a](javascript:b)", paragraph("[a](javascript:b)"), "[a](javascript:b)",
                     id="a script"),
        pytest.param("\\*a\\*", paragraph("*a*"), "*a*", id="escaped"),
        pytest.param("", "", "", id="nothing"),
    ],
)  # fmt: skip
def test_markdown_of_cards(text: str, html: str, plain: str) -> None:
    assert marked_html(text) == html
    assert marked_text(text) == plain


def test_marks_around_go_around_each_line() -> None:
    found = marked_html("a\n\n- b", around=("strong", "em"))
    assert found == (
        '<p dir="auto"><strong><em>a</em></strong></p>\n<ul>\n'
        '<li dir="auto"><strong><em>b</em></strong></li>\n</ul>'
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{DATE(2026-05-01T23:00:00Z)}}", "2026-05-02"),
        ("{{DATE(2026-05-01T23:00:00-05:00,LONG)}}", "2026-05-02"),
        ("{{TIME(2026-05-01T23:00:00Z)}}", "01:00 CEST"),
        ("{{DATE(2026-13-01T23:00:00Z)}}", "{{DATE(2026-13-01T23:00:00Z)}}"),
        ("{{DATE(0001-01-01T00:00:00+14:00)}}", "{{DATE(0001-01-01T00:00:00+14:00)}}"),
        ("{{TIME(2026-05-01T23:00:00Z, SHORT)}}", "{{TIME(2026-05-01T23:00:00Z, SHORT)}}"),
        ("{{DATE(tomorrow)}} {{NOW()}}", "{{DATE(tomorrow)}} {{NOW()}}"),
    ],
)
def test_dates_in_a_text(text: str, expected: str) -> None:
    assert with_dates(text, timezone(timedelta(hours=2), "CEST")) == expected


def test_dates_are_in_utc_by_default() -> None:
    assert with_dates("{{TIME(2026-05-01T23:00:00Z)}}") == "23:00 UTC"
    assert with_dates("a", UTC) == "a"


@pytest.mark.parametrize(
    "text",
    ["[" * 16_000, "*" * 16_000, "a**" * 5_000, "[a](b" * 3_000, "- " * 8_000, "*a_ " * 4_000,
     "1. " * 5_000, "\\" * 16_000, "\n" * 16_000, "- a\n" * 4_000, "[a](<" * 3_000],
    ids=lambda text: text[:6],
)  # fmt: skip
def test_nothing_but_marks_is_read(text: str) -> None:
    assert isinstance(marked_html(text), str)


# -- text inside text ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a\x1b[31mb\x07", "a␛[31mb␇", id="a terminal's commands"),
        pytest.param("a\u202eb", "a�b", id="an override"),
        pytest.param("a\u202ab\u202c", "a�b�", id="an embedding"),
        pytest.param("a\u2067b\u2069c", "a\u2067b\u2069c", id="an isolate that is closed"),
        pytest.param("a\u2067b", "a�b", id="an isolate that is open"),
        pytest.param("a\u2069b\u2067", "a�b�", id="a closing one first"),
        pytest.param("\u2068a\u2067b\u2069", "�a\u2067b\u2069", id="one of two is closed"),
        pytest.param("\u2067a\nb\u2069", "�a\nb�", id="closed in another line"),
        pytest.param("שלום\u200f a", "שלום\u200f a", id="a mark without a range"),
        pytest.param("a\r\nb\rc\td", "a\nb\nc\td", id="lines and tabs"),
        pytest.param("👩\u200d👧", "👩\u200d👧", id="a joiner between emoji"),
        pytest.param("a\u2028b\ufeff", "a�b�", id="other line ends"),
    ],
)
def test_a_text_is_harmless_to_what_is_around_it(text: str, expected: str) -> None:
    assert safe_lines(text) == expected


@given(st.text(st.sampled_from("a\u2066\u2067\u2068\u2069\u202e\n\tש")))
def test_isolates_are_closed_in_every_line(text: str) -> None:
    for line in safe_lines(text).split("\n"):
        depth = 0
        for one in line:
            depth += (one in "\u2066\u2067\u2068") - (one == "\u2069")
            assert depth >= 0
        assert depth == 0
    assert safe_lines(safe_lines(text)) == safe_lines(text)


def test_a_text_in_one_line() -> None:
    assert safe_line("a\nb\tc") == "a b c"
    assert isolated("abc €") == "abc €"
    assert isolated("a \u2067b\u2069") == "\u2068a \u2067b\u2069\u2069"
    assert isolated("שלום") == "\u2068שלום\u2069"
