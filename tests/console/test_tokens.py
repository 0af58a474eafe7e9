"""`homeport tokens`: what is printed where, and how commands end."""

from __future__ import annotations

import pytest

from console.cli.input.durations import duration_s
from control_plane.auth.credentials import is_issued_token
from control_plane.auth.tokens import Tokens


@pytest.fixture
def tokens(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("HOMEPORT_TOKENS", str(tmp_path / "tokens.toml"))
    return lambda *arguments: cli("tokens", *arguments)


def test_the_token_alone_is_on_stdout(tokens, tmp_path):
    ran = tokens("issue", "edge", "--role", "gateway", "--role", "viewer", "--ttl", "30d")
    token = ran.out.strip()
    assert ran.code == 0
    assert is_issued_token(token)
    assert "this once" in ran.err
    entry = Tokens.read(tmp_path / "tokens.toml").find(token)
    assert entry.caller.name == "edge"
    assert entry.expires_at is not None
    listed = tokens("list")
    assert "gateway, viewer" in listed.out
    assert token not in listed.out


def test_for_programs(tokens):
    issued = tokens("issue", "u", "--role", "unit", "--unit", "a", "--unit", "b", "-o", "json")
    assert is_issued_token(issued.document["token"])
    assert issued.document["bound_to"] == {"units": ["a", "b"]}
    rotated = tokens("rotate", "u", "--overlap", "0", "-o", "json").document
    assert rotated["bound_to"] == {"units": ["a", "b"]}
    states = [(one["id"], one["state"]) for one in tokens("list", "-o", "json").document["tokens"]]
    assert states == [(issued.document["id"], "expired"), (rotated["id"], "active")]
    gone = tokens("revoke", rotated["id"], "-o", "json").document["revoked"]
    assert [one["id"] for one in gone] == [rotated["id"]]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("issue", "a", "--role", "fly"), 2),
        (("issue", "a"), 2),
        (("issue", "a", "--role", "viewer", "--ttl", "soon"), 2),
        (("issue", "a", "--role", "viewer", "--ttl", "0"), 2),
        (("list",), 2),
        (("revoke", "a"), 2),
        (("list", "--tokens", "/absent/tokens.toml"), 2),
    ],
)
def test_what_cannot_be(tokens, arguments, code):
    ran = tokens(*arguments)
    assert ran.code == code
    assert ran.out == ""


def test_a_name_that_is_taken_or_not_there(tokens):
    tokens("issue", "a", "--role", "viewer")
    assert tokens("issue", "a", "--role", "viewer").code == 4
    assert tokens("revoke", "b").code == 3
    assert tokens("rotate", "b").code == 3


def test_a_mistyped_token_is_told_before_it_is_sent(tokens, cli):
    token = tokens("issue", "a", "--role", "viewer").out.strip()
    wrong = token[:-1] + ("a" if token[-1] != "a" else "b")
    ran = cli("units", "list", "--token", wrong)
    assert ran.code == 2
    assert "checksum" in ran.err
    assert wrong not in ran.err


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("15m", 900), ("1h", 3_600), ("1.5d", 129_600), ("0", 0)],
)
def test_durations(text, seconds):
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "h", "-1h", "1w", "1h30m", "1e3", "nan", "inf", "١h", "9" * 10]
)
def test_durations_that_are_none(text):
    with pytest.raises(ValueError, match="no duration"):
        duration_s(text)
