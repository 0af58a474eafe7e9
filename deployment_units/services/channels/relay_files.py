"""RelayFiles: what of a relay stands in files, as they say now: its CA, and the password for it.

Making a TLS context takes milliseconds, and reads every certificate of the machine; so it is made
once, and anew, apart from the event loop, where the files have changed. They are looked at when
somebody asks, at most once a second. What cannot be used is said once, in the log, and the last
good one goes on being used.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from control_plane.certificates import read_bounded
from control_plane.errors import InvalidInput
from control_plane.secret_files import read_secret

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0


class RelayAccess(NamedTuple):
    """tls: for any number of connections; password: empty: there is none."""

    tls: ssl.SSLContext
    password: str


class RelayFiles:
    """Of one relay; use from one event loop. verified: whether its certificate is asked for; ca:
    in place of the machine's. clock: monotonic seconds."""

    def __init__(
        self,
        *,
        verified: bool,
        ca: Path | None = None,
        password: Path | None = None,
        clock: Callable[[], float],
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        """Reads them. Blocks. Raises InvalidInput that names the setting."""
        self._verified = verified
        self._ca = ca
        self._password = password
        self._clock = clock
        self._look_every_s = look_every_s
        self._looked_at = clock()
        self._state = self._stat()
        self._current = self._read()

    async def latest(self) -> RelayAccess:
        """What the files say now, if it can be used. Whoever asks while somebody else looks gets
        what was known before."""
        now_s = self._clock()
        if (self._ca or self._password) and now_s - self._looked_at >= self._look_every_s:
            self._looked_at = now_s
            await asyncio.to_thread(self._look)
        return self._current

    def _look(self) -> None:
        state = self._stat()
        if state == self._state:
            return
        self._state = state
        try:
            self._current = self._read()
        except InvalidInput as error:
            log.error("%s; what was read before goes on being used", error.message)
        else:
            log.info("the files of the mail relay were read again")

    def _read(self) -> RelayAccess:
        password = ""
        if self._password is not None:
            password = read_secret("mail_relay_password_file", self._password)
        return RelayAccess(self._context(), password)

    def _context(self) -> ssl.SSLContext:
        try:
            ca = None if self._ca is None else read_bounded(self._ca).decode("ascii")
            context = ssl.create_default_context(cadata=ca)
        except (OSError, ValueError) as error:  # what OpenSSL says is an OSError
            raise InvalidInput("mail_relay_ca", f"mail_relay_ca: {self._ca}: {error}") from error
        if not self._verified:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _stat(self) -> tuple[object, ...]:
        """What changes with the files; they may be links, as those of a mounted secret."""
        found: list[object] = []
        for path in (self._ca, self._password):
            try:
                stat = None if path is None else path.stat()
            except OSError as error:
                found.append(error.errno)
            else:
                found.append(stat and (stat.st_ino, stat.st_size, stat.st_mtime_ns))
        return tuple(found)
