"""Dials units: plain, or over TLS when the settings name the units' CA."""

from __future__ import annotations

from collections.abc import Callable

from grpc import aio

from control_plane.errors import InvalidInput
from control_plane.process import read_pem
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
        read_pem("unit_ca", settings.unit_ca),
        certificate=read_pem("unit_certificate", certificate),
        key=read_pem("unit_key", key),
    )
