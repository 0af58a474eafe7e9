"""PublicHosts: which tenant's names are served at a host. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from control_plane.errors import InvalidInput
from control_plane.identifiers.domains import read_domain
from control_plane.identifiers.identifier import Flaw
from control_plane.identity.names import check_slug

HTTPS: Final = 443
MOST_DIGITS: Final = 6  # of a port that are read


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicHost:
    """name: in A-labels; port: where people come to its pages."""

    name: str
    tenant: str
    port: int = HTTPS

    @property
    def authority(self) -> str:
        """As it stands in the address of a page."""
        return self.name if self.port == HTTPS else f"{self.name}:{self.port}"


class PublicHosts:
    """Read from settings: host to tenant. A host has a port where people come to another one than
    that of HTTPS."""

    def __init__(self, tenants: Mapping[str, str]) -> None:
        """Raises InvalidInput for what is no host, or no tenant's id."""
        self._hosts: dict[str, PublicHost] = {}
        for host, tenant in tenants.items():
            name, port = _parted(host)
            found = read_domain(name)
            if isinstance(found, Flaw):
                raise InvalidInput("directory_hosts", f"directory_hosts: {found}")
            check_slug(tenant, "directory_hosts")
            if not 0 < port < 65_536:
                raise InvalidInput("directory_hosts", f"directory_hosts: {host} has no such port")
            one = PublicHost(name=found.normal, tenant=tenant, port=port)
            if self._hosts.setdefault(one.name, one) != one:
                raise InvalidInput("directory_hosts", f"directory_hosts: {one.name} is there twice")

    def read(self, header: str) -> PublicHost | None:
        """Whose names a Host header is for, its port left out; None: nobody's."""
        name, _ = _parted(header.strip())
        if len(name) > 255:
            return None
        found = read_domain(name.rstrip("."))
        if isinstance(found, Flaw):
            return None
        return self._hosts.get(found.normal)

    def of(self, tenant: str) -> Mapping[str, int]:
        """All hosts of a tenant, in A-labels, with their ports."""
        return {host: one.port for host, one in self._hosts.items() if one.tenant == tenant}


def _parted(host: str) -> tuple[str, int]:
    """The name, and the port; that of HTTPS where none stands there."""
    name, between, port = host.rpartition(":")
    if between and port.isascii() and port.isdecimal():
        return name, int(port[:MOST_DIGITS])
    return host, HTTPS
