"""LoadConnection: one connection to a server, which keeps a number of unary calls in flight.

Requests are encoded before the clock starts. A call is good when a message that is not empty came
and the trailers say grpc-status 0; anything else is counted by its kind, and calls that were never
answered, or never sent, are counted too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from bench.load.results import CallCounts
from simulation.load.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    frame,
    grpc_headers,
    grpc_message,
)
from simulation.load.grpc_connection import EncodedCall, GrpcConnection

TIME_EVERY = 16  # one call in so many is timed
KEEP_EVERY = 50  # the answer of one in so many is kept for checking


class LoadConnection(GrpcConnection):
    """`load` some calls, `start` them, and await the counts; then, if it is not `closed`,
    again."""

    def __init__(self) -> None:
        super().__init__()
        self._in_flight = 0
        self._next = 0
        self._calls: list[EncodedCall] = []
        self._began: dict[int, float] = {}
        self._keeping: set[int] = set()
        self._counts = CallCounts(asked=0)
        self._done: asyncio.Future[CallCounts] | None = None

    def load(
        self,
        path: str,
        authority: str,
        payloads: Sequence[bytes],
        in_flight: int,
        shown: Sequence[bytes] = (),
    ) -> None:
        """Encodes one call per payload, to be made in order, `in_flight` at a time. shown: for
        each call a header block of its own, all of one size; none: every call has the same."""
        headers = grpc_headers(path, authority)
        head = frame(HEADERS, END_HEADERS, 0, headers + (shown[0] if shown else b""))[:5]
        messages = [grpc_message(payload) for payload in payloads]
        starts = {
            size: frame(DATA, END_STREAM, 0, bytes(size))[:5]
            for size in {len(message) for message in messages}
        }
        plain = {size: headers + start for size, start in starts.items()}
        self._calls = (
            [
                EncodedCall(head, headers + block + starts[len(message)], message)
                for block, message in zip(shown, messages, strict=True)
            ]
            if shown
            else [EncodedCall(head, plain[len(message)], message) for message in messages]
        )
        self._in_flight = in_flight
        self._next = 0
        self._counts = CallCounts(asked=len(payloads))

    def start(self) -> asyncio.Future[CallCounts]:
        """Starts the clock and the calls; the tally comes when all of them have ended."""
        self._done = asyncio.get_running_loop().create_future()
        self._counts.began_at = time.monotonic()
        self.more_is_possible()
        return self._done

    @property
    def ended(self) -> int:
        """How many calls of this run have ended, well or not."""
        return self._counts.good + sum(self._counts.errors.values())

    def call_ended(self, stream: int, answer: bytes, error: str, trailers: bytes) -> None:
        """Counts it."""
        error = error if error or answer else "no message"
        began = self._began.pop(stream, None)
        if stream in self._keeping:
            self._keeping.discard(stream)
            if not error:
                self._counts.kept.append(answer)
        if error:
            self._counts.errors[error] += 1
            return
        self._counts.good += 1
        if began is not None:
            self._counts.latencies_s.append(time.monotonic() - began)

    def more_is_possible(self) -> None:
        """As many calls as may be in flight; and the tally, when there are no more."""
        done = self._done
        if done is None or done.done():
            return
        out: list[bytes] = []
        calls, send = self._calls, self.send
        while self._next < len(calls) and self.under_way < self._in_flight and self.has_room:
            stream = send(calls[self._next], out)
            if self._next % TIME_EVERY == 0:
                self._began[stream] = time.monotonic()
            if self._next % KEEP_EVERY == 0:
                self._keeping.add(stream)
            self._next += 1
        self.write(out)
        if not self.under_way and (self._next == len(calls) or self.closed):
            if self._next < len(calls):
                self._counts.errors["not sent"] += len(calls) - self._next
            self._counts.ended_at = time.monotonic()
            done.set_result(self._counts)
