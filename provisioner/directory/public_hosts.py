"""PublicHosts: which tenant's names are served at a host. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from control_plane.errors import InvalidInput
from control_plane.identifiers.domains import read_domain
from control_plane.identifiers.identifier import Flaw
from control_plane.identity.names import check_slug


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicHost:
    """name: in A-labels."""

    name: str
    tenant: str


class PublicHosts:
    """Read from settings: host to tenant."""

    def __init__(self, tenants: Mapping[str, str]) -> None:
        """Raises InvalidInput for what is no host, or no tenant's id."""
        self._tenants: dict[str, str] = {}
        for host, tenant in tenants.items():
            found = read_domain(host)
            if isinstance(found, Flaw):
                raise InvalidInput("directory_hosts", f"directory_hosts: {found}")
            check_slug(tenant, "directory_hosts")
            if self._tenants.setdefault(found.normal, tenant) != tenant:
                raise InvalidInput(
                    "directory_hosts", f"directory_hosts: {found.normal} is there twice"
                )

    def read(self, header: str) -> PublicHost | None:
        """Whose names a Host header is for, its port left out; None: nobody's."""
        name = header.strip().rpartition(":")[0] if _has_port(header) else header.strip()
        if len(name) > 255:
            return None
        found = read_domain(name.rstrip("."))
        if isinstance(found, Flaw):
            return None
        tenant = self._tenants.get(found.normal)
        return None if tenant is None else PublicHost(name=found.normal, tenant=tenant)

    def of(self, tenant: str) -> frozenset[str]:
        """All hosts of a tenant, in A-labels."""
        return frozenset(host for host, one in self._tenants.items() if one == tenant)


def _has_port(header: str) -> bool:
    return header.strip().rpartition(":")[2].isdecimal() and ":" in header
