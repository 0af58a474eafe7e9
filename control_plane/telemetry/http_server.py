"""BoundedHttpServer: a WSGI server for health and metrics that strangers cannot occupy.

A connection is one request, which has to come, and be answered, within some seconds however slowly
its bytes come; a request's head has a size; of too many connections the oldest goes, so that who
asks anew gets in. A descriptor is kept in reserve: where the process has none left, the request is
answered with that one. What callers do wrong is one short line in the log, not a traceback.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import logging
import os
import socket
import sys
import threading
import time
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client.exposition import ThreadingWSGIServer

from control_plane.once_per_address import OncePerAddress

log = logging.getLogger(__name__)

REQUEST_S: Final = 10.0
CONNECTIONS: Final = 64  # at once, a thread each
HEAD_BYTES: Final = 16_384
AGAIN_S: Final = 0.05  # after there was no descriptor at all
_OUT_OF_DESCRIPTORS: Final = (errno.EMFILE, errno.ENFILE)


class _Head:
    """Lines of a request, up to a size in all."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._left = HEAD_BYTES

    def readline(self, limit: int = -1) -> bytes:
        most = self._left + 1 if limit < 0 else min(limit, self._left + 1)
        line: bytes = self._file.readline(most)
        self._left -= len(line)
        if self._left < 0:
            raise http.client.LineTooLong("request head")
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class BoundedHandler(WSGIRequestHandler):
    """One request."""

    def setup(self) -> None:
        super().setup()
        self.rfile: Any = _Head(self.rfile)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: who scrapes does so for ever."""


class BoundedHttpServer(ThreadingWSGIServer):
    """As made by wsgiref's make_server; the limits may be set before it serves."""

    daemon_threads = True
    request_queue_size = 128  # with socketserver's 5 a flood has others wait for a second SYN, 1 s
    request_s = REQUEST_S
    connections = CONNECTIONS

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._since: dict[socket.socket, float] = {}  # oldest first
        self._lock = threading.Lock()
        self._told = OncePerAddress(log, clock=time.monotonic)
        self._spare: int | None = _spare()
        super().__init__(*arguments, **named)

    def get_request(self) -> tuple[Any, Any]:
        try:
            return super().get_request()
        except OSError as error:
            if error.errno not in _OUT_OF_DESCRIPTORS:
                raise
            if self._spare is None:
                time.sleep(AGAIN_S)  # the one who waits is still there
                raise
        os.close(self._spare)
        self._spare = None
        return super().get_request()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._since[request] = time.monotonic()
            excess = list(self._since)[: max(0, len(self._since) - self.connections)]
        for one in excess:
            _end(one)
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Called every half second: ends what takes too long."""
        self._keep_spare()
        before = time.monotonic() - self.request_s
        with self._lock:
            late = [one for one, since in self._since.items() if since < before]
        for one in late:
            _end(one)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._since.pop(request, None)
        super().shutdown_request(request)
        self._keep_spare()

    def _keep_spare(self) -> None:
        if self._spare is None:
            with contextlib.suppress(OSError):
                self._spare = _spare()

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, OSError | http.client.HTTPException | ValueError):
            with self._lock:
                self._told.warn(str(client_address[0]), "requests broke off or were none")
        else:
            log.error("a request for health or metrics failed", exc_info=error)

    def server_close(self) -> None:
        super().server_close()
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None


def _spare() -> int:
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


def _end(request: socket.socket) -> None:
    with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)
