"""RuleHealth: how one version of a rule fares, as its worker keeps it between events.

Failures in a row are counted apart for each key and each producer, so that what one of them does
wrong is not held against the others. What is bounded is bounded here: rows, the lengths of the
texts in them, the names that one remembers. Nothing here decides; `parking` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from shlex import quote
from typing import NamedTuple

import msgspec

MOST_ROWS = 256  # of one rule
LONGEST_NAME = 256  # characters of a key or a producer, of those that are longer
LONGEST_ERROR = 400
_DIGEST_BYTES = 8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ParkingScope(StrEnum):
    """What of a rule is parked."""

    KEY = "key"  # one key, for one producer or for all
    PRODUCER = "producer"  # one producer, at all keys
    RULE = "rule"  # all of it


class FailureRow(msgspec.Struct, array_like=True):
    """Failures in a row that one scope of a rule has had, and since when it is parked.

    failures: that count for the scope itself. keys, sources: of how many keys or producers, the
    digests of their names; a producer that is not known is "". feeding: the last one came of
    putting an event into a window. parked_ms, retry_ms: by the clock that deciding goes by."""

    key: str = ""  # empty: every key
    source: str = ""  # empty: every producer
    failures: int = 0
    keys: list[str] = msgspec.field(default_factory=list)
    sources: list[str] = msgspec.field(default_factory=list)
    last_error: str = ""
    last_ms: int = 0
    feeding: bool = False
    parked_ms: int | None = None  # None: it is not parked
    retry_ms: int = 0  # the first event or timer then or later tries it again
    retries: int = 0  # that failed since it was parked

    @property
    def scope(self) -> ParkingScope:
        if self.key:
            return ParkingScope.KEY
        return ParkingScope.PRODUCER if self.source else ParkingScope.RULE

    @property
    def in_a_row(self) -> int:
        """Failures, as far as they are counted."""
        return max(self.failures, len(self.keys), len(self.sources)) + self.retries


class ParkedCounts(NamedTuple):
    """How much of a rule is parked."""

    keys: int = 0
    producers: int = 0
    whole: bool = False

    @property
    def any(self) -> bool:
        return bool(self.keys or self.producers or self.whole)


class RuleHealth(msgspec.Struct, array_like=True):
    """Of one version of a rule. rows: by key and producer, the one that failed last at the end."""

    version: int
    rows: dict[tuple[str, str], FailureRow] = msgspec.field(default_factory=dict)

    def parked(self) -> Iterator[FailureRow]:
        """What is parked, the widest scope first, then by when it is tried again."""
        found = [row for row in self.rows.values() if row.parked_ms is not None]
        found.sort(key=lambda row: (bool(row.key), bool(row.source), row.retry_ms))
        return iter(found)

    @property
    def counts(self) -> ParkedCounts:
        scopes = [row.scope for row in self.rows.values() if row.parked_ms is not None]
        return ParkedCounts(
            scopes.count(ParkingScope.KEY),
            scopes.count(ParkingScope.PRODUCER),
            ParkingScope.RULE in scopes,
        )

    @property
    def failures(self) -> int:
        """In a row, where there are most."""
        return max((row.in_a_row for row in self.rows.values()), default=0)

    @property
    def last_error(self) -> str:
        """Empty: nothing failed of late."""
        newest = max(self.rows.values(), key=lambda row: row.last_ms, default=None)
        return "" if newest is None else newest.last_error

    def unpark(self, key: str = "", source: str = "") -> int:
        """Forgets the failures at a key, of a producer (of one at a key where both are given;
        everything where none is), so that it is run again. How many scopes had been parked."""
        key, source = bounded_name(key), bounded_name(source)
        gone = [
            name
            for name in self.rows
            if (not key or name[0] == key) and (not source or name[1] == source)
        ]
        return sum(self.rows.pop(name).parked_ms is not None for name in gone)


def bounded_name(text: str) -> str:
    """A key or producer as rows have it: whole, or its beginning and a digest of all of it."""
    if len(text) <= LONGEST_NAME:
        return text
    return f"{text[: LONGEST_NAME - 2 * _DIGEST_BYTES - 1]}…{digest(text)}"


def digest(text: str) -> str:
    """A short name for a text, of the same length for every text."""
    return blake2b(text.encode(errors="replace"), digest_size=_DIGEST_BYTES).hexdigest()


def parked_text(rule: str, row: FailureRow) -> str:
    """For people: what is parked, since when and why, when it is tried again, and what to do."""
    where = f"rule {rule}"
    if row.key:
        where += f" at key {quote(row.key)}"
    if row.source:
        where += f" for producer {quote(row.source)}"
    since = "" if row.parked_ms is None else f" since {time_text(row.parked_ms)}"
    command = f"homeport rules retry {rule}"
    if row.key:
        command += f" --key {quote(row.key)}"
    if row.source:
        command += f" --source {quote(row.source)}"
    return (
        f"{where} is parked{since}, after {row.in_a_row} failures in a row; the last: "
        f"{row.last_error}. The first event from {time_text(row.retry_ms)} on tries it again; "
        f"`{command}` runs it again now. Events that came meanwhile are dead letters: "
        "`homeport dlq redrive` decides one anew"
    )


def time_text(at_ms: int) -> str:
    """RFC 3339, to the second; of what is beyond the year 9999, the milliseconds."""
    try:
        return f"{_EPOCH + timedelta(milliseconds=at_ms):%Y-%m-%dT%H:%M:%SZ}"
    except OverflowError:
        return f"{at_ms} ms after 1970"
