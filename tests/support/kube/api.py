"""Reads and writes the objects of a cluster: JSON over HTTPS, with an operator's token.

For what a node and its tests do; what an operator does goes through kubectl and Helm. Blocking;
threads that share a client take turns.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

_TIMEOUT_S = 15.0
_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"  # of which JSON is a part


class ApiRefused(Exception):
    """The answer was no. status: of HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class KubeApi:
    """The API server at host:port; paths are those of its API, such as /api/v1/nodes."""

    def __init__(self, address: str, ca: Path, token: str) -> None:
        self._address = address
        self._trust = ssl.create_default_context(cafile=str(ca))
        self._token = token
        self._connection: http.client.HTTPSConnection | None = None
        self._turn = threading.Lock()

    def get(self, path: str, **query: str) -> dict[str, Any]:
        return self._call("GET", path + (f"?{urlencode(query)}" if query else ""), None)

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        """A list, read at one revision."""
        found: list[dict[str, Any]] = self.get(path, **query)["items"]
        return found

    def create(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        return self._call("POST", path, document)

    def create_if_absent(self, path: str, document: dict[str, Any]) -> None:
        try:
            self.create(path, document)
        except ApiRefused as refused:
            if refused.status != http.HTTPStatus.CONFLICT:
                raise

    def patch(self, path: str, change: dict[str, Any]) -> dict[str, Any]:
        """A merge patch (RFC 7396)."""
        return self._call("PATCH", path, change, content=_MERGE)

    def try_apply(self, path: str, document: dict[str, Any]) -> None:
        """A server-side apply that is checked whole and changes nothing: raises ApiRefused for
        values that contradict each other, and for fields that the kind does not have."""
        query = {"dryRun": "All", "fieldManager": "homeport-tests", "fieldValidation": "Strict"}
        self._call("PATCH", f"{path}?{urlencode(query)}", document, content=_APPLY)

    def delete(self, path: str, **options: Any) -> None:
        self._call("DELETE", path, options or None)

    def is_ready(self) -> bool:
        """Whether /readyz says so; False also while nobody listens."""
        try:
            return self._send("GET", "/readyz", None, "")[0] == http.HTTPStatus.OK
        except OSError:
            return False

    def _call(
        self,
        method: str,
        path: str,
        document: dict[str, Any] | None,
        *,
        content: str = "application/json",
    ) -> dict[str, Any]:
        body = None if document is None else json.dumps(document).encode()
        status, answer = self._send(method, path, body, content)
        read: dict[str, Any] = json.loads(answer)
        if status >= http.HTTPStatus.BAD_REQUEST:
            raise ApiRefused(status, str(read.get("message", answer)))
        return read

    def _send(self, method: str, path: str, body: bytes | None, content: str) -> tuple[int, bytes]:
        with self._turn:
            return self._exchange(method, path, body, content)

    def _exchange(
        self, method: str, path: str, body: bytes | None, content: str
    ) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content
        reused = self._connection is not None
        connection = self._connection or http.client.HTTPSConnection(
            self._address, timeout=_TIMEOUT_S, context=self._trust
        )
        self._connection = None
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = response.read()
        except (http.client.RemoteDisconnected, ConnectionError):
            connection.close()
            if reused and method == "GET":  # closed while it was idle
                return self._exchange(method, path, body, content)
            raise
        except BaseException:  # the connection is no good to whoever comes next
            connection.close()
            raise
        self._connection = connection
        return response.status, answer
