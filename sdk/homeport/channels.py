"""Channel options, TLS and metadata of every call, for both clients.

Retries are the core's, so gRPC's own are off. A channel that lost its server tries again
soon: gRPC's default lets it rest for up to two minutes, longer than most outages last.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import grpc

from homeport.version import __version__

CLOSED = "this client is closed; make a new one"

# A batch's answer with EdDSA tickets takes about 1 MB; grpcio's own default is 4 MiB.
MAX_RESPONSE_BYTES = 16 << 20

_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.primary_user_agent", f"homeport-python/{__version__}"),
    ("grpc.enable_retries", 0),
    # A connection of its own: the watches of several clients are more than one takes.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # also how long one connect may take
    ("grpc.max_reconnect_backoff_ms", 2_000),  # a server that restarts is back in seconds
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", MAX_RESPONSE_BYTES),
    # Clients shuffle the addresses of one DNS name and stay with the first that answers.
    (
        "grpc.service_config",
        '{"loadBalancingConfig":[{"pick_first":{"shuffleAddressList":true}}]}',
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """PEM contents. root_certificates None: the roots that gRPC ships. With private_key and
    certificate_chain the client shows a certificate of its own (mTLS)."""

    root_certificates: bytes | None = None
    private_key: bytes | None = None
    certificate_chain: bytes | None = None
    server_name: str | None = None  # expected in the server's certificate; None: the host's

    def __post_init__(self) -> None:
        """Raises ValueError for half a certificate."""
        if (self.private_key is None) != (self.certificate_chain is None):
            raise ValueError("private_key and certificate_chain belong together")

    @classmethod
    def from_files(
        cls,
        ca: str | os.PathLike[str] | None = None,
        *,
        certificate: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        server_name: str | None = None,
    ) -> Self:
        """From PEM files, read now. Raises OSError where one cannot be read, ValueError for a
        certificate without its key or the other way round."""
        return cls(
            root_certificates=_content(ca),
            private_key=_content(key),
            certificate_chain=_content(certificate),
            server_name=server_name,
        )


def _content(path: str | os.PathLike[str] | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()


def channel_options(tls: Tls | None) -> Sequence[tuple[str, Any]]:
    """The arguments of every channel."""
    if tls is None or tls.server_name is None:
        return _OPTIONS
    return (*_OPTIONS, ("grpc.ssl_target_name_override", tls.server_name))


def credentials(tls: Tls | None) -> grpc.ChannelCredentials | None:
    """The credentials of a channel; None: it is not encrypted."""
    if tls is None:
        return None
    return grpc.ssl_channel_credentials(
        root_certificates=tls.root_certificates,
        private_key=tls.private_key,
        certificate_chain=tls.certificate_chain,
    )


def metadata_of(token: str | None) -> tuple[tuple[str, str], ...]:
    """The metadata of every call. Raises ValueError for a token that no header can hold."""
    if token is None:
        return ()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("token is empty or holds spaces or unprintable characters")
    return (("authorization", f"Bearer {token}"),)
