"""How an agent's connections are secured: to the servers, and from the clients.

Reads the PEM files that the settings name, once, when the agent is built. Raises
InvalidInput that names the setting and the file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from grpc import aio

from control_plane.errors import InvalidInput
from control_plane.serving.dialing import dialer
from control_plane.serving.server import Tls
from deployment_units.agent.settings import AgentSettings


def connector(settings: AgentSettings) -> Callable[[str], aio.Channel]:
    """Opens a channel to host:port, with TLS when a CA is given."""
    return dialer(
        _pem("ca", settings.ca),
        certificate=_pem("certificate", settings.certificate),
        key=_pem("certificate_key", settings.certificate_key),
    )


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
