"""Edits of a tokens file: issue, rotate, revoke, list; comments and order of what is there stay.

Each edit reads the file, changes it and puts a new one in its place, under a lock that other edits
wait for; servers see the old file or the new one. The result is read as a server would read it
before it is written, so that no edit makes a file which no server takes. Tokens are never written,
only their digests.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT

from control_plane.auth.credentials import new_token
from control_plane.auth.tokens import Tokens, digest_of
from control_plane.errors import AlreadyExists, InvalidInput, NotFound, Unavailable
from control_plane.files import replace_file
from control_plane.printable import quoted, why_unreadable
from control_plane.written_paths import check_written_file

LOCK_S = 10.0
MOST_TTL_S = 10 * 366 * 86_400.0
MAX_NAME_CHARACTERS = 128
ID_CHARACTERS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedToken:
    """An entry as it is shown. id: made of its digest, to tell entries of one name apart; times
    are Unix seconds; bound: what it is bound to, by key."""

    id: str
    name: str
    roles: Sequence[str]
    bound: dict[str, Any]
    issued_at: float | None
    expires_at: float | None
    expired: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """The one time that a token is there."""

    token: str
    entry: ListedToken


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """What a token is to be. Empty and None: without. ttl_s: how long it counts."""

    name: str
    roles: Sequence[str]
    tenant: str = ""
    application: str = ""
    platform: str = ""
    units: Sequence[str] = ()
    ttl_s: float | None = None


class TokenEditor:
    """now: Unix seconds; random: 32 bytes from a cryptographic source, new at each call."""

    def __init__(
        self, path: Path, *, now: Callable[[], float], random: Callable[[], bytes]
    ) -> None:
        self._path = Path(os.path.realpath(path))
        self._now = now
        self._random = random

    def entries(self) -> list[ListedToken]:
        """In the order of the file. Raises InvalidInput."""
        document = self._read(missing=False)
        return [self._listed(entry) for entry in _entries(document)]

    def issue(self, wanted: NewToken) -> IssuedToken:
        """Adds a token; the file is made where there is none. Raises AlreadyExists where one of
        that name counts, InvalidInput for what no server would take."""
        name = wanted.name
        if not (0 < len(name) <= MAX_NAME_CHARACTERS and name.isprintable() and name.strip()):
            raise InvalidInput(
                "name", f"a name is 1 to {MAX_NAME_CHARACTERS} characters that can be printed"
            )
        with self._edited(missing=True) as document:
            if any(entry["name"] == name for entry in _entries(document) if self._counts(entry)):
                raise AlreadyExists(
                    f"there is a token {quoted(name)}: rotate it, or take another name"
                )
            facts: dict[str, Any] = {
                "name": name, "roles": list(wanted.roles), "tenant": wanted.tenant,
                "application": wanted.application, "platform": wanted.platform,
                "units": list(wanted.units),
            }  # fmt: skip
            kept = {key: value for key, value in facts.items() if value or key == "roles"}
            return self._add(document, kept, wanted.ttl_s)

    def rotate(self, name: str, *, overlap_s: float, ttl_s: float | None = None) -> IssuedToken:
        """A new token with all that the one of this name has; that one counts until the overlap
        is over. ttl_s None: as long as the old one. Raises NotFound where none counts."""
        _check_duration("overlap", overlap_s, least=0.0)
        with self._edited() as document:
            entries = _entries(document)
            old = [one for one in entries if one["name"] == name and self._counts(one)]
            if not old:
                raise NotFound(f"there is no token {quoted(name)} that counts; issue one")
            for entry in [one for one in entries if one["name"] == name and one not in old]:
                entries.remove(entry)
            newest = old[-1]
            if ttl_s is None and "expire_time" in newest and "issue_time" in newest:
                ttl_s = _seconds(newest, "expire_time") - _seconds(newest, "issue_time")
            left_out = ("sha256", "issue_time", "expire_time")
            kept = {key: newest[key] for key in newest if key not in left_out}
            until = self._now() + overlap_s
            for entry in old:
                if "expire_time" not in entry or _seconds(entry, "expire_time") > until:
                    entry["expire_time"] = _time(until)
            return self._add(document, kept, ttl_s)

    def revoke(self, name_or_id: str) -> list[ListedToken]:
        """Takes out what has this name, or this id. Raises NotFound."""
        with self._edited() as document:
            entries = _entries(document)
            found = [one for one in entries if name_or_id in (one["name"], _id(str(one["sha256"])))]
            if not found:
                raise NotFound(f"there is no token {quoted(name_or_id)}")
            for entry in found:
                entries.remove(entry)
            return [self._listed(entry) for entry in found]

    def put(self, token: str, name: str, facts: Mapping[str, Any]) -> None:
        """This token, with these keys, in the place of all of that name. Raises InvalidInput,
        Unavailable."""
        with self._edited(missing=True) as document:
            entries = _entries(document)
            for entry in [one for one in entries if one["name"] == name]:
                entries.remove(entry)
            _append(document, {"name": name, **facts, "sha256": digest_of(token)})

    def _add(self, document: Any, facts: dict[str, Any], ttl_s: float | None) -> IssuedToken:
        now = self._now()
        token = new_token(self._random())
        whole = {**facts, "sha256": digest_of(token), "issue_time": _time(now)}
        if ttl_s is not None:
            _check_duration("ttl", ttl_s, least=1.0)
            whole["expire_time"] = _time(now + ttl_s)
        return IssuedToken(token=token, entry=self._listed(_append(document, whole)))

    def _counts(self, entry: Any) -> bool:
        return "expire_time" not in entry or _seconds(entry, "expire_time") > self._now()

    def _listed(self, entry: Any) -> ListedToken:
        keys = ("tenant", "application", "platform", "units")
        return ListedToken(
            id=_id(str(entry["sha256"])),
            name=str(entry["name"]),
            roles=[str(word) for word in entry.get("roles", entry.get("rights", []))],
            bound={key: _plain(entry[key]) for key in keys if entry.get(key)},
            issued_at=_seconds(entry, "issue_time") if "issue_time" in entry else None,
            expires_at=_seconds(entry, "expire_time") if "expire_time" in entry else None,
            expired=not self._counts(entry),
        )

    def _read(self, *, missing: bool) -> Any:
        """The document, which a server would take. Raises InvalidInput; for a file that is not
        there, too, unless it may be missing."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            if missing:
                return tomlkit.document()
            raise InvalidInput("tokens", f"{self._path} is not there; name it: --tokens") from None
        except OSError as error:
            raise InvalidInput(
                "tokens", f"{self._path} cannot be read: {why_unreadable(error)}"
            ) from error
        Tokens.parse(content, str(self._path))
        try:
            return tomlkit.parse(content)
        except TOMLKitError as error:
            raise InvalidInput("tokens", f"{self._path} cannot be edited: {error}") from error

    @contextmanager
    def _edited(self, *, missing: bool = False) -> Iterator[Any]:
        """The document, written back after it was changed. Raises InvalidInput, Unavailable."""
        check_written_file(self._path, "--tokens")
        try:
            with self._locked():
                document = self._read(missing=missing)
                yield document
                content = tomlkit.dumps(document).encode()
                Tokens.parse(content, str(self._path))
                replace_file(self._path, content, durable=True, mode=0o600)
        except OSError as error:
            raise InvalidInput(
                "tokens", f"{self._path} cannot be written: {why_unreadable(error)}"
            ) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Beside the file, because that is replaced. Raises Unavailable after ten seconds."""
        lock = self._path.with_name(f".{self._path.name}.lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            end = time.monotonic() + LOCK_S
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() > end:
                        raise Unavailable(
                            f"somebody else is editing {self._path}; try again"
                        ) from error
                    time.sleep(0.02)
            yield
        finally:
            os.close(descriptor)


def _entries(document: Any) -> Any:
    return document.get("token", [])


def _append(document: Any, facts: Mapping[str, Any]) -> Any:
    if "token" not in document:
        document["token"] = tomlkit.aot()
    entries = document["token"]
    # Into `token = [{…}]`, tomlkit would write a table as it is outside of one: no TOML.
    entry = tomlkit.table() if isinstance(entries, AoT) else tomlkit.inline_table()
    for key, value in facts.items():
        entry.add(key, value)
    entries.append(entry)
    return entry


def _id(digest: str) -> str:
    return f"t-{digest.lower()[:ID_CHARACTERS]}"


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def _seconds(entry: Any, key: str) -> float:
    """Of a time that was checked."""
    moment: datetime = entry[key]
    return moment.timestamp()


def _plain(value: Any) -> Any:
    return [str(one) for one in value] if isinstance(value, list) else str(value)


def _check_duration(name: str, seconds: float, *, least: float) -> None:
    """Raises InvalidInput."""
    if not least <= seconds <= MOST_TTL_S:
        raise InvalidInput(name, f"{name} is {seconds:,.0f} s; use {least:g} s to ten years")
