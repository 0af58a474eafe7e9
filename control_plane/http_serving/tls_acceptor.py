"""TlsAcceptor: accepts connections for an HTTP server and shakes hands, so that callers whose
certificates are refused are in the log; a server of asyncio keeps to itself why a handshake failed.

Handshakes are bounded in time and number: of too many, those that have taken longest are given up.
What is said over a connection is its protocol's.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any

from control_plane.client_address import ClientAddress
from control_plane.serving.accepting import Handshakes
from control_plane.serving.connection_limits import ConnectionLimits
from control_plane.serving.refused_certificates import RefusedCertificates
from control_plane.supervision import log_failure

log = logging.getLogger(__name__)


class TlsAcceptor:
    """Accepts between `start` and `close`. sockets: that listen, and are this one's from now on;
    build: the protocol of a new connection; limits: of handshakes; on_accepted: is told of a
    connection before its handshake; clock: monotonic seconds."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        context: ssl.SSLContext,
        build: Callable[[], asyncio.Protocol],
        limits: ConnectionLimits,
        *,
        on_accepted: Callable[[socket.socket], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sockets = list(sockets)
        self._context = context
        self._build = build
        self._limits = limits
        self._on_accepted = on_accepted
        self._refused = RefusedCertificates(clock=clock)
        self._accepting: list[asyncio.Task[None]] = []
        self._handshakes = Handshakes(self._begin, most=limits.handshakes)

    def start(self) -> None:
        """Accepts from now on, in tasks that `close` ends."""
        self._accepting = [
            asyncio.create_task(self._handshakes.accept(one), name="accepting")
            for one in self._sockets
        ]
        for task in self._accepting:
            task.add_done_callback(log_failure)

    async def close(self) -> None:
        """No new connection gets in, and handshakes under way are given up; what stands goes on."""
        ending = [*self._accepting, *self._handshakes]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)
        for one in self._sockets:
            one.close()
        self._accepting.clear()
        self._sockets.clear()

    def _begin(self, accepted: socket.socket, address: Any) -> asyncio.Task[None]:
        if self._on_accepted is not None:
            self._on_accepted(accepted)
        return asyncio.create_task(self._connect(accepted, address), name="TLS handshake")

    async def _connect(self, accepted: socket.socket, address: Any) -> None:
        loop, within_s = asyncio.get_running_loop(), self._limits.handshake_s
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(within_s):
                await loop.connect_accepted_socket(
                    self._build, accepted, ssl=self._context, ssl_handshake_timeout=within_s
                )
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            log.debug("no connection with %s: %s", ClientAddress(address[0]), error)
            self._refused.note(address[0], error)
            accepted.close()
        except BaseException:  # cancelled too: nobody else can close it
            accepted.close()
            raise
