"""TlsFiles: the certificate of a server as its files say now.

They are looked at again when somebody connects, at most once a second, so that a certificate that
was replaced is shown without a restart. What cannot be used is said once, in the log, and the last
good one goes on being shown; the two files of a pair may be replaced one after the other.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from control_plane.certificates import load_ca, load_certificate, read_bounded
from control_plane.errors import InvalidInput

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
HTTP2, HTTP1 = "h2", "http/1.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """PEM contents. `client_ca` set: callers must show a certificate of it (mTLS)."""

    key: bytes
    certificate: bytes
    client_ca: bytes | None = None

    def context(self, protocol: str = HTTP2) -> ssl.SSLContext:
        """For serving: TLS 1.2 or newer, `protocol` by ALPN. Raises InvalidInput that names the
        setting."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_alpn_protocols([protocol])
        try:
            load_certificate(context, self.certificate, self.key)
        except ValueError as error:
            raise InvalidInput(
                "tls_certificate", f"--tls-certificate and --tls-key cannot be used: {error}"
            ) from error
        if self.client_ca is not None:
            try:
                load_ca(context, self.client_ca)
            except ValueError as error:
                raise InvalidInput(
                    "tls_client_ca", f"--tls-client-ca cannot be used: {error}"
                ) from error
        return context


def following(files: TlsFiles, protocol: str) -> ssl.SSLContext:
    """For servers that take one context for good: each handshake gets that of the certificate
    which the files have then."""
    shown = files.current, files.current.context(protocol)

    def choose(secured: ssl.SSLObject, host: str | None, context: ssl.SSLContext) -> None:
        nonlocal shown
        latest = files.latest()
        if latest is not shown[0]:
            shown = latest, latest.context(protocol)
        secured.context = shown[1]

    first = files.current.context(protocol)
    first.sni_callback = choose
    return first


class TlsFiles:
    """For all threads of a process. `current` is the last that could be used."""

    def __init__(
        self,
        certificate: Path,
        key: Path,
        client_ca: Path | None = None,
        *,
        clock: Callable[[], float],
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        """Reads them. clock: monotonic seconds. Raises InvalidInput that names the setting."""
        self._paths = {"tls_certificate": certificate, "tls_key": key, "tls_client_ca": client_ca}
        self._clock = clock
        self._look_every_s = look_every_s
        self._lock = threading.Lock()
        self._looked_at = clock()
        self._state = self._stat()
        self._refused: tuple[object, ...] | None = None  # what could not be used, seen once
        self.current = self._read()
        self.current.context()

    def latest(self) -> Tls:
        """What the files say now, if it can be used. Looks at them now and then; the value is the
        same object for as long as nothing has changed."""
        with self._lock:
            now = self._clock()
            if now - self._looked_at >= self._look_every_s:
                self._looked_at = now
                self._look()
            return self.current

    def _look(self) -> None:
        state = self._stat()
        if state == self._state:
            return
        try:
            found = self._read()
            found.context()
        except InvalidInput as error:
            # At the second look: in between, the other file of the pair may have followed.
            if self._refused == state:
                self._state = state
                log.error("%s; the certificate read before goes on being shown", error.message)
            self._refused = state
        else:
            self._state, self._refused, self.current = state, None, found
            log.info("the certificate was read again")

    def _read(self) -> Tls:
        content = {name: self._content(name, path) for name, path in self._paths.items() if path}
        return Tls(
            certificate=content["tls_certificate"],
            key=content["tls_key"],
            client_ca=content.get("tls_client_ca"),
        )

    @staticmethod
    def _content(setting: str, path: Path) -> bytes:
        flag = f"--{setting.replace('_', '-')}"
        try:
            return read_bounded(path)
        except OSError as error:
            raise InvalidInput(
                setting, f"{flag}: {path} cannot be read: {error.strerror}"
            ) from error
        except ValueError as error:
            raise InvalidInput(setting, f"{flag}: {path}: {error}") from error

    def _stat(self) -> tuple[object, ...]:
        """What changes with the files; they may be links, as those of a mounted secret."""
        found: list[object] = []
        for path in self._paths.values():
            try:
                stat = path.stat() if path else None
            except OSError as error:
                found.append(error.errno)
            else:
                found.append(stat and (stat.st_ino, stat.st_size, stat.st_mtime_ns))
        return tuple(found)
