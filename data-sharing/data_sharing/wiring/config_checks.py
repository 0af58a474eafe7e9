"""What a start of a data-sharing server does with its settings and files before it serves: the same
calls, for `--check-config`.

Part of the wiring: `data_sharing.wiring.server` starts it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator

from control_plane.auth.access import Access
from control_plane.errors import InvalidInput
from control_plane.process import serving_tls
from control_plane.quotas.limits import read_limits
from control_plane.serving.server import choose_transport
from data_sharing.api.call_quotas import QUOTAS
from data_sharing.clock import clock_of
from data_sharing.settings import Settings
from data_sharing.signing_key_file import read_key
from data_sharing.wiring.server import SERVICES, SIGNING_KEY
from data_sharing.wiring.tenant_records import check_store


def checks(settings: Settings) -> Iterator[Callable[[], object]]:
    """One call for each part; it raises ServiceError for what a start refuses."""
    yield lambda: choose_transport(settings.transport)
    yield lambda: Access(
        settings, SERVICES, wall=time.time, clock=time.monotonic, tickets=settings.shown_tickets()
    )
    yield lambda: read_limits(settings.quotas, QUOTAS)
    yield lambda: check_store(settings)
    yield lambda: serving_tls(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
    yield lambda: clock_of(settings.clock_file)
    yield lambda: _read_signing_key(settings)
    yield lambda: _refuse_files(settings)


def _read_signing_key(settings: Settings) -> None:
    """One that is not there is made by a start."""
    wrapping = settings.wrapping(secrets.token_bytes)
    path = settings.signing_key or settings.data_dir / SIGNING_KEY
    if path.exists():
        read_key(path, wrapping)


def _refuse_files(settings: Settings) -> None:
    if settings.data_dir.exists() and not settings.data_dir.is_dir():
        raise InvalidInput("data_dir", f"data_dir: {settings.data_dir} is not a folder")
    if settings.ready_file is not None and settings.ready_file.is_dir():
        raise InvalidInput("ready_file", f"ready_file: {settings.ready_file} is a folder")
