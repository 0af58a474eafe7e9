"""API tokens: callers by what they show as bearer.

Tokens are random and long, so their SHA-256 is stored and looked up; a lookup by digest
tells an attacker nothing about a token. The file is TOML:

    [[token]]
    name = "edge-gateway"
    sha256 = "9f86d0…"
    roles = ["gateway"]

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

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from control_plane.auth.callers import Caller
from control_plane.auth.roles import GIVEN, OF_RIGHTS, Role, with_implied
from control_plane.errors import InvalidInput, Unauthenticated
from control_plane.identity.names import check_slug
from control_plane.printable import quoted, why_unreadable

MOST_BYTES = 4 << 20
MOST_UNITS = 1000
_KEYS = {
    "name", "sha256", "roles", "rights", "tenant", "application", "units", "platform",
}  # fmt: skip


class Tokens:
    """Callers by the SHA-256 of their token, in hex."""

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        self._callers = dict(callers)

    @classmethod
    def read(cls, path: Path) -> Tokens:
        """Raises InvalidInput that names the file, the entry and what is wrong."""
        try:
            if path.stat().st_size > MOST_BYTES:
                raise InvalidInput("tokens", f"{path} is larger than {MOST_BYTES:,} bytes")
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InvalidInput(
                "tokens", f"{path} cannot be read: {why_unreadable(error)}"
            ) from error
        unknown = set(document) - {"token"}
        if unknown:
            raise InvalidInput("tokens", f"{path}: unknown key {quoted(sorted(unknown)[0])}")
        callers: dict[str, Caller] = {}
        listed = document.get("token", [])
        if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
            raise InvalidInput("tokens", f"{path}: a token is a table under [[token]]")
        for place, entry in enumerate(listed):
            where = f"{path}: token {place + 1}"
            digest = _digest(entry, where)
            if digest in callers:
                raise InvalidInput(
                    "tokens",
                    f"{where} has the sha256 of {quoted(callers[digest].name)}; tokens differ",
                )
            callers[digest] = _caller(entry, where)
        return cls(callers)

    def caller(self, metadata: Iterable[tuple[str, str | bytes]]) -> Caller | None:
        """Who sent this metadata; None: it shows no token. Raises Unauthenticated for one that
        nobody knows."""
        for key, value in metadata:
            if key == "authorization":
                text = value.decode("latin-1") if isinstance(value, bytes) else value
                kind, _, token = text.partition(" ")
                if kind.lower() != "bearer" or not token:
                    raise Unauthenticated("authorization must be `Bearer <token>`")
                found = self._callers.get(hashlib.sha256(token.strip().encode()).hexdigest())
                if found is None:
                    raise Unauthenticated("this token is not known here; ask an operator for one")
                return found
        return None


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


def _caller(entry: Mapping[str, Any], where: str) -> Caller:
    """Raises InvalidInput."""
    roles = _roles(entry, where)
    names = {key: entry.get(key, "") for key in ("tenant", "application", "platform")}
    for key, name in names.items():
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
