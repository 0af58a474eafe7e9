"""What was written anew in a reply: real mail programs, many languages, and texts made up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.gateway.convert.html_text import html_to_text
from deployment_units.services.mail_in.mail import read_mail
from deployment_units.services.mail_in.visible_reply import MOST_LINES, reply_in, visible_reply
from tests.deployment_units.services.mail_in.reply_rows import MAILS, QUESTION, TEXTS, ReplyRow


@pytest.mark.parametrize("row", TEXTS, ids=[row.name for row in TEXTS])
def test_what_is_visible_of_a_text(row: ReplyRow) -> None:
    assert reply_in(row.text).text == row.visible


@pytest.mark.parametrize("name", MAILS)
def test_what_is_visible_of_a_mail(name: str) -> None:
    mail = read_mail(f"From: anna@mail.example\nSubject: Re: Test\n{MAILS[name]}".encode())
    found = visible_reply(mail)
    assert (found.text, found.quoted, found.forwarded) == ("Hello", True, False)


@pytest.mark.parametrize("name", [name for name in MAILS if "text/html" in MAILS[name]])
def test_the_same_of_its_html(name: str) -> None:
    mail = read_mail(f"From: anna@mail.example\n{MAILS[name]}".encode())
    assert reply_in(html_to_text(mail.html).text).text == "Hello"


INTRODUCTIONS = [
    "On Sat, 28 Nov 2026 at 14:05, Anna <anna@mail.example> wrote:",
    "Am 28.11.2026 um 14:05 schrieb Anna:",
    "Am Sa., 28. Nov. 2026 um 14:05 Uhr schrieb Anna <anna@mail.example>:",
    "Le sam. 28 nov. 2026 à 14:05, Anna <anna@mail.example> a écrit :",
    "El sáb, 28 nov 2026 a las 14:05, Anna (<anna@mail.example>) escribió:",
    "Il giorno sab 28 nov 2026 alle ore 14:05 Anna <anna@mail.example> ha scritto:",
    "Em sáb., 28 de nov. de 2026 às 14:05, Anna <anna@mail.example> escreveu:",
    "Op za 28 nov 2026 om 14:05 schreef Anna <anna@mail.example>:",
    "W dniu 28.11.2026 o 14:05, Anna pisze:",
    "sob., 28 lis 2026 o 14:05 Anna <anna@mail.example> napisał(a):",
    "Den lör 28 nov. 2026 kl 14:05 skrev Anna <anna@mail.example>:",
    "lør. 28. nov. 2026 kl. 14:05 skrev Anna <anna@mail.example>:",
    "la 28. marrask. 2026 klo 14.05 Anna (anna@mail.example) kirjoitti:",
    "so 28. 11. 2026 v 14:05 odesílatel Anna <anna@mail.example> napsal:",
    "Anna <anna@mail.example> ezt írta (időpont: 2026. nov. 28., Szo, 14:05):",
    "сб, 28 нояб. 2026 г. в 14:05, Anna <anna@mail.example>:",
    "28.11.2026, 14:05, Anna пишет:",
    "сб, 28 лист. 2026 р. о 14:05 Anna <anna@mail.example> пише:",
    "28 Kas 2026 Cmt, 14:05 tarihinde Anna <anna@mail.example> şunu yazdı:",
    "Pe sâm., 28 nov. 2026 la 14:05, Anna <anna@mail.example> a scris:",
    "Στις Σάβ 28 Νοε 2026 στις 14:05, ο χρήστης Anna <anna@mail.example> έγραψε:",
    "Vào Th 7, 28 thg 11, 2026 lúc 14:05 Anna <anna@mail.example> đã viết:",
    "2026年11月28日(土) 14:05 Anna <anna@mail.example>:",
    "Anna <anna@mail.example> 于2026年11月28日周六 14:05写道:",
    "Anna <anna@mail.example> 于2026年11月28日周六 14:05写道\uff1a",
    "2026년 11월 28일 (토) 오후 2:05, Anna <anna@mail.example>님이 작성:",
    "2026/11/28 Anna <anna@mail.example>",
    "Anna Berg wrote:",
    "anna@mail.example writes:",
    "Quoting Anna Berg <anna@mail.example> wrote:",
]


@pytest.mark.parametrize("line", INTRODUCTIONS)
def test_an_introduction_goes_with_what_it_introduces(line: str) -> None:
    for between in ("\n", "\n\n"):
        assert reply_in(f"Yes, at noon.\n\n{line}{between}{QUESTION}").text == "Yes, at noon."
        assert reply_in(f"{line}{between}{QUESTION}\nYes, at noon.").text == "Yes, at noon."


@pytest.mark.parametrize("line", INTRODUCTIONS[:4])
def test_an_introduction_may_be_broken_anywhere(line: str) -> None:
    words = line.split()
    for at in range(1, len(words)):
        broken = f"{' '.join(words[:at])}\n{' '.join(words[at:])}"
        assert reply_in(f"Yes, at noon.\n\n{broken}\n{QUESTION}").text == "Yes, at noon."


@pytest.mark.parametrize("line", INTRODUCTIONS[:15])
def test_without_marks_all_behind_an_introduction_is_quoted(line: str) -> None:
    found = reply_in(f"Yes, at noon.\n\n{line}\n\nShall we meet?\n\nAnna\n")
    assert (found.text, found.quoted) == ("Yes, at noon.", True)


FIELD_BLOCKS = [
    ("Von: Anna", "Gesendet: Samstag, 28. November 2026 14:05", "An: Ben", "Betreff: Bohnen"),
    ("De : Anna", "Envoyé : samedi 28 novembre 2026 14:05", "À : Ben", "Objet : Grains"),
    ("De: Anna", "Enviado el: sábado, 28 de noviembre de 2026", "Para: Ben", "Asunto: Granos"),
    ("Da: Anna", "Inviato: sabato 28 novembre 2026 14:05", "A: Ben", "Oggetto: Chicchi"),
    ("Van: Anna", "Verzonden: zaterdag 28 november 2026", "Aan: Ben", "Onderwerp: Bonen"),
    ("Od: Anna", "Wysłano: sobota, 28 listopada 2026", "Do: Ben", "Temat: Ziarna"),
    ("Från: Anna", "Skickat: den 28 november 2026 14:05", "Till: Ben", "Ämne: Bönor"),
    ("От: Anna", "Отправлено: 28 ноября 2026 г.", "Кому: Ben", "Тема: Зёрна"),
    ("差出人: Anna", "送信日時: 2026年11月28日", "宛先: Ben", "件名: 豆"),
    ("差出人\uff1a Anna", "送信日時\uff1a 2026年11月28日", "宛先\uff1a Ben", "件名\uff1a 豆"),
    ("发件人: Anna", "发送时间: 2026年11月28日", "收件人: Ben", "主题: 豆"),
    ("From: Anna", "Date: Saturday, 28 November 2026", "To: Ben", "Cc: Carla", "Subject: Beans"),
]


@pytest.mark.parametrize("fields", FIELD_BLOCKS, ids=[one[0] for one in FIELD_BLOCKS])
def test_a_block_of_fields_and_all_behind_it_is_quoted(fields: tuple[str, ...]) -> None:
    block = "\n".join(fields)
    for above in ("", "________________________________\n", "-----Original Message-----\n"):
        found = reply_in(f"Yes, at noon.\n\n{above}{block}\n\nShall we meet?\n")
        assert (found.text, found.quoted) == ("Yes, at noon.", True)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("From: the beginning I liked it.\nTo: my surprise it works.", id="two fields"),
        pytest.param("I told you:\n\n    > is greater than", id="a mark that is indented"),
        pytest.param("On Monday she wrote:\nI love you.", id="a sentence with wrote"),
        pytest.param("He wrote:\n\nnothing.", id="wrote, and nothing marked"),
        pytest.param("a\n\n- one\n- two", id="a list at the end"),
        pytest.param("See:\nhttps://talk.example", id="a colon and a link"),
        pytest.param("-5 degrees", id="a number below zero"),
        pytest.param("Thanks!\n\nAnna", id="a name without a dash"),
        pytest.param("x" * 100_000, id="a very long line"),
    ],
)
def test_what_only_looks_like_a_quotation_stays(text: str) -> None:
    assert reply_in(text).text == text


FORWARDS = [
    "---------- Forwarded message ---------",
    "Begin forwarded message:",
    "-------- Weitergeleitete Nachricht --------",
    "---------- Message transféré ---------",
    "-------- Пересылаемое сообщение --------",
    "---------- 转发的邮件 ---------",
]


@pytest.mark.parametrize("line", FORWARDS)
def test_what_was_passed_on_stays_whole(line: str) -> None:
    text = f"Have a look.\n\n{line}\nFrom: Anna\nDate: today\nTo: Ben\nSubject: Beans\n\nHi"
    found = reply_in(text)
    assert (found.text, found.quoted, found.forwarded) == (text, False, True)


@pytest.mark.parametrize(
    ("subject", "answers", "forwarded"),
    [
        ("Fwd: Beans", False, True),
        ("WG: Bohnen", False, True),
        ("=?utf-8?q?TR=3A_Grains?=", False, True),
        ("Re: Fwd: Beans", False, False),
        ("Fwd: Beans", True, False),
    ],
)
def test_a_subject_says_that_it_was_passed_on(subject: str, answers: bool, forwarded: bool) -> None:
    reply_to = "In-Reply-To: <1@mail.example>\n" if answers else ""
    block = "From: Anna\nSent: today\nTo: Ben\nSubject: Beans\n\nHi\n"
    raw = f"From: a@mail.example\nSubject: {subject}\n{reply_to}\nHave a look.\n\n{block}"
    found = visible_reply(read_mail(raw.encode()))
    assert found.forwarded is forwarded
    assert ("Hi" in found.text) is forwarded


@pytest.mark.parametrize("text", ["", "\n\n", "> all\n> of it", "-- \nAnna", "Sent from my iPhone"])
def test_nothing_may_be_visible(text: str) -> None:
    assert reply_in(text).text == ""


def test_html_alone_is_read() -> None:
    html = "<p>Yes.</p><blockquote type=cite>Shall we?</blockquote><p>And at noon.</p>"
    mail = read_mail(f"From: a@b.example\nContent-Type: text/html\n\n{html}".encode())
    assert visible_reply(mail).text == "Yes.\n\nAnd at noon."


def test_html_stands_in_for_a_text_that_is_empty() -> None:
    raw = (
        "From: a@b.example\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\n \n"
        "--b\nContent-Type: text/html\n\n<p>Yes.</p>\n--b--\n"
    )
    assert visible_reply(read_mail(raw.encode())).text == "Yes."


SENTENCES = st.lists(
    st.sampled_from(["Yes, at noon.", "I will bring beans", "no — really?", "Ünïcödé ok", "a b c"]),
    min_size=1,
    max_size=5,
)


@given(SENTENCES, st.sampled_from(INTRODUCTIONS), st.booleans(), st.booleans())
def test_written_anew_comes_out_whole_wherever_it_stands(
    sentences: list[str], line: str, above: bool, signed: bool
) -> None:
    written = "\n".join(sentences)
    quote = f"{line}\n{QUESTION}"
    signature = "\n-- \nBen\n" if signed else ""
    whole = f"{written}\n\n{quote}{signature}" if above else f"{quote}\n{written}\n{signature}"
    assert reply_in(whole).text == written


def test_of_very_many_lines_the_first_are_looked_at() -> None:
    found = reply_in("yes\n" * (MOST_LINES + 5))
    assert len(found.text.split("\n")) == MOST_LINES


PIECES = st.lists(
    st.sampled_from(
        ["> ", ">", "On ", "wrote:", "\n", "\n\n", "From: a", "Sent: b", "To: c", "Subject: d",
         "-- ", "_" * 30, "28.11.2026 14:05", "a@b.example", "Sent from my iPhone", "x", " ", ":"]
    ), max_size=60,
)  # fmt: skip


@given(PIECES)
def test_every_visible_line_was_written_and_is_not_marked(pieces: list[str]) -> None:
    text = "".join(pieces)
    found = reply_in(text)
    lines = {line.rstrip() for line in text.split("\n")}
    assert all(line.rstrip() in lines for line in found.text.split("\n") if line)
    if not found.forwarded:
        assert not any(line.startswith(">") for line in found.text.split("\n"))
