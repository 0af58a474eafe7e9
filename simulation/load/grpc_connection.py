"""GrpcConnection: one HTTP/2 connection on which unary gRPC calls are made, and who makes them and
when is for others to say.

A call is encoded ahead; sending it is two frames with a stream id put in. It has ended once its
trailers came, or it was reset, or the connection went; `call_ended` hears of each exactly once.
Flow control and the peer's settings are respected in both directions. Frames as in RFC 9113.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import cast

from simulation.load.frames import (
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
    grpc_message,
    number_in,
    settings,
    settings_in,
    split,
    unpadded,
    window_update,
)
from simulation.load.trailers import grpc_status

REFILL_AT = 1 << 29
GRPC_PREFIX = 5
MOST_BLOCKS = 4_096  # trailers remembered, so that each is read once


@dataclass(frozen=True, slots=True)
class EncodedCall:
    """head, stream id, middle, stream id and message are a whole call: the middle is the headers
    and the start of the DATA frame, which only knows the message's size."""

    head: bytes
    middle: bytes
    message: bytes


def encoded_call(headers: bytes, payload: bytes) -> EncodedCall:
    """A call of these header blocks (`grpc_headers`, and more) and this message."""
    message = grpc_message(payload)
    return EncodedCall(
        head=frame(HEADERS, END_HEADERS, 0, headers)[:5],
        middle=headers + frame(DATA, END_STREAM, 0, bytes(len(message)))[:5],
        message=message,
    )


@dataclass(slots=True)
class _Rest:
    """A message that did not fit the peer's window: what is sent of it, and the window."""

    message: bytes
    place: int
    window: int


class GrpcConnection(asyncio.Protocol, ABC):
    """Is told to `send` calls, and tells `call_ended`. Made by create_connection."""

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
        # What is under way.
        self._next_stream = 1
        self._answers: dict[int, bytes] = {}  # what has come of each open call, prefix and all
        self._waiting: dict[int, _Rest] = {}

    @abstractmethod
    def call_ended(self, stream: int, answer: bytes, error: str, trailers: bytes) -> None:
        """A call is over. answer: its message, without prefix; error: empty, or what became of it
        in words; trailers: the header block that ended it, empty where none did."""

    def more_is_possible(self) -> None:
        """Something came: there may be room now, or the connection is gone."""

    @property
    def under_way(self) -> int:
        """How many calls are open."""
        return len(self._answers)

    @property
    def has_room(self) -> bool:
        """Whether the peer takes one more call now."""
        return (
            not self.closed
            and self._transport is not None
            and self._window > 0
            and len(self._answers) < self._most_streams
        )

    def send(self, call: EncodedCall, out: list[bytes]) -> int:
        """Opens a call, where there is room: its bytes go into `out`, which `write` sends; its
        stream."""
        stream, size = self._next_stream, len(call.message)
        self._next_stream += 2
        self._answers[stream] = b""
        stream_id = stream.to_bytes(4, "big")
        if size <= self._window and size <= self._stream_window and size <= self._frame_size:
            self._window -= size
            out += (call.head, stream_id, call.middle, stream_id, call.message)
        else:
            out += (call.head, stream_id, call.middle[:-GRPC_PREFIX])
            self._waiting[stream] = _Rest(call.message, 0, self._stream_window)
            self._send_waiting(out)
        return stream

    def write(self, out: list[bytes]) -> None:
        """Sends what `send` put there."""
        if out and self._transport is not None:
            self._transport.write(b"".join(out))

    def give_up(self, why: str) -> None:
        """Ends what is under way as an error of this kind, and closes the connection."""
        self._end_all(why)
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self.closed = True
        if self._transport is not None:
            self._transport.close()

    # The protocol.

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

    def connection_lost(self, error: Exception | None) -> None:
        self._end_all("connection lost")

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._unread:
            data = self._unread + data
        frames, place = split(data)
        self._unread = data[place:]
        answers = self._answers
        for kind, flags, stream, start, end in frames:
            if kind == DATA and not flags:
                if stream in answers:
                    answers[stream] += data[start:end]
            elif kind == HEADERS and flags == END_HEADERS:
                pass  # how an answer begins; how it ends is in its trailers
            elif kind == HEADERS and flags == END_HEADERS | END_STREAM:
                self._read_trailers(stream, data[start:end])
            else:
                self._read_other(kind, flags, stream, data[start:end])
        if self._received > REFILL_AT and self._transport is not None:
            self._transport.write(window_update(0, self._received))
            self._received = 0
        if self._waiting and self._transport is not None:
            out: list[bytes] = []
            self._send_waiting(out)
            self.write(out)
        self.more_is_possible()

    def _read_trailers(self, stream: int, block: bytes) -> None:
        try:
            status = self._statuses[block]
        except KeyError:
            status = grpc_status(block)
            if len(self._statuses) < MOST_BLOCKS:
                self._statuses[block] = status
        if status == 0:
            fine = len(self._answers.get(stream, b"")) >= GRPC_PREFIX
            self._end(stream, "" if fine else "no message", block)
        else:
            error = "no grpc-status" if status is None else f"grpc-status {status}"
            self._end(stream, error, block)

    def _read_other(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Whatever is not a plain answer."""
        transport = self._transport
        assert transport is not None
        if kind == DATA:
            payload = unpadded(flags & PADDED, payload)
            if stream in self._answers:
                self._answers[stream] += payload
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
            for open_stream in [one for one in self._answers if one > last]:
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

    def _end(self, stream: int, error: str, trailers: bytes = b"") -> None:
        """What comes for it afterwards does not count."""
        answer = self._answers.pop(stream, None)
        if answer is not None:
            self._waiting.pop(stream, None)
            self.call_ended(stream, answer[GRPC_PREFIX:], error, trailers)

    def _end_all(self, why: str) -> None:
        self.closed = True
        for stream in list(self._answers):
            self._end(stream, why)
        self.more_is_possible()

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
