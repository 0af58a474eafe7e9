"""HttpUserConnection: calls of users over HTTP/1.1, one request at a time on each connection.

A request that is given up takes its connection with it: its answer would be taken for the next
one's. An error is `HTTP status N`, with the head of the answer where a gRPC call has trailers.
"""

from __future__ import annotations

import asyncio
import re
from typing import cast

from simulation.load.connections import Heard, LoadConnection, PendingCall
from simulation.load.grpc_connection import EncodedCall

_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
MOST_ANSWER = 1 << 20


class HttpUserConnection(LoadConnection):
    """heard: told of each call that has ended. Made by create_connection."""

    def __init__(self, heard: Heard) -> None:
        self.closed = False
        self._heard = heard
        self._transport: asyncio.WriteTransport | None = None
        self._pending: PendingCall | None = None
        self._unread = b""

    @property
    def has_room(self) -> bool:
        """Whether it takes a call now."""
        return self._pending is None and self._transport is not None and not self.closed

    @property
    def under_way(self) -> int:
        """How many calls somebody waits for."""
        return int(self._pending is not None)

    def open(self, pending: PendingCall, encoded: EncodedCall) -> None:
        """Makes a call, where there is room; its whole request is the message."""
        assert self._transport is not None
        pending.connection, self._pending = self, pending
        self._transport.write(encoded.message)

    def flush(self) -> None:
        """Nothing waits to be sent."""

    def abandon(self, pending: PendingCall, why: str) -> None:
        """Waits no longer for a call, and gives the connection up."""
        if pending is self._pending:
            self.give_up(why)

    def give_up(self, why: str) -> None:
        """Ends what is under way as an error of this kind, and closes the connection."""
        self.closed = True
        self._ended(b"", why, b"")
        if self._transport is not None:
            self._transport.close()

    # The protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self._transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        self._ended(b"", "connection lost", b"")

    def data_received(self, data: bytes) -> None:
        self._unread += data
        head, end, rest = self._unread.partition(_END)
        if not end and len(head) <= MOST_ANSWER:
            return
        status, length = _STATUS.match(head), _LENGTH.search(head)
        if status is None or length is None or int(length[1]) > MOST_ANSWER:
            self.give_up("not HTTP/1.1 with a content-length")
            return
        size = int(length[1])
        if len(rest) < size:
            return
        self._unread = rest[size:]
        if b"\r\nconnection: close" in head.lower():
            self.closed = True
        good = status[1] == b"200"
        self._ended(rest[:size], "" if good else f"HTTP status {status[1].decode()}", head)

    def _ended(self, answer: bytes, error: str, head: bytes) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            self._heard(pending, answer, error, head)
