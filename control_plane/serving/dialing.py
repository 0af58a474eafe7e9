"""How one part of Homeport opens channels to another: plain, or with TLS when a CA is given.

Certificates are read again for each channel, so that one which was replaced is shown from the next
connection on. What cannot be used then is said once, in the log, and the last good one is shown.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import grpc
from grpc import aio

from control_plane.certificates import check_certificate, read_bounded
from control_plane.errors import InvalidInput

log = logging.getLogger(__name__)

# gRPC would rest for up to two minutes between connects; whoever dials decides that.
_OPTIONS = [("grpc.min_reconnect_backoff_ms", 1_000), ("grpc.max_reconnect_backoff_ms", 2_000)]
# Channels to one server share a connection otherwise, and with it how many calls it takes at once.
_APART = [*_OPTIONS, ("grpc.use_local_subchannel_pool", 1)]

_Dialers: TypeAlias = tuple[
    Callable[[str], aio.Channel], Callable[[str], aio.Channel]
]  # shared, apart


def dialer(
    ca: bytes | None,
    *,
    certificate: bytes | None = None,
    key: bytes | None = None,
    apart: bool = False,
) -> Callable[[str], aio.Channel]:
    """Opens a channel to host:port; PEM contents. `certificate` and `key` are shown to
    servers that ask for one (mTLS). apart: each channel has a connection of its own."""
    options = _APART if apart else _OPTIONS
    if ca is None:
        return lambda server: aio.insecure_channel(server, options=options)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=ca, private_key=key, certificate_chain=certificate
    )
    return lambda server: aio.secure_channel(server, credentials, options=options)


class FileDialer:
    """Opens channels to host:port, with what the PEM files say at each call."""

    def __init__(self, *, ca: Path | None, certificate: Path | None, key: Path | None,
                 settings: tuple[str, str, str]) -> None:  # fmt: skip
        """settings: the names of the three, for messages. Raises InvalidInput that names the
        setting and the file."""
        self._files = tuple(zip(settings, (ca, certificate, key), strict=True))
        self._refused = ""
        self._content = self._read()
        self._dial = self._dialer(self._content)

    def __call__(self, server: str) -> aio.Channel:
        return self._current()[0](server)

    def apart(self, server: str) -> aio.Channel:
        """A channel that shares its connection with no other."""
        return self._current()[1](server)

    def _current(self) -> _Dialers:
        try:
            content = self._read()
        except InvalidInput as error:
            if error.message != self._refused:
                log.error("%s; what was read before goes on being shown", error.message)
            self._refused = error.message
        else:
            self._refused = ""
            if content != self._content:
                self._content, self._dial = content, self._dialer(content)
        return self._dial

    def certificate(self) -> bytes | None:
        """PEM, as the next channel shows it; None: none. Any thread may ask."""
        try:
            return self._read()[1]
        except InvalidInput:
            return self._content[1]

    def _read(self) -> tuple[bytes | None, ...]:
        content = tuple(_content(setting, path) for setting, path in self._files)
        _, certificate, key = content
        if certificate is not None and key is not None:
            try:
                check_certificate(certificate, key)
            except ValueError as error:
                setting, path = self._files[1]
                raise InvalidInput(setting, f"{setting}: {path}: {error}") from error
        return content

    @staticmethod
    def _dialer(content: tuple[bytes | None, ...]) -> _Dialers:
        ca, certificate, key = content
        shared = dialer(ca, certificate=certificate, key=key)
        return shared, dialer(ca, certificate=certificate, key=key, apart=True)


def _content(setting: str, path: Path | None) -> bytes | None:
    """The content of a PEM file; None where none is named."""
    if path is None:
        return None
    try:
        return read_bounded(path)
    except OSError as error:
        raise InvalidInput(
            setting, f"{setting}: {path} cannot be read: {error.strerror}"
        ) from error
    except ValueError as error:
        raise InvalidInput(setting, f"{setting}: {path}: {error}") from error
