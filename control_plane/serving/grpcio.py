"""The grpcio transport: the reference implementation, with TLS and everything.

Hot methods run here too, each behind an ordinary async handler on bytes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Protocol

import grpc
from grpc import aio

from control_plane.errors import ServiceError
from control_plane.serving.calls import HotCall, HotMethod, Metadata
from control_plane.serving.errors_to_status import abort
from control_plane.serving.peer_identity import PeerIdentity, identity_of
from control_plane.serving.tls import Tls, TlsFiles

MAX_STREAMS = "grpc.max_concurrent_streams"


class Methods(Protocol):
    """The part of a server that takes methods."""

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: dict[str, Any], /
    ) -> None: ...


class GrpcioCall(HotCall):
    """A call whose handler waits for `answer`."""

    __slots__ = ("_context", "answer")

    def __init__(
        self,
        payload: bytes,
        context: aio.ServicerContext[Any, Any],
        answer: asyncio.Future[bytes | ServiceError],
    ) -> None:
        self.payload = payload
        self._context = context
        self.answer = answer

    def reply(self, response: bytes) -> None:
        if not self.answer.done():
            self.answer.set_result(response)

    def fail(self, error: ServiceError) -> None:
        if not self.answer.done():
            self.answer.set_result(error)

    def metadata(self) -> Metadata:
        return self._context.invocation_metadata() or ()  # type: ignore[return-value]

    def peer(self) -> str:
        return self._context.peer()

    def peer_identity(self) -> PeerIdentity | None:
        return identity_of(self._context)

    def time_left_s(self) -> float | None:
        left = self._context.time_remaining()
        return None if left is None or left > time.monotonic() + 1e9 else left


def hot_handler(method: HotMethod) -> grpc.RpcMethodHandler[bytes, bytes]:
    """The method as a unary handler that takes and gives bytes."""

    async def handle(payload: bytes, context: aio.ServicerContext[Any, Any]) -> bytes:
        answer: asyncio.Future[bytes | ServiceError]
        answer = asyncio.get_running_loop().create_future()
        method(GrpcioCall(payload, context, answer))
        outcome = await answer
        if isinstance(outcome, ServiceError):
            await abort(context, outcome)
        return outcome

    return grpc.unary_unary_rpc_method_handler(handle)


def secured(files: TlsFiles) -> grpc.ServerCredentials:
    """Credentials that show, at each handshake, the certificate that the files have then."""
    shown: Tls | None = None

    def latest() -> grpc.ServerCertificateConfiguration | None:
        nonlocal shown
        newest = files.latest()
        if newest is shown:
            return None  # gRPC's word for: as before
        shown = newest
        return configuration(newest)

    def configuration(tls: Tls) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(tls.key, tls.certificate)], root_certificates=tls.client_ca
        )

    shown = files.current
    return grpc.dynamic_ssl_server_credentials(
        configuration(shown),
        latest,  # type: ignore[arg-type]  # which does not know of None
        require_client_authentication=shown.client_ca is not None,
    )


def register_hot(server: Methods, hot: Mapping[str, HotMethod]) -> None:
    """Adds hot methods, full path -> function, in front of the servicers' own."""
    services: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {}
    for path, method in hot.items():
        service, _, name = path.lstrip("/").partition("/")
        services.setdefault(service, {})[name] = hot_handler(method)
    for service, handlers in services.items():
        server.add_registered_method_handlers(service, handlers)
