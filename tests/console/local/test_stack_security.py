"""What secures a stack on one machine: made for its user alone, the same CA and operator from run
to run, each program with what it needs."""

from __future__ import annotations

import datetime
import stat
import tomllib
from itertools import count
from pathlib import Path

import pytest
from cryptography import x509

from console.local.stack_options import StackOptions
from console.local.stack_plan import AGENT, SERVER
from console.local.stack_security import OPERATOR, StackSecurity, agent_holder, make_security
from console.local.stack_units import prepare_stack
from control_plane.auth.callers import Caller
from control_plane.auth.credentials import TOKEN_BYTES, is_issued_token
from control_plane.auth.roles import Role
from control_plane.auth.token_editor import NewToken, TokenEditor
from control_plane.auth.tokens import Tokens
from control_plane.errors import InvalidInput
from control_plane.fleet.file import TWO_UNITS
from control_plane.identity.authority import Authority
from control_plane.serving.peer_identity import identity_of_certificate
from control_plane.serving.tls import TlsFiles

NOW = datetime.datetime(2026, 11, 27, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


NUMBERS = count()


def made(folder: Path, *, now: datetime.datetime = NOW, mutual: bool = False) -> StackSecurity:
    security = StackSecurity(folder=folder / "security", mutual=mutual)
    make_security(
        security,
        programs=(SERVER, AGENT),
        holders=[agent_holder(AGENT, ["dublin", "tokyo"])],
        now=now,
        random=lambda: next(NUMBERS).to_bytes(TOKEN_BYTES, "big"),
    )
    return security


def holder_of(tokens: Tokens, token: str) -> Caller:
    entry = tokens.find(token)
    assert entry is not None
    return entry.caller


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


def test_certificates_are_for_the_hosts_of_pages_as_well(tmp_path: Path) -> None:
    options = StackOptions(
        data_dir=tmp_path,
        units=TWO_UNITS,
        hosts={"homeport.localhost:7720": "default"},
        security=StackSecurity(folder=tmp_path / "security"),
    )
    prepare_stack(options)
    assert options.security is not None
    shown = x509.load_pem_x509_certificate(options.security.certificate(SERVER).read_bytes())
    names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "homeport.localhost"]


def test_the_operator_has_a_certificate_where_servers_ask_for_one(tmp_path: Path) -> None:
    assert not made(tmp_path).certificate(OPERATOR).exists()
    security = made(tmp_path, mutual=True)
    TlsFiles(security.certificate(OPERATOR), security.key(OPERATOR), clock=lambda: 0.0)
    shown = security.certificate(OPERATOR).read_bytes()
    assert str(identity_of_certificate(shown)) == "spiffe://homeport.local/operator/operator"
    assert stat.S_IMODE(security.key(OPERATOR).stat().st_mode) == 0o600


def test_arguments_ask_for_certificates_and_show_them(tmp_path: Path) -> None:
    plain, mutual = (StackSecurity(folder=tmp_path, mutual=one) for one in (False, True))
    ca = tmp_path / "ca.pem"
    assert not any("client-ca" in one for one in plain.serving(SERVER))
    assert plain.calling(AGENT) == (f"--ca={ca}",)
    assert mutual.serving(SERVER)[-1] == f"--tls-client-ca={ca}"
    assert mutual.calling(AGENT) == (
        f"--ca={ca}",
        f"--certificate={tmp_path}/agent.pem",
        f"--certificate-key={tmp_path}/agent.key",
    )
    assert mutual.calling(SERVER, prefix="unit-")[1:] == (
        f"--unit-certificate={tmp_path}/server.pem", f"--unit-key={tmp_path}/server.key",
    )  # fmt: skip


def test_the_tokens_are_what_their_holders_may_be(tmp_path: Path) -> None:
    security = made(tmp_path)
    tokens = Tokens.read(security.tokens)
    assert holder_of(tokens, security.operator_token()).may(Role.ADMIN)
    shown = tomllib.loads(security.settings(AGENT).read_text())["token"]
    assert is_issued_token(security.operator_token())
    assert is_issued_token(shown)
    agent = holder_of(tokens, shown)
    assert agent.units == {"dublin", "tokyo"}
    assert not agent.may(Role.OPERATOR, Role.GATEWAY)


def test_ca_and_operator_stay_and_the_rest_is_new(tmp_path: Path) -> None:
    before = made(tmp_path)
    kept = before.ca.read_bytes(), before.operator_token()
    certificate = before.certificate(SERVER).read_bytes()
    after = made(tmp_path)
    assert (after.ca.read_bytes(), after.operator_token()) == kept
    assert after.certificate(SERVER).read_bytes() != certificate


def test_what_somebody_issued_stays(tmp_path: Path) -> None:
    security = made(tmp_path)
    editor = TokenEditor(security.tokens, now=NOW.timestamp, random=lambda: b"x" * TOKEN_BYTES)
    issued = editor.issue(NewToken(name="ann", roles=["viewer"])).token
    former = tomllib.loads(security.settings(AGENT).read_text())["token"]
    made(tmp_path)
    tokens = Tokens.read(security.tokens)
    assert holder_of(tokens, issued).name == "ann"
    assert holder_of(tokens, security.operator_token()).may(Role.ADMIN)
    assert tokens.find(former) is None
    assert len(tokens) == 3


def test_a_tokens_file_that_cannot_be_read_is_left(tmp_path: Path) -> None:
    security = made(tmp_path)
    security.tokens.write_text("[[token]\n")
    with pytest.raises(InvalidInput, match="cannot be read"):
        made(tmp_path)
    assert security.tokens.read_text() == "[[token]\n"


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
