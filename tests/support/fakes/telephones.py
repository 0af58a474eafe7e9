"""Telephones: what a unit's line for texts leads to, in tests: numbers that are lists."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self

import msgspec


@dataclass
class Telephones:
    """A context manager, listening. answers: by number, its code in place of 200; None: it is
    silent, and hangs up where `hangs_up`. texts: by number, from whom and what."""

    answers: dict[str, int | None] = field(default_factory=dict)
    hangs_up: bool = False
    texts: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    port: int = 0
    connections: int = 0  # that were begun

    async def __aenter__(self) -> Self:
        self._numbers = count(1)
        self._waiting: dict[str, asyncio.Future[int]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self.connected = asyncio.Event()
        self.changed = asyncio.Condition()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *failure: object) -> None:
        self._server.close()
        if self._writer is not None:
            self._writer.close()

    async def write(self, sender: str, to: str, text: str, *, text_id: str = "") -> int:
        """A text from one of them; what the unit answers."""
        async with asyncio.timeout(30):
            await self.connected.wait()
            text_id = text_id or f"in-{next(self._numbers)}"
            self._waiting[text_id] = asyncio.get_running_loop().create_future()
            self.say({"kind": "text", "id": text_id, "from": sender, "to": to, "texts": [text]})
            return await self._waiting[text_id]

    async def got(self, number: str, how_many: int = 1) -> list[tuple[str, str]]:
        """The texts of a number, once there are so many."""
        async with asyncio.timeout(30), self.changed:
            await self.changed.wait_for(lambda: len(self.texts.get(number, [])) >= how_many)
            return self.texts[number]

    async def begun(self, connections: int) -> None:
        """Until the unit has begun so many."""
        async with asyncio.timeout(30), self.changed:
            await self.changed.wait_for(lambda: self.connections >= connections)

    def say(self, value: Any) -> None:
        """A line to the unit."""
        assert self._writer is not None
        self._writer.write(msgspec.json.encode(value) + b"\n")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.connected.set()
        async with self.changed:
            self.connections += 1
            self.changed.notify_all()
        while line := await reader.readline():
            said = msgspec.json.decode(line)
            if said["kind"] == "answer":
                waiting = self._waiting.pop(said["id"], None)
                if waiting is not None:
                    waiting.set_result(said["code"])
                continue
            code = self.answers.get(said["to"], 200)
            if code == 200:
                async with self.changed:
                    shown = self.texts.setdefault(said["to"], [])
                    shown.append((said["from"], "".join(said["texts"])))
                    self.changed.notify_all()
            if code is not None:
                self.say({"kind": "answer", "id": said["id"], "code": code})
            elif self.hangs_up:
                break
        self.connected.clear()
        writer.close()
