"""AssignmentRecord: one client's home, as stored under assignments/<tenant>/<client>.

JSON, so that an operator can read it with any etcd client. `assignment_encoding` writes it.
"""

from __future__ import annotations

import msgspec

from control_plane import keys
from control_plane.store.damaged import shown_key
from provisioner.geo.cells import location_of
from provisioner.geo.location import Location, LocationSource
from provisioner.ledger.provenance import Provenance
from provisioner.placement.attributes import Attributes, with_attributes

_encode = msgspec.json.Encoder().encode
_SOURCES = {source.value: source for source in LocationSource}


class AssignmentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """client -> unit, at an epoch that grows with every move. A Struct, because every known client
    has one read, which takes a quarter of the time that it does for a dataclass."""

    unit: str
    epoch: int  # from 1
    at_ms: int  # Unix time of the assignment, ms
    cell: str = ""  # where the client was then
    policy: int = 0  # revision of the policy that decided
    state: str = "assigned"
    home: str = ""  # the unit it had to leave; empty: it is where it chose to be
    why: Provenance | None = None  # how it came to this unit; None: not recorded
    key: str = ""  # digest of the key by which the client proves itself; empty: it has none
    first: int = 0  # of one that has moved: its first assignment, Unix ms; 0: not recorded
    sub: str = ""  # the subdivision in which the client was; empty: not known, or not recorded
    attributes: dict[str, str] | None = None  # that policies may read; None: it has none

    @property
    def first_ms(self) -> int:
        """When the client was first assigned, Unix ms: what tells one life of a client from the
        next, for epochs begin anew after a release. 0: not recorded."""
        return self.first or (self.at_ms if self.epoch == 1 else 0)

    @property
    def location(self) -> Location:
        """Where the client was then: the middle of its cell."""
        source = _SOURCES.get(self.why.source) if self.why is not None else None
        return location_of(self.cell, source or LocationSource.UNKNOWN, self.sub)

    def placed_by(self, key: bytes) -> bytes:
        """By what this client is placed anew: the key of its assignment, with its attributes."""
        return with_attributes(key, self.attributes)


_decoder = msgspec.json.Decoder(AssignmentRecord)
decode_assignment = _decoder.decode
"""bytes -> AssignmentRecord; raises msgspec.DecodeError on a damaged record."""


def with_key(value: bytes, key: str) -> bytes:
    """The same record, of a client that has no key, with one. Whatever else is in it stays."""
    return b'%s,"key":"%s"}' % (value[: value.rindex(b"}")], key.encode())


def with_attributes_written(value: bytes, attributes: Attributes) -> bytes:
    """The same record, of a client that has these attributes. Whatever else is in it stays. Raises
    msgspec.DecodeError on a damaged record."""
    record = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    record.pop("attributes", None)
    if attributes:
        record["attributes"] = msgspec.Raw(_encode(attributes))
    return _encode(record)


def split_key(key: bytes) -> tuple[str, str]:
    """(tenant, client_id) of an assignment's key. Raises ValueError where it names no client, and
    then nobody of us wrote it."""
    return split_client(key, keys.ASSIGNMENTS)


def split_client(key: bytes, prefix: bytes) -> tuple[str, str]:
    """The same of any key `<prefix><tenant>/<client>`."""
    tenant, _, client_id = key[len(prefix) :].decode().partition("/")
    if not (tenant and client_id):
        raise ValueError(f"the key {shown_key(key)} names no client")
    return tenant, client_id
