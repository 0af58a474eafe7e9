"""TextLink: text messages over a line to whoever has the telephones: a carrier's gateway, or the
telephones of a test and of the demo.

One TCP connection that the unit begins, one JSON object a line, either way:

    {"kind": "text", "id": "…", "from": "+44…", "to": "+44…", "texts": ["…"]}
    {"kind": "answer", "id": "…", "code": 200}

Who gets a text answers it by its id, with a code of SIP's: 200 it is there, 404 nobody has that
number, 480 not now. The line is trusted: it is a setting, and no stranger's. What left and was not
answered may have arrived, so it is not sent again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec

from control_plane.backoff import Backoff
from control_plane.errors import InvalidInput, ServiceError
from control_plane.identifiers.identifier import Flaw, IdentifierKind
from control_plane.identifiers.uris import read_uri
from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.port import OutgoingMessage, SendOutcome, SendResult

log = logging.getLogger(__name__)

MOST_LINE = 16 << 10  # bytes
MOST_TEXTS = 10  # of one message
MOST_AT_ONCE = 64  # texts that came in, under way
ANSWER_S = 30.0
WRITE_S = 10.0  # until the other side takes what is written
MOST_UNREAD = 1 << 20  # bytes that it has not taken, from when on no more is written
AGAIN = Backoff(first_s=0.2, most_s=30.0, jittered=0.5)
_Number = Annotated[str, msgspec.Meta(pattern=r"^\+[1-9][0-9]{2,14}$")]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_LATER, _NOBODY, _TAKEN = 480, 404, 200
_NOT_NOW = frozenset({_LATER, 486, 500, 503, 504, 600})


class TextOnLine(msgspec.Struct, frozen=True, tag="text", tag_field="kind"):
    """A text to a number, in as many messages as it has."""

    id: _Id
    sender: _Number = msgspec.field(name="from")
    to: _Number
    texts: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MOST_TEXTS)]


class AnswerOnLine(msgspec.Struct, frozen=True, tag="answer", tag_field="kind"):
    """What became of one."""

    id: _Id
    code: Annotated[int, msgspec.Meta(ge=100, le=699)]


_read_line = msgspec.json.Decoder(TextOnLine | AnswerOnLine).decode
_line_of = msgspec.json.Encoder().encode
TakeText = Callable[[TextOnLine], Awaitable[int]]
"""What becomes of a text that came in: 200, 404 or 480."""


class TextLink:
    """host, port: of the line. number: ours, +44…, from which texts go. take: texts that come in;
    None: nobody takes them. jitter: 0 to 1, new at each call. write_s, most_unread: bounds of what
    is written and not taken."""

    channel = Channel.TEXT
    knows_duplicates = False

    def __init__(
        self,
        host: str,
        port: int,
        *,
        number: str,
        take: TakeText | None = None,
        jitter: Callable[[], float],
        write_s: float = WRITE_S,
        most_unread: int = MOST_UNREAD,
    ) -> None:
        self._write_s = write_s
        self._most_unread = most_unread
        self._host = host
        self._port = port
        self._number = number
        self._take = take
        self._jitter = jitter
        self._writer: asyncio.StreamWriter | None = None
        self._answers: dict[str, asyncio.Future[int]] = {}
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Keeps the line, until it is cancelled."""
        tries = 0
        while True:
            try:
                async with asyncio.timeout(ANSWER_S):
                    reader, writer = await asyncio.open_connection(
                        self._host, self._port, limit=MOST_LINE
                    )
            except (OSError, TimeoutError) as error:
                log.info("the line for texts is not there: %s", error)
            else:
                tries = 0
                await self._serve(reader, writer)
            await asyncio.sleep(AGAIN.pause_s(tries, self._jitter()))
            tries += 1

    async def send(self, message: OutgoingMessage, *, within_s: float) -> SendResult:
        """See OutgoingChannel."""
        address = message.address
        to = read_uri(f"tel:{address}" if address.startswith("+") else address)
        if isinstance(to, Flaw) or to.kind is not IdentifierKind.PHONE:
            raise InvalidInput("address", "address: is no number, as tel:+442079460018")
        texts = list(message.texts or (message.text,))[:MOST_TEXTS]
        text = TextOnLine(id=message.attempt_id, sender=self._number, to=to.normal, texts=texts)
        line = _line_of(text) + b"\n"
        if len(line) > MOST_LINE:
            raise InvalidInput("text", f"text: has more than {MOST_LINE:,} bytes")
        if self._writer is None:
            return _down(SendOutcome.NOT_NOW, "the line for texts is not there")
        if self._writer.transport.get_write_buffer_size() > self._most_unread:
            return _down(SendOutcome.NOT_NOW, "the line for texts takes no more right now")
        answer = self._answers[text.id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(within_s):
                self._writer.write(line)
                await self._writer.drain()
                return _result(await answer)
        except TimeoutError:  # as of a telephone that is off
            return SendResult(SendOutcome.UNKNOWN, "408 Request Timeout", None)
        except ConnectionError:
            return _down(SendOutcome.UNKNOWN, "the line for texts ended")
        finally:
            self._answers.pop(text.id, None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends."""
        self._writer = writer
        self.connected.set()
        places = asyncio.Semaphore(MOST_AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                while line := await reader.readline():
                    said = _read_line(line)
                    if isinstance(said, AnswerOnLine):
                        self._answered(said)
                        continue
                    await places.acquire()
                    group.create_task(self._taken(said, writer, places))
        except* (OSError, ValueError, msgspec.MsgspecError) as error:  # ValueError: a long line
            log.warning("the line for texts ended: %s", error.exceptions[0])
        finally:
            self.connected.clear()
            self._writer = None
            for waiting in self._answers.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionResetError())
            await self._closed(writer)

    async def _closed(self, writer: asyncio.StreamWriter) -> None:
        """What is written and not taken in time is given up."""
        writer.close()
        try:
            async with asyncio.timeout(self._write_s):
                await writer.wait_closed()
        except TimeoutError:
            writer.transport.abort()
        except OSError:
            pass  # it has ended

    def _answered(self, answer: AnswerOnLine) -> None:
        waiting = self._answers.get(answer.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer.code)

    async def _taken(
        self, text: TextOnLine, writer: asyncio.StreamWriter, places: asyncio.Semaphore
    ) -> None:
        try:
            code = _NOBODY
            if self._take is not None:
                async with asyncio.timeout(ANSWER_S):
                    code = await self._take(text)
        except (ServiceError, TimeoutError) as error:
            log.info("a text was not taken: %s", error)
            code = _LATER
        finally:
            places.release()
        writer.write(_line_of(AnswerOnLine(id=text.id, code=code)) + b"\n")
        try:
            async with asyncio.timeout(self._write_s):
                await writer.drain()
        except TimeoutError as error:  # nobody reads there any more
            writer.transport.abort()
            raise ConnectionResetError("the other side reads no answers") from error


def _down(outcome: SendOutcome, words: str) -> SendResult:
    return SendResult(outcome, words, channel_up=False)


def _result(code: int) -> SendResult:
    words = {_TAKEN: "200 OK", 408: "408 Request Timeout"}.get(code, f"{code}")
    return SendResult(outcome_of(code), words)


def outcome_of(code: int) -> SendOutcome:
    """RFC 3428, 8: what the final answer to a MESSAGE says."""
    if code == _TAKEN:
        return SendOutcome.DELIVERED
    if 200 < code < 300:
        return SendOutcome.HANDED_OVER
    if code == 408:
        return SendOutcome.UNKNOWN
    return SendOutcome.NOT_NOW if code in _NOT_NOW else SendOutcome.REFUSED
