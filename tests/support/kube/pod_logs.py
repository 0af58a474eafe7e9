"""What `kubectl logs` asks a node for: the log of a container, over HTTPS, for the API server."""

from __future__ import annotations

import ssl
import tempfile
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.support.certificates import self_signed
from tests.support.kube.namespace import POD_GATEWAY

KUBELET_PORT = 10250


class PodLogs:
    """Serves the logs below `folder`/pods until it is closed."""

    def __init__(self, folder: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate, key = self_signed(POD_GATEWAY)
        with tempfile.NamedTemporaryFile() as file:
            file.write(certificate + key)
            file.flush()
            context.load_cert_chain(file.name)
        handler = type("Handler", (_Handler,), {"folder": folder})
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
    folder: Path

    def do_GET(self) -> None:
        parts, query = urlsplit(self.path), parse_qs(urlsplit(self.path).query)
        words = parts.path.strip("/").split("/")
        if len(words) != 4 or words[0] != "containerLogs":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        namespace, pod, container = words[1:]
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

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""
