"""StackSecurity: what secures a stack on one machine: a CA of its own, certificates for its
programs and its operator, tokens for its operator and its agents. Made as it starts, kept in its
data directory for its user alone; the CA, the operator's token and what somebody has issued beside
it stay what they are between runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from control_plane.auth.credentials import new_token
from control_plane.auth.token_editor import TokenEditor
from control_plane.files import replace_file
from control_plane.identity.authority import Authority
from control_plane.private_files import FILE_MODE, private_folder

TRUST_DOMAIN = "homeport.local"
HOSTS, ADDRESSES = ("localhost",), ("127.0.0.1", "::1")
CA, CA_KEY, TOKENS, OPERATOR_TOKEN = "ca.pem", "ca.key", "tokens.toml", "operator.token"
OPERATOR = "operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSecurity:
    """Files below one folder. mutual: servers take those alone who show a certificate of the CA;
    what they may do, their tokens say."""

    folder: Path
    mutual: bool = False

    @property
    def ca(self) -> Path:
        return self.folder / CA

    @property
    def tokens(self) -> Path:
        return self.folder / TOKENS

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def settings(self, name: str) -> Path:
        """TOML with the token of a program, which no listing of processes shows."""
        return self.folder / f"{name}.toml"

    def token_file(self, name: str) -> Path:
        """The same token alone."""
        return self.folder / f"{name}.token"

    @property
    def operator_token_file(self) -> Path:
        return self.folder / OPERATOR_TOKEN

    def operator_token(self) -> str:
        return self.operator_token_file.read_text().strip()

    def serving(self, name: str) -> tuple[str, ...]:
        """The arguments of a server that shows this certificate."""
        shown = f"--tls-certificate={self.certificate(name)}", f"--tls-key={self.key(name)}"
        return (*shown, f"--tls-client-ca={self.ca}") if self.mutual else shown

    def calling(self, name: str, *, prefix: str = "") -> tuple[str, ...]:
        """The arguments of a program that calls others of the stack, and shows this certificate to
        those that ask for one. prefix: of their names, such as `unit-`."""
        ca = f"--{prefix}ca={self.ca}"
        if not self.mutual:
            return (ca,)
        key = f"{prefix}key" if prefix else "certificate-key"
        return ca, f"--{prefix}certificate={self.certificate(name)}", f"--{key}={self.key(name)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHolder:
    """A program that shows a token. given: what the token may do, by keys of the tokens file."""

    name: str
    given: Mapping[str, object]


def make_security(
    security: StackSecurity,
    *,
    programs: Sequence[str],
    holders: Sequence[TokenHolder],
    now: datetime,
    random: Callable[[], bytes],
    hosts: Sequence[str] = (),
) -> None:
    """Makes the files. programs: each gets a certificate that is named after it; so does the
    operator, where it is mutual. hosts: names at which these are reached, besides those of this
    machine. random: 32 bytes from a cryptographic source, new at each call.
    Raises OSError; InvalidInput for a tokens file that cannot be read, Unavailable while somebody
    else edits it."""
    private_folder(security.folder)
    authority = _authority(security, now)
    paths = {name: name for name in programs}
    if security.mutual:
        paths[OPERATOR] = f"operator/{OPERATOR}"
    for name, path in paths.items():
        serves = name != OPERATOR
        certificate, key = authority.issue(
            f"homeport {name}",
            now=now,
            hosts=(*HOSTS, *hosts) if serves else (),
            addresses=ADDRESSES if serves else (),
            uris=[f"spiffe://{TRUST_DOMAIN}/{path}"],
        )
        replace_file(security.certificate(name), certificate, mode=FILE_MODE)
        replace_file(security.key(name), key, mode=FILE_MODE)
    try:
        operator = security.operator_token()
    except FileNotFoundError:
        operator = ""
    if not operator:
        operator = new_token(random())
        replace_file(security.operator_token_file, f"{operator}\n".encode(), mode=FILE_MODE)
    editor = TokenEditor(security.tokens, now=now.timestamp, random=random)
    editor.put(operator, OPERATOR, {"roles": ["admin"]})
    for holder in holders:
        token = new_token(random())
        replace_file(
            security.settings(holder.name), f'token = "{token}"\n'.encode(), mode=FILE_MODE
        )
        replace_file(security.token_file(holder.name), f"{token}\n".encode(), mode=FILE_MODE)
        editor.put(token, holder.name, holder.given)


def agent_holder(name: str, units: Sequence[str]) -> TokenHolder:
    """Of the agents of these units."""
    return TokenHolder(name=name, given={"roles": ["unit"], "units": list(units)})


def platform_holder(name: str, tenant: str) -> TokenHolder:
    """Of a platform of this name, for applications of the tenant."""
    given = {"roles": ["platform"], "tenant": tenant, "platform": name}
    return TokenHolder(name=name, given=given)


def messages_holder(name: str, tenant: str) -> TokenHolder:
    """Of units, which speak for `homeport-messages` of the tenant."""
    given = {
        "roles": ["producer", "consumer"],
        "tenant": tenant,
        "application": "homeport-messages",
    }
    return TokenHolder(name=name, given=given)


def _authority(security: StackSecurity, now: datetime) -> Authority:
    """The one of earlier runs, or a new one where there is none that can be used."""
    try:
        authority = Authority.of(security.ca.read_bytes(), (security.folder / CA_KEY).read_bytes())
        if authority.is_good(now):
            return authority
    except (FileNotFoundError, ValueError):
        pass
    authority = Authority.new("Homeport on this machine", now=now)
    replace_file(security.folder / CA_KEY, authority.key_pem, mode=FILE_MODE)
    replace_file(security.ca, authority.certificate, mode=FILE_MODE)
    return authority
