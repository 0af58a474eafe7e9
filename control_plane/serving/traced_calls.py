"""A span for each call of a server that traces, on both transports.

Hot methods are wrapped one by one, ordinary ones by an interceptor; a server that does not trace
has neither. A call's span is a child of the one that its metadata names, and is over when the call
is answered. What it says of the caller is nothing. Names of attributes are OpenTelemetry's
(https://opentelemetry.io/docs/specs/semconv/rpc/grpc/).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Any, TypeVar

import grpc
from grpc import aio

from control_plane.errors import ServiceError
from control_plane.serving.calls import HotCall, Metadata
from control_plane.serving.handlers import behaviour_of, status_of_failure, with_behaviour
from control_plane.serving.peer_identity import PeerIdentity
from control_plane.serving.status import code_of
from control_plane.tracing.current import set_current_trace, tracing
from control_plane.tracing.trace_parent import trace_parent_of
from control_plane.tracing.tracer import Span, SpanKind, Tracer

_Taken = TypeVar("_Taken")
STATUS = "rpc.grpc.status_code"
_SERVER_FAULTS = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)  # what makes a span of a server's an error; the rest is the caller's


class TracedCall(HotCall):
    """A hot call with its span."""

    __slots__ = ("_call", "span")

    def __init__(self, call: HotCall, span: Span) -> None:
        self.payload = call.payload
        self._call = call
        self.span = span

    def reply(self, response: bytes) -> None:
        self._call.reply(response)
        _end(self.span, grpc.StatusCode.OK)

    def fail(self, error: ServiceError) -> None:
        self._call.fail(error)
        _end(self.span, code_of(error))

    def metadata(self) -> Metadata:
        return self._call.metadata()

    def peer(self) -> str:
        return self._call.peer()

    def peer_identity(self) -> PeerIdentity | None:
        return self._call.peer_identity()

    def time_left_s(self) -> float | None:
        return self._call.time_left_s()


def span_of(sink: object) -> Span | None:
    """What is traced of the call that this answers; None: nothing."""
    span: Span | None = getattr(sink, "span", None)
    return span


def traced_hot(
    path: str, method: Callable[[HotCall], _Taken], tracer: Tracer
) -> Callable[[HotCall], _Taken]:
    """The method, with a span for each call that is sampled; none is told of where it leaves the
    call to another."""
    name, attributes = path.lstrip("/"), _attributes(path)

    def begin(call: HotCall) -> _Taken:
        span = tracer.begin(
            name, trace_parent_of(call.metadata()), kind=SpanKind.SERVER, attributes=attributes
        )
        if span is None:
            return method(call)
        with tracing(span.ids):
            return method(TracedCall(call, span))

    return begin


class TraceInterceptor(aio.ServerInterceptor):
    """Of ordinary methods. hot: paths of those that are traced by themselves."""

    def __init__(self, tracer: Tracer, hot: Collection[str]) -> None:
        self._tracer = tracer
        self._hot = hot

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler: Any = await continuation(handler_call_details)
        path = handler_call_details.method
        if handler is None or path in self._hot:
            return handler
        trace = self._stream if handler.response_streaming else self._unary
        return with_behaviour(handler, trace(behaviour_of(handler), path))

    def _begin(self, path: str, context: Any) -> Span | None:
        return self._tracer.begin(
            path.lstrip("/"),
            trace_parent_of(context.invocation_metadata() or ()),
            kind=SpanKind.SERVER,
            attributes=_attributes(path),
        )

    def _unary(self, behaviour: Callable[[Any, Any], Awaitable[Any]], path: str) -> Any:
        async def traced(request: Any, context: aio.ServicerContext[Any, Any]) -> Any:
            span = self._begin(path, context)
            if span is None:
                return await behaviour(request, context)
            with tracing(span.ids):
                try:
                    response = await behaviour(request, context)
                except BaseException as error:  # its span says so, and it is raised again
                    _end(span, status_of_failure(error, context))
                    raise
                _end(span, grpc.StatusCode.OK)
                return response

        return traced

    def _stream(self, behaviour: Callable[[Any, Any], AsyncIterator[Any]], path: str) -> Any:
        async def traced(
            request: Any, context: aio.ServicerContext[Any, Any]
        ) -> AsyncIterator[Any]:
            span = self._begin(path, context)
            # A generator may be closed in another context than it began in: nothing is reset.
            set_current_trace(None if span is None else span.ids)
            try:
                async for response in behaviour(request, context):
                    yield response
            except BaseException as error:  # the same
                if span is not None:
                    _end(span, status_of_failure(error, context))
                raise
            if span is not None:
                _end(span, grpc.StatusCode.OK)

        return traced


def _attributes(path: str) -> dict[str, str]:
    service, _, method = path.lstrip("/").partition("/")
    return {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}


def _end(span: Span, code: grpc.StatusCode) -> None:
    number: int = code.value[0]
    span.set(STATUS, number)
    span.end(code.name if code.name in _SERVER_FAULTS else "")
