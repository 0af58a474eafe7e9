"""AsyncAssignmentWatch and AsyncFollower: changes of a client's assignment, on asyncio."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any

from grpc import aio

from homeport.async_calls import AsyncCalls
from homeport.async_stream import AsyncStream
from homeport.failure import Code, Failure
from homeport.steps import Notify, OpenWatch, Receive, WatchSteps
from homeport.tracing import with_trace
from homeport.values import Assignment, AssignmentChange

log = logging.getLogger("homeport")


class AsyncAssignmentWatch:
    """An asynchronous iterator of changes; ends when it is closed, or with an error that no
    retry can help. Use it from one task, in an `async with` where it is left early."""

    def __init__(self, calls: AsyncCalls, steps: WatchSteps) -> None:
        self._changes = _run(calls, steps)

    def __aiter__(self) -> AsyncAssignmentWatch:
        return self

    async def __anext__(self) -> AssignmentChange:
        return await anext(self._changes)

    async def aclose(self) -> None:
        """Ends the watch, on the server too. Idempotent."""
        await self._changes.aclose()  # type: ignore[attr-defined]

    async def __aenter__(self) -> AsyncAssignmentWatch:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class AsyncFollower:
    """Calls back for every change, from a task of its own, until it is closed. What a callback
    raises is logged and ends nothing."""

    def __init__(
        self,
        watch: AsyncAssignmentWatch,
        home: Assignment | None,
        on_change: Callable[[AssignmentChange], Any] | Callable[[AssignmentChange], Awaitable[Any]],
    ) -> None:
        self.home = home  # as of the last change; None: it has none, or no change came yet
        self._watch = watch
        self._on_change = on_change
        self._task = asyncio.create_task(self._follow(), name="homeport follower")

    async def _follow(self) -> None:
        async with self._watch as watch:
            async for change in watch:
                self.home = change.assignment
                try:
                    outcome = self._on_change(change)
                    if isinstance(outcome, Awaitable):
                        await outcome
                except Exception:  # the application's; it must not end the watch
                    log.exception("a callback failed on %s", change.kind)

    async def wait(self) -> None:
        """Returns when it was closed; raises what ended the watch otherwise."""
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()

    async def close(self) -> None:
        """No callback begins after this. Idempotent; not to be called from a callback."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def __aenter__(self) -> AsyncFollower:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


async def _run(calls: AsyncCalls, steps: WatchSteps) -> AsyncIterator[AssignmentChange]:
    stream: AsyncStream | None = None
    reply: Any = None
    try:
        while True:
            try:
                step = steps.send(reply)
            except StopIteration:
                return
            reply = None
            match step:
                case Notify(change):
                    yield change
                case Receive(timeout_s):
                    reply = await _receive(stream, timeout_s)
                case OpenWatch(server, method, request, client_id):
                    if stream is not None:
                        stream.cancel()
                    shown = await calls.metadata_for(client_id)
                    call = calls.method(server, method)(request, metadata=with_trace(shown))
                    stream = AsyncStream(call, "keep-alive from the server")
                case _:
                    reply = await calls.perform(step)
    finally:
        steps.close()
        if stream is not None:
            stream.cancel()


async def _receive(stream: AsyncStream | None, timeout_s: float) -> Any:
    assert stream is not None, "the core listens before it receives"
    try:
        return await stream.receive(timeout_s)
    except (aio.UsageError, asyncio.InvalidStateError):
        return Failure(Code.UNAVAILABLE, "the connection was closed")
