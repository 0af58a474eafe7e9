"""API tokens: who a caller is and what it may do.

Tokens are random and long, so their SHA-256 is stored and looked up; a lookup by digest
tells an attacker nothing about a token. The file is TOML:

    [[token]]
    name = "edge-gateway"
    sha256 = "9f86d0…"
    rights = ["provision", "speak-for-others"]

    [[token]]
    name = "traffic-producer"
    sha256 = "60303a…"
    rights = ["publish", "read-feeds"]
    tenant = "city"           # of this tenant alone; left out: of all
    application = "traffic"   # speaks for this application alone; needs tenant
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from control_plane.errors import InvalidInput, Unauthenticated
from control_plane.identity.names import check_slug
from control_plane.printable import quoted, why_unreadable

_NEEDED = {"name", "sha256", "rights"}


class Right(StrEnum):
    PROVISION = "provision"  # a home for itself, by the address it comes from
    SPEAK_FOR_OTHERS = "speak-for-others"  # say where a client is; provision many
    OPERATE = "operate"  # change fleet and tenants
    UNIT = "unit"  # apply its own unit and keep it alive
    PUBLISH = "publish"  # events of feeds
    READ_FEEDS = "read-feeds"  # what an application may read
    SUBMIT = "submit"  # applications
    HOST = "host"  # be a platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody who calls."""

    name: str
    rights: frozenset[Right]
    tenant: str = ""  # the only one it has to do with; empty: all
    application: str = ""  # of that tenant, the only one it speaks for; empty: any


ANYONE_LOCAL = Caller(name="anyone", rights=frozenset(Right))
"""Where no tokens are asked for: whoever can connect may do everything."""

CLIENT = Caller(name="a client without token", rights=frozenset({Right.PROVISION}))
"""Where tokens are asked for and none is shown."""


class Tokens:
    """Callers by the SHA-256 of their token, in hex."""

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        self._callers = dict(callers)

    @classmethod
    def read(cls, path: Path) -> Tokens:
        """Raises InvalidInput that names the file, the entry and what is wrong."""
        try:
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
            if not _NEEDED <= set(entry) <= _NEEDED | {"tenant", "application"}:
                raise InvalidInput(
                    "tokens",
                    f"{where} needs name, sha256 and rights; it may have tenant and application, "
                    "no more",
                )
            digest = str(entry["sha256"]).lower()
            if len(digest) != 64 or any(c not in "0123456789abcdef" for c in digest):
                raise InvalidInput("tokens", f"{where}: sha256 is 64 hexadecimal digits")
            if digest in callers:
                raise InvalidInput(
                    "tokens",
                    f"{where} has the sha256 of {quoted(callers[digest].name)}; tokens differ",
                )
            if not isinstance(entry["rights"], list):
                raise InvalidInput("tokens", f"{where}: rights is a list of {', '.join(Right)}")
            try:
                rights = frozenset(Right(right) for right in entry["rights"])
            except ValueError as error:
                raise InvalidInput(
                    "tokens", f"{where}: {error}; rights are {', '.join(Right)}"
                ) from error
            tenant, application = entry.get("tenant", ""), entry.get("application", "")
            if tenant != "":
                tenant = check_slug(str(tenant), "tokens")
            if application != "":
                application = check_slug(str(application), "tokens")
                if not tenant:
                    raise InvalidInput("tokens", f"{where}: an application needs its tenant")
            callers[digest] = Caller(
                name=str(entry["name"]), rights=rights, tenant=tenant, application=application
            )
        return cls(callers)

    def caller(self, metadata: Iterable[tuple[str, str | bytes]]) -> Caller:
        """Who sent this metadata. Raises Unauthenticated for a token nobody knows."""
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
        return CLIENT
