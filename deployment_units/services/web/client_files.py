"""ClientFiles: the pages of the web client, as they are installed: read once, with a tag by which a
browser knows that it has them already, and packed for those that can unpack them.

They are the same for everybody, and nothing of an account is in them.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from aiohttp import hdrs, web

from deployment_units.services.web.security_headers import POLICY_OF_CLIENT

_TYPES: Final = MappingProxyType(
    {
        "html": "text/html; charset=utf-8",
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml",
    }
)
_WHERE: Final = files("deployment_units.services.web")
_FOLDERS: Final = (("client", ""), ("third_party/adaptivecards", "third-party/"))
INDEX: Final = "index.html"
_PACKED_FROM: Final = 1_024  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFile:
    """One file. packed: by gzip, empty where that is no use."""

    content: bytes
    packed: bytes
    kind: str
    tag: str


def client_files() -> Mapping[str, ClientFile]:
    """By the path below /client/."""
    return MappingProxyType(dict(_read()))


def _read() -> Iterator[tuple[str, ClientFile]]:
    for folder, prefix in _FOLDERS:
        for entry in _WHERE.joinpath(folder).iterdir():
            kind = _TYPES.get(entry.name.rpartition(".")[2])
            if kind is not None:
                yield prefix + entry.name, _file(entry.read_bytes(), kind)


def _file(content: bytes, kind: str) -> ClientFile:
    packed = gzip.compress(content, 6, mtime=0) if len(content) >= _PACKED_FROM else b""
    digest = hashlib.sha256(content).hexdigest()[:32]
    return ClientFile(content=content, packed=packed, kind=kind, tag=digest)


def file_response(request: web.BaseRequest, found: ClientFile) -> web.Response:
    """The file, or that the browser has it."""
    takes = request.headers.get(hdrs.ACCEPT_ENCODING, "")
    packed = bool(found.packed) and "gzip" in takes
    tag = f'"{found.tag}{"-gzip" if packed else ""}"'
    headers = {
        hdrs.ETAG: tag,
        hdrs.CACHE_CONTROL: "no-cache",
        hdrs.VARY: hdrs.ACCEPT_ENCODING,
        "Content-Security-Policy": POLICY_OF_CLIENT,
    }
    shown = [one.strip() for one in request.headers.get(hdrs.IF_NONE_MATCH, "").split(",")]
    if tag in (one.removeprefix("W/") for one in shown):
        return web.Response(status=304, headers=headers)
    headers[hdrs.CONTENT_TYPE] = found.kind
    if packed:
        headers[hdrs.CONTENT_ENCODING] = "gzip"
    return web.Response(body=found.packed if packed else found.content, headers=headers)
