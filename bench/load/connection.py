"""LoadConnection: one connection to a server, which keeps a number of unary calls in flight.

Requests are encoded before the clock starts; sending one is two frames with a stream id put
in. A call is good when a message that is not empty came and the trailers say grpc-status 0;
anything else is counted by its kind, and calls that were never answered, or never sent, are
counted too. Flow control and the peer's settings are respected in both directions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from bench.load.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    INITIAL_FRAME_SIZE,
    INITIAL_WINDOW,
    LARGEST_WINDOW,
    PADDED,
    PING,
    PREFACE,
    RST_STREAM,
    SETTING,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    grpc_headers,
    grpc_message,
    number_in,
    settings,
    settings_in,
    split,
    unpadded,
    window_update,
)
from bench.load.results import CallCounts
from bench.load.trailers import grpc_status

TIME_EVERY = 16  # one call in so many is timed
KEEP_EVERY = 50  # the answer of one in so many is kept for checking
REFILL_AT = 1 << 29
GRPC_PREFIX = 5
MOST_BLOCKS = 4_096  # trailers remembered, so that each is read once


@dataclass(slots=True)
class _Rest:
    """A message that did not fit the peer's window: what is sent of it, and the window."""

    message: bytes
    place: int
    window: int


class LoadConnection(asyncio.Protocol):
    """`load` some calls, `start` them, and await the counts; then, if it is not `closed`,
    again."""

    def __init__(self) -> None:
        self.closed = False
        self._transport: asyncio.WriteTransport | None = None
        # What the peer allows.
        self._window = INITIAL_WINDOW
        self._stream_window = INITIAL_WINDOW
        self._frame_size = INITIAL_FRAME_SIZE
        self._most_streams = LARGEST_WINDOW
        # What came.
        self._unread = b""
        self._received = 0
        self._block: tuple[int, int, bytes] | None = None  # a header block to be continued
        self._statuses: dict[bytes, int | None] = {}
        # The run.
        self._stream = 1
        self._in_flight = 0
        self._next = 0
        self._messages: list[bytes] = []
        self._middles: dict[int, bytes] = {}
        self._own_middles: Sequence[bytes] = ()
        self._head = b""
        self._answered: dict[int, int] = {}  # bytes of answer of each open stream
        self._waiting: dict[int, _Rest] = {}
        self._began: dict[int, float] = {}
        self._keeping: dict[int, bytearray] = {}
        self._counts = CallCounts(asked=0)
        self._done: asyncio.Future[CallCounts] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self._transport = cast(asyncio.WriteTransport, transport)
        self._transport.write(
            PREFACE
            + settings(
                header_table_size=0, initial_window_size=LARGEST_WINDOW, max_frame_size=1 << 20
            )
            + window_update(0, LARGEST_WINDOW - INITIAL_WINDOW)
        )

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
        head = frame(HEADERS, END_HEADERS, 0, headers + (shown[0] if shown else b""))
        self._messages = [grpc_message(payload) for payload in payloads]
        # A call in one piece is head, stream id, middle, stream id, message; the middle is
        # the headers and the start of the DATA frame, which only knows the message's size.
        self._head = head[:5]
        self._middles = {
            size: headers + frame(DATA, END_STREAM, 0, bytes(size))[:5]
            for size in {len(message) for message in self._messages}
        }
        self._own_middles = [
            headers + block + frame(DATA, END_STREAM, 0, bytes(len(message)))[:5]
            for block, message in zip(shown, self._messages, strict=bool(shown))
        ]
        self._in_flight = in_flight
        self._next = 0
        self._counts = CallCounts(asked=len(payloads))

    def start(self) -> asyncio.Future[CallCounts]:
        """Starts the clock and the calls; the tally comes when all of them have ended."""
        self._done = asyncio.get_running_loop().create_future()
        self._counts.began_at = time.monotonic()
        self._send()
        return self._done

    @property
    def ended(self) -> int:
        """How many calls of this run have ended, well or not."""
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
        self.closed = True
        self._end_all("connection lost")

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._unread:
            data = self._unread + data
        frames, place = split(data)
        self._unread = data[place:]
        answered, keeping = self._answered, self._keeping
        for kind, flags, stream, start, end in frames:
            if kind == DATA and not flags:
                if stream in answered:
                    answered[stream] += end - start
                    if stream in keeping:
                        keeping[stream] += data[start:end]
            elif kind == HEADERS and flags == END_HEADERS:
                pass  # how an answer begins; how it ends is in its trailers
            elif kind == HEADERS and flags == END_HEADERS | END_STREAM:
                self._read_trailers(stream, data[start:end])
            else:
                self._read_other(kind, flags, stream, data[start:end])
        if self._received > REFILL_AT and self._transport is not None:
            self._transport.write(window_update(0, self._received))
            self._received = 0
        self._send()

    def _read_trailers(self, stream: int, block: bytes) -> None:
        try:
            status = self._statuses[block]
        except KeyError:
            status = grpc_status(block)
            if len(self._statuses) < MOST_BLOCKS:
                self._statuses[block] = status
        if status == 0:
            fine = self._answered.get(stream, 0) > GRPC_PREFIX
            self._end(stream, None if fine else "no message")
        else:
            self._end(stream, "no grpc-status" if status is None else f"grpc-status {status}")

    def _read_other(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Whatever is not a plain answer."""
        transport = self._transport
        assert transport is not None
        if kind == DATA:
            payload = unpadded(flags & PADDED, payload)
            if stream in self._answered:
                self._answered[stream] += len(payload)
                if stream in self._keeping:
                    self._keeping[stream] += payload
            if flags & END_STREAM:
                self._end(stream, "no trailers")
        elif kind == HEADERS:
            self._block = stream, flags, unpadded(flags, payload)
            self._read_block(flags)
        elif kind == CONTINUATION and self._block is not None:
            stream, first_flags, block = self._block
            self._block = stream, first_flags, block + payload
            self._read_block(flags)
        elif kind == RST_STREAM:
            self._end(stream, f"reset, code {int.from_bytes(payload, 'big')}")
        elif kind == SETTINGS and not flags & ACK:
            self._adopt(settings_in(payload))
            transport.write(frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            transport.write(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE:
            if stream == 0:
                self._window += number_in(payload)
            elif stream in self._waiting:
                self._waiting[stream].window += number_in(payload)
        elif kind == GOAWAY:
            self.closed = True
            last = number_in(payload)
            for open_stream in [one for one in self._answered if one > last]:
                self._end(open_stream, "refused by goaway")

    def _read_block(self, flags: int) -> None:
        """A header block in frames of its own has come this far."""
        if flags & END_HEADERS and self._block is not None:
            stream, first_flags, block = self._block
            self._block = None
            if first_flags & END_STREAM:
                self._read_trailers(stream, block)

    def _adopt(self, values: dict[int, int]) -> None:
        self._most_streams = values.get(SETTING["max_concurrent_streams"], self._most_streams)
        self._frame_size = values.get(SETTING["max_frame_size"], self._frame_size)
        window = values.get(SETTING["initial_window_size"], self._stream_window)
        for rest in self._waiting.values():  # RFC 9113, 6.9.2
            rest.window += window - self._stream_window
        self._stream_window = window

    def _end(self, stream: int, error: str | None) -> None:
        """A call is over; None: well. What comes for it afterwards does not count."""
        if self._answered.pop(stream, None) is None:
            return
        self._waiting.pop(stream, None)
        began, kept = self._began.pop(stream, None), self._keeping.pop(stream, None)
        if error is not None:
            self._counts.errors[error] += 1
            return
        self._counts.good += 1
        if began is not None:
            self._counts.latencies_s.append(time.monotonic() - began)
        if kept is not None:
            self._counts.kept.append(bytes(kept[GRPC_PREFIX:]))

    def _end_all(self, why: str) -> None:
        for stream in list(self._answered):
            self._end(stream, why)
        self.closed = True
        self._send()

    def _send(self) -> None:
        """As many calls as may be in flight; and the tally, when there are no more."""
        done = self._done
        if done is None or done.done() or self._transport is None:
            return
        out: list[bytes] = []
        answered, messages, middles = self._answered, self._messages, self._middles
        own = self._own_middles
        if self._waiting:
            self._send_waiting(out)
        limit = min(self._in_flight, self._most_streams)
        while (
            len(answered) < limit
            and self._next < len(messages)
            and self._window > 0
            and not self.closed
        ):
            message, stream = messages[self._next], self._stream
            size, stream_id = len(message), stream.to_bytes(4, "big")
            middle = own[self._next] if own else middles[size]
            if self._next % TIME_EVERY == 0:
                self._began[stream] = time.monotonic()
            if self._next % KEEP_EVERY == 0:
                self._keeping[stream] = bytearray()
            self._next += 1
            self._stream += 2
            answered[stream] = 0
            if size <= self._window and size <= self._stream_window and size <= self._frame_size:
                self._window -= size
                out += (self._head, stream_id, middle, stream_id, message)
            else:
                head = middle[:-GRPC_PREFIX]
                out += (self._head, stream_id, head)
                self._waiting[stream] = _Rest(message, 0, self._stream_window)
                self._send_waiting(out)
        if out:
            self._transport.write(b"".join(out))
        if not answered and (self._next == len(messages) or self.closed):
            if self._next < len(messages):
                self._counts.errors["not sent"] += len(messages) - self._next
            self._counts.ended_at = time.monotonic()
            done.set_result(self._counts)

    def _send_waiting(self, out: list[bytes]) -> None:
        """More of the messages that did not fit, as far as the windows allow."""
        for stream, rest in list(self._waiting.items()):
            whole = len(rest.message)
            while rest.place < whole:
                size = min(whole - rest.place, rest.window, self._window, self._frame_size)
                if size <= 0:
                    break
                end = rest.place + size
                flags = END_STREAM if end == whole else 0
                out.append(frame(DATA, flags, stream, rest.message[rest.place : end]))
                rest.place = end
                rest.window -= size
                self._window -= size
            if rest.place == whole:
                del self._waiting[stream]
