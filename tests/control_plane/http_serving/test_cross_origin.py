"""Which pages may call, and what browsers are told of it."""

from __future__ import annotations

import pytest

from control_plane.errors import InvalidInput, PermissionDenied
from control_plane.http_serving.cross_origin import CrossOrigin, read_origins

APP = "https://app.example.net"
HEADERS = ("authorization", "content-type")


def pages(*allowed: str) -> CrossOrigin:
    return CrossOrigin(read_origins(allowed), headers=HEADERS)


@pytest.mark.parametrize(
    "text",
    [APP, "http://localhost:8080", "https://127.0.0.1", "http://[::1]:3000", "*"],
)
def test_origins(text: str) -> None:
    assert read_origins([text]) == {text}


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "app.example.net", "https://app.example.net/", "https://app.example.net/a",
        "HTTPS://app.example.net", "https://App.example.net", "ftp://a", "https://*.example.net",
        "https://a b", "https://", "https://a:", "https://a:999999", "https://u@a",
        "https://" + "a" * 300,
    ],
)  # fmt: skip
def test_what_is_no_origin(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_origins([text])
    assert refused.value.field == "http_allow_origins"


@pytest.mark.parametrize(
    ("allowed", "origin", "lets_in"),
    [
        ((), APP, False),
        ((APP,), APP, True),
        ((APP,), "https://app.example.net.evil.org", False),
        ((APP,), "http://app.example.net", False),
        ((APP,), "https://app.example.net:8443", False),
        ((APP,), "null", False),
        (("*",), "https://anything.example", True),
    ],
)
def test_who_is_let_in(allowed, origin, lets_in) -> None:
    cross = pages(*allowed)
    if lets_in:
        assert cross.check([origin]) == origin
    else:
        with pytest.raises(PermissionDenied):
            cross.check([origin])


def test_who_is_no_page_is_let_in() -> None:
    assert pages().check([]) == ""
    with pytest.raises(InvalidInput):
        pages(APP).check([APP, APP])


def test_without_allowed_origins_nothing_is_said() -> None:
    assert pages().headers("") == {}


def test_answers_name_the_page_and_never_allow_cookies() -> None:
    said = pages(APP, "https://b.example").preflight(APP, ["POST"])
    assert said["Access-Control-Allow-Origin"] == APP
    assert said["Vary"] == "Origin"
    assert said["Access-Control-Allow-Methods"] == "POST"
    assert "authorization" in said["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in said
    assert pages("*").headers(APP)["Access-Control-Allow-Origin"] == "*"
    assert pages(APP).headers("") == {"Vary": "Origin"}  # caches keep the two apart
