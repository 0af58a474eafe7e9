"""HttpListener: an HTTP/1.1 server on one address, with TLS and the limits of its connections.

What is answered is its owner's: routes, middlewares, and how errors look. aiohttp, because its
parser is in C and bounds what it reads.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Protocol

from aiohttp import web

from control_plane.errors import InvalidInput
from control_plane.http_serving.early_refusals import EarlyRefusals
from control_plane.http_serving.first_requests import FirstRequests
from control_plane.http_serving.tls_acceptor import TlsAcceptor
from control_plane.http_serving.unreadable_requests import (
    AnsweredConnection,
    ErrorResponse,
    server_log,
)
from control_plane.printable import why_failed
from control_plane.serving.connection_limits import ConnectionLimits
from control_plane.serving.connection_watch import ConnectionWatch
from control_plane.serving.peer_identity import PeerIdentity, identity_of_certificate
from control_plane.serving.tls_listener import listening_sockets, peer_of


class ConnectionObserver(Protocol):
    """Is told of the connections to a port, before anything is read from them."""

    def listening(self, sockets: Iterable[Any]) -> None:
        """These listen; they have what a socket has."""

    def accepted(self, connection: Any) -> None:
        """One has come; it has what a socket has."""


KEEP_ALIVE_S = 75.0
BACKLOG = 128


class HttpListener:
    """Listens on host:port between `start` and `stop`; an empty address listens nowhere."""

    def __init__(
        self,
        listen: str,
        *,
        what: str,
        add_routes: Callable[[web.UrlDispatcher], object],
        middlewares: Sequence[Any] = (),
        error: ErrorResponse,
        max_body_bytes: int,
        tls: ssl.SSLContext | None = None,
        watch: ConnectionWatch | None = None,
        limits: ConnectionLimits | None = None,
        is_proxy: Callable[[str], bool] = lambda address: False,
        share_port: bool = False,
        finish_within_s: float = 60.0,
        observer: ConnectionObserver | None = None,
        early: EarlyRefusals | None = None,
    ) -> None:
        """what: it listens for, in words. error: the answer to what cannot be read. watch: of the
        process; limits: of the connections to this port; is_proxy: whether an address is a trusted
        proxy's. share_port: with other processes (SO_REUSEPORT). finish_within_s: what is
        under way when it stops. observer: of its connections. early: None: it
        refuses nothing before it is read."""
        self._listen = listen
        self._what = what
        self._add_routes = add_routes
        self._middlewares = middlewares
        self._error = error
        self._max_body_bytes = max_body_bytes
        self._tls = tls
        self._watch = watch or ConnectionWatch()
        self._limits = limits or ConnectionLimits()
        self._is_proxy = is_proxy
        self._share_port = share_port
        self._finish_within_s = finish_within_s
        self._observer = observer
        self._early = early
        self._first_requests = FirstRequests(self._limits.first_message_s)
        self._port = 0
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | TlsAcceptor | None = None
        self.address = ""

    async def start(self) -> None:
        """Raises InvalidInput where the address cannot be had."""
        if not self._listen:
            return
        application = web.Application(
            client_max_size=self._max_body_bytes,
            middlewares=[self._first_requests.middleware, *self._middlewares],
        )
        self._add_routes(application.router)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            logger=server_log(),
            shutdown_timeout=self._finish_within_s,
        )
        await self._runner.setup()
        try:
            self._port = await self._accept(partial(self._connection, self._runner))
        except OSError as error:
            await self._runner.cleanup()
            self._runner = None
            raise InvalidInput(
                "http_listen",
                f"cannot listen on {self._listen} for {self._what}: {why_failed(error)}; choose "
                "another --http-listen",
            ) from error
        self.address = f"{self._listen.rpartition(':')[0]}:{self._port}"
        self._watch.hold(self._port, self._limits, is_proxy=self._is_proxy)
        if self._runner.server is not None:
            self._first_requests.start(self._runner.server)

    async def _accept(self, build: Callable[[], asyncio.Protocol]) -> int:
        """Listens, and returns the port. Raises OSError."""
        if self._tls is not None:
            sockets, port = await asyncio.to_thread(
                listening_sockets, self._listen, share_port=self._share_port, backlog=BACKLOG
            )
            if self._observer is not None:
                self._observer.listening(sockets)
            self._listener = TlsAcceptor(
                sockets, self._tls, build, self._limits,
                on_accepted=self._observer.accepted if self._observer else None,
            )  # fmt: skip
            self._listener.start()
            return port
        host, _, wanted = self._listen.rpartition(":")
        self._listener = await asyncio.get_running_loop().create_server(
            build,
            host.strip("[]"),
            int(wanted),
            backlog=BACKLOG,
            reuse_port=self._share_port or None,
        )
        if self._observer is not None:
            self._observer.listening(self._listener.sockets)
        found: int = self._listener.sockets[0].getsockname()[1]
        return found

    async def stop_accepting(self) -> None:
        """No new connection gets in; those that stand go on."""
        if self._listener is not None:
            if isinstance(self._listener, TlsAcceptor):
                await self._listener.close()
            else:
                self._listener.close()
            await asyncio.to_thread(self._watch.release, self._port)
            await self._first_requests.stop()
            self._listener = None

    async def stop(self) -> None:
        """Finishes what is under way, and closes all connections."""
        await self.stop_accepting()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _connection(self, runner: web.AppRunner) -> AnsweredConnection:
        assert runner.server is not None
        return AnsweredConnection(
            runner.server,
            error=self._error,
            loop=asyncio.get_running_loop(),
            access_log=None,  # none, as AppRunner takes it
            logger=server_log(),
            keepalive_timeout=KEEP_ALIVE_S,
            # With TLS it was told before the handshake.
            on_made=self._made if self._observer and not self._tls else None,
            early=self._early,
        )

    def _made(self, transport: asyncio.BaseTransport) -> None:
        connection = transport.get_extra_info("socket")
        if self._observer is not None and connection is not None:
            self._observer.accepted(connection)


def peer_of_request(request: web.BaseRequest) -> str:
    """The other end of its connection, as gRPC writes it. Raises InvalidInput where it has
    ended."""
    address: Any = request.get_extra_info("peername")
    if not isinstance(address, tuple):
        raise InvalidInput("request", "this connection has ended")
    return peer_of(address)


def certificate_of(request: web.BaseRequest) -> bytes:
    """What the caller has shown, verified, in PEM; empty: nothing."""
    tls = request.get_extra_info("ssl_object")
    shown = tls.getpeercert(binary_form=True) if tls is not None else None
    return ssl.DER_cert_to_PEM_cert(shown).encode("ascii") if shown else b""


def identity_of_request(request: web.BaseRequest) -> PeerIdentity | None:
    """Of that certificate, if the caller has shown one."""
    shown = certificate_of(request)
    return identity_of_certificate(shown) if shown else None
