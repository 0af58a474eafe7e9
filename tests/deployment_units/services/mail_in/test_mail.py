"""A mail as it is read: charsets, encodings, alternatives, what is attached."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from deployment_units.services.mail_in.charsets import text_of
from deployment_units.services.mail_in.flowed import unflowed
from deployment_units.services.mail_in.mail import MOST_TEXT_BYTES, ReceivedMail, read_mail


def mail(headers: str, body: bytes | str = "x") -> ReceivedMail:
    content = body.encode() if isinstance(body, str) else body
    return read_mail(f"From: a@b.example\n{headers}\n\n".encode() + content)


@pytest.mark.parametrize(
    ("charset", "content", "text"),
    [
        pytest.param("utf-8", "grün €".encode(), "grün €", id="UTF-8"),
        pytest.param(None, "grün €".encode(), "grün €", id="UTF-8 without a name"),
        pytest.param(None, b"gr\xfcn", "grün", id="8 bits without a name"),
        pytest.param("us-ascii", b"gr\xfcn", "grün", id="8 bits that are called ASCII"),
        pytest.param("iso-8859-1", b"\x80 5", "€ 5", id="Windows-1252 that is called latin-1"),
        pytest.param("iso-8859-1", "grün".encode(), "grün", id="UTF-8 that is called latin-1"),
        pytest.param("utf-8", b"gr\xfcn", "gr\ufffdn", id="latin-1 that is called UTF-8"),
        pytest.param("ISO-8859-15", b"\xa4", "€", id="latin-9"),
        pytest.param("koi8-r", "зерно".encode("koi8-r"), "зерно", id="KOI8-R"),
        pytest.param("windows-1251", "зерно".encode("cp1251"), "зерно", id="Windows-1251"),
        pytest.param("gb2312", "咖啡𠮷".encode("gb18030"), "咖啡𠮷", id="more than GB 2312 has"),
        pytest.param("big5", "咖啡".encode("big5"), "咖啡", id="Big5"),
        pytest.param("Shift_JIS", "①豆".encode("cp932"), "①豆", id="more than JIS has"),
        pytest.param("iso-2022-jp", "豆".encode("iso2022_jp"), "豆", id="ISO-2022-JP"),
        pytest.param("ks_c_5601-1987", "콩".encode("cp949"), "콩", id="Korean by its old name"),
        pytest.param("unknown-8bit", b"gr\xfcn", "grün", id="no charset"),
        pytest.param("zlib_codec", b"x\x9c\x03\x00", "xœ\x03\x00", id="a codec that is no charset"),
        pytest.param("punycode", b"grn-joa", "grn-joa", id="another one"),
        pytest.param("utf-7", b"+ADw-script+AD4-", "+ADw-script+AD4-", id="UTF-7 is no charset"),
        pytest.param("x" * 100_000, b"a", "a", id="a long name"),
    ],
)
def test_bytes_become_text(charset: str | None, content: bytes, text: str) -> None:
    assert text_of(content, charset) == text


@given(st.binary(max_size=60), st.none() | st.text(max_size=12))
def test_any_bytes_become_some_text(content: bytes, charset: str | None) -> None:
    assert isinstance(text_of(content, charset), str)


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        pytest.param("one \ntwo \nthree", "one two three", id="soft breaks"),
        pytest.param("one\ntwo", "one\ntwo", id="hard breaks"),
        pytest.param("one \n\ntwo", "one \n\ntwo", id="a blank line ends a paragraph"),
        pytest.param("> a \n> b\nc", "> a b\nc", id="quoted"),
        pytest.param("> a \nb", "> a\nb", id="another depth ends it"),
        pytest.param(">> a \n>> b \n> c", ">> a b\n> c", id="two depths"),
        pytest.param("a \n-- \nBen", "a\n-- \nBen", id="a signature is none"),
        pytest.param(" >no quotation \n  x", ">no quotation  x", id="space-stuffing"),
        pytest.param("a ", "a", id="the end of the text"),
    ],
)
def test_flowed_lines_are_joined(text: str, joined: str) -> None:
    assert unflowed(text).replace(" \n", "\n") == joined.replace(" \n", "\n")


def test_a_space_that_only_breaks_goes() -> None:
    assert unflowed("咖 \n啡", delsp=True) == "咖啡"


def test_encodings_are_undone() -> None:
    kind = "Content-Type: text/plain; charset=utf-8"
    quoted = mail(f"Content-Transfer-Encoding: quoted-printable\n{kind}", "gr=C3=BCn=\n er")
    assert quoted.text == "grün er\n"
    based = mail("Content-Transfer-Encoding: base64", "aGVsbG8=")
    assert based.text == "hello"
    broken = mail("Content-Transfer-Encoding: base64", "aGVsbG8=!!!")
    assert broken.text.startswith("hello")


ALTERNATIVE = "Content-Type: multipart/alternative; boundary=b"
PLAIN = "--b\nContent-Type: text/plain\n\nplain\n"
RICH = "--b\nContent-Type: text/html\n\n<p>rich\n"


def test_of_alternatives_one_of_each_kind_is_read() -> None:
    for body in (PLAIN + RICH, RICH + PLAIN, PLAIN + PLAIN + RICH):
        read = mail(ALTERNATIVE, f"{body}--b--\n")
        assert (read.text, read.html) == ("plain", "<p>rich")


def test_texts_around_an_attachment_are_one_text() -> None:
    body = (
        "--b\n\nabove\n--b\nContent-Type: image/png; name=cup.png\n\nx\n--b\n\nbelow\n"
        "--b\nContent-Type: text/plain\nContent-Disposition: attachment; filename=n.txt\n\nno\n"
        "--b--"
    )
    read = mail("Content-Type: multipart/mixed; boundary=b", body)
    assert read.text == "above\nbelow"
    assert read.attachments == ("cup.png", "n.txt")


def test_a_mail_within_a_mail_is_attached_and_not_read() -> None:
    body = "--b\n\nlook\n--b\nContent-Type: message/rfc822\n\nFrom: x@y.example\n\nsecret\n--b--"
    read = mail("Content-Type: multipart/mixed; boundary=b", body)
    assert (read.text, read.attachments) == ("look", ("message/rfc822",))


def test_images_within_html_are_no_attachments() -> None:
    body = "--b\nContent-Type: text/html\n\n<p>x\n--b\nContent-Type: image/png\n\nx\n--b--"
    read = mail("Content-Type: multipart/related; boundary=b", body)
    assert (read.html, read.attachments) == ("<p>x", ())


@pytest.mark.parametrize("kind", ["application/ms-tnef", "application/vnd.ms-tnef"])
def test_winmail_dat_is_named(kind: str) -> None:
    read = mail(f"Content-Type: {kind}; name=winmail.dat", b"\x78\x9f\x3e\x22")
    assert (read.text, read.attachments, read.lost) == ("", ("winmail.dat",), ("winmail.dat",))


def test_a_long_text_is_cut_and_that_is_told() -> None:
    read = mail("Content-Type: text/plain", "x" * (MOST_TEXT_BYTES + 1))
    assert len(read.text) == MOST_TEXT_BYTES
    assert read.lost == ("length",)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("=?utf-8?q?gr=C3=BCn?= beans", "grün beans"),
        ("=?iso-8859-1?Q?gr=FCn?=", "grün"),
        ("=?utf-8?b?8J+YnA==?=\n =?utf-8?q?_a?=", "😜 a"),
        ("=?utf-8?b?a?=", "=?utf-8?b?a?="),
        ("=?nonsense?q?a?=", "a"),
        ("plain", "plain"),
        ("folded\n\t here", "folded here"),
    ],
)
def test_words_of_a_header_are_decoded(written: str, read: str) -> None:
    assert mail(f"Subject: {written}").words("Subject") == read


@pytest.mark.parametrize("raw", [b"", b"\n", b"\nbody", b"no field here", b"\xff\x00{["])
def test_what_has_no_header_is_no_mail(raw: bytes) -> None:
    with pytest.raises(InvalidInput, match="no header"):
        read_mail(raw)


PIECES = st.lists(
    st.sampled_from(
        [b"From: a@b.example\n", b"Content-Type: multipart/mixed; boundary=b\n", b"\n", b"--b\n",
         b"--b--\n", b"Content-Type: text/plain; charset=", b"utf-16\n", b"\xff\xfe", b"=?utf-8?q?",
         b"Content-Transfer-Encoding: base64\n", b"QUJD", b"Content-Transfer-Encoding: x-uue\n",
         b"begin 644 a\n", b"Content-Type: text/plain; format=flowed\n", b"Subject: ", b"\x00",
         b"Content-Disposition: attachment; filename*=", b"utf-8''%FF%", b"x \n", b"> "]
    ), max_size=30,
)  # fmt: skip


@given(PIECES)
def test_any_mail_is_read_or_refused(pieces: list[bytes]) -> None:
    try:
        read = read_mail(b"".join(pieces))
    except InvalidInput:
        return
    assert "\x00" not in read.text
    read.words("Subject")
