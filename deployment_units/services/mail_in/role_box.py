"""RoleBox: mail for `postmaster` and `abuse` that no account takes, in a folder of the unit.

A Maildir, which any mail program of the operator's reads. It is bounded: once it is full the other
side is told to come again, until somebody has taken mails out. The same mail is kept once.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from control_plane.errors import Exhausted, Unavailable
from control_plane.files import replace_file, sync_folder

log = logging.getLogger(__name__)

MOST_MAILS: Final = 200
MOST_BYTES: Final = 32 << 20
_NEW, _READ, _SCRATCH = "new", "cur", "tmp"
_RETRY_S = 600.0


class RoleMail(NamedTuple):
    """A mail as it came. sender: of MAIL FROM, empty for the null sender; recipient: of RCPT TO."""

    sender: str
    recipient: str
    content: bytes


class RoleMailbox(Protocol):
    """Where mail for roles goes that no account takes."""

    async def keep(self, mail: RoleMail) -> None:
        """It is on disk when this returns. Raises Exhausted where there is no room, Unavailable
        where it cannot be written."""
        ...


class RoleBox:
    """A RoleMailbox in a folder, which is made with the first mail. wall_ms: Unix ms."""

    def __init__(
        self,
        folder: Path,
        *,
        wall_ms: Callable[[], int],
        most_mails: int = MOST_MAILS,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._folder = folder
        self._wall_ms = wall_ms
        self._most_mails = most_mails
        self._most_bytes = most_bytes
        self._turns = asyncio.Lock()

    async def keep(self, mail: RoleMail) -> None:
        """See RoleMailbox."""
        async with self._turns:
            try:
                kept = await asyncio.to_thread(self._keep, mail)
            except OSError as error:
                raise Unavailable(f"{self._folder} cannot be written: {error.strerror}") from error
        if kept:
            log.warning("mail for postmaster or abuse is in %s: no account takes it", self._folder)

    def _keep(self, mail: RoleMail) -> bool:
        """Whether it was not there already."""
        for name in (_NEW, _READ, _SCRATCH):
            (self._folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = sha256(mail.recipient.lower().encode() + b"\0" + mail.content).hexdigest()[:32]
        sizes: dict[str, int] = {}
        for name in (_NEW, _READ):
            with os.scandir(self._folder / name) as found:
                sizes |= {
                    one.name: one.stat().st_size for one in found if not one.name.startswith(".")
                }
        if any(f".{digest}." in name for name in sizes):
            return False
        head = f"Return-Path: <{mail.sender}>\r\nDelivered-To: {mail.recipient}\r\n".encode()
        whole = head + mail.content
        if len(sizes) >= self._most_mails or sum(sizes.values()) + len(whole) > self._most_bytes:
            log.warning("%s is full: take mails out, or name an account (postmaster)", self._folder)
            raise Exhausted("there is no room for it; try again later", retry_after_s=_RETRY_S)
        new = self._folder / _NEW / f"{self._wall_ms() // 1_000}.{digest}.homeport"
        replace_file(new, whole, durable=True, mode=0o600)
        sync_folder(self._folder)
        return True
