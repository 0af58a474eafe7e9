"""The HTTP port at which names are served to whoever knows them: WebFinger, pages, vCards.

Part of the wiring: `provisioner.wiring.services` builds the rest.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from control_plane.http_serving.listener import HttpListener
from control_plane.http_serving.status_json import http_error
from control_plane.serving.peers import Proxies
from control_plane.serving.server import LAST_ANSWERS_S, Server
from control_plane.serving.tls import HTTP1, following
from provisioner.api.directory_door import DirectoryDoor
from provisioner.api.ticket_viewers import TicketViewers
from provisioner.directory.directory import Directory
from provisioner.directory.public_hosts import PublicHosts
from provisioner.directory.public_profiles import PublicProfiles
from provisioner.directory.seen_profile import ProfileReader
from provisioner.settings import Settings
from provisioner.wiring.state import ServerState

MOST_BYTES = 1024  # of a body: there is to be none


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryPages:
    """Listens between `start` and `stop`, where it is to. outcomes: how many answers, by what came
    of them."""

    listener: HttpListener
    units: ProfileReader
    outcomes: Mapping[str, int]

    @property
    def address(self) -> str:
        """host:port where it listens; empty: nowhere."""
        return self.listener.address

    async def start(self) -> None:
        """Raises InvalidInput where the address cannot be had."""
        await self.listener.start()

    async def stop(self) -> None:
        """Finishes what is under way, and closes all connections."""
        await self.listener.stop()
        await self.units.close()


def build_pages(
    settings: Settings,
    state: ServerState,
    directory: Directory,
    proxies: Proxies,
    *,
    beside: Server,
    share_port: bool,
) -> DirectoryPages:
    """beside: whose TLS and watch of connections these are as well. Raises InvalidInput."""
    units = directory.profiles
    door = DirectoryDoor(
        PublicHosts(settings.directory_hosts),
        PublicProfiles(directory.resolver, directory.holdings, units, clock=time.monotonic),
        TicketViewers(state.issuer, directory.resolver, wall=time.time),
        proxies,
        write_at=settings.directory_write_at,
        clock=time.monotonic,
    )
    listen = settings.directory_http_listen
    listener = HttpListener(
        listen,
        what="names over HTTP",
        add_routes=door.add_routes,
        middlewares=[door.middleware],
        error=http_error,
        max_body_bytes=MOST_BYTES,
        tls=following(beside.tls, HTTP1) if beside.tls and listen else None,
        watch=beside.watch,
        limits=settings.connection_limits(),
        is_proxy=proxies.is_trusted,
        share_port=share_port,
        finish_within_s=LAST_ANSWERS_S,
    )
    return DirectoryPages(listener=listener, units=units, outcomes=door.outcomes)
