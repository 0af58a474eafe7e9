"""The telephones of the demo: numbers that take texts and send them.

A process of its own, and what units call the line for texts: whoever connects is sent texts, one
JSON object a line (docs/reference/gateway.md), and may send them. A number of the demo answers 200
once its text is in a file; any other number 404. A text from a telephone goes to each connection in
turn until one takes it: any unit may.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
from itertools import count
from pathlib import Path
from typing import Any

from control_plane.files import replace_file
from control_plane.process import stop_on_signals
from control_plane.ready_file import write_ready_file

MODULE = __name__ if __name__ != "__main__" else "console.demo.directory.telephones"
ANSWER_S = 60.0  # of one line
MOST_LINES = 4  # of the demo: two units, and who sends codes
TAKEN, NOT_NOW = 200, 480
MOST_LINE = 64 << 10


class Telephones:
    """Those whose numbers have a folder in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines: list[asyncio.StreamWriter] = []
        self._answers: dict[str, asyncio.Future[int]] = {}
        self._numbers = count(1)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends. What is `typed` comes from somebody who has one of the
        telephones, and is told what became of it."""
        self._lines.append(writer)
        try:
            while line := await reader.readline():
                said = json.loads(line)
                if said["kind"] == "answer":
                    if (waiting := self._answers.pop(said["id"], None)) is not None:
                        waiting.set_result(said["code"])
                elif said["kind"] == "typed":
                    self._lines.remove(writer)  # a hand, and no line
                    code = await self._send(said)
                    _say(writer, {"kind": "answer", "code": code})
                    return
                else:
                    _say(writer, {"kind": "answer", "id": said["id"], "code": self._take(said)})
        finally:
            if writer in self._lines:
                self._lines.remove(writer)
            writer.close()

    def _take(self, text: dict[str, Any]) -> int:
        inbox = self._folder / text["to"]
        if not inbox.is_dir():
            return 404
        kept = json.dumps({"from": text["from"], "texts": text["texts"]}).encode()
        replace_file(inbox / f"{next(self._numbers):06}.json", kept)
        return 200

    async def _send(self, typed: dict[str, Any]) -> int:
        """What the last line says that is asked: 480 where it says nothing in time."""
        code = NOT_NOW
        text = {"kind": "text", "id": typed["id"], "from": typed["from"], "to": typed["to"],
                "texts": [typed["text"]]}  # fmt: skip
        for writer in [*self._lines]:
            waiting = asyncio.get_running_loop().create_future()
            self._answers[typed["id"]] = waiting
            _say(writer, text)
            try:
                async with asyncio.timeout(ANSWER_S):
                    code = await waiting
            except TimeoutError:
                code = NOT_NOW
            finally:
                self._answers.pop(typed["id"], None)
            if code == TAKEN:
                break
        return code


def _say(writer: asyncio.StreamWriter, value: dict[str, Any]) -> None:
    writer.write(json.dumps(value).encode() + b"\n")


def texts(folder: Path, number: str) -> list[tuple[str, str]]:
    """What a number got, in the order in which it came: from whom, and what; several messages of
    one text with a line between them."""
    found = [json.loads(one.read_bytes()) for one in sorted((folder / number).glob("*.json"))]
    return [(one["from"], "\n".join(one["texts"])) for one in found]


def type_text(line: str, sender: str, to: str, text: str, *, text_id: str) -> int:
    """A text that somebody types on a telephone of theirs; what became of it. text_id: the same for
    one that is tried again. Raises TimeoutError."""
    host, _, port = line.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=MOST_LINES * ANSWER_S) as connection:
        typed = {"kind": "typed", "id": text_id, "from": sender, "to": to, "text": text}
        connection.sendall(json.dumps(typed).encode() + b"\n")
        with connection.makefile("rb") as answers:
            return int(json.loads(answers.readline())["code"])


async def _serve(listen: str, folder: Path, ready: Path) -> None:
    telephones = Telephones(folder)
    host, _, port = listen.rpartition(":")
    server = await asyncio.start_server(telephones.serve, host, int(port), limit=MOST_LINE)
    found = server.sockets[0].getsockname()[1]
    write_ready_file(ready, {"line": f"{host}:{found}"})
    await stop_on_signals().wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    given = parser.parse_args()
    asyncio.run(_serve(given.listen, given.folder, given.ready_file))


if __name__ == "__main__":
    main()
