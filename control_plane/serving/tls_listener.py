"""TlsListener: ends TLS before a server that listens on a Unix socket and has none of its own.

A thread with an event loop of its own accepts, shakes hands, and passes bytes on, each header
block with the key of its connection (see `connections`). Handshakes are bounded in time and
number: of too many, those that have taken longest are given up, so that slow ones hold nobody.
OpenSSL works outside the GIL; docs/decisions says what else was measured.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, cast

from control_plane.client_address import ClientAddress
from control_plane.serving.accepting import Handshakes
from control_plane.serving.connection_limits import ConnectionLimits
from control_plane.serving.connections import HEADER, Connection, Connections
from control_plane.serving.header_blocks import HeaderBlocks
from control_plane.serving.refused_certificates import RefusedCertificates
from control_plane.serving.tls import Tls, TlsFiles

log = logging.getLogger(__name__)

BACKLOG = 1_024
START_S = 10.0
BUFFERED_BYTES = 1 << 20  # for one direction of a connection, before the other side has to wait


class _Half(asyncio.Protocol):
    """One end of a connection; what comes goes to the other. Where that cannot keep up, nothing
    more is read here."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.other: _Half | None = None
        self.change: Callable[[bytes], bytes] | None = None  # of what comes
        self.on_lost: Callable[[], None] | None = None
        # What came with the end of the handshake, before `splice`: a read's worth at most.
        self.early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.set_write_buffer_limits(high=BUFFERED_BYTES)
        if self.other is None:
            self.transport.pause_reading()  # until `splice`

    def data_received(self, data: bytes) -> None:
        other = self.other
        if other is None:
            self.early.append(data)
        else:
            other.transport.write(data if self.change is None else self.change(data))

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None:
            self.other.transport.close()  # once it has sent what it has
        if self.on_lost is not None:
            self.on_lost()


def splice(client: _Half, server: _Half, change: Callable[[bytes], bytes]) -> None:
    """From now on what one sends the other gets; `change`d where the client sends it."""
    client.change, client.other, server.other = change, server, client
    for half in (client, server):
        early, half.early = half.early, []
        for data in early:
            half.data_received(data)
    client.transport.resume_reading()
    server.transport.resume_reading()


class TlsListener:
    """`bind`, `start`, then `stop_accepting` and `close`; from one thread."""

    def __init__(
        self,
        files: TlsFiles,
        connections: Connections,
        server_path: str,
        *,
        limits: ConnectionLimits,
    ) -> None:
        """server_path: the Unix socket of the server, which listens by `start`. limits: of
        handshakes."""
        self._files = files
        self._connections = connections
        self._server_path = server_path
        self._limits = limits
        self._refused = RefusedCertificates(clock=time.monotonic)
        self._shown: tuple[Tls, ssl.SSLContext] | None = None
        self._sockets: list[socket.socket] = []
        self._accepting: set[asyncio.Task[None]] = set()
        self._clients: set[_Half] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._close: asyncio.Event | None = None

    def bind(self, address: str, *, share_port: bool) -> int:
        """Listens on host:port, all addresses of the host, and returns the port. Raises OSError,
        ValueError."""
        self._sockets, port = listening_sockets(address, share_port=share_port, backlog=BACKLOG)
        return port

    def start(self) -> None:
        """Accepts from now on. Raises RuntimeError where the thread does not start."""
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="tls", daemon=True)
        self._thread.start()
        if not started.wait(START_S):
            raise RuntimeError("the TLS listener did not start")

    def stop_accepting(self) -> None:
        """No new connection gets in; those that stand go on."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end_accepting)
        else:
            self._close_sockets()

    def close(self, within_s: float) -> None:
        """Ends all connections, once they have sent what they have, or after `within_s` seconds.
        Blocks."""
        if self._thread is None or self._loop is None or self._close is None:
            self._close_sockets()
            return
        if not self._loop.is_closed():
            self._within_s = within_s
            self._loop.call_soon_threadsafe(self._close.set)
        self._thread.join(within_s + START_S)

    def _run(self, started: threading.Event) -> None:
        factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
        try:
            import uvloop

            factory = uvloop.new_event_loop
        except ImportError:
            pass
        with asyncio.Runner(loop_factory=factory) as runner:
            self._loop = runner.get_loop()
            runner.run(self._serve(started))

    async def _serve(self, started: threading.Event) -> None:
        self._close = asyncio.Event()
        async with asyncio.TaskGroup() as group:

            def connect(accepted: socket.socket, address: Any) -> asyncio.Task[None]:
                return group.create_task(self._connect(accepted, address))

            handshakes = Handshakes(connect, most=self._limits.handshakes)
            self._accepting = {group.create_task(handshakes.accept(one)) for one in self._sockets}
            started.set()
            await self._close.wait()
            self._end_accepting()
            for task in handshakes:
                task.cancel()
        for client in list(self._clients):
            client.transport.close()
        end = asyncio.get_running_loop().time() + self._within_s
        while self._clients and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        for client in list(self._clients):
            client.transport.abort()

    def _end_accepting(self) -> None:
        for task in self._accepting:
            task.cancel()
        self._close_sockets()

    def _close_sockets(self) -> None:
        for one in self._sockets:
            one.close()
        self._sockets.clear()

    async def _connect(self, accepted: socket.socket, address: Any) -> None:
        """Shakes hands and joins the connection to one of the server."""
        loop, client, server = asyncio.get_running_loop(), _Half(), _Half()
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            async with asyncio.timeout(self._limits.handshake_s):
                await loop.connect_accepted_socket(
                    lambda: client,
                    accepted,
                    ssl=self._context(),
                    ssl_handshake_timeout=self._limits.handshake_s,
                )
                await loop.create_unix_connection(lambda: server, self._server_path)
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            log.debug("no connection with %s: %s", ClientAddress(address[0]), error)
            self._refused.note(address[0], error)
            self._drop(client, server, accepted)
            return
        except BaseException:  # cancelled too: nobody else can close them
            self._drop(client, server, accepted)
            raise
        if client.transport.is_closing():
            self._drop(client, server, accepted)
            return
        key = self._connections.opened(
            Connection(peer=peer_of(address), certificate=_certificate(client.transport))
        )

        def lost() -> None:
            self._connections.closed(key)
            self._clients.discard(client)

        client.on_lost = lost
        self._clients.add(client)
        splice(client, server, HeaderBlocks(HEADER, key).add)

    @staticmethod
    def _drop(client: _Half, server: _Half, accepted: socket.socket) -> None:
        for half in (client, server):
            if half.transport is not None:
                half.transport.abort()
        if client.transport is None:
            accepted.close()

    def _context(self) -> ssl.SSLContext:
        """Of the certificate that the files have now."""
        latest = self._files.latest()
        if self._shown is None or self._shown[0] is not latest:
            self._shown = latest, latest.context()
        return self._shown[1]


def listening_sockets(
    address: str, *, share_port: bool, backlog: int
) -> tuple[list[socket.socket], int]:
    """Sockets that listen on host:port, all addresses of the host, and the port. Raises OSError,
    ValueError."""
    host, _, port_text = address.rpartition(":")
    port, made = int(port_text), list[socket.socket]()
    if not 0 <= port <= 65_535:
        raise ValueError(f"{port} is no port")
    found = socket.getaddrinfo(
        host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    try:
        for family, kind, protocol, _, where in dict.fromkeys(found):
            made.append(held := socket.socket(family, kind, protocol))
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if share_port:
                held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, where[0] != "::")
            held.bind((where[0], port, *where[2:]))
            held.listen(backlog)
            held.setblocking(False)
            port = held.getsockname()[1]
    except OSError:
        for one in made:
            one.close()
        raise
    return made, port


def peer_of(address: tuple[Any, ...]) -> str:
    """As gRPC writes it: ipv4:1.2.3.4:5 or ipv6:[::1]:5."""
    host, port = address[0], address[1]
    mapped = host.removeprefix("::ffff:")
    if mapped != host and "." in mapped:
        host = mapped
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"


def _certificate(transport: Any) -> bytes:
    """What the client has shown, verified, in PEM; empty: nothing."""
    secured = cast(ssl.SSLObject, transport.get_extra_info("ssl_object"))
    shown = secured.getpeercert(binary_form=True)
    return ssl.DER_cert_to_PEM_cert(shown).encode("ascii") if shown else b""
