"""An operator's gateway with telephones behind it, in the demo's own process: SIP on a loop in a
thread, for a story that waits.

Which messages belong to which side of a call is known by their Call-ID, so that what each side saw
can be judged by itself, though all go to one gateway.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar
from urllib.parse import unquote

from console.cli.failure import CommandFailed
from console.demo.directory.sip_telephones import SipCall, SipTelephones, read

ANSWER_S = 120.0
T = TypeVar("T")


class Gateway:
    """Between `start` and `stop`. trunk: it, as units name it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.telephones = SipTelephones(("127.0.0.1", 0))

    def start(self) -> None:
        """It listens."""
        self._thread.start()
        host, port = self._do(self.telephones.open())
        self.trunk = f"carrier={host}:{port}/GB"

    def stop(self) -> None:
        """Nobody is reached any more."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self.telephones.close)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    def call(self, server: str, sender: str, dialled: str) -> SipCall:
        """Dials by a call server, host:port, and waits for what becomes of it."""
        self._by(server)
        return self._do(self.telephones.call(sender, dialled))

    def hang_up(self, call: SipCall) -> int:
        """What the other side says."""
        return self._do(self.telephones.hang_up(call))

    def text(self, server: str, sender: str, to: str, text: str) -> int:
        """The status of a text."""
        self._by(server)
        return self._do(self.telephones.text(sender, to, text))

    def seen(self, call_id: str) -> list[bytes]:
        """What one leg was sent."""
        return [one for one in self.telephones.got if read(one).fields["call-id"] == call_id]

    def texts_seen(self, number: str) -> list[bytes]:
        """What the telephone of a number was sent as texts."""
        texts = [one for one in self.telephones.got if one.startswith(b"MESSAGE ")]
        return [one for one in texts if number in one.split(b" ")[1].decode()]

    def _by(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self.telephones.server = (host, int(port))

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_S)
        except TimeoutError as error:
            raise CommandFailed("the gateway waited for an answer of a unit") from error


def holds(messages: list[bytes], *numbers: str) -> bool:
    """Whether a number stands in one of them, with whatever between its digits."""
    wanted = [one.removeprefix("+")[-9:] for one in numbers]
    lines = [re.sub(r"\D", "", line) for one in messages
             for line in unquote(one.decode("latin-1")).splitlines()]  # fmt: skip
    return any(number in line for number in wanted for line in lines)
