"""What the unit's agent and its call server say to each other, and how: length-prefixed msgpack
over one socket. Either side may ask; answers carry the number of what they answer."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from deployment_units.services.telephony.port import (
    CallRecord,
    EndCause,
    IncomingCall,
    Leg,
    RefusedCause,
)

MOST_FRAME = 256 << 10  # bytes
MOST_UNREAD = 8 << 20  # bytes that the other side has not taken


class Configured(msgspec.Struct, frozen=True, tag=True):
    """The agent's first word. listen: host and port; shown: the same as trunks reach it; None: as
    it listens."""

    listen: tuple[str, int]
    trunks: str
    out: str
    emergency: str
    region: str
    rate_per_s: float
    shown: tuple[str, int] | None = None


class Listening(msgspec.Struct, frozen=True, tag=True):
    """The call server's answer to it. wrong: why it does not listen."""

    address: tuple[str, int] = ("", 0)
    wrong: str = ""


class AskRoute(msgspec.Struct, frozen=True, tag=True):
    """Of the call server."""

    id: int
    call: IncomingCall


class Routed(msgspec.Struct, frozen=True, tag=True):
    """To AskRoute. One of the three: a leg, an emergency number, or why it is refused."""

    id: int
    leg: Leg | None = None
    emergency: str = ""
    caller: str | None = None
    refused: RefusedCause | None = None


class AskText(msgspec.Struct, frozen=True, tag=True):
    """Of the call server: a text came in."""

    id: int
    call: IncomingCall
    text: str


class SendText(msgspec.Struct, frozen=True, tag=True):
    """Of the agent. shown: None: an anonymous sender."""

    id: int
    target: str
    shown: str | None
    text: str
    within_s: float


class SipStatus(msgspec.Struct, frozen=True, tag=True):
    """To AskText and SendText: SIP's."""

    id: int
    status: int


class Told(msgspec.Struct, frozen=True, tag=True):
    """Of the call server. what: began, answered or ended."""

    what: str
    record: CallRecord
    at_ms: int
    cause: EndCause | None = None


class Counted(msgspec.Struct, frozen=True, tag=True):
    """Of the call server, again and again: since it began, by what; calls: under way."""

    counts: dict[str, int]
    calls: int


FromAgent = Configured | Routed | SipStatus | SendText
FromCallServer = Listening | AskRoute | AskText | SipStatus | Told | Counted


class LinkEndedError(Exception):
    """The other side is gone, or does not keep to this module."""


class Link:
    """One end. expects: FromAgent or FromCallServer."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, expects: Any
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._read = msgspec.msgpack.Decoder(expects).decode
        self._written = msgspec.msgpack.Encoder().encode

    def say(self, value: Any) -> bool:
        """At once; False: the other side reads too little, and this is not said."""
        if self._writer.transport.get_write_buffer_size() > MOST_UNREAD:
            return False
        data = self._written(value)
        self._writer.write(len(data).to_bytes(4) + data)
        return True

    async def heard(self) -> Any:
        """The next one. Raises LinkEndedError."""
        try:
            size = int.from_bytes(await self._reader.readexactly(4))
            if size > MOST_FRAME:
                raise LinkEndedError(f"{size:,} bytes are no message")
            return self._read(await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, OSError, msgspec.MsgspecError) as error:
            raise LinkEndedError(f"the other side ended: {error}") from error

    async def close(self) -> None:
        """Nothing is said any more."""
        self._writer.close()
        try:
            async with asyncio.timeout(5):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            self._writer.transport.abort()
