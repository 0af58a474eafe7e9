"""FeedLog: where accepted events are kept, in order, whatever keeps them.

Each tenant has a log of its own: positions begin at 1, grow by one and are never given
again, so nobody can tell from them what others do. An event is in its tenant's log at most
once, by (source, id). Events come back in the order they went in, which keeps the order per
key. The suite in tests/contracts says all of it in code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec

from data_sharing.correlation import kept_correlation
from data_sharing.event import Event


class Candidate(msgspec.Struct, frozen=True):
    """An event that passed all checks and is to be kept."""

    event: Event  # position 0
    content: bytes  # its data, JSON as the producer wrote it
    attributes: bytes = b""  # JSON object of its other attributes: datacontenttype, extensions


class Appended(msgspec.Struct, frozen=True):
    """Where an event is now."""

    position: int
    duplicate: bool  # it was there before; nothing was written


class Record(NamedTuple):
    """An event as it is kept. The fields of Event; `content` and `attributes` as above."""

    tenant: str
    position: int
    accepted_ms: int  # Unix ms, never falling from one position to the next
    source: str
    id: str
    type: str
    key: str
    subject: str
    time_ms: int
    content: bytes
    attributes: bytes

    def event(self) -> Event:
        """With its data decoded."""
        said = kept_correlation(self.attributes)
        return Event(
            tenant=self.tenant,
            source=self.source,
            id=self.id,
            type=self.type,
            key=self.key,
            time_ms=self.time_ms,
            data=msgspec.json.decode(self.content),
            subject=self.subject,
            position=self.position,
            correlation=said.correlation,
            causation=said.causation,
            hops=said.hops,
        )


class Page(NamedTuple):
    """Some of a log."""

    records: Sequence[Record]
    position: int  # looked through up to here: go on after it
    more: bool  # whether the log went further when it was read
    trimmed: bool  # whether events right behind the position asked for are gone: too old


class LogBounds(NamedTuple):
    """What a log holds."""

    trimmed: int  # everything up to here is gone
    last: int  # the position given last; equal to `trimmed`: empty
    content_bytes: int  # what the kept events count for


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How much of each log is kept."""

    age_s: float  # since acceptance
    content_bytes: int  # per tenant


class FeedLog(Protocol):
    """Errors of all: StoreUnavailable; of writes also OutcomeUnknown, after which the same
    append can be repeated, because what was kept is found to be a duplicate."""

    def append(self, candidates: Sequence[Candidate]) -> asyncio.Future[Sequence[Appended]]:
        """Keeps events, of one or several tenants; an answer for each once all are durable.
        Of each tenant appends are kept in the order of the calls. Exhausted, at once, where too
        many of a tenant or one of its producers wait, or of all."""
        ...

    async def room(self, tenant: str) -> None:
        """Waits until an append of a producer of whom nothing waits would not be Exhausted."""
        ...

    async def read(
        self,
        tenant: str,
        after: int,
        *,
        types: Collection[str] | None = None,
        key: str | None = None,
        limit: int = 256,
    ) -> Page:
        """Up to `limit` events behind position `after`, of these types (None: any) and this
        key (None: any). May give fewer, or none, and say how far it has looked."""
        ...

    async def position_before(self, tenant: str, accepted_ms: int) -> int:
        """The position behind which everything accepted at or after that time comes."""
        ...

    async def bounds(self, tenant: str) -> LogBounds:
        """Zeros for a tenant that nobody published for."""
        ...

    async def wait(self, tenant: str, after: int, timeout_s: float) -> bool:
        """Until the log goes past a position: True; or the time is over: False."""
        ...

    async def trim(self, retention: Retention, now_ms: int) -> int:
        """Forgets the oldest events that retention does not cover, and that they were there:
        an event published again after that is new. Returns how many are gone; may have to
        be called again to forget them all."""
        ...
