"""The interceptor that lets nobody into a method whom its contract does not name.

It stands behind the one that decodes messages, and looks at each of them. A method that takes
bytes gets them unseen, and asks AccessControl itself; hot methods do so as well.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc import aio

from control_plane.auth.access_control import AccessControl
from control_plane.auth.callers import Caller
from control_plane.auth.method_access import PUBLIC_SERVICES

Context = aio.ServicerContext[Any, Any]


class AccessInterceptor(aio.ServerInterceptor):
    """See the module."""

    def __init__(self, control: AccessControl) -> None:
        self._control = control

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler: Any = await continuation(handler_call_details)
        method: str = handler_call_details.method
        if handler is None or method.lstrip("/").partition("/")[0] in PUBLIC_SERVICES:
            return handler
        if handler.response_streaming:
            kind = "stream_stream" if handler.request_streaming else "unary_stream"
            guard: Any = self._guard_stream
        else:
            kind = "stream_unary" if handler.request_streaming else "unary_unary"
            guard = self._guard_unary
        make: Any = getattr(grpc, f"{kind}_rpc_method_handler")
        return make(
            guard(method, getattr(handler, kind)),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _guard_unary(self, method: str, behaviour: Callable[[Any, Any], Awaitable[Any]]) -> Any:
        async def guarded(request: Any, context: Context) -> Any:
            return await behaviour(self._checked(method, request, context), context)

        return guarded

    def _guard_stream(
        self, method: str, behaviour: Callable[[Any, Any], AsyncIterator[Any]]
    ) -> Any:
        async def guarded(request: Any, context: Context) -> AsyncIterator[Any]:
            checked = self._checked(method, request, context)
            async with aclosing(behaviour(checked, context)) as responses:  # type: ignore[type-var]
                async for response in responses:
                    yield response

        return guarded

    def _checked(self, method: str, request: Any, context: Context) -> Any:
        """The request, or the stream of them, that the method may see. Raises Unauthenticated,
        PermissionDenied."""
        metadata = [(key, value) for key, value in context.invocation_metadata() or ()]
        caller = self._control.admit(method, metadata)
        if isinstance(request, bytes):
            return request
        if isinstance(request, Message):
            self._control.check(method, caller, request)
            return request
        return self._checked_stream(method, caller, request)

    async def _checked_stream(
        self, method: str, caller: Caller, requests: AsyncIterator[Any]
    ) -> AsyncIterator[Any]:
        async for request in requests:
            if isinstance(request, Message):
                self._control.check(method, caller, request)
            yield request
