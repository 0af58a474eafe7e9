"""EarlyRefusals: requests of an overrun server, refused before anything reads them as HTTP.

To parse a request, make a task of it and answer it costs nearly what serving it does. So where more
wait than can be served in time, a request that came in one piece, with nothing about it that the
usual way would look at twice, is told when to come back by its first bytes: its path says which
method it is for, and whom. Everything else goes the usual way, and so does whatever comes over a
connection of which is not certain that a request begins there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from google.rpc import status_pb2

from control_plane.errors import InvalidInput
from control_plane.http_serving.in_process import DETAILS
from control_plane.http_serving.routes import Route, Routes
from control_plane.http_serving.status_json import status_response
from control_plane.serving.admission_queue import AdmissionQueue
from control_plane.serving.call_statistics import CallStatistics
from control_plane.serving.status import Status

MOST_BYTES: Final = 4_096  # of a request that is refused so
_HEAD: Final = re.compile(
    rb"(POST|GET) (/[!-~]*) HTTP/1\.1\r\n((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~]*\r\n)*)\r\n"
)
_LENGTH: Final = re.compile(rb"^content-length:[ \t]*([0-9]{1,4})[ \t]*\r$", re.MULTILINE)
# Of a request with one of these more is to be looked at than where it goes.
_UNUSUAL: Final = re.compile(
    rb"^(?:transfer-encoding:|te:|trailer:|expect:|upgrade:|origin:|content-encoding:|if-[a-z-]+:"
    rb"|connection:(?![ \t]*keep-alive[ \t]*\r$))",
    re.MULTILINE,
)


class WholeRequest(NamedTuple):
    """head: header fields, in lower case."""

    verb: str
    target: str
    head: bytes
    body: bytes


def whole_request(data: bytes) -> WholeRequest | None:
    """The one request that these bytes are, from the first to the last. None: they are something
    else, or it has something unusual about it."""
    found = _HEAD.match(data)
    if found is None:
        return None
    head = found[3].lower()
    lengths = _LENGTH.findall(head)
    if head.count(b"content-length") != len(lengths) or len(lengths) > 1 or _UNUSUAL.search(head):
        return None
    body = data[found.end() :]
    if len(body) != (int(lengths[0]) if lengths else 0):
        return None
    return WholeRequest(found[1].decode(), found[2].decode(), head, body)


class EarlyRefusals:
    """queues: by full path of a method. headers: of every answer. ahead: requests that came and
    have not reached their method: who reads them counts."""

    def __init__(
        self,
        routes: Routes,
        queues: Mapping[str, AdmissionQueue],
        statistics: CallStatistics,
        *,
        headers: Mapping[str, str],
    ) -> None:
        self._routes = routes
        self._queues = queues
        self._statistics = statistics
        self.ahead = 0
        self._headers = tuple(headers.items())

    def are_due(self) -> bool:
        """Whether some requests are to be refused now; costs next to nothing."""
        return any(queue.is_overfull(self.ahead) for queue in self._queues.values())

    def note_waited(self, method: str, waited_s: float) -> None:
        """A request for this method waited so long until it was its turn to be read."""
        if (queue := self._queues.get(method)) is not None:
            queue.note_waited(waited_s)

    def answer(self, data: bytes) -> bytes:
        """The whole answer to the request that these bytes are; empty: it is not refused here."""
        request = whole_request(data)
        if request is None:
            return b""
        try:
            found = self._routes.match(request.target)  # a query is in no path
        except InvalidInput:
            return b""
        route = found.by_verb.get(request.verb) if found is not None else None
        queue = self._queues.get(route.method) if route is not None else None
        if found is None or route is None or queue is None or _says_more(route, request):
            return b""
        status = queue.turn_away(_message(route, found.fields), self.ahead)
        if status is None:
            return b""
        self._statistics.of(route.method).refused(status.code.name, 1)
        return _encoded(status, self._headers)


def _says_more(route: Route, request: WholeRequest) -> bool:
    """Whether it may say one of those fields that can come in a header, which a rank and a refusal
    may depend on."""
    return b"\\" in request.body or any(
        name.lower().encode() in request.head or b'"%b"' % field.encode() in request.body
        for name, field in route.headers.items()
    )


def _message(route: Route, fields: Mapping[str, str]) -> bytes:
    message: Any = route.request(**fields)
    made: bytes = message.SerializeToString()
    return made


@lru_cache(maxsize=4_096)
def _encoded(status: Status, headers: tuple[tuple[str, str], ...]) -> bytes:
    """As the usual way answers with this status."""
    rich = status_pb2.Status.FromString(dict(status.trailers)[DETAILS])
    response = status_response(rich)
    body = response.body
    assert isinstance(body, bytes)
    response.headers.update(headers)
    response.headers["Server"] = "homeport"
    response.headers["Content-Length"] = str(len(body))
    lines = [f"HTTP/1.1 {response.status} {response.reason}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body
