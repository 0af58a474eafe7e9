"""A chat at a terminal: what comes is written above the line that is being typed.

The line is edited by readline, where Python has it. Ctrl-D and Ctrl-C end the chat, both well: what
was typed and not sent is not sent.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import ModuleType

from console.cli.chat.lines import acted_line, message_lines
from console.cli.chat.session import ChatSession
from deployment_units.services.cards.card import Card
from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.errors import HomeportError

PROMPT = "> "
CLEAR = "\r\x1b[2K"  # of the line where the cursor is

readline: ModuleType | None
try:
    import readline
except ImportError:  # Python was built without it
    readline = None


class Terminal:
    """follow: messages of the account behind a position, and then each as it comes, until the chat
    ends; whatever it raises ends the following, and is said."""

    def __init__(self, session: ChatSession, follow: Callable[[int], Iterator[pb.Message]]) -> None:
        self._session = session
        self._follow = follow
        self._lock = threading.Lock()
        self._typing = False

    def run(self, recent: int) -> None:
        """Until the one at the terminal ends it."""
        for message, card in self._session.recent(recent):
            sys.stdout.write(self._lines(message, card))
        sys.stdout.flush()
        follower = threading.Thread(target=self._run, name="what comes", daemon=True)
        follower.start()
        with suppress(EOFError, KeyboardInterrupt):
            while True:
                self._act(self._read())
        with self._lock:
            self._typing = False
            print(flush=True)

    def _read(self) -> str:
        """Raises EOFError, KeyboardInterrupt."""
        with self._lock:
            self._typing = True
        try:
            return input(PROMPT)
        finally:
            self._typing = False

    def _lines(self, message: pb.Message, card: Card | None) -> str:
        session = self._session
        return message_lines(message, card, me=session.account, labels=session.labels)

    def _act(self, text: str) -> None:
        if not text.strip():
            return
        try:
            said = acted_line(self._session.act(text), self._session.labels)
        except HomeportError as error:
            said = f"not sent: {error}"
        if said:
            self._write(f"      {said}\n")

    def _run(self) -> None:
        try:
            for message in self._follow(self._session.last):
                if message.conversation != self._session.conversation:
                    continue
                card = self._session.take(message)
                if message.sender != self._session.account:
                    self._write(self._lines(message, card))
        except HomeportError as error:
            self._write(f"      nothing comes any more: {error}; begin the chat again\n")

    def _write(self, text: str) -> None:
        with self._lock:
            if not self._typing:
                sys.stdout.write(text)
            else:
                typed = readline.get_line_buffer() if readline is not None else ""
                sys.stdout.write(f"{CLEAR}{text}{PROMPT}{typed}")
            sys.stdout.flush()
