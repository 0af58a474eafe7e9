"""NativeCall: a hot call of the native transport, which its front knows by a number.

One is made for every such call, so it keeps what it was handed and reads of it what is asked for.
"""

from __future__ import annotations

from bisect import bisect_left
from time import monotonic
from typing import Any, Protocol

from control_plane.errors import ServiceError
from control_plane.serving.call_statistics import MethodStatistics
from control_plane.serving.calls import HotCall, Metadata
from control_plane.serving.connections import Connection
from control_plane.serving.peer_identity import PeerIdentity
from control_plane.serving.status import status_of


class CallCount(Protocol):
    """Whoever counts the hot calls that wait for their answer."""

    outstanding: int


class NativeCall(HotCall):
    """A call that is known to the front by its id."""

    __slots__ = ("_began", "_connection", "_details", "_front", "_id", "_server", "_statistics")

    def __init__(
        self,
        server: CallCount,
        front: Any,
        call_id: int,
        payload: bytes,
        details: Any,
        connection: Connection | None,
        statistics: MethodStatistics,
        began: float,
    ) -> None:
        self._server = server
        self._front = front
        self._id = call_id
        self.payload = payload
        self._details = details
        self._connection = connection
        self._statistics = statistics
        self._began = began

    def reply(self, response: bytes) -> None:
        self._server.outstanding -= 1
        self._front.respond(self._id, response)
        took_s = monotonic() - self._began
        seconds = self._statistics.seconds  # `observe`, which is called for every client
        seconds.counts[bisect_left(seconds.bounds, took_s)] += 1
        seconds.total += took_s

    def fail(self, error: ServiceError) -> None:
        self._server.outstanding -= 1
        status = status_of(error)
        self._statistics.failed(status.code.name, monotonic() - self._began)
        self._front.fail(self._id, status.code.value[0], status.message, status.trailers)

    def metadata(self) -> Metadata:
        metadata: Metadata = self._details[0]
        return metadata

    def peer(self) -> str:
        peer: str = self._details[1]
        return peer

    def peer_identity(self) -> PeerIdentity | None:
        return None if self._connection is None else self._connection.identity()

    def time_left_s(self) -> float | None:
        left: float | None = self._details[2]
        return left
