"""A client of the HTTP door of a provisioning server."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from http.client import HTTPMessage
from typing import Any, NamedTuple
from urllib.parse import quote

ANSWER_S = 20.0
JSON = "application/json"


class Answer(NamedTuple):
    status: int
    headers: HTTPMessage
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


class Door:
    """Sends requests to one server."""

    def __init__(self, url: str, context: ssl.SSLContext | None = None) -> None:
        self.url = url
        self._context = context

    def __call__(
        self,
        verb: str,
        path: str,
        body: bytes | None = None,
        *,
        kind: str = JSON,
        **headers: str,
    ) -> Answer:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            sent.setdefault("content-type", kind)
        request = urllib.request.Request(self.url + path, body, sent, method=verb)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S, context=self._context) as got:
                return Answer(got.status, got.headers, got.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())


def client(client_id: str, action: str = "", tenant: str = "default") -> str:
    """The path of a client."""
    return f"/v1/tenants/{tenant}/clients/{quote(client_id, safe='')}{action}"
