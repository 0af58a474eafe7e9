"""Tokens at the provisioning service: one that belongs to a tenant opens nothing there."""

from __future__ import annotations

import hashlib

import pytest

from control_plane.auth.tokens import Tokens
from control_plane.errors import PermissionDenied
from control_plane.serving.calls import HotCall
from control_plane.serving.peers import Proxies
from provisioner.api.callers import Callers


class Call(HotCall):
    """A call that shows a token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def metadata(self):
        return [("authorization", f"Bearer {self._token}")]

    def peer(self) -> str:
        return "ipv4:192.0.2.1:5"


def tokens(tmp_path, more: str) -> Tokens:
    path = tmp_path / "tokens.toml"
    digest = hashlib.sha256(b"secret").hexdigest()
    path.write_text(
        f'[[token]]\nname = "edge"\nrights = ["provision"]\nsha256 = "{digest}"\n{more}'
    )
    return Tokens.read(path)


def test_a_token_of_all_tenants_is_admitted(tmp_path):
    callers = Callers(Proxies(), tokens(tmp_path, ""))
    assert callers.admit(Call("secret"), declares=False) == "192.0.2.1"


def test_a_token_of_one_tenant_is_for_data_sharing_alone(tmp_path):
    callers = Callers(Proxies(), tokens(tmp_path, 'tenant = "city"'))
    with pytest.raises(PermissionDenied, match="data sharing in city"):
        callers.admit(Call("secret"), declares=False)
