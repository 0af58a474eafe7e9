"""How a provisioner calls units: plain, or over TLS when the settings name the units' CA."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from grpc import aio

from control_plane.errors import InvalidInput
from control_plane.serving.dialing import dialer
from provisioner.settings import Settings


def unit_dialer(settings: Settings) -> Callable[[str], aio.Channel]:
    """Opens a channel to a unit's host:port. Reads the PEM files once. Raises InvalidInput
    that names the setting."""
    certificate, key = settings.unit_certificate, settings.unit_key
    if (certificate is None) != (key is None):
        raise InvalidInput("unit_key", "--unit-certificate and --unit-key belong together")
    if certificate is not None and settings.unit_ca is None:
        raise InvalidInput("unit_ca", "--unit-certificate needs --unit-ca")
    return dialer(
        _pem("unit_ca", settings.unit_ca),
        certificate=_pem("unit_certificate", certificate),
        key=_pem("unit_key", key),
    )


def _pem(field: str, path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(field, f"{field}: {path} cannot be read: {error.strerror}") from error
