"""Checks units and tenants before they are stored. Pure.

Each check raises InvalidInput that names the field, what is wrong and what would be right.
`check_unit` and `check_tenant` return the value, so that they can stand in an expression.
"""

from __future__ import annotations

import math
import re

from control_plane.errors import InvalidInput
from control_plane.identity.names import check_slug
from deployment_units.fleet.unit import Position, TenantSpec, UnitSpec

CONTINENTS = frozenset({"AF", "AN", "AS", "EU", "NA", "OC", "SA"})
MAX_CAPACITY = 2**53  # exact in JSON and in floating point
MAX_LABELS = 64
_COUNTRY = re.compile(r"[A-Z]{2}\Z")
_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])\Z")
_LABEL_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?\Z")


def check_unit(spec: UnitSpec, prefix: str = "spec") -> UnitSpec:
    """The spec, when every field of it is sound."""
    check_slug(spec.id, f"{prefix}.unit_id")
    check_endpoint(spec.endpoint, f"{prefix}.endpoint")
    check_position(spec.position, f"{prefix}.position")
    check_country(spec.country, f"{prefix}.country")
    if not 1 <= spec.capacity <= MAX_CAPACITY:
        raise InvalidInput(
            f"{prefix}.capacity",
            f"{prefix}.capacity is {spec.capacity}; it is a number of clients, at least 1 "
            "and at most 2**53",
        )
    if not (math.isfinite(spec.weight) and spec.weight > 0):
        raise InvalidInput(
            f"{prefix}.weight", f"{prefix}.weight is {spec.weight}; it must be a number above 0"
        )
    _check_labels(spec, prefix)
    for country in spec.serves.countries:
        check_country(country, f"{prefix}.serves.countries")
    for continent in spec.serves.continents:
        if continent not in CONTINENTS:
            raise InvalidInput(
                f"{prefix}.serves.continents",
                f"{prefix}.serves.continents has {continent!r}; "
                f"use {', '.join(sorted(CONTINENTS))}",
            )
    for tenant in spec.tenants:
        check_slug(tenant, f"{prefix}.tenants")
    return spec


def check_endpoint(endpoint: str, field: str) -> str:
    """host:port, where the host is a name, an IPv4 address or an IPv6 address in brackets."""
    host, colon, port = endpoint.rpartition(":")
    good = colon and _HOST.match(host) and port.isascii() and port.isdigit() and len(port) < 6
    if not good or not 0 < int(port) < 65536:
        raise InvalidInput(field, f"{field} {endpoint!r} is not host:port")
    return endpoint


def check_position(position: Position, field: str) -> Position:
    """Degrees on Earth: latitude -90 to 90, longitude -180 to 180."""
    for name, value, limit in (
        ("latitude", position.latitude, 90),
        ("longitude", position.longitude, 180),
    ):
        if not (math.isfinite(value) and -limit <= value <= limit):
            raise InvalidInput(
                f"{field}.{name}",
                f"{field}.{name} is {value}; it must be between {-limit} and {limit} degrees",
            )
    return position


def check_country(country: str, field: str) -> str:
    """Two upper-case letters."""
    if not _COUNTRY.match(country):
        raise InvalidInput(
            field, f"{field} {country!r} is not an ISO 3166-1 alpha-2 code such as IE"
        )
    return country


def _check_labels(spec: UnitSpec, prefix: str) -> None:
    field = f"{prefix}.labels"
    if len(spec.labels) > MAX_LABELS:
        raise InvalidInput(field, f"{field} has {len(spec.labels)} entries, at most {MAX_LABELS}")
    for name, value in spec.labels.items():
        if not _LABEL_NAME.match(name):
            raise InvalidInput(
                field, f"{field} has the name {name!r}; use 1 to 63 letters, digits, '.', '-', '/'"
            )
        if len(value) > 255 or not value.isprintable():
            raise InvalidInput(field, f"{field}[{name}] must be at most 255 printable characters")


def check_tenant(tenant: TenantSpec) -> TenantSpec:
    """The tenant, when every field of it is sound."""
    check_slug(tenant.id, "tenant.tenant_id")
    if tenant.ticket_algorithm not in ("HS256", "EdDSA"):
        raise InvalidInput("tenant.ticket_algorithm", "tenant.ticket_algorithm: HS256 or EdDSA")
    if not 10 <= tenant.ticket_ttl_s <= 30 * 86_400:
        raise InvalidInput(
            "tenant.ticket_ttl",
            f"tenant.ticket_ttl is {tenant.ticket_ttl_s:g} s; it must be 10 s to 30 days",
        )
    if tenant.default_position is not None:
        check_position(tenant.default_position, "tenant.default_position")
    return tenant
