"""What secures a stack on one machine: made for its user alone, the same CA and operator from run
to run, each program with what it needs."""

from __future__ import annotations

import datetime
import stat
from itertools import count
from pathlib import Path

import pytest

from console.local.stack_plan import AGENT, SERVER
from console.local.stack_security import StackSecurity, agent_holder, make_security
from control_plane.auth.roles import Role
from control_plane.auth.tokens import Tokens
from control_plane.identity.authority import Authority
from control_plane.serving.peer_identity import identity_of_certificate
from control_plane.serving.tls import TlsFiles

NOW = datetime.datetime(2026, 11, 27, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


def made(folder: Path, *, now: datetime.datetime = NOW, first: int = 0) -> StackSecurity:
    numbers = count(first)
    security = StackSecurity(folder=folder / "security")
    make_security(
        security,
        programs=(SERVER, AGENT),
        holders=[agent_holder(AGENT, ["dublin", "tokyo"])],
        now=now,
        new_token=lambda: f"token-{next(numbers)}",
    )
    return security


def test_everything_is_for_its_user_alone(tmp_path: Path) -> None:
    security = made(tmp_path)
    assert stat.S_IMODE(security.folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in security.folder.iterdir()}
    assert set(modes.values()) == {0o600}, modes


def test_servers_can_serve_with_it_and_are_named(tmp_path: Path) -> None:
    security = made(tmp_path)
    for name in (SERVER, AGENT):
        TlsFiles(security.certificate(name), security.key(name), security.ca, clock=lambda: 0.0)
        identity = identity_of_certificate(security.certificate(name).read_bytes())
        assert str(identity) == f"spiffe://homeport.local/{name}"


def test_the_tokens_are_what_their_holders_may_be(tmp_path: Path) -> None:
    security = made(tmp_path)
    tokens = Tokens.read(security.tokens)
    found = tokens.find(security.operator_token())
    assert found is not None
    assert found.caller.may(Role.ADMIN)
    assert security.settings(AGENT).read_text() == 'token = "token-1"\n'
    agent = tokens.find("token-1")
    assert agent is not None
    assert agent.caller.units == {"dublin", "tokyo"}
    assert not agent.caller.may(Role.OPERATOR, Role.GATEWAY)


def test_ca_and_operator_stay_and_the_rest_is_new(tmp_path: Path) -> None:
    before = made(tmp_path)
    kept = before.ca.read_bytes(), before.operator_token()
    certificate = before.certificate(SERVER).read_bytes()
    after = made(tmp_path, first=10)
    assert (after.ca.read_bytes(), after.operator_token()) == kept
    assert after.certificate(SERVER).read_bytes() != certificate


@pytest.mark.parametrize("what", ["gone", "another's key", "junk", "soon over"])
def test_a_ca_that_cannot_be_used_is_made_anew(tmp_path: Path, what: str) -> None:
    security, now = made(tmp_path), NOW
    before, key = security.ca.read_bytes(), security.folder / "ca.key"
    if what == "gone":
        key.unlink()
    elif what == "another's key":
        key.write_bytes(Authority.new("x", now=NOW).key_pem)
    elif what == "junk":
        security.ca.write_bytes(b"junk")
    else:
        now = NOW + 3_500 * DAY
    made(tmp_path, now=now)
    assert security.ca.read_bytes() != before
    made(tmp_path, now=now)
