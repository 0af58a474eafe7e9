"""FirstMessage: a call whose first message does not come in time ends with DEADLINE_EXCEEDED; and
connections whose calls come to nothing again and again are reported (`wasted_calls`).

grpc.aio waits for the message of a unary call as long as the client likes, where no interceptor
sees it. So such a method is served as one that takes a stream of messages, the first of which is
the request. Then each address's calls go on in turn (`call_turns` does that on the native
transport). The native transport reads messages before it makes calls of them: there this sees to
streams alone, and HTTP/2 in Rust to resets (h2: of streams that were not accepted yet).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc
from grpc import aio

from control_plane.serving.wasted_calls import BegunCall, Excess, WastedCalls


class FirstMessage(aio.ServerInterceptor):
    """The outermost interceptor."""

    def __init__(
        self,
        within_s: float,
        *,
        unary: bool,
        wasted: WastedCalls,
        on_excess: Callable[[str, Excess], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """unary: whether calls with one message pass here before that has come. on_excess: told
        the peer of a connection by which too many calls are wasted, and whether its address is
        suspected for it."""
        self._within_s = within_s
        self._unary = unary
        self._wasted = wasted
        self._on_excess = on_excess
        self._clock = clock

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler: Any = await continuation(handler_call_details)
        if handler is None and self._unary:
            return grpc.stream_unary_rpc_method_handler(self._unknown)
        if handler is None or not (handler.request_streaming or self._unary):
            return handler
        if handler.response_streaming:
            kind = "stream_stream" if handler.request_streaming else "unary_stream"
            wrap: Any = self._streaming
        else:
            kind = "stream_unary" if handler.request_streaming else "unary_unary"
            wrap = self._single
        served = "stream_stream" if handler.response_streaming else "stream_unary"
        make: Any = getattr(grpc, f"{served}_rpc_method_handler")
        return make(
            wrap(getattr(handler, kind), handler.request_streaming),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _single(self, behaviour: Callable[[Any, Any], Awaitable[Any]], streaming: bool) -> Any:
        async def respond(requests: AsyncIterator[Any], context: Any) -> Any:
            with self._counted(context) as call:
                request = await self._first(requests, context, streaming, call)
                return await behaviour(request, context)

        return respond

    def _streaming(
        self, behaviour: Callable[[Any, Any], AsyncIterator[Any]], streaming: bool
    ) -> Any:
        async def respond(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
            with self._counted(context) as call:
                request = await self._first(requests, context, streaming, call)
                async for response in behaviour(request, context):
                    yield response

        return respond

    async def _first(
        self, requests: AsyncIterator[Any], context: Any, streaming: bool, call: BegunCall
    ) -> Any:
        """What the method takes, once its first message is here."""
        messages = aiter(requests)
        try:
            async with asyncio.timeout(self._within_s):
                first = await anext(messages)
        except TimeoutError:
            self._end(call, given_up=False)
            await context.abort(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                f"no message came within {self._within_s:g} s; open a call when there is "
                "something to send",
            )
        except StopAsyncIteration:
            self._wasted.heard(call)  # that there is none
            if streaming:
                return _Begun(messages)  # which has ended
            code = grpc.StatusCode.INVALID_ARGUMENT
            await _end(context, code, "the call came without a message")
        self._wasted.heard(call)
        return _Begun(messages, first) if streaming else first

    async def _unknown(self, requests: AsyncIterator[Any], context: Any) -> Any:
        """What gRPC itself answers, but that those who reset the call are noticed."""
        with self._counted(context) as call:
            self._wasted.heard(call)  # nobody waits for what it says
            await _end(context, grpc.StatusCode.UNIMPLEMENTED, "Method not found!")

    @contextlib.contextmanager
    def _counted(self, context: Any) -> Iterator[BegunCall]:
        """Around a call, from where it begins to its end."""
        call, found = self._wasted.begin(context.peer(), self._clock())
        for peer, excess in found:
            self._on_excess(peer, excess)
        try:
            yield call
        except asyncio.CancelledError:
            self._end(call, given_up=True)
            raise
        except Exception:  # which is how calls end that are answered with an error
            self._end(call, given_up=False)
            raise
        self._end(call, given_up=False)

    def _end(self, call: BegunCall, *, given_up: bool) -> None:
        if excess := self._wasted.ended(call, self._clock(), given_up=given_up):
            self._on_excess(call.peer, excess)


async def _end(context: Any, code: grpc.StatusCode, words: str) -> None:
    """Ends a call whose client may have left. Raises CancelledError where it has."""
    try:
        await context.abort(code, words)
    except aio.InternalError as error:
        raise asyncio.CancelledError from error


class _Begun:
    """A stream of messages, the first of which has been read."""

    def __init__(self, messages: AsyncIterator[Any], *first: Any) -> None:
        self._first = list(first)
        self._messages = messages

    def __aiter__(self) -> _Begun:
        return self

    async def __anext__(self) -> Any:
        return self._first.pop() if self._first else await anext(self._messages)
