"""SmtpRelay: as much of RFC 5321 as it takes to be handed a message, and to refuse one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Self


@dataclass
class SmtpRelay:
    """A context manager. refuses: the answer to RCPT in place of 250; silent: it says nothing.
    port: 0: any. offers: extensions besides; ends: what it says to the message in place of 250,
    and where that is None it hangs up; pause_s: before each answer; commands: what it was told."""

    refuses: str = ""
    silent: bool = False
    offers: tuple[str, ...] = ()
    ends: str | None = "250 taken"
    pause_s: float = 0.0
    commands: list[str] = field(default_factory=list)
    port: int = 0
    utf8: bool = True
    messages: list[tuple[str, bytes]] = field(default_factory=list)  # recipient, content
    address: tuple[str, int] = ("", 0)
    taken: asyncio.Event = field(default_factory=asyncio.Event)  # a message was

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.address = self._server.sockets[0].getsockname()[:2]
        return self

    async def __aexit__(self, *failure: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(line: str) -> None:
            writer.write(f"{line}\r\n".encode())

        to = ""
        if self.silent:
            await reader.read()
        else:
            say("220 relay.example")
        while line := await reader.readline():
            words = line.decode().strip()
            self.commands.append(words)
            await asyncio.sleep(self.pause_s)
            match words.split(" ")[0].upper().partition(":")[0]:
                case "EHLO":
                    say("250-relay.example")
                    for one in self.offers:
                        say(f"250-{one}")
                    say("250 SMTPUTF8" if self.utf8 else "250 HELP")
                case "RCPT":
                    to = words.partition("<")[2].partition(">")[0]
                    say(self.refuses or "250 good")
                case "DATA":
                    say("354 go on")
                    content = await reader.readuntil(b"\r\n.\r\n")
                    self.messages.append((to, content))
                    self.taken.set()
                    if self.ends is None:
                        break
                    say(self.ends)
                case "QUIT":
                    say("221 bye")
                    break
                case _:
                    say("250 good")
        writer.close()
