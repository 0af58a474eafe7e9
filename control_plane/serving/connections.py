"""Connections: whose connection a call came over, where TLS ends in a listener before the server.

The listener gives each connection a key that nobody can guess, the connection key, and sends it
along with every call as a header of its own (see `header_blocks`). Here it becomes the peer's
address and its certificate again, and is taken out of what the call's method sees. A call without
a key that is known did not come through the listener, and is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from control_plane.errors import Unauthenticated
from control_plane.serving.calls import Metadata
from control_plane.serving.peer_identity import PeerIdentity, identity_of_certificate

HEADER = "homeport-connection"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One connection as the listener sees it. peer: as gRPC writes it; certificate: PEM, verified;
    empty: none was shown."""

    peer: str
    certificate: bytes = b""

    def identity(self) -> PeerIdentity | None:
        """Who the other end is; None: it has shown no certificate, or one that names nobody."""
        return identity_of_certificate(self.certificate) if self.certificate else None

    def auth_context(self) -> dict[str, list[bytes]]:
        """What gRPC's own servers tell of a connection with TLS."""
        shown = {"x509_pem_cert": [self.certificate]} if self.certificate else {}
        return {"transport_security_type": [b"ssl"], **shown}


class Connections:
    """Those that stand, by key. Written by the listener's thread and read by the server's: each
    step is one of a dict."""

    def __init__(self, new_key: Callable[[], str]) -> None:
        """new_key: one that nobody can guess, at each call another."""
        self._new_key = new_key
        self._open: dict[str, Connection] = {}

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._open)

    def opened(self, connection: Connection) -> str:
        """Its key, which is good until `closed`."""
        key = self._new_key()
        self._open[key] = connection
        return key

    def closed(self, key: str) -> None:
        """From now on its calls are refused: nobody waits for them."""
        self._open.pop(key, None)

    def of(self, metadata: Metadata) -> tuple[Connection, Metadata]:
        """Whose call has this metadata, and what of it came from the caller. Of several headers
        the last is the listener's. Raises Unauthenticated."""
        if metadata and metadata[-1][0] == HEADER:
            key, rest = metadata[-1][1], metadata[:-1]
        else:
            key, rest = "", metadata
        for name, _ in rest:
            if name == HEADER:
                key = ""
                break
        if not key:
            key = next((value for name, value in reversed(metadata) if name == HEADER), "")
            rest = tuple(entry for entry in metadata if entry[0] != HEADER)
        connection = self._open.get(key) if isinstance(key, str) else None
        if connection is None:
            raise Unauthenticated("this call did not come over a connection of this server")
        return connection, rest

    def peer_of(self, metadata: Metadata, peer: str) -> str:
        """Whose call has this metadata; `peer`: it came over no connection of this server."""
        try:
            return self.of(metadata)[0].peer
        except Unauthenticated:
            return peer

    def dressed(self, context: Any) -> Any:
        """The context of an ordinary call as the caller's connection would have it. Raises
        Unauthenticated."""
        connection, rest = self.of(tuple(context.invocation_metadata() or ()))
        return ConnectedContext(context, connection, rest)


class ConnectedContext:
    """A call's context whose peer is the one that called, and not the listener."""

    __slots__ = ("_connection", "_context", "_metadata")

    def __init__(self, context: Any, connection: Connection, metadata: Metadata) -> None:
        self._context = context
        self._connection = connection
        self._metadata = metadata

    def peer(self) -> str:
        return self._connection.peer

    def auth_context(self) -> dict[str, list[bytes]]:
        return self._connection.auth_context()

    def invocation_metadata(self) -> Sequence[tuple[str, str | bytes]]:
        return self._metadata

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)
