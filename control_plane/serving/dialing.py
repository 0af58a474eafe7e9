"""How one part of Homeport opens channels to another: plain, or with TLS when a CA is given."""

from __future__ import annotations

from collections.abc import Callable

import grpc
from grpc import aio

# gRPC would rest for up to two minutes between connects; whoever dials decides that.
_OPTIONS = [("grpc.min_reconnect_backoff_ms", 1_000), ("grpc.max_reconnect_backoff_ms", 2_000)]


def dialer(
    ca: bytes | None, *, certificate: bytes | None = None, key: bytes | None = None
) -> Callable[[str], aio.Channel]:
    """Opens a channel to host:port; PEM contents. `certificate` and `key` are shown to
    servers that ask for one (mTLS)."""
    if ca is None:
        return lambda server: aio.insecure_channel(server, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=ca, private_key=key, certificate_chain=certificate
    )
    return lambda server: aio.secure_channel(server, credentials, options=_OPTIONS)
