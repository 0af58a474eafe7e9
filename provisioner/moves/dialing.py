"""Dials units: plain, or over TLS when the settings name the units' CA."""

from __future__ import annotations

from collections.abc import Callable

from grpc import aio

from control_plane.process import read_pem
from control_plane.serving.dialing import dialer
from provisioner.settings import Settings


def unit_dialer(settings: Settings) -> Callable[[str], aio.Channel]:
    """Opens a channel to a unit's host:port. Reads the PEM files once. Raises InvalidInput
    that names the setting."""
    return dialer(
        read_pem("unit_ca", settings.unit_ca),
        certificate=read_pem("unit_certificate", settings.unit_certificate),
        key=read_pem("unit_key", settings.unit_key),
    )
