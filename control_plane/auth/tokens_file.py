"""TokensFile: the tokens of a file as it is now, for a server that goes on while it is changed.

`run` is a task of the owner's and reads the file twice a second, in a thread. What is found counts
when it is found twice, so that a file that somebody is still writing does not. One that is away or
faulty is logged once, and the last good one counts until it is mended: a slip of the pen locks
nobody out, and takes nobody's token back either.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from pathlib import Path

from control_plane.auth.tokens import MOST_BYTES, Tokens, refuse_open_file
from control_plane.errors import InvalidInput
from control_plane.printable import why_unreadable

log = logging.getLogger(__name__)

POLL_S = 0.5
READ_S = 10.0


class TokensFile:
    """reloads: how often other content was taken; current_is_good: whether the file as it stands
    is what counts."""

    def __init__(self, path: Path) -> None:
        """Reads it. Raises InvalidInput."""
        self._path = path
        try:
            content = self._content()
        except OSError as error:
            raise InvalidInput(
                "tokens", f"{path} cannot be read: {why_unreadable(error)}"
            ) from error
        self._tokens = Tokens.parse(content, str(path))
        self._seen = _digest(content)
        self._fault = ""
        self._faulty = b""
        self._found = self._seen
        self.reloads = 0

    @property
    def current_is_good(self) -> bool:
        """See the class."""
        return not self._fault

    def current(self) -> Tokens:
        """See TokenSource."""
        return self._tokens

    async def run(self) -> None:
        """Follows the file for ever."""
        while True:
            await asyncio.sleep(POLL_S)
            await self.refresh()

    async def refresh(self) -> None:
        """Takes the file as it is now, where it has changed."""
        try:
            async with asyncio.timeout(READ_S):
                found = await asyncio.to_thread(self._read_changed)
        except TimeoutError:
            self._note(f"{self._path} could not be read within {READ_S:g} s")
        except OSError as error:
            self._note(f"{self._path} cannot be read: {why_unreadable(error)}")
        except InvalidInput as error:
            self._note(error.message)
        except _NothingNew:
            return
        else:
            if found is not None:
                self._tokens, self._seen = found
                self.reloads += 1
                log.info("%s has changed: %d tokens count now", self._path, len(self._tokens))
            elif self._fault:
                log.info("%s is again as it was", self._path)
            self._fault, self._faulty = "", b""

    def _read_changed(self) -> tuple[Tokens, bytes] | None:
        """In a thread. None: it is as it was taken last. Raises OSError, InvalidInput; _NothingNew
        for what may still be written, or was refused before, which may have taken a while."""
        content = self._content()
        digest = _digest(content)
        before, self._found = self._found, digest
        if digest == self._seen:
            return None
        if digest != before or digest == self._faulty:
            raise _NothingNew
        return self._parsed(content, digest)

    def _parsed(self, content: bytes, digest: bytes) -> tuple[Tokens, bytes]:
        """Raises InvalidInput."""
        try:
            return Tokens.parse(content, str(self._path)), digest
        except InvalidInput:
            self._faulty = digest
            raise

    def _content(self) -> bytes:
        with open(self._path, "rb", opener=_open_at_once) as file:
            refuse_open_file(file, self._path)
            return file.read(MOST_BYTES + 1)

    def _note(self, fault: str) -> None:
        if fault != self._fault:
            self._fault = fault
            log.error("%s; the tokens read before go on counting", fault)


class _NothingNew(Exception):
    """There is nothing to do or say."""


def _open_at_once(path: str, flags: int) -> int:
    """Without waiting for whoever writes into a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
