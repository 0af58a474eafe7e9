"""HttpConnection: one connection to a server that speaks HTTP/1.1, one request on it at a time.

Requests are encoded before the clock starts. An answer is good when its status is 200 and its body
is not empty; anything else is counted by its kind, and so are requests that were never answered, or
never sent. A body whose length is not said ahead is not read: that is an error here.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from typing import cast

from bench.load.results import CallCounts

KEEP_EVERY = 50  # the answer of one in so many is kept for checking
_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class HttpConnection(asyncio.Protocol):
    """`load` some requests, `start` them, and await the counts; then, if it is not `closed`,
    again."""

    def __init__(self) -> None:
        self.closed = False
        self._transport: asyncio.WriteTransport | None = None
        self._requests: Sequence[bytes] = ()
        self._next = 0
        self._unread = b""
        self._began_at = 0.0  # of the request under way
        self._counts = CallCounts(asked=0)
        self._done: asyncio.Future[CallCounts] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self._transport = cast(asyncio.WriteTransport, transport)

    def load(self, requests: Sequence[bytes]) -> None:
        """Whole requests, head and body, to be made in order."""
        self._requests, self._next = requests, 0
        self._counts = CallCounts(asked=len(requests))

    def start(self) -> asyncio.Future[CallCounts]:
        """Starts the clock and the requests; the tally comes when all of them have ended."""
        self._done = asyncio.get_running_loop().create_future()
        self._counts.began_at = time.monotonic()
        self._send()
        return self._done

    @property
    def ended(self) -> int:
        """How many requests of this run have ended, well or not."""
        return self._counts.good + sum(self._counts.errors.values())

    def give_up(self, why: str) -> None:
        """Counts what is not answered by now as an error of this kind, and closes the
        connection."""
        self._end_all(why)
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._end_all("connection lost")

    def data_received(self, data: bytes) -> None:
        self._unread += data
        head, end, rest = self._unread.partition(_END)
        if not end:
            return
        status, length = _STATUS.match(head), _LENGTH.search(head + b"\r\n")
        if status is None or length is None:
            self.give_up("not HTTP/1.1 with a content-length")
            return
        if len(rest) < int(length[1]):
            return
        self._unread = b""
        self._end(int(status[1]), rest)

    def _end(self, status: int, body: bytes) -> None:
        """The request under way is answered."""
        counts = self._counts
        if status == 200 and body:
            counts.good += 1
            counts.latencies_s.append(time.monotonic() - self._began_at)
            if self._next % KEEP_EVERY == 0:
                counts.kept.append(body)
        else:
            counts.errors[f"HTTP status {status}" if status != 200 else "no body"] += 1
        self._next += 1
        self._send()

    def _end_all(self, why: str) -> None:
        self.closed = True
        if self._done is None or self._done.done():
            return
        if self._next < len(self._requests):
            self._counts.errors[why] += 1
            self._next += 1
        self._send()

    def _send(self) -> None:
        """The next request; and the tally, when there is none."""
        done = self._done
        if done is None or done.done() or self._transport is None:
            return
        if self._next < len(self._requests) and not self.closed:
            self._began_at = time.monotonic()
            self._transport.write(self._requests[self._next])
            return
        if self._next < len(self._requests):
            self._counts.errors["not sent"] += len(self._requests) - self._next
        self._counts.ended_at = time.monotonic()
        done.set_result(self._counts)
