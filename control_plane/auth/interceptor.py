"""The interceptor that lets nobody into a method whom its contract does not name.

It stands behind the one that decodes messages, and looks at each of them. A method that takes
bytes gets them unseen, and asks AccessControl itself; hot methods do so as well. Calls that stand
for a while end when their caller's credential does (`control_plane.auth.open_calls`).
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
from control_plane.auth.open_calls import Evidence, OpenCalls
from control_plane.serving.handlers import behaviour_of, with_behaviour
from control_plane.serving.peer_identity import identity_of

Context = aio.ServicerContext[Any, Any]


class AccessInterceptor(aio.ServerInterceptor):
    """See the module."""

    def __init__(self, control: AccessControl, open_calls: OpenCalls) -> None:
        self._control = control
        self._open_calls = open_calls

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler: Any = await continuation(handler_call_details)
        method: str = handler_call_details.method
        if handler is None or method.lstrip("/").partition("/")[0] in PUBLIC_SERVICES:
            return handler
        guard = self._guard_stream if handler.response_streaming else self._guard_unary
        return with_behaviour(handler, guard(method, behaviour_of(handler)))

    def _guard_unary(self, method: str, behaviour: Callable[[Any, Any], Awaitable[Any]]) -> Any:
        async def guarded(request: Any, context: Context) -> Any:
            caller = self._admit(method, context)
            checked = self._checked(method, caller, request)
            if isinstance(request, bytes | Message):
                return await behaviour(checked, context)
            with self._open_calls.while_open(self._again(method, context), caller):
                return await behaviour(checked, context)

        return guarded

    def _guard_stream(
        self, method: str, behaviour: Callable[[Any, Any], AsyncIterator[Any]]
    ) -> Any:
        async def guarded(request: Any, context: Context) -> AsyncIterator[Any]:
            caller = self._admit(method, context)
            checked = self._checked(method, caller, request)
            with self._open_calls.while_open(self._again(method, context), caller):
                async with aclosing(behaviour(checked, context)) as responses:  # type: ignore[type-var]
                    async for response in responses:
                        yield response

        return guarded

    def _admit(self, method: str, context: Context) -> Caller:
        return self._control.admit(method, metadata_of(context), identity_of(context))

    def _again(self, method: str, context: Context) -> Evidence:
        shown = tuple(pair for pair in metadata_of(context) if pair[0] == "authorization")
        return Evidence(method, shown, identity_of(context))

    def _checked(self, method: str, caller: Caller, request: Any) -> Any:
        """The request, or the stream of them, that the method may see. Raises PermissionDenied."""
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


def metadata_of(context: Context) -> list[tuple[str, str | bytes]]:
    """What a caller sent along."""
    return [(key, value) for key, value in context.invocation_metadata() or ()]
