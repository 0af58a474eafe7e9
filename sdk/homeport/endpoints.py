"""Endpoints: the servers a client may ask, and which one it asks next.

The bootstrap list is tried in the order given; a server that answers is kept until it fails.
Pure but for the one index; safe to share between threads, because every change writes a
value that depends on the failed server alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from ipaddress import IPv6Address

DEFAULT_PORT = 7700

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?\Z")
_SCHEMES = ("unix:", "unix-abstract:", "dns:", "ipv4:", "ipv6:", "xds:")


class Endpoints:
    """One per client."""

    __slots__ = ("_at", "_places", "servers")

    def __init__(self, servers: str | Iterable[str]) -> None:
        """Raises ValueError for an empty list or something that is no address."""
        self.servers = parse_servers(servers)
        self._places = {server: place for place, server in enumerate(self.servers)}
        self._at = 0

    def __len__(self) -> int:
        return len(self.servers)

    @property
    def current(self) -> str:
        """The server to ask."""
        return self.servers[self._at]

    def mark_failed(self, server: str) -> None:
        """Moves on to the next server, unless another call has done so already."""
        place = self._places[server]
        if self._at == place:
            self._at = (place + 1) % len(self.servers)


def parse_servers(servers: str | Iterable[str]) -> tuple[str, ...]:
    """gRPC targets, in order, without repeats. One text may hold several, separated by
    commas, so that an environment variable will do. Raises ValueError."""
    texts = servers.split(",") if isinstance(servers, str) else list(servers)
    parsed = tuple(dict.fromkeys(parse_server(text) for text in texts))
    if not parsed:
        raise ValueError("no server given; name at least one, for example 127.0.0.1:7700")
    return parsed


def parse_server(text: str) -> str:
    """A gRPC target: `host`, `host:port`, `[v6]:port`, a bare IPv6 address, or a target with
    one of gRPC's own schemes. Raises ValueError.

    >>> parse_server("homeport.example.net")
    'homeport.example.net:7700'
    >>> parse_server("2001:db8::1")
    '[2001:db8::1]:7700'
    """
    server = text.strip()
    if server.startswith(_SCHEMES):
        return server
    if "//" in server:
        raise _no_server(text)
    if server.startswith("["):
        host, bracket, rest = server[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise _no_server(text)
        return f"[{_v6(host, text)}]:{_port(rest[1:], text) if rest else DEFAULT_PORT}"
    if server.count(":") > 1:
        return f"[{_v6(server, text)}]:{DEFAULT_PORT}"
    host, colon, port = server.partition(":")
    if not _HOST.match(host):
        raise _no_server(text)
    return f"{host}:{_port(port, text) if colon else DEFAULT_PORT}"


def _v6(host: str, text: str) -> str:
    try:
        return str(IPv6Address(host))
    except ValueError:
        raise _no_server(text) from None


def _port(digits: str, text: str) -> int:
    if not (digits.isascii() and digits.isdigit()) or not 0 < int(digits) < 65_536:
        raise _no_server(text)
    return int(digits)


def _no_server(text: str) -> ValueError:
    shown = json.dumps(text, ensure_ascii=False)
    return ValueError(
        f"{shown} is not a server's address; write host, host:port or [IPv6]:port, without http://"
    )
