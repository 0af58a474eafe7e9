"""Checks units and tenants before they are stored. Pure.

Each check raises InvalidInput that names the field, what is wrong and what would be right.
`check_unit` and `check_tenant` return the value, so that they can stand in an expression.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from control_plane.errors import InvalidInput
from control_plane.fleet.enrolment import check_enrolment
from control_plane.fleet.unit import Position, ServedAreas, TenantSpec, UnitSpec
from control_plane.identity.names import check_slug
from control_plane.printable import MAX_SHOWN, quoted

CONTINENTS = frozenset({"AF", "AN", "AS", "EU", "NA", "OC", "SA"})
MAX_CAPACITY = 2**53  # exact in JSON and in floating point
MAX_LABELS = 64
MAX_TENANTS = 10_000  # that a unit is for
MAX_COUNTRIES = 300  # that a unit serves; there are some 250
_COUNTRY = re.compile(r"[A-Z]{2}\Z")
_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])\Z")
_LABEL_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?\Z")


def check_unit(spec: UnitSpec, prefix: str = "spec.") -> UnitSpec:
    """The spec, when every field of it is sound; else raises the first of its faults."""
    for fault in unit_faults(spec, prefix=prefix):
        raise fault
    return spec


def unit_faults(
    spec: UnitSpec, *, prefix: str = "spec.", id_name: str = "unit_id"
) -> Iterator[InvalidInput]:
    """Everything wrong with a spec, at most one fault for each field. Fields are named with
    `prefix` before them."""
    checks: tuple[Callable[[], object], ...] = (
        lambda: check_slug(spec.id, f"{prefix}{id_name}"),
        lambda: check_endpoint(spec.endpoint, f"{prefix}endpoint"),
        lambda: check_position(spec.position, f"{prefix}position"),
        lambda: check_country(spec.country, f"{prefix}country"),
        lambda: check_capacity(spec.capacity, f"{prefix}capacity"),
        lambda: check_weight(spec.weight, f"{prefix}weight"),
        lambda: check_labels(spec.labels, f"{prefix}labels"),
        lambda: check_served_areas(spec.serves, f"{prefix}serves"),
        lambda: check_tenants(spec.tenants, f"{prefix}tenants"),
    )
    for check in checks:
        try:
            check()
        except InvalidInput as fault:
            yield fault


def shown(value: object, form: Callable[[object], str] = quoted) -> str:
    """A value as messages show it: as JSON writes it, cut where it is long."""
    try:
        text = form(value)
    except ValueError:  # a number of more than 4,300 digits
        return "a very long number"
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"


def check_capacity(capacity: int, field: str) -> int:
    """1 to 2**53 clients."""
    if not 1 <= capacity <= MAX_CAPACITY:
        raise InvalidInput(
            field,
            f"{field} is {shown(capacity)}; it is a number of clients, at least 1 and at most "
            "2**53",
        )
    return capacity


def check_weight(weight: float, field: str) -> float:
    """Finite and above 0."""
    if not (math.isfinite(weight) and weight > 0):
        raise InvalidInput(field, f"{field} is {weight}; it must be a number above 0")
    return weight


def check_endpoint(endpoint: str, field: str) -> str:
    """host:port, where the host is a name, an IPv4 address or an IPv6 address in brackets."""
    host, colon, port = endpoint.rpartition(":")
    good = colon and _HOST.match(host) and port.isascii() and port.isdigit() and len(port) < 6
    if not good or not 0 < int(port) < 65536:
        raise InvalidInput(
            field, f"{field} {shown(endpoint)} is not host:port, such as eu.example.net:443"
        )
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
            field, f"{field} {shown(country)} is not an ISO 3166-1 alpha-2 code such as IE"
        )
    return country


def check_labels(labels: Mapping[str, str], field: str) -> Mapping[str, str]:
    """At most 64; names of 1 to 63 characters, values of at most 255."""
    if len(labels) > MAX_LABELS:
        raise InvalidInput(field, f"{field} has {len(labels)} entries, at most {MAX_LABELS}")
    for name, value in labels.items():
        if not _LABEL_NAME.match(name):
            raise InvalidInput(
                field,
                f"{field} has the name {shown(name)}; use 1 to 63 letters, digits, '.', '-', '/'",
            )
        if len(value) > 255 or not value.isprintable():
            raise InvalidInput(field, f"{field}[{name}] must be at most 255 printable characters")
    return labels


def check_served_areas(serves: ServedAreas, field: str) -> ServedAreas:
    """ISO 3166-1 alpha-2 countries, and the seven continents."""
    for country in serves.countries:
        check_country(country, f"{field}.countries")
    for continent in serves.continents:
        if continent not in CONTINENTS:
            raise InvalidInput(
                f"{field}.continents",
                f"{field}.continents has {shown(continent)}; use {', '.join(sorted(CONTINENTS))}",
            )
    return serves


def check_tenants(tenants: Sequence[str], field: str) -> Sequence[str]:
    """Names of tenants; whether they exist is not checked."""
    if len(tenants) > MAX_TENANTS:
        raise InvalidInput(
            field, f"{field} has {len(tenants):,} entries; at most {MAX_TENANTS:,}, or none for all"
        )
    for tenant in tenants:
        check_slug(tenant, field)
    return tenants


def check_tenant(tenant: TenantSpec) -> TenantSpec:
    """The tenant, when every field of it is sound."""
    check_slug(tenant.id, "tenant.tenant")
    if tenant.ticket_algorithm not in ("HS256", "EdDSA"):
        raise InvalidInput("tenant.ticket_algorithm", "tenant.ticket_algorithm: HS256 or EdDSA")
    if not 10 <= tenant.ticket_ttl_s <= 30 * 86_400:
        raise InvalidInput(
            "tenant.ticket_ttl",
            f"tenant.ticket_ttl is {tenant.ticket_ttl_s:g} s; it must be 10 s to 30 days",
        )
    if tenant.hold_s and not 1 <= tenant.hold_s <= 30 * 86_400:
        raise InvalidInput(
            "tenant.hold_ttl",
            f"tenant.hold_ttl is {tenant.hold_s:g} s; it must be 1 s to 30 days, or 0 for none",
        )
    if tenant.default_position is not None:
        check_position(tenant.default_position, "tenant.default_position")
    check_enrolment(tenant.enrolment, tenant.issuers, "tenant.")
    return tenant
