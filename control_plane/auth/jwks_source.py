"""Where a JWK Set is read: a file, an https address, or what an issuer says of itself by OpenID
Connect Discovery 1.0 (section 4, `/.well-known/openid-configuration`).

Bounded in time and size. Addresses are https; http is taken for this machine alone. Redirects are
not followed, and what is packed is not unpacked: the document is where it is said to be, as it is.
Certificates are checked against the system's authorities, or those of SSL_CERT_FILE.
"""

from __future__ import annotations

import asyncio
import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import msgspec

from control_plane.auth.jwks import MAX_DOCUMENT_BYTES
from control_plane.errors import InvalidInput
from control_plane.identity.jws import UNREADABLE
from control_plane.printable import quoted, why_failed, why_unreadable

if TYPE_CHECKING:
    import aiohttp

ANSWER_S = 5.0
FILE_INTERVAL_S = 1.0
URL_INTERVAL_S = 300.0
URL_PAUSE_S = 10.0
DISCOVERY = "/.well-known/openid-configuration"


class SourceAway(Exception):
    """The document could not be had. The message says why, in one line."""


class JwksSource(Protocol):
    """interval_s: how often it is read; min_pause_s: at most, whoever asks."""

    where: str
    interval_s: float
    min_pause_s: float

    async def read(self) -> bytes:
        """The document; one byte more than allowed where it is too large. Raises SourceAway."""


class FileSource:
    """A file that is replaced as a whole."""

    interval_s = FILE_INTERVAL_S
    min_pause_s = FILE_INTERVAL_S

    def __init__(self, path: Path) -> None:
        self._path = path
        self.where = str(path)

    async def read(self) -> bytes:
        """See JwksSource."""
        try:
            return await asyncio.to_thread(self._read)
        except OSError as error:
            raise SourceAway(why_unreadable(error)) from error

    def _read(self) -> bytes:
        if not self._path.is_file():  # a pipe, say, would keep the thread
            raise SourceAway("there is no such file")
        with self._path.open("rb") as file:
            return file.read(MAX_DOCUMENT_BYTES + 1)


class UrlSource:
    """An address. Raises InvalidInput for one that is not taken."""

    interval_s = URL_INTERVAL_S
    min_pause_s = URL_PAUSE_S

    def __init__(self, url: str) -> None:
        self.where = check_url(url, "jwks")

    async def read(self) -> bytes:
        """See JwksSource."""
        async with _session() as session:
            return await _get(session, self.where)


class DiscoveredSource:
    """The address that an issuer's configuration names. Raises InvalidInput for an issuer whose
    address is not taken."""

    interval_s = URL_INTERVAL_S
    min_pause_s = URL_PAUSE_S

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self.where = check_url(issuer.rstrip("/") + DISCOVERY, "issuer")

    async def read(self) -> bytes:
        """See JwksSource."""
        async with _session() as session:
            configuration = await _get(session, self.where)
            return await _get(session, self._jwks_address(configuration))

    def _jwks_address(self, configuration: bytes) -> str:
        """Raises SourceAway."""
        if len(configuration) > MAX_DOCUMENT_BYTES:
            raise SourceAway(f"its configuration is larger than {MAX_DOCUMENT_BYTES:,} bytes")
        try:
            said = msgspec.json.decode(configuration, type=_Configuration)
        except UNREADABLE as error:
            raise SourceAway(f"it is no configuration of OpenID Connect: {error}") from error
        if said.issuer != self._issuer:
            # Section 4.3: exactly the same, or it speaks for somebody else.
            raise SourceAway(f"it is the configuration of {quoted(said.issuer)}")
        try:
            return check_url(said.jwks_uri, "jwks_uri")
        except InvalidInput as error:
            raise SourceAway(error.message) from error


class _Configuration(msgspec.Struct):
    issuer: str
    jwks_uri: str


def source_of(where: str, *, issuer: str = "") -> JwksSource:
    """Of a path or an address; empty: what the issuer says of itself. Raises InvalidInput."""
    if not where:
        return DiscoveredSource(issuer)
    if "://" in where:
        return UrlSource(where)
    return FileSource(Path(where))


def check_url(url: str, field: str) -> str:
    """The address, where keys may be read from it. Raises InvalidInput."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    if not host or port == 0 or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidInput(field, f"{quoted(url)} is no address")
    if parts.username is not None or parts.password is not None:
        raise InvalidInput(field, "an address of keys has no user and password; they are public")
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host)):
        return url
    raise InvalidInput(
        field, f"{quoted(url)} is not https; keys that come in the clear are anybody's"
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _session() -> aiohttp.ClientSession:
    import aiohttp  # for those alone who ask an issuer: it takes a while to import

    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=ANSWER_S),
        auto_decompress=False,
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def _get(session: aiohttp.ClientSession, url: str) -> bytes:
    """Raises SourceAway."""
    import aiohttp

    try:
        async with session.get(url, allow_redirects=False) as response:
            if response.status != 200:
                raise SourceAway(f"{url} answered with status {response.status}")
            found = bytearray()
            async for piece in response.content.iter_chunked(16 << 10):
                found += piece
                if len(found) > MAX_DOCUMENT_BYTES:
                    break
            return bytes(found[: MAX_DOCUMENT_BYTES + 1])
    except TimeoutError as error:
        raise SourceAway(f"{url} did not answer within {ANSWER_S:g} s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise SourceAway(f"{url}: {why_failed(error)}") from error
