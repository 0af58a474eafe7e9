"""Blast: one connection that keeps a number of unary calls in flight.

Requests are encoded before the clock starts; sending one is two frames with a stream id put
in. A call counts as good when a message came and the stream ended; streams that end without
a message (trailers only, which is how gRPC says no) or are reset count as failed. Flow
control is respected in both directions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import cast

from bench.load.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW,
    LARGEST_WINDOW,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    grpc_headers,
    grpc_message,
    settings,
    window_update,
)

TIME_EVERY = 16  # one call in so many is timed
KEEP_EVERY = 50  # the answer of one in so many is kept for checking
REFILL_AT = 1 << 29


class Blast(asyncio.Protocol):
    """Sends `payloads` in order, `in_flight` at a time; `finished` is set when all are
    answered or the connection has ended."""

    def __init__(
        self, path: str, authority: str, payloads: Sequence[bytes], in_flight: int
    ) -> None:
        headers = grpc_headers(path, authority)
        # Everything of a HEADERS frame but the stream id, which stands at bytes 5 to 8.
        head = frame(HEADERS, END_HEADERS, 0, headers)
        self._head_start, self._head_end = head[:5], head[9:]
        bodies = [grpc_message(payload) for payload in payloads]
        self._bodies = [(len(body), frame(DATA, END_STREAM, 0, body)) for body in bodies]
        self._in_flight = in_flight
        self._next = 0
        self._stream = 1
        self._open = 0
        self._window = INITIAL_WINDOW
        self._received = 0
        self._buffer = bytearray()
        self._answered: set[int] = set()
        self._began: dict[int, float] = {}
        self._transport: asyncio.Transport | None = None
        self.good = 0
        self.failed = 0
        self.latencies_s: list[float] = []
        self.kept: list[bytes] = []
        self.finished = asyncio.Event()
        self.began_at = self.ended_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        transport = self._transport
        transport.write(
            PREFACE
            + settings(initial_window_size=LARGEST_WINDOW, max_frame_size=1 << 20)
            + window_update(0, LARGEST_WINDOW - INITIAL_WINDOW)
        )

    def start(self) -> None:
        """The clock starts."""
        self.began_at = time.perf_counter()
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        self.failed += self._open
        self._open = 0
        self._finish()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        self._received += len(data)
        place, size = 0, len(buffer)
        while size - place >= 9:
            length = buffer[place] << 16 | buffer[place + 1] << 8 | buffer[place + 2]
            end = place + 9 + length
            if end > size:
                break
            kind, flags = buffer[place + 3], buffer[place + 4]
            if kind == DATA:
                if length:
                    stream = int.from_bytes(buffer[place + 5 : place + 9], "big")
                    if stream not in self._answered:
                        self._answered.add(stream)
                        if self.good % KEEP_EVERY == 0:
                            self.kept.append(bytes(buffer[place + 14 : end]))
                if flags & END_STREAM:
                    self._ended(int.from_bytes(buffer[place + 5 : place + 9], "big"))
            elif kind == HEADERS:
                if flags & END_STREAM:
                    self._ended(int.from_bytes(buffer[place + 5 : place + 9], "big"))
            else:
                self._control(kind, flags, bytes(buffer[place + 5 : end]))
            place = end
        del buffer[:place]
        if self._received > REFILL_AT and self._transport is not None:
            self._transport.write(window_update(0, self._received))
            self._received = 0
        self._send()

    def _control(self, kind: int, flags: int, rest: bytes) -> None:
        stream, payload = int.from_bytes(rest[:4], "big"), rest[4:]
        transport = self._transport
        assert transport is not None
        if kind == SETTINGS and not flags & ACK:
            transport.write(frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            transport.write(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE and stream == 0:
            self._window += int.from_bytes(payload, "big") & LARGEST_WINDOW
        elif kind == RST_STREAM:
            self._answered.discard(stream)
            self._ended(stream)
        elif kind == GOAWAY:
            transport.close()

    def _ended(self, stream: int) -> None:
        self._open -= 1
        if stream in self._answered:
            self._answered.discard(stream)
            self.good += 1
            began = self._began.pop(stream, None)
            if began is not None:
                self.latencies_s.append(time.perf_counter() - began)
        else:
            self.failed += 1

    def _send(self) -> None:
        if not self.began_at:
            return
        out: list[bytes] = []
        bodies, total = self._bodies, len(self._bodies)
        while self._open < self._in_flight and self._next < total:
            size, body = bodies[self._next]
            if size > self._window:
                break
            self._window -= size
            stream = self._stream.to_bytes(4, "big")
            out += (self._head_start, stream, self._head_end, body[:5], stream, body[9:])
            if self._next % TIME_EVERY == 0:
                self._began[self._stream] = time.perf_counter()
            self._next += 1
            self._open += 1
            self._stream += 2
        if out and self._transport is not None:
            self._transport.write(b"".join(out))
        if self._next == total and not self._open:
            self._finish()

    def _finish(self) -> None:
        if not self.finished.is_set():
            self.ended_at = time.perf_counter()
            self.finished.set()

    def close(self) -> None:
        """Ends the connection."""
        if self._transport is not None:
            self._transport.close()
