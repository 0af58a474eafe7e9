"""Tailing: a reader's way along a log, page by page, seeing at each page what it may read then.

Access is asked for again before every page: a feed that is no longer shared ends the stream
where it was asked for by name, and just falls out where it was not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from typing import NamedTuple

from control_plane.errors import NotFound, PermissionDenied, Unavailable
from data_sharing.api.read_turns import ReadTurns
from data_sharing.feeds.port import FeedLog, Record
from data_sharing.instruction import OUTCOME_FEED
from data_sharing.management.shown_records import Reads, ShownRecords
from data_sharing.registry.access import caused, may_read, origin, readable
from data_sharing.registry.catalogue import Catalogue
from data_sharing.sharing.audience import OPERATORS, Audience

BEAT_S = 10.0
LOOK_S = 1.0  # how soon a stream sees that the server stops
MESSAGE_BYTES = 512 * 1024
PAGE = 256


class Stretch(NamedTuple):
    """What one message tells."""

    records: Sequence[Record]
    position: int  # looked through up to here
    trimmed: bool


class Tail(NamedTuple):
    """What a reader asked for. `application` empty: an operator."""

    tenant: str
    application: str
    feeds: tuple[str, ...] = ()  # none: all that it may read
    key: str = ""
    follow: bool = False
    purpose: str = ""  # of an operator
    by_operator: bool = False  # who asks what the application gets, and is not it


async def read_along(
    log: FeedLog,
    catalogue: Callable[[], Catalogue],
    tail: Tail,
    start: int,
    stopping: Callable[[], bool],
    shown: ShownRecords,
    turns: ReadTurns,
) -> AsyncIterator[Stretch]:
    """From behind position `start`, each page in its turn. Raises NotFound, PermissionDenied,
    and Unavailable when the server stops."""
    position, silent_s = start, 0.0
    while True:
        types = visible(catalogue(), tail)
        # Where keys may be hidden, whose an event is must not be learnt by asking for a key.
        key = None if shown.governs(tail.tenant) else tail.key or None
        async with turns.turn(tail.tenant, counted=False):
            page = await log.read(tail.tenant, position, types=types, key=key, limit=PAGE)
            position = page.position
            reads = Reads()
            records = seen(page.records, tail, catalogue(), shown, reads)
        await shown.count(reads)
        for stretch in _stretches(records, position, page.trimmed):
            silent_s = 0.0
            yield stretch
        if page.more:
            await asyncio.sleep(0)  # a long way on which there is nothing for it is not all at once
            continue
        if not tail.follow:
            yield Stretch((), position, trimmed=False)
            return
        if stopping():
            raise Unavailable("this server is shutting down; go on at another one")
        if not await log.wait(tail.tenant, position, LOOK_S):
            silent_s += LOOK_S
            if silent_s >= BEAT_S:
                silent_s = 0.0
                yield Stretch((), position, trimmed=False)


def visible(catalogue: Catalogue, tail: Tail) -> Collection[str] | None:
    """The types that the reader gets; None: all of the tenant's. Raises NotFound,
    PermissionDenied."""
    if not tail.application:
        return tail.feeds or None
    if catalogue.application(tail.tenant, tail.application) is None:
        raise NotFound(f"tenant {tail.tenant} has no application {tail.application}")
    if not tail.feeds:
        return set(readable(catalogue, tenant=tail.tenant, application=tail.application))
    for feed in tail.feeds:
        access = may_read(catalogue, tenant=tail.tenant, application=tail.application, feed=feed)
        if not access.allowed:
            raise PermissionDenied(access.reason)
    return set(tail.feeds)


def seen(
    records: Sequence[Record],
    tail: Tail,
    catalogue: Catalogue,
    shown: ShownRecords,
    reads: Reads,
) -> Sequence[Record]:
    """Of the types that it gets, the events that the reader may see, as it may see them: of
    outcomes, those of what events of its own caused. An operator sees all of what is open. reads:
    where it is added what is shown of feeds with a policy."""
    if tail.application:
        records = [
            one
            for one in records
            if one.type != OUTCOME_FEED or caused(one.content, tail.application)
        ]
    if not shown.governs(tail.tenant):
        return records
    found = list[Record]()
    for one in records:
        mine = Reads()
        record = _shown(one, tail, catalogue, shown, mine)
        if record is not None and tail.key in ("", record.key):
            found.append(record)
            reads.update(mine)
    return found


def _shown(
    record: Record, tail: Tail, catalogue: Catalogue, shown: ShownRecords, reads: Reads
) -> Record | None:
    """One as the reader may see it; None: not at all."""
    if not tail.application:
        found = shown.to_operator(record, tail.purpose, reads)
    elif origin(catalogue, tenant=tail.tenant, feed=record.type) == tail.application:
        if not tail.by_operator:
            return record
        found = shown.to_operator(record, tail.purpose, reads)
    else:
        access = may_read(
            catalogue, tenant=tail.tenant, application=tail.application, feed=record.type
        )
        readers = {tail.application, *((OPERATORS,) if tail.by_operator else ())}
        found = shown.to(record, Audience(frozenset(readers), access.purpose), reads)
    return None if found is None else found.record


def _stretches(records: Sequence[Record], position: int, trimmed: bool) -> list[Stretch]:
    """Records cut into messages that are not too large."""
    made: list[Stretch] = []
    held: list[Record] = []
    size = 0
    for record in records:
        held.append(record)
        size += len(record.content) + len(record.attributes) + 512
        if size >= MESSAGE_BYTES:
            made.append(Stretch(held, record.position, trimmed))
            held, size, trimmed = [], 0, False
    if held:
        made.append(Stretch(held, position, trimmed))
    elif trimmed:
        made.append(Stretch((), position, trimmed))
    return made
