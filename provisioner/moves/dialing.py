"""Dials units: plain, or over TLS when the settings name the units' CA."""

from __future__ import annotations

from collections.abc import Callable

from grpc import aio

from control_plane.serving.dialing import FileDialer
from provisioner.settings import Settings


def unit_dialer(settings: Settings) -> Callable[[str], aio.Channel]:
    """Opens a channel to a unit's host:port. Reads the PEM files now, and again for each channel.
    Raises InvalidInput that names the setting."""
    return FileDialer(
        ca=settings.unit_ca,
        certificate=settings.unit_certificate,
        key=settings.unit_key,
        settings=("unit_ca", "unit_certificate", "unit_key"),
    )
