"""The interceptor that answers a servicer's ServiceError with its gRPC status.

Messages are decoded and checked here, single ones and those of a stream, so that bytes which are
no message, or a message that means nothing, get the caller's fault as their answer and not ours.
Anything else that escapes a handler is a defect: it is logged with its traceback and the
caller is told INTERNAL, nothing of the inside.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc
from grpc import aio

from control_plane.errors import ServiceError
from control_plane.serving.request_reading import hear_out, reader_of
from control_plane.serving.status import status_of

log = logging.getLogger(__name__)


async def abort(context: aio.ServicerContext[Any, Any], error: ServiceError) -> NoReturn:
    """Ends the call with the error's status."""
    status = status_of(error)
    await context.abort(status.code, status.message, status.trailers)


class ErrorsToStatus(aio.ServerInterceptor):
    """See the module."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler: Any = await continuation(handler_call_details)
        if handler is None:
            return None
        if handler.response_streaming:
            kind = "stream_stream" if handler.request_streaming else "unary_stream"
            guard: Any = _guard_stream
        else:
            kind = "stream_unary" if handler.request_streaming else "unary_unary"
            guard = _guard_unary
        read = reader_of(handler.request_deserializer, stream=handler.request_streaming)
        make: Any = getattr(grpc, f"{kind}_rpc_method_handler")
        return make(guard(getattr(handler, kind), read), None, handler.response_serializer)


def _guard_unary(
    behaviour: Callable[[Any, Any], Awaitable[Any]], read: Callable[[Any], Any]
) -> Any:
    async def guarded(request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
        try:
            return await behaviour(read(request), context)
        except ServiceError as error:
            await hear_out(request, error)
            await abort(context, error)
        except aio.AbortError:
            raise
        except Exception:  # the boundary: whatever it was, the caller gets an answer
            log.exception("a handler failed")
            await context.abort(grpc.StatusCode.INTERNAL, "internal error; see the server's log")

    return guarded


def _guard_stream(
    behaviour: Callable[[Any, Any], AsyncIterator[Any]], read: Callable[[Any], Any]
) -> Any:
    async def guarded(request: Any, context: aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        try:
            async for response in behaviour(read(request), context):
                yield response
        except ServiceError as error:
            await hear_out(request, error)
            await abort(context, error)
        except aio.AbortError:
            raise
        except Exception:  # the boundary: whatever it was, the caller gets an answer
            log.exception("a handler failed")
            await context.abort(grpc.StatusCode.INTERNAL, "internal error; see the server's log")

    return guarded
