"""How an agent's connections are secured: to the servers, and from the clients.

Reads the PEM files that the settings name, once, when the agent is built. Raises
InvalidInput that names the setting and the file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import grpc
from grpc import aio

from control_plane.errors import InvalidInput
from control_plane.serving.server import Tls
from deployment_units.agent.settings import AgentSettings

# gRPC would rest for up to two minutes between connects; the registration decides that.
_OPTIONS = [("grpc.min_reconnect_backoff_ms", 1_000), ("grpc.max_reconnect_backoff_ms", 2_000)]


def connector(settings: AgentSettings) -> Callable[[str], aio.Channel]:
    """Opens a channel to host:port, with TLS when a CA is given."""
    if settings.ca is None:
        return lambda server: aio.insecure_channel(server, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_pem("ca", settings.ca),
        private_key=_pem("certificate_key", settings.certificate_key),
        certificate_chain=_pem("certificate", settings.certificate),
    )
    return lambda server: aio.secure_channel(server, credentials, options=_OPTIONS)


def serving_tls(settings: AgentSettings) -> Tls | None:
    """What secures the unit's own endpoint; None: something before it does."""
    certificate = _pem("tls_certificate", settings.tls_certificate)
    key = _pem("tls_key", settings.tls_key)
    if certificate is None or key is None:
        return None
    return Tls(
        key=key,
        certificate=certificate,
        client_ca=_pem("tls_client_ca", settings.tls_client_ca),
    )


def _pem(field: str, path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(field, f"{field}: {path} cannot be read: {error.strerror}") from error
