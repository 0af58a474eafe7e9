"""AsyncCalls: performs the core's steps over grpc.aio.

Keeps one channel per server, made when it is first needed and in the event loop that needs
it. Decides nothing. A cancelled task cancels its call; a closed client ends those under way.
"""

from __future__ import annotations

import asyncio
from typing import Any

from grpc import aio

from homeport.cache import AssignmentCache
from homeport.channels import CLOSED, Tls, channel_options, credentials
from homeport.connecting import async_connect_times
from homeport.credentials import ClientCredentials, Metadata
from homeport.status_details import failure_of
from homeport.steps import (
    CacheDelete,
    CacheGet,
    CachePut,
    Connect,
    MeasuringSteps,
    Method,
    Step,
    T,
    Try,
    Wait,
)  # fmt: skip
from homeport.tracing import traced_call, with_trace


class AsyncCalls:
    """One per client."""

    def __init__(
        self, *, tls: Tls | None, shown: ClientCredentials, cache: AssignmentCache | None
    ) -> None:
        self._tls = tls
        self.metadata = shown.general
        self._shown = shown
        self._cache = cache
        self._loop: asyncio.AbstractEventLoop | None = None
        self._channels: dict[str, aio.Channel] = {}
        self._calls: dict[tuple[str, Method], Any] = {}
        self._closed = False

    async def run(self, steps: MeasuringSteps[T]) -> T:
        """What the operation returns, or raises."""
        reply: Any = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            reply = await self.perform(step)

    async def perform(self, step: Step | Connect) -> Any:
        """Performs one step; what is to be sent back."""
        match step:
            case Try():
                return await self._try(step)
            case Wait(seconds):
                return await asyncio.sleep(seconds)
            case Connect(endpoints, timeout_s):
                return await async_connect_times(endpoints, timeout_s)
        cache = self._cache
        assert cache is not None, "the core caches only where it was told of a cache"
        match step:
            case CacheGet(tenant, client_id):
                return await asyncio.to_thread(cache.get, tenant, client_id)
            case CachePut(assignment):
                return await asyncio.to_thread(cache.put, assignment)
            case CacheDelete(tenant, client_id):
                return await asyncio.to_thread(cache.delete, tenant, client_id)

    async def _try(self, step: Try) -> Any:
        shown = await self.metadata_for(step.client_id)
        call = self.method(step.server, step.method)
        try:
            with traced_call(shown, step.method.stub, step.method.name) as metadata:
                return await call(step.request, timeout=step.timeout_s, metadata=metadata)
        except aio.AioRpcError as error:
            return failure_of(error)
        except asyncio.CancelledError:
            self._raise_if_closed()
            raise
        except aio.UsageError:
            self._raise_if_closed()
            raise

    async def metadata_for(self, client_id: str) -> Metadata:
        """What is shown with a call about this client; empty: about none."""
        shown = self._shown.at_hand(client_id)
        return await asyncio.to_thread(self._shown.of, client_id) if shown is None else shown

    def _raise_if_closed(self) -> None:
        """`close` cancels calls as if their tasks had been; tells the two apart."""
        task = asyncio.current_task()
        if self._closed and not (task is not None and task.cancelling()):
            raise RuntimeError(CLOSED) from None

    def method(self, server: str, method: Method) -> Any:
        """gRPC's callable for one method of one server. Raises RuntimeError when the client
        is closed or belongs to another event loop."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None:
                raise RuntimeError("this client belongs to another event loop; make one in each")
            self._loop = loop
        call = self._calls.get((server, method))
        if call is not None:
            return call
        if self._closed:
            raise RuntimeError(CLOSED)
        channel = self._channels.get(server)
        if channel is None:
            options, secured = channel_options(self._tls), credentials(self._tls)
            if secured is None:
                channel = aio.insecure_channel(server, options)
            else:
                channel = aio.secure_channel(server, secured, options)
            self._channels[server] = channel
        call = getattr(method.stub(channel), method.name)
        self._calls[server, method] = call
        return call

    def open(self, server: str, method: Method) -> Any:
        """gRPC's call object of a bidirectional stream, under way."""
        return self.method(server, method)(metadata=with_trace(self.metadata))

    async def close(self) -> None:
        """Ends calls under way and connections. Idempotent."""
        self._closed = True
        channels = list(self._channels.values())
        self._channels.clear()
        self._calls.clear()
        for channel in channels:
            await channel.close()
