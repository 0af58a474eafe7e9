"""StackSecurity: what secures a stack on one machine: a CA of its own, certificates for its
programs, tokens for its operator and its agents. Made as it starts, kept in its data directory for
its user alone; the CA and the operator's token stay what they are between runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from control_plane.files import replace_file
from control_plane.identity.authority import Authority
from control_plane.private_files import FILE_MODE, private_folder

TRUST_DOMAIN = "homeport.local"
HOSTS, ADDRESSES = ("localhost",), ("127.0.0.1", "::1")
CA, CA_KEY, TOKENS, OPERATOR_TOKEN = "ca.pem", "ca.key", "tokens.toml", "operator.token"


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSecurity:
    """Files below one folder."""

    folder: Path

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

    @property
    def operator_token_file(self) -> Path:
        return self.folder / OPERATOR_TOKEN

    def operator_token(self) -> str:
        return self.operator_token_file.read_text().strip()

    def shown(self, name: str) -> tuple[str, str]:
        """The arguments of a server that shows this certificate."""
        return f"--tls-certificate={self.certificate(name)}", f"--tls-key={self.key(name)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHolder:
    """A program that shows a token. given: what the token may do, as lines of the tokens file."""

    name: str
    given: Sequence[str]


def make_security(
    security: StackSecurity,
    *,
    programs: Sequence[str],
    holders: Sequence[TokenHolder],
    now: datetime,
    new_token: Callable[[], str],
) -> None:
    """Makes the files. programs: each gets a certificate that is named after it. new_token: one
    that nobody can guess, at each call another. Raises OSError."""
    private_folder(security.folder)
    authority = _authority(security, now)
    for name in programs:
        certificate, key = authority.issue(
            f"homeport {name}",
            now=now,
            hosts=HOSTS,
            addresses=ADDRESSES,
            uris=[f"spiffe://{TRUST_DOMAIN}/{name}"],
        )
        replace_file(security.certificate(name), certificate, mode=FILE_MODE)
        replace_file(security.key(name), key, mode=FILE_MODE)
    try:
        operator = security.operator_token()
    except FileNotFoundError:
        operator = ""
    if not operator:
        operator = new_token()
        replace_file(security.operator_token_file, f"{operator}\n".encode(), mode=FILE_MODE)
    entries = [_entry("operator", operator, ['roles = ["admin"]'])]
    for holder in holders:
        token = new_token()
        replace_file(
            security.settings(holder.name), f'token = "{token}"\n'.encode(), mode=FILE_MODE
        )
        entries.append(_entry(holder.name, token, holder.given))
    replace_file(security.tokens, "\n".join(entries).encode(), mode=FILE_MODE)


def agent_holder(name: str, units: Sequence[str]) -> TokenHolder:
    """Of the agents of these units."""
    return TokenHolder(name=name, given=['roles = ["unit"]', f"units = {json.dumps(list(units))}"])


def _entry(name: str, token: str, given: Sequence[str]) -> str:
    digest = hashlib.sha256(token.encode()).hexdigest()
    lines = ("[[token]]", f'name = "{name}"', f'sha256 = "{digest}"', *given)
    return "\n".join((*lines, ""))


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
