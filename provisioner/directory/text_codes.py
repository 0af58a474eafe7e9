"""TextCodes: codes by text message, over the line to whoever has the telephones.

One connection a code, one JSON object a line, as units have it for their texts
(docs/reference/gateway.md). A code counts as sent once the telephone has it, or somebody who will
bring it there; what was not answered may have arrived, and is told as not sent.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from control_plane.errors import Unavailable
from control_plane.identifiers.identifier import Identifier, IdentifierKind
from provisioner.directory.claim_rules import ClaimNotAllowed
from provisioner.directory.code_sender import CodeSender

AT_ONCE = 8  # connections
ANSWER_S = 10.0
MOST_LINE = 16 << 10  # bytes
_NOW_NOT = (408, 480, 486, 500, 503, 504, 600)  # as RFC 3428 has them


class _Answer(msgspec.Struct, frozen=True):
    kind: Literal["answer"]
    id: str
    code: Annotated[int, msgspec.Meta(ge=100, le=699)]


_read_answer = msgspec.json.Decoder(_Answer).decode


class TextCodes:
    """line: host and port. number: from which codes come, +44…"""

    def __init__(self, line: tuple[str, int], number: str) -> None:
        self._host, self._port = line
        self._number = number
        self._room = asyncio.Semaphore(AT_ONCE)

    def channel(self, identifier: Identifier) -> str:
        """See CodeSender."""
        return "text" if identifier.kind is IdentifierKind.PHONE else ""

    async def send(self, identifier: Identifier, code: str, *, lasts_s: float) -> None:
        """See CodeSender."""
        text: dict[str, object] = {
            "kind": "text",
            "id": secrets.token_hex(8),
            "from": self._number,
            "to": identifier.normal,
            "texts": [code_text(code, lasts_s)],
        }
        try:
            async with self._room, asyncio.timeout(ANSWER_S):
                answered = await self._ask(text)
        except (OSError, TimeoutError, EOFError, ValueError, msgspec.MsgspecError) as error:
            raise Unavailable("the line for texts does not answer; try again") from error
        if answered in _NOW_NOT:
            raise Unavailable("the telephone does not take the code now; try again")
        if answered >= 300:
            raise ClaimNotAllowed("REFUSED", "no telephone has this number")

    async def _ask(self, text: dict[str, object]) -> int:
        """What is answered. Raises OSError, ValueError, EOFError, MsgspecError."""
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=MOST_LINE)
        try:
            writer.write(msgspec.json.encode(text) + b"\n")
            await writer.drain()
            line = await reader.readline()
            if not line:
                raise EOFError
            answer = _read_answer(line)
            if answer.id != text["id"]:
                raise ValueError("another text is answered")
            return answer.code
        finally:
            writer.close()


def code_text(code: str, lasts_s: float) -> str:
    """What somebody gets who proves a number: one message, of the GSM alphabet."""
    return (
        f"Your code is {code[:4]} {code[4:]}, for {lasts_s / 60:.0f} minutes. Nobody of ours will "
        "ask you for it."
    )


class CodeSenders:
    """The first of several that has a channel."""

    def __init__(self, senders: Sequence[CodeSender]) -> None:
        self._senders = senders

    def channel(self, identifier: Identifier) -> str:
        """See CodeSender."""
        return next((one for sender in self._senders if (one := sender.channel(identifier))), "")

    async def send(self, identifier: Identifier, code: str, *, lasts_s: float) -> None:
        """See CodeSender."""
        for sender in self._senders:
            if sender.channel(identifier):
                return await sender.send(identifier, code, lasts_s=lasts_s)
        raise ClaimNotAllowed("NO_CHANNEL", "this server sends no codes there")
