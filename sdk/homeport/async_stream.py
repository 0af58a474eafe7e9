"""AsyncStream: one bidirectional stream over grpc.aio, and the loop that performs its steps."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any

import grpc
from grpc import aio

from homeport.async_calls import AsyncCalls
from homeport.failure import Code, Failure
from homeport.status_details import failure_of
from homeport.steps import Emit, EndRequests, OpenStream, Pull, Receive, Send, StreamSteps, Wait
from homeport.values import ClientAt, ProvisionResult

_CONNECTION_BROKEN = Failure(Code.UNAVAILABLE, "the connection broke off in the middle of a stream")


class AsyncStream:
    """One bidirectional stream. That it is broken is returned by `receive`."""

    def __init__(self, call: Any, awaited: str = "answer to a batch") -> None:
        self._call = call
        self._answers = aiter(call)
        self._awaited = awaited
        self._write_failure: Failure | None = None  # why a request was not written

    async def perform(self, step: Send | EndRequests | Receive) -> Any:
        """Performs one step on this stream."""
        match step:
            case Send(request, timeout_s):
                return await self.send(request, timeout_s)
            case EndRequests(timeout_s):
                return await self.end_requests(timeout_s)
            case Receive(timeout_s):
                return await self.receive(timeout_s)

    async def send(self, request: Any, timeout_s: float) -> None:
        """Writes a request, unless the stream is broken or flow control holds it up too long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._call.write(request)
        except TimeoutError:
            self._write_failure = Failure(
                Code.DEADLINE_EXCEEDED, f"a batch was not accepted in {timeout_s:.3g} s"
            )
        except aio.AioRpcError:
            self._write_failure = _CONNECTION_BROKEN
        except asyncio.InvalidStateError:
            pass  # the stream has ended, and `receive` gets its status

    async def end_requests(self, timeout_s: float) -> None:
        """Half-closes the stream: no request follows."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._call.done_writing()
        except (TimeoutError, aio.InternalError):
            pass  # the stream has ended, and `receive` gets its status

    async def receive(self, timeout_s: float) -> Any:
        """The next response, None at the end, or a Failure."""
        try:
            async with asyncio.timeout(timeout_s):
                return await anext(self._answers, None)
        except TimeoutError:
            return Failure(Code.DEADLINE_EXCEEDED, f"no {self._awaited} in {timeout_s:.3g} s")
        except aio.AioRpcError as error:
            # grpc.aio puts INTERNAL in the status's place when a write finds the stream
            # ended, until the status itself arrives. Answers from before are still read.
            hidden = error.code() is grpc.StatusCode.INTERNAL and self._write_failure is not None
            return self._write_failure if hidden else failure_of(error)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Not our task was cancelled: the stream was, by `send` or by the client's end.
            return self._write_failure or _CONNECTION_BROKEN

    def cancel(self) -> None:
        """Ends the stream. Idempotent."""
        self._call.cancel()


async def run_stream(
    calls: AsyncCalls,
    steps: StreamSteps,
    clients: Iterable[ClientAt | str] | AsyncIterable[ClientAt | str],
) -> AsyncIterator[ProvisionResult]:
    """The results that the operation emits. The stream is cancelled when the generator ends."""
    source = aiter(clients) if isinstance(clients, AsyncIterable) else iter(clients)
    stream: AsyncStream | None = None
    reply: Any = None
    try:
        while True:
            try:
                step = steps.send(reply)
            except StopIteration:
                return
            reply = None
            if isinstance(step, Emit):
                for result in step.results:
                    yield result
            elif isinstance(step, Pull):
                reply = await _pull(source, step.size)
            elif isinstance(step, Wait):
                await asyncio.sleep(step.seconds)
            elif isinstance(step, OpenStream):
                if stream is not None:
                    stream.cancel()
                stream = AsyncStream(calls.open(step.server, step.method))
            else:
                assert stream is not None, "the core opens a stream before it uses one"
                reply = await stream.perform(step)
    finally:
        if stream is not None:
            stream.cancel()


async def _pull(source: AsyncIterator[ClientAt | str] | Any, size: int) -> list[ClientAt | str]:
    if not isinstance(source, AsyncIterator):
        return list(itertools.islice(source, size))
    clients: list[ClientAt | str] = []
    async for client in source:
        clients.append(client)
        if len(clients) == size:
            break
    return clients
