"""API tokens: callers by what they show as bearer.

Tokens are random and long, so their SHA-256 is stored and looked up; a lookup by digest
tells an attacker nothing about a token. The file is TOML:

    [[token]]
    name = "edge-gateway"
    sha256 = "9f86d0…"
    roles = ["gateway"]
    issue_time = 2026-11-27T12:00:00Z
    expire_time = 2027-11-27T12:00:00Z    # left out: never

    [[token]]
    name = "agent-of-dublin"
    sha256 = "60303a…"
    roles = ["unit"]
    units = ["dublin"]        # whose agent it is

    [[token]]
    name = "traffic-producer"
    sha256 = "fd61a0…"
    roles = ["producer", "consumer"]
    tenant = "city"           # of this tenant alone; left out: of all
    application = "traffic"   # speaks for this application alone; needs tenant

    [[token]]
    name = "platform-1"
    sha256 = "a4ba34…"
    roles = ["platform"]
    tenant = "city"           # a platform is of one tenant,
    platform = "platform-1"   # and has a name

A token without roles may do nothing. `rights`, which files had before there were roles, is read
as roles.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from control_plane.auth.callers import Caller
from control_plane.auth.roles import GIVEN, OF_RIGHTS, Role, with_implied
from control_plane.errors import InvalidInput
from control_plane.identity.names import check_slug
from control_plane.printable import quoted, why_unreadable

MOST_BYTES = 4 << 20
MOST_UNITS = 100_000  # of one token; the size of the file is the narrower bound
_KEYS = {
    "name", "sha256", "roles", "rights", "tenant", "application", "units", "platform",
    "issue_time", "expire_time",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEntry:
    """What the file says of one token. expires_at: Unix seconds; None: never."""

    caller: Caller
    expires_at: float | None = None


class Tokens:
    """Entries by the SHA-256 of their token, in hex. Raises ValueError for what is not hex."""

    def __init__(self, entries: Mapping[str, TokenEntry]) -> None:
        self._entries = {bytes.fromhex(digest): entry for digest, entry in entries.items()}

    def __len__(self) -> int:
        return len(self._entries)

    @classmethod
    def read(cls, path: Path) -> Tokens:
        """Raises InvalidInput that names the file, the entry and what is wrong."""
        try:
            with path.open("rb") as file:
                refuse_open_file(file, path)
                content = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise InvalidInput(
                "tokens", f"{path} cannot be read: {why_unreadable(error)}"
            ) from error
        return cls.parse(content, str(path))

    @classmethod
    def parse(cls, content: bytes, where: str) -> Tokens:
        """The entries of a file's content; where: its name. Raises InvalidInput."""
        if len(content) > MOST_BYTES:
            raise InvalidInput("tokens", f"{where} is larger than {MOST_BYTES:,} bytes")
        try:
            document = tomllib.loads(content.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise InvalidInput(
                "tokens", f"{where} cannot be read: {why_unreadable(error)}"
            ) from error
        unknown = set(document) - {"token"}
        if unknown:
            raise InvalidInput("tokens", f"{where}: unknown key {quoted(sorted(unknown)[0])}")
        entries: dict[str, TokenEntry] = {}
        listed = document.get("token", [])
        if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
            raise InvalidInput("tokens", f"{where}: a token is a table under [[token]]")
        for place, entry in enumerate(listed):
            spot = f"{where}: token {place + 1}"
            digest = _digest(entry, spot)
            if digest in entries:
                other = quoted(entries[digest].caller.name)
                raise InvalidInput("tokens", f"{spot} has the sha256 of {other}; tokens differ")
            _time(entry, "issue_time", spot)
            entries[digest] = TokenEntry(
                caller=_caller(entry, spot), expires_at=_time(entry, "expire_time", spot)
            )
        return cls(entries)

    def current(self) -> Tokens:
        """Itself: tokens that nobody replaces."""
        return self

    def find(self, token: str) -> TokenEntry | None:
        """The entry of a token, expired or not; None: there is none."""
        return self._entries.get(sha256(token.encode()).digest())


def refuse_open_file(file: BinaryIO, path: Path) -> None:
    """Whoever may write the file decides who may do what. Raises InvalidInput where that is
    everybody; OSError."""
    if os.fstat(file.fileno()).st_mode & stat.S_IWOTH:
        raise InvalidInput(
            "tokens", f"{path} can be written by everybody on this machine; `chmod o-w` it"
        )


def digest_of(token: str) -> str:
    """What the file has of a token."""
    return sha256(token.encode()).hexdigest()


def _digest(entry: Mapping[str, Any], where: str) -> str:
    if not {"name", "sha256"} <= set(entry) or not {"roles", "rights"} & set(entry):
        raise InvalidInput("tokens", f"{where} needs name, sha256 and roles")
    unknown = sorted(set(entry) - _KEYS)
    if unknown:
        raise InvalidInput(
            "tokens",
            f"{where}: unknown key {quoted(unknown[0])}; it may have {', '.join(sorted(_KEYS))}",
        )
    digest = str(entry["sha256"]).lower()
    if len(digest) != 64 or any(c not in "0123456789abcdef" for c in digest):
        raise InvalidInput("tokens", f"{where}: sha256 is 64 hexadecimal digits")
    return digest


def _time(entry: Mapping[str, Any], key: str, where: str) -> float | None:
    """Unix seconds. Raises InvalidInput."""
    value = entry.get(key)
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidInput(
            "tokens", f"{where}: {key} is a time with its zone, such as 2027-01-31T12:00:00Z"
        )
    return value.timestamp()


def _caller(entry: Mapping[str, Any], where: str) -> Caller:
    """Raises InvalidInput."""
    roles = _roles(entry, where)
    names = {key: entry.get(key, "") for key in ("tenant", "application", "platform")}
    for key, name in names.items():
        if key in entry and name == "":
            raise InvalidInput(
                "tokens", f"{where}: {key} is empty; leave it out, or say which one it is"
            )
        if name != "":
            names[key] = check_slug(str(name), f"tokens.{key}")
    units = entry.get("units", [])
    if not isinstance(units, list) or len(units) > MOST_UNITS:
        raise InvalidInput("tokens", f"{where}: units is a list of at most {MOST_UNITS:,} ids")
    if names["application"] and not names["tenant"]:
        raise InvalidInput("tokens", f"{where}: an application needs its tenant")
    if Role.UNIT in roles and not units:
        raise InvalidInput(
            "tokens", f'{where} is of an agent and names no unit: add units = ["<unit id>"]'
        )
    if Role.PLATFORM in roles and not (names["tenant"] and names["platform"]):
        raise InvalidInput(
            "tokens",
            f"{where} is of a platform and does not say which: add tenant and platform, its name",
        )
    return Caller(
        name=str(entry["name"]),
        roles=with_implied(roles),
        tenant=names["tenant"],
        application=names["application"],
        units=frozenset(check_slug(str(one), "tokens.units") for one in units),
        platform=names["platform"],
    )


def _roles(entry: Mapping[str, Any], where: str) -> set[Role]:
    roles: set[Role] = set()
    for key in ("roles", "rights"):
        words = entry.get(key, [])
        if not isinstance(words, list):
            raise InvalidInput("tokens", f"{where}: {key} is a list")
        known = {role.value: role for role in GIVEN} if key == "roles" else OF_RIGHTS
        for word in words:
            if word not in known:
                raise InvalidInput(
                    "tokens",
                    f"{where}: {quoted(word)} is none of the {key} {', '.join(sorted(known))}",
                )
            roles.add(known[word])
    return roles
