"""InProcessMethods: the methods of a server's services, called from within the process.

A call passes the very interceptors that one over gRPC passes (errors, access, quotas, audit), with
a context that says who is at the other end; so whatever comes in by another door is held to the
same. Hot methods run as they do on grpcio, behind an ordinary handler.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, NoReturn

import grpc
from google.rpc import status_pb2
from grpc import aio

from control_plane.serving.calls import Metadata
from control_plane.serving.grpcio import register_hot
from control_plane.serving.server import Service

DETAILS = "grpc-status-details-bin"


class CallFailed(Exception):
    """A call ended with this google.rpc.Status."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(status.message)
        self.status = status


class InProcessContext:
    """What a method asks of its call. peer: as gRPC writes it; certificate: PEM, verified, empty:
    none was shown; timeout_s: from now."""

    def __init__(
        self,
        *,
        peer: str,
        metadata: Metadata,
        certificate: bytes = b"",
        secured: bool = False,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._peer = peer
        self._metadata = tuple(metadata)
        self._auth: dict[str, list[bytes]] = (
            {"transport_security_type": [b"ssl"]} if secured else {}
        )
        if certificate:
            self._auth["x509_pem_cert"] = [certificate]
        self._clock = clock
        self._ends = clock() + timeout_s
        self._code: grpc.StatusCode | None = None
        self._details = ""
        self._trailers: Sequence[tuple[str, Any]] = ()

    def peer(self) -> str:
        return self._peer

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        return self._auth

    def invocation_metadata(self) -> Metadata:
        return self._metadata

    def time_remaining(self) -> float:
        return max(0.0, self._ends - self._clock())

    def code(self) -> grpc.StatusCode | None:
        return self._code

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> Sequence[tuple[str, Any]]:
        return self._trailers

    def set_code(self, code: grpc.StatusCode) -> None:
        self._code = code

    def set_details(self, details: str) -> None:
        self._details = details

    def set_trailing_metadata(self, trailers: Sequence[tuple[str, Any]]) -> None:
        self._trailers = trailers

    async def send_initial_metadata(self, metadata: Metadata) -> None:
        """There is nobody to send it to."""

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()
    ) -> NoReturn:
        self._code, self._details, self._trailers = code, details, tuple(trailing_metadata)
        raise aio.AbortError

    def failure(self) -> CallFailed:
        """How the call ended that was aborted."""
        for name, value in self._trailers:
            if name == DETAILS:
                return CallFailed(status_pb2.Status.FromString(value))
        number = (self._code or grpc.StatusCode.UNKNOWN).value[0]
        return CallFailed(status_pb2.Status(code=number, message=self._details))


class _Details(NamedTuple):
    """grpc.HandlerCallDetails."""

    method: str
    invocation_metadata: Metadata


class InProcessMethods:
    """interceptors: as aio servers take them, the first outermost."""

    def __init__(self, services: Sequence[Service], interceptors: Sequence[Any]) -> None:
        self._handlers: dict[str, Any] = {}
        self._interceptors = tuple(interceptors)
        for service in services:
            service.add(service.servicer, self)
        hot = {f"/{s.name}/{name}": method for s in services for name, method in s.hot.items()}
        register_hot(self, hot)

    def add_generic_rpc_handlers(self, handlers: Sequence[Any]) -> None:
        """Generated code calls this beside the next one, with the same handlers."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """As of an aio server; of two the later counts."""
        self._handlers |= {f"/{service}/{name}": handler for name, handler in handlers.items()}

    async def unary(self, method: str, request: bytes, context: InProcessContext) -> bytes:
        """The answer of a unary method. Raises CallFailed; KeyError where there is no such
        method."""
        handler = await self._handler(method, context)
        try:
            response = await handler.unary_unary(_read(handler, request), context)
        except aio.AbortError:
            raise context.failure() from None
        return _written(handler, response)

    async def stream(
        self, method: str, requests: AsyncIterator[bytes], context: InProcessContext
    ) -> AsyncIterator[bytes]:
        """The answers of a method that takes a stream and gives one. Raises as `unary`. To be
        closed by who does not read all of it."""
        handler = await self._handler(method, context)
        try:
            async for response in handler.stream_stream(requests, context):
                yield _written(handler, response)
        except aio.AbortError:
            raise context.failure() from None

    async def responses(
        self, method: str, request: bytes, context: InProcessContext
    ) -> AsyncGenerator[bytes]:
        """The answers of a method that takes one message and gives a stream. As `stream`."""
        handler = await self._handler(method, context)
        try:
            async for response in handler.unary_stream(_read(handler, request), context):
                yield _written(handler, response)
        except aio.AbortError:
            raise context.failure() from None

    async def _handler(self, method: str, context: InProcessContext) -> Any:
        handler = self._handlers[method]

        async def own(details: Any) -> Any:
            return handler

        step: Any = own
        for interceptor in reversed(self._interceptors):
            step = partial(interceptor.intercept_service, step)
        return await step(_Details(method, context.invocation_metadata()))


def _read(handler: Any, request: bytes) -> Any:
    return (
        request if handler.request_deserializer is None else handler.request_deserializer(request)
    )


def _written(handler: Any, response: Any) -> bytes:
    serialize = handler.response_serializer
    content: bytes = response if serialize is None else serialize(response)
    return content
