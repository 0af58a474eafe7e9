"""Addresses that a card may open, and the host that is shown of each."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.cards.addresses import WebAddress, read_web_address


@pytest.mark.parametrize(
    ("text", "url", "host"),
    [
        pytest.param("https://a.example", "https://a.example", "a.example", id="a host"),
        pytest.param("HTTPS://A.Example/B?c=D#e", "https://a.example/B?c=D#e", "a.example",
                     id="capitals of scheme and host alone"),
        pytest.param("https://a.example:8443/", "https://a.example:8443/", "a.example:8443",
                     id="a port"),
        pytest.param("https://a.example:443/", "https://a.example/", "a.example",
                     id="its own port"),
        pytest.param("https://straße.example/ü", "https://xn--strae-oqa.example/%C3%BC",
                     "xn--strae-oqa.example", id="outside ASCII"),
        pytest.param("https://аpple.example/", "https://xn--pple-43d.example/",
                     "xn--pple-43d.example", id="a look-alike is shown as what it is"),
        pytest.param("https://192.0.2.1/", "https://192.0.2.1/", "192.0.2.1", id="an IP address"),
        pytest.param("https://[2001:db8::1]/", "https://[2001:db8::1]/", "[2001:db8::1]",
                     id="an IPv6 address"),
        pytest.param("https://a.example/%2e%20", "https://a.example/%2e%20", "a.example",
                     id="encoded already"),
        pytest.param("https://a.example/?q=a'b(c)", "https://a.example/?q=a'b(c)", "a.example",
                     id="marks that addresses have"),
    ],
)  # fmt: skip
def test_an_address_and_its_host(text: str, url: str, host: str) -> None:
    assert read_web_address(text) == WebAddress(url=url, host=host)
    assert read_web_address(url) == WebAddress(url=url, host=host)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("http://a.example", id="http"),
        pytest.param("javascript:alert(1)", id="a script"),
        pytest.param("java\nscript:alert(1)", id="a script, broken"),
        pytest.param("data:text/html,x", id="data"),
        pytest.param("file:///etc/passwd", id="a file"),
        pytest.param("ms-settings:privacy", id="a program"),
        pytest.param("//a.example", id="no scheme"),
        pytest.param("a.example/b", id="a host alone"),
        pytest.param("/b", id="a path"),
        pytest.param("https:a.example", id="no slashes"),
        pytest.param("https:/a.example", id="one slash"),
        pytest.param("https:///a.example", id="no host"),
        pytest.param("https://", id="nothing behind"),
        pytest.param("https://bank.example@evil.example/", id="a name before the host"),
        pytest.param("https://a:b@evil.example/", id="a password before the host"),
        pytest.param("https://bank.example\\@evil.example/", id="a backslash"),
        pytest.param("https://bank.example%2f@evil.example/", id="an encoded slash"),
        pytest.param("https://a.example%00.evil.example/", id="an encoded zero in the host"),
        pytest.param("https://a.example /", id="a space"),
        pytest.param("https://a.exam\tple/", id="a tab"),
        pytest.param("https://a.example/\u202egpj", id="an override"),
        pytest.param('https://a.example/"onclick=', id="a quotation mark"),
        pytest.param("https://a.example/<b>", id="an angle bracket"),
        pytest.param("https://a.example:99999/", id="a port that is none"),
        pytest.param("https://a.example:x/", id="a port in words"),
        pytest.param("https://localhost/", id="this machine"),
        pytest.param("https://intranet/", id="one label"),
        pytest.param("https://0x7f.1/", id="an address, spelled otherwise"),
        pytest.param("https://2130706433/", id="an address as one number"),
        pytest.param("https://[::1/", id="half a bracket"),
        pytest.param("https://a..example/", id="an empty label"),
        pytest.param("https://a.example/" + "a" * 2_048, id="a long one"),
    ],
)
def test_what_is_not_opened_says_why(text: str) -> None:
    why = read_web_address(text)
    assert isinstance(why, str)
    assert why


@given(st.text() | st.text(max_size=20).map(lambda one: f"https://a.example/{one}"))
def test_whatever_is_opened_is_https_at_the_host_that_is_shown(text: str) -> None:
    found = read_web_address(text)
    if isinstance(found, WebAddress):
        parts = urlsplit(found.url)
        assert parts.scheme == "https"
        assert parts.netloc == found.host
        assert found.url.isascii()
        assert not set(found.url) & set(" \"'<>\\`") - {"'"}
