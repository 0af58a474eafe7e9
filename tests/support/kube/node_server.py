"""What the API server asks a node for, over HTTPS: the log of a container (`kubectl logs`), and a
command run in one (`kubectl exec`)."""

from __future__ import annotations

import ssl
import tempfile
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.support.certificates import self_signed
from tests.support.kube.namespace import POD_GATEWAY
from tests.support.kube.remote_command import PROTOCOL, RemoteCommand, accept_of

KUBELET_PORT = 10250
# namespace, pod, container, words: the words as a process in that container. Raises KeyError.
Inside = Callable[[str, str, str, list[str]], list[str]]


class NodeServer:
    """Serves the logs below `folder`/pods, and runs commands, until it is closed."""

    def __init__(self, folder: Path, inside: Inside) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate, key = self_signed(POD_GATEWAY)
        with tempfile.NamedTemporaryFile() as file:
            file.write(certificate + key)
            file.flush()
            context.load_cert_chain(file.name)
        handler = type("Handler", (_Handler,), {"folder": folder, "inside": staticmethod(inside)})
        self._server = ThreadingHTTPServer((POD_GATEWAY, KUBELET_PORT), handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path
    inside: Inside

    def do_GET(self) -> None:
        parts, query = urlsplit(self.path), parse_qs(urlsplit(self.path).query)
        words = parts.path.strip("/").split("/")
        if len(words) == 4 and words[0] == "containerLogs":
            self._log(words[1], words[2], words[3], query)
        elif len(words) == 4 and words[0] == "exec":
            self._exec(words[1], words[2], words[3], query)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _log(self, namespace: str, pod: str, container: str, query: dict[str, list[str]]) -> None:
        suffix = "previous" if query.get("previous") == ["true"] else "log"
        found = sorted(
            (self.folder / "pods" / namespace / pod).glob(f"*/{container}.{suffix}"),
            key=lambda one: one.stat().st_mtime,
        )
        if not found:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        lines = found[-1].read_bytes().splitlines(keepends=True)
        count = int(query.get("tailLines", ["1000000"])[0])
        body = b"".join(lines[-count:])
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _exec(self, namespace: str, pod: str, container: str, query: dict[str, list[str]]) -> None:
        key = self.headers.get("Sec-WebSocket-Key")
        offered = self.headers.get("Sec-WebSocket-Protocol", "").replace(" ", "").split(",")
        if key is None or PROTOCOL not in offered:
            self.send_error(HTTPStatus.BAD_REQUEST, f"a WebSocket with {PROTOCOL} alone")
            return
        try:
            command = self.inside(namespace, pod, container, query["command"])
        except KeyError:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.SWITCHING_PROTOCOLS)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept_of(key))
        self.send_header("Sec-WebSocket-Protocol", PROTOCOL)
        self.end_headers()
        self.close_connection = True
        RemoteCommand(self.rfile, self.wfile).run(command, takes_input="input" in query)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""
