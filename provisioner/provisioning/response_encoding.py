"""Writes ProvisionResponse as bytes, without building messages: the hot path's last step.

Most of a response repeats: unit, endpoint, TTL, location, distance and rule come from few
values and are encoded once. What differs per client (ids, epoch, time, ticket) is joined in
between. tests/provisioner/provisioning/test_response_encoding.py holds this to the generated
classes.

Field numbers are those of provisioning.proto; the wire format is
https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from functools import lru_cache

from homeport.api.geo.v1 import geo_pb2
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.geo.location import Location, LocationSource

_SOURCES = {
    LocationSource.OVERRIDE: geo_pb2.LOCATION_SOURCE_OVERRIDE,
    LocationSource.DECLARED: geo_pb2.LOCATION_SOURCE_DECLARED,
    LocationSource.DATABASE: geo_pb2.LOCATION_SOURCE_DATABASE,
    LocationSource.TENANT_DEFAULT: geo_pb2.LOCATION_SOURCE_TENANT_DEFAULT,
    LocationSource.NOWHERE: geo_pb2.LOCATION_SOURCE_NOWHERE,
    LocationSource.UNKNOWN: geo_pb2.LOCATION_SOURCE_UNSPECIFIED,
}
_EXISTING, _STALE = b"\x28\x01", b"\x30\x01"  # fields 5 and 6 of a ProvisionResponse
_FLAGS = {
    (False, False): b"",
    (True, False): _EXISTING,
    (False, True): _STALE,
    (True, True): _EXISTING + _STALE,
}
_SHORT = [bytes([n]) for n in range(128)]
_USUAL = [*_SHORT, *(bytes((n & 0x7F | 0x80, n >> 7)) for n in range(128, 2048))]


def varint(number: int) -> bytes:
    """A non-negative integer as base-128 varint."""
    if number < 2048:
        return _USUAL[number]
    out = bytearray()
    while number > 127:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(tag: bytes, content: bytes) -> bytes:
    """A length-delimited field; empty content is left out, as proto3 does."""
    return tag + varint(len(content)) + content if content else b""


def location_message(location: Location) -> geo_pb2.Location:
    """A Location for the wire."""
    message = geo_pb2.Location(
        source=_SOURCES[location.source],
        country=location.country,
        subdivision=location.subdivision,
        continent=location.continent,
        uncertainty_km=location.uncertainty_km,
    )
    if location.latitude is not None and location.longitude is not None:
        message.position.latitude = location.latitude
        message.position.longitude = location.longitude
    return message


def decision_bytes(location: Location, distance_km: float, rule: str) -> bytes:
    """Field 4, decision, of a ProvisionResponse. Worth caching by its arguments."""
    decision = pb.Decision(location=location_message(location), distance_km=distance_km, rule=rule)
    return field(b"\x22", decision.SerializeToString())


def unit_bytes(unit_id: str, endpoint: str) -> bytes:
    """Fields 3 and 4, unit and endpoint, of an Assignment."""
    return field(b"\x1a", unit_id.encode()) + field(b"\x22", endpoint.encode())


@lru_cache(maxsize=1_000)
def ttl_bytes(ttl_s: float) -> bytes:
    """Field 3, ticket_ttl, of a ProvisionResponse."""
    whole = int(ttl_s)
    nanos = int((ttl_s - whole) * 1e9)
    inner = (b"\x08" + varint(whole) if whole else b"") + (
        b"\x10" + varint(nanos) if nanos else b""
    )
    return b"\x1a" + varint(len(inner)) + inner


@lru_cache(maxsize=10_000)
def tenant_bytes(tenant: str) -> bytes:
    """Field 1, tenant, of an Assignment."""
    return field(b"\x0a", tenant.encode())


@lru_cache(maxsize=1_000)
def time_bytes(at_ms: int) -> bytes:
    """Field 6, assign_time, of an Assignment, from Unix milliseconds. Clients of one
    millisecond share it."""
    whole, rest = divmod(at_ms, 1000)
    inner = b"\x08" + varint(whole) if whole else b""
    if rest:
        inner += b"\x10" + varint(rest * 1_000_000)
    return b"\x32" + _SHORT[len(inner)] + inner


def assignment_bytes(tenant: bytes, client: bytes, unit: bytes, epoch: int, at: bytes) -> bytes:
    """An Assignment's content. `tenant`, `unit` and `at` come from the functions above."""
    size = len(client)
    return b"".join(
        (
            tenant,
            b"\x12",
            _SHORT[size] if size < 128 else varint(size),
            client,
            unit,
            b"\x28",
            _SHORT[epoch] if epoch < 128 else varint(epoch),
            at,
        )
    )


def response_bytes(
    assignment: bytes,
    ticket: str,
    ttl: bytes,
    decision: bytes,
    existing: bool,
    stale: bool = False,
) -> bytes:
    """A whole ProvisionResponse. Without ticket, its TTL is left out as well. stale: it comes
    from the client's last ticket, not from the store."""
    flags = _FLAGS[existing, stale]
    if ticket:
        signed = ticket.encode()
        whole, size = len(assignment), len(signed)
        parts = (
            b"\x0a",
            _USUAL[whole] if whole < 2048 else varint(whole),
            assignment,
            b"\x12",
            _USUAL[size] if size < 2048 else varint(size),
            signed,
            ttl,
            decision,
            flags,
        )
        return b"".join(parts)
    return b"".join((b"\x0a", varint(len(assignment)), assignment, decision, flags))


class NewResults:
    """Writes entries of a ProvisionManyResponse for clients that are new, without ticket,
    assigned at the same time: the commonest answer there is. Of an entry only the client's
    id and the decision differ between clients of one unit whose ids are as long."""

    def __init__(self, tenant: str, at_ms: int) -> None:
        self._tenant = tenant_bytes(tenant)
        self._at = time_bytes(at_ms)
        self._frames: dict[tuple[bytes, int], tuple[bytes, bytes, int]] = {}

    def entry(self, client: bytes, unit: bytes, decision: bytes) -> bytes:
        """With its field tag. `unit` and `decision` as from the functions above."""
        name = len(client)
        frame = self._frames.get((unit, name))
        if frame is None:
            frame = self._frames[unit, name] = self._frame(client, unit)
        before, after, size = frame
        size += len(decision)
        inner = _USUAL[size] if size < 2048 else varint(size)
        sized = _USUAL[name] + client  # an id has 128 bytes at most
        whole = size + len(sized) + 2 + len(inner)
        return b"".join(
            (b"\x0a", varint(whole), b"\x0a", sized, b"\x12", inner, before, sized, after, decision)
        )

    def _frame(self, client: bytes, unit: bytes) -> tuple[bytes, bytes, int]:
        """What stands in a response before and after the client's id with its length, and
        the size of it all."""
        whole = assignment_bytes(self._tenant, client, unit, 1, self._at)
        sized = varint(len(client)) + client
        at = len(self._tenant) + 1
        head = b"\x0a" + varint(len(whole))
        return head + whole[:at], whole[at + len(sized) :], len(head) + len(whole)


def result_bytes(client: bytes, response: bytes) -> bytes:
    """One entry of a ProvisionManyResponse that was provisioned, with its field tag."""
    size = varint(len(response))
    name = varint(len(client))
    whole = 2 + len(name) + len(client) + len(size) + len(response)
    return b"".join((b"\x0a", varint(whole), b"\x0a", name, client, b"\x12", size, response))
