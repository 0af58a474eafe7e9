"""A watch that survives its connection: every change once, in order, whatever breaks.

One stream a watch. When it ends, for whatever reason, the next one starts one revision after
what was delivered last, on the next endpoint if this one is at fault. The position is taken
from delivered events and from progress notifications alone: the revision in the header of
the response that says "created", or of a catch-up response, may be ahead of the events. Two
faults of older versions of etcd (etcd-io/etcd) are allowed for: progress notifications that a
client asks for may overtake events (issue 15220), so only the periodic ones are used; and a
watch from exactly the compacted revision may miss deletions there (issue 18089), so each
starts one revision early, which etcd then refuses.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from control_plane.keys import prefix_end
from control_plane.store.etcd.calls import CONNECT_S, Calls, RepeatPauses, raise_for, unreachable
from control_plane.store.etcd.connection import Member, Metadata
from control_plane.store.etcd.failures import (
    CALL_ERRORS,
    Failure,
    FailureKind,
    failure_of,
    failure_of_words,
)
from control_plane.store.etcd.messages import (
    WatchCreateRequest,
    WatchRequest,
    events_of,
    first_key,
)
from control_plane.store.port import Compacted, Event, StoreUnavailable, WatchBatch

_CREATE_S = 5.0  # until etcd must have said that a new watch exists
_LOGIN_S = 5.0
LATEST_REVISIONS = 200  # of a hundred keys each at most: a few MiB
# etcd ends the stream when the member has lost its leader, instead of going quiet.
_REQUIRE_LEADER = (("hasleader", "true"),)


class WatchEnded(Exception):
    """The stream ended without an error of gRPC's; the message is what etcd said, if it did."""


@dataclass(slots=True)
class Position:
    """How far one watch has come."""

    next_revision: int
    cluster: int = 0  # etcd's id of the cluster that the revision belongs to; 0: not known yet


async def watch(calls: Calls, prefix: bytes, from_revision: int) -> AsyncGenerator[WatchBatch]:
    """Store.watch. Ends when the store is closed; raises Compacted, and StoreRefused where
    etcd denies the prefix to us even after logging in anew."""
    members = calls.members
    pause = RepeatPauses(calls.rng)
    position = Position(from_revision)
    denials = 0
    while not members.closed:
        member = members.current
        token = members.token
        failure: Failure | None = None
        if not await member.ready(CONNECT_S):
            failure = unreachable(member)
        else:
            try:
                async with aclosing(_stream(member, members.metadata, prefix, position)) as batches:
                    async for batch in batches:
                        calls.answered(batch.revision)
                        denials = 0
                        pause.reset()
                        yield batch
            except WatchEnded as ended:
                failure = failure_of_words(grpc.StatusCode.UNAVAILABLE, str(ended))
            except CALL_ERRORS as error:
                failure = failure_of(error)
            except asyncio.CancelledError:
                if not members.ended_call():
                    raise
                return
        if failure is not None:
            calls.failed(failure)
            if failure.kind in (FailureKind.TOKEN_EXPIRED, FailureKind.REFUSED):
                # etcd says "permission denied" of a token that it no longer knows, too.
                denials += 1
                if denials > 2:
                    raise_for(failure, f"watch {prefix.decode(errors='replace')}", written=False)
                await _log_in(calls, token)
            else:
                members.leave(member)
        await asyncio.sleep(pause.next_s())


async def compact_revision(
    member: Member, metadata: Metadata | None, prefix: bytes, timeout_s: float
) -> int:
    """The oldest revision that can still be read; 0 when etcd did not tell in time.

    Reads that hit a compacted revision are not told where history starts now, watches are.
    """
    try:
        async with (
            asyncio.timeout(timeout_s),
            aclosing(_stream(member, metadata, prefix, Position(1))) as batches,
        ):
            async for _ in batches:
                return 0  # revision 1 can be watched: nothing is compacted
    except Compacted as told:
        return told.compact_revision
    except (WatchEnded, *CALL_ERRORS):
        return 0  # the caller knows a lower bound, and goes on with that
    return 0


async def latest_keys(
    member: Member, metadata: Metadata | None, prefix: bytes, revision: int, timeout_s: float
) -> list[bytes]:
    """Keys with `prefix` that some of the last changes before `revision` wrote; none where there
    are none, or etcd did not tell in time."""
    first = max(1, revision - LATEST_REVISIONS)
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    async with aclosing(
                        _stream(member, metadata, prefix, Position(first))
                    ) as batches:
                        async for batch in batches:
                            return [one.kv.key for one in batch.events if not one.deleted]
                except Compacted as told:
                    if told.compact_revision < first:
                        return []
                    first = told.compact_revision + 2  # a stream starts one revision early
    except (TimeoutError, WatchEnded, *CALL_ERRORS):
        return []


async def _log_in(calls: Calls, stale: str | None) -> None:
    try:
        await calls.log_in(stale, _LOGIN_S)
    except StoreUnavailable:
        return  # noted in health; the watch rides out what keeps us from logging in


async def _stream(
    member: Member, metadata: Metadata | None, prefix: bytes, position: Position
) -> AsyncGenerator[WatchBatch]:
    """The batches of one stream; moves `position` on past each. Raises WatchEnded, Compacted
    and CALL_ERRORS; ends never."""
    call: Any = member.watch(metadata=(metadata or ()) + _REQUIRE_LEADER)
    try:
        async with asyncio.timeout(_CREATE_S):
            await call.write(
                WatchRequest(
                    create_request=WatchCreateRequest(
                        key=first_key(prefix),
                        range_end=prefix_end(prefix),
                        start_revision=max(1, position.next_revision - 1),
                        progress_notify=True,
                        fragment=True,
                    )
                )
            )
            response = await call.read()
        events: list[Event] = []
        while True:
            if response is grpc.aio.EOF:
                raise WatchEnded("the stream ended")
            if response.compact_revision:
                raise Compacted(response.compact_revision)
            if response.canceled:
                raise WatchEnded(response.cancel_reason or "etcd cancelled the watch")
            if response.created:
                _check_cluster(position, response.header)
            elif response.events:
                events += events_of(response, position.next_revision)
                if events and not response.fragment:  # else: more of the same revisions follows
                    revision = events[-1].kv.mod_revision
                    position.next_revision = revision + 1
                    yield WatchBatch(events=events, revision=revision)
                    events = []
            elif response.header.revision >= position.next_revision:
                position.next_revision = response.header.revision + 1
                yield WatchBatch(events=(), revision=response.header.revision)
            response = await call.read()
    finally:
        call.cancel()


def _check_cluster(position: Position, header: Any) -> None:
    """Raises Compacted when this is another cluster than before. A backup that was restored
    is one, at a lower revision: waiting for ours there would be waiting in silence."""
    if position.cluster not in (0, header.cluster_id):
        raise Compacted(header.revision)
    position.cluster = header.cluster_id
