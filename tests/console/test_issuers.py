"""Whose JWTs name clients, as a file lists them."""

from __future__ import annotations

import json

import pytest

from console.cli.failure import CommandFailed, ExitCode
from console.cli.input.issuers import read_issuers


def test_a_file_lists_issuers_with_their_keys_or_where_those_are(tmp_path):
    file = tmp_path / "issuers.yaml"
    file.write_text(
        """
- issuer: https://login.example.net
  audience: homeport
  jwks_url: https://login.example.net/keys
- {issuer: b, audience: c, client_claim: device, jwks: {keys: [{kty: OKP}]}}
"""
    )
    first, second = read_issuers(str(file))
    assert (first.issuer, first.audience) == ("https://login.example.net", "homeport")
    assert (first.WhichOneof("keys"), first.client_claim) == ("jwks_url", "")
    assert json.loads(second.jwks) == {"keys": [{"kty": "OKP"}]}
    assert second.client_claim == "device"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("issuer: a", "no list"),
        ("- a", "entry 1 is no mapping"),
        ("- {issuer: a, jwks_uri: b}", "unknown key jwks_uri"),
        ("- {issuer: 5}", "issuer is no text"),
        ("- {issuer: a, jwks: '{}', jwks_url: b}", "give one of them"),
        ("- [", "is not YAML"),
        ("- 2024-02-31", "is not YAML"),
        ("[" * 2_000, "is not YAML"),
        ("- {jwks: 2024-01-01}", "jwks is no text"),
        ("- {issuer: a, jwks: {keys: [{nbf: 2024-01-01}]}}", "entry 1: jwks is no JSON"),
        ("- {issuer: a, issuer: b}", "stands there twice"),
        ("- &a {issuer: a}\n- *a", "anchors and aliases"),
        ("- {issuer: a, jwks: " + "{a: " * 17 + "1" + "}" * 18, "deeper than 16 levels"),
    ],
)
def test_a_faulty_file_is_wrong_usage_and_says_where(tmp_path, content, said):
    file = tmp_path / "issuers.yaml"
    file.write_text(content)
    with pytest.raises(CommandFailed, match=said) as caught:
        read_issuers(str(file))
    assert caught.value.code is ExitCode.USAGE


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(CommandFailed, match="cannot be read"):
        read_issuers(str(tmp_path / "none.yaml"))
