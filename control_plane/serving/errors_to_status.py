"""The interceptor that ends every call with a status of Homeport's own.

Messages are decoded and checked here, single ones and those of a stream, so that bytes which are
no message, or a message that means nothing, get the caller's fault as their answer and not ours.
A servicer's ServiceError becomes its gRPC status. Anything else that escapes a handler is a
defect: it is logged with its traceback and the caller is told INTERNAL, nothing of the inside.

CANCELLED is the caller's word: no server says it. A CancelledError that escapes a handler whose
caller is still there came from something the handler waited for (left alone, the native transport
answers CANCELLED, and grpc.aio nothing at all, for ever: https://github.com/grpc/grpc/issues/29248).
That, and a server that ends while calls are under way, is UNAVAILABLE with RetryInfo.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc
from grpc import aio

from control_plane.errors import ServiceError, Unavailable
from control_plane.serving.handlers import behaviour_of, with_behaviour
from control_plane.serving.request_reading import hear_out, reader_of
from control_plane.serving.status import status_of
from control_plane.supervision import is_cancelled

log = logging.getLogger(__name__)


async def abort(context: aio.ServicerContext[Any, Any], error: ServiceError) -> NoReturn:
    """Ends the call with the error's status."""
    status = status_of(error)
    await context.abort(status.code, status.message, status.trailers)


def interrupted() -> Unavailable:
    """What a caller is told whose call broke off in here."""
    return Unavailable("the call was interrupted in the server; try again", retry_after_s=0.2)


def draining() -> Unavailable:
    """What a caller is told whose call a server cannot finish any more, or begin."""
    return Unavailable("this server is shutting down; try another one", retry_after_s=0.2)


class ErrorsToStatus(aio.ServerInterceptor):
    """See the module. dress: what the methods behind get for a call's context; may raise
    ServiceErrors."""

    def __init__(self, dress: Callable[[Any], Any] = lambda context: context) -> None:
        self._dress = dress
        self._under_way: set[asyncio.Task[Any]] = set()
        self._ended: set[asyncio.Task[Any]] = set()  # by us, not by their callers

    def end_calls(self) -> None:
        """Ends every call under way with UNAVAILABLE: the server will not finish it."""
        for task in list(self._under_way):
            self._ended.add(task)
            task.cancel()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler: Any = await continuation(handler_call_details)
        if handler is None:
            return None
        guard = self._guard_stream if handler.response_streaming else self._guard_unary
        read = reader_of(handler.request_deserializer, stream=handler.request_streaming)
        return with_behaviour(handler, guard(behaviour_of(handler), read), reads_bytes=True)

    def _guard_unary(
        self,
        behaviour: Callable[[Any, Any], Awaitable[Any]],
        read: Callable[[Any], Any],
    ) -> Any:
        async def guarded(request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
            task = self._begin()
            try:
                return await behaviour(read(request), self._dress(context))
            except BaseException as error:  # noqa: BLE001  # answered or raised again
                await self._answer(task, request, context, error)
            finally:
                self._finish(task)

        return guarded

    def _guard_stream(
        self,
        behaviour: Callable[[Any, Any], AsyncIterator[Any] | Awaitable[None]],
        read: Callable[[Any], Any],
    ) -> Any:
        async def guarded(
            request: Any, context: aio.ServicerContext[Any, Any]
        ) -> AsyncIterator[Any]:
            task = self._begin()
            try:
                responses = behaviour(read(request), self._dress(context))
                if inspect.isawaitable(responses):  # it writes them itself, as health's Watch does
                    await responses
                    return
                async for response in responses:
                    yield response
            except GeneratorExit:  # the transport closes the stream: nobody is there any more
                raise
            except BaseException as error:  # noqa: BLE001  # answered or raised again
                await self._answer(task, request, context, error)
            finally:
                self._finish(task)

        return guarded

    def _begin(self) -> asyncio.Task[Any] | None:
        task = asyncio.current_task()
        if task is not None:
            self._under_way.add(task)
        return task

    def _finish(self, task: asyncio.Task[Any] | None) -> None:
        if task is not None:
            self._under_way.discard(task)
            self._ended.discard(task)

    async def _answer(
        self,
        task: asyncio.Task[Any] | None,
        request: Any,
        context: aio.ServicerContext[Any, Any],
        error: BaseException,
    ) -> NoReturn:
        """Ends the call with the status that the error means; raises it again where there is
        nobody, or nothing, to tell."""
        if isinstance(error, asyncio.CancelledError):
            if task is not None and task in self._ended:
                task.uncancel()
                await abort(context, draining())
            if is_cancelled():
                raise error  # the caller has left, or its deadline has passed
            log.error("a handler was cancelled from elsewhere", exc_info=error)
            await abort(context, interrupted())
        if isinstance(error, ServiceError):
            await hear_out(request, error)
            await abort(context, error)
        if isinstance(error, aio.AbortError) or not isinstance(error, Exception):
            raise error
        log.error("a handler failed", exc_info=error)
        await context.abort(grpc.StatusCode.INTERNAL, "internal error; see the server's log")
