"""What a start of a provisioning server does with its settings and files before it asks anybody:
the same calls, for `--check-config`.

Part of the wiring: `provisioner.wiring.server` starts it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from control_plane.auth.access import Access
from control_plane.errors import InvalidInput
from control_plane.http_serving.cross_origin import read_origins
from control_plane.identity import pepper_ring
from control_plane.identity.keyring import read_ring
from control_plane.process import serving_tls
from control_plane.quotas.limits import read_limits
from control_plane.serving.peers import parse_networks
from control_plane.serving.server import choose_transport
from control_plane.store.opening import StoreUrl, read_tls
from provisioner.directory.public_hosts import PublicHosts
from provisioner.geo.database import GeoDatabase
from provisioner.geo.overrides import Overrides
from provisioner.moves.dialing import unit_dialer
from provisioner.placement_hooks.configured import read_hooks
from provisioner.settings import Settings
from provisioner.shards.clusters import check_control, parse_clusters
from provisioner.wiring.services import QUOTAS, SERVICES
from provisioner.wiring.workers import refuse_shared_embedded


def checks(settings: Settings) -> Iterator[Callable[[], object]]:
    """One call for each part; it raises ServiceError for what a start refuses."""
    yield lambda: choose_transport(settings.transport)
    yield lambda: _read_store(settings)
    if settings.assignment_stores:
        yield lambda: _read_clusters(settings)
    yield lambda: refuse_shared_embedded(settings)
    yield lambda: _read_ticket_keys(settings)
    if settings.directory_pepper_file is not None:
        yield lambda: _read_peppers(settings)
    yield lambda: Access(
        settings, SERVICES, wall=time.time, clock=time.monotonic, clients_enrol=True
    )
    yield lambda: read_limits(settings.quotas, QUOTAS)
    yield lambda: parse_networks(settings.trusted_proxies)
    yield lambda: read_origins(settings.http_allow_origins)
    yield lambda: PublicHosts(settings.directory_hosts)
    yield lambda: serving_tls(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
    yield lambda: unit_dialer(settings)
    yield lambda: GeoDatabase.open(settings.geo)
    if (overrides := settings.geo_overrides) is not None:
        yield lambda: Overrides.read(overrides)
    if (hooks := settings.policy_hooks) is not None:
        yield lambda: read_hooks(hooks)
    for name in ("snapshot", "ready_file"):
        yield partial(_refuse_folder, name, getattr(settings, name))


def _read_store(settings: Settings) -> None:
    if StoreUrl.parse(settings.store).path is None:
        read_tls(settings.store, settings.store_access())


def _read_clusters(settings: Settings) -> None:
    check_control(settings.store)
    for url in parse_clusters(settings.assignment_stores).values():
        read_tls(url, settings.store_access())


def _read_ticket_keys(settings: Settings) -> None:
    wrapping = settings.wrapping(secrets.token_bytes)
    if settings.master_key_file is not None:
        read_ring(settings.master_key_file, wrapping)


def _read_peppers(settings: Settings) -> None:
    assert settings.directory_pepper_file is not None
    pepper_ring.read_ring(settings.directory_pepper_file, settings.wrapping(secrets.token_bytes))


def _refuse_folder(setting: str, path: Path | None) -> None:
    if path is not None and path.is_dir():
        raise InvalidInput(setting, f"{setting}: {path} is a folder; name a file in it")
