"""Who may call what at the provisioning service, and by which address a client is located."""

from __future__ import annotations

import hashlib

import pytest

from control_plane.auth.tokens import Right, Tokens
from control_plane.errors import PermissionDenied, Unauthenticated
from control_plane.serving.calls import HotCall
from control_plane.serving.peers import Proxies, parse_networks
from provisioner.api.callers import Callers

PEER = "ipv4:192.0.2.1:5"


class Call(HotCall):
    """A call that shows a token, or none."""

    def __init__(self, token: str = "", forwarded: str = "") -> None:
        self._metadata = [("authorization", f"Bearer {token}")] if token else []
        if forwarded:
            self._metadata.append(("x-forwarded-for", forwarded))

    def metadata(self):
        return self._metadata

    def peer(self) -> str:
        return PEER


class Context:
    """An ordinary call's context, as far as callers look at it."""

    def __init__(self, token: str = "") -> None:
        self._metadata = [("authorization", f"Bearer {token}")] if token else None

    def invocation_metadata(self):
        return self._metadata

    def peer(self) -> str:
        return PEER


def tokens(tmp_path, more: str = "", rights: str = '["provision"]') -> Tokens:
    path = tmp_path / "tokens.toml"
    digest = hashlib.sha256(b"secret").hexdigest()
    path.write_text(f'[[token]]\nname = "edge"\nrights = {rights}\nsha256 = "{digest}"\n{more}')
    return Tokens.read(path)


def test_a_token_of_all_tenants_is_admitted(tmp_path):
    callers = Callers(Proxies(), tokens(tmp_path, ""))
    assert callers.admit(Call("secret"), declares=False) == "192.0.2.1"


def test_a_token_of_one_tenant_is_for_data_sharing_alone(tmp_path):
    callers = Callers(Proxies(), tokens(tmp_path, 'tenant = "city"'))
    with pytest.raises(PermissionDenied, match="data sharing in city"):
        callers.admit(Call("secret"), declares=False)
    with pytest.raises(PermissionDenied, match="data sharing in city"):
        callers.of_context(Context("secret"))


def test_without_tokens_everybody_may_declare_where_a_client_is():
    callers = Callers(Proxies(), None)
    assert callers.admit(Call(), declares=True) is None
    callers.require(Context(), Right.OPERATE)


def test_with_tokens_a_caller_that_shows_none_provisions_itself_by_its_address(tmp_path):
    callers = Callers(Proxies(), tokens(tmp_path))
    assert callers.admit(Call(), declares=False) == "192.0.2.1"
    with pytest.raises(PermissionDenied, match="may not say where a client is"):
        callers.admit(Call(), declares=True)


def test_a_token_nobody_issued_is_refused_even_for_what_anybody_may(tmp_path):
    callers = Callers(Proxies(), tokens(tmp_path))
    with pytest.raises(Unauthenticated):
        callers.admit(Call("guessed"), declares=False)


def test_a_right_that_is_missing_is_named(tmp_path):
    callers = Callers(Proxies(), tokens(tmp_path))
    with pytest.raises(PermissionDenied, match=rf"edge has no right to {Right.OPERATE.value}"):
        callers.require(Context("secret"), Right.OPERATE)


def test_what_a_proxy_forwards_counts_only_where_it_is_trusted():
    call = Call(forwarded="198.51.100.7")
    assert Callers(Proxies(), None).admit(call, declares=False) == "192.0.2.1"
    trusting = Callers(Proxies(parse_networks(["192.0.2.0/24"])), None)
    assert trusting.admit(call, declares=False) == "198.51.100.7"
    assert trusting.peer_of_context(Context()) == "192.0.2.1"
