"""GeoDatabase: any MaxMind-format file, verified whole when opened, then read in a microsecond.

The file is read into memory once and never mapped, so that whoever overwrites it in place
cannot hurt a reader. Opening walks the whole tree and decodes every distinct record; a file
that is damaged anywhere it could be looked at is refused with what is wrong. Locations are
made then, so a lookup reads no record at all: it finds a number and returns an object.
"""

from __future__ import annotations

import hashlib
import io
import ipaddress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import maxminddb
import numpy as np

from control_plane.errors import HomeportError
from provisioner.geo import tree
from provisioner.geo.address import Address
from provisioner.geo.location import Location
from provisioner.geo.schema import BadRecord, is_location, location_from

MARKER = b"\xab\xcd\xefMaxMind.com"
SEPARATOR_BYTES = 16
_METADATA = {
    "node_count": int, "record_size": int, "ip_version": int, "build_epoch": int,
    "database_type": str, "description": dict,
}  # fmt: skip
ATTRIBUTION = "IP Geolocation by DB-IP (https://db-ip.com)"


class GeoDatabaseError(HomeportError):
    """The file is not a usable geo database; the message says why and what to do."""

    reason = "BAD_GEO_DATABASE"


@dataclass(frozen=True, slots=True, kw_only=True)
class GeoInfo:
    """What `homeport geo info` shows."""

    path: str
    database_type: str
    description: str
    build_epoch: int  # Unix time, s
    ip_version: int
    nodes: int
    ranges: int  # after merging neighbours that are alike
    locations: int  # distinct ones
    size_bytes: int
    sha256: str
    attribution: str


def bundled_path() -> Path:
    """The database that comes with Homeport."""
    return Path(str(files("provisioner.geo").joinpath("data/dbip-city-lite-compact.mmdb")))


class GeoDatabase:
    """Immutable; safe for any number of readers in any thread."""

    def __init__(
        self,
        info: GeoInfo,
        v4: tree.Ranges,
        v6: tree.Ranges | None,
        locations: list[Location | None],
    ) -> None:
        self.info = info
        self.v4 = v4
        self.v6 = v6
        self.locations = locations  # the last one is None: where no record is
        self._v4_find = v4.find
        self._v6_find = v6.find if v6 is not None else None

    @property
    def build_epoch(self) -> int:
        """When it was built, Unix time, s."""
        return self.info.build_epoch

    def find(self, address: Address) -> Location | None:
        """Where an address is, or None where the database does not know."""
        version, number = address
        if version == 4:
            return self.locations[self._v4_find(number)]
        if self._v6_find is None:
            return None
        return self.locations[self._v6_find(number >> 64)]

    @classmethod
    def open(cls, path: Path | None = None) -> GeoDatabase:
        """Reads and verifies a file; None: the bundled one. Raises GeoDatabaseError."""
        path = path if path is not None else bundled_path()
        try:
            content = path.read_bytes()
        except OSError as error:
            raise GeoDatabaseError(f"{path} cannot be read: {error.strerror}") from error
        return parse(content, path)


def _refuse(path: Path, what: str) -> GeoDatabaseError:
    return GeoDatabaseError(f"{path} {what}; get the file again, or name another one")


def parse(content: bytes, path: Path) -> GeoDatabase:
    """The same for a file's content."""
    digest = hashlib.sha256(content).hexdigest()
    _check_sidecar(path, digest)
    if not content:
        raise _refuse(path, "is empty")
    marker = content.rfind(MARKER, max(0, len(content) - 128 * 1024))
    if marker < 0:
        raise _refuse(path, "is not a MaxMind database, or its end is missing")
    try:
        reader = maxminddb.open_database(io.BytesIO(content), maxminddb.MODE_FD)
        meta: Any = reader.metadata()
    except (maxminddb.InvalidDatabaseError, ValueError, TypeError, KeyError, IndexError) as error:
        raise _refuse(path, f"has damaged metadata ({error})") from error
    _check_metadata(path, meta)
    try:
        return _build(content, path, digest, marker, reader, meta)
    except tree.DamagedTree as error:
        raise _refuse(path, f"is damaged: {error}") from error


def _check_metadata(path: Path, meta: Any) -> None:
    """The reader takes every value there is; damage turns one type into another."""
    for name, kind in _METADATA.items():
        if not isinstance(getattr(meta, name), kind):
            raise _refuse(path, f"has damaged metadata ({name} {getattr(meta, name)!r:.60})")
    if meta.record_size not in (24, 28, 32):
        raise _refuse(path, f"has damaged metadata (records of {meta.record_size} bits)")


def sidecar_of(path: Path) -> Path:
    """Where a database's checksum is, for those that have one: FILE.sha256."""
    return path.with_name(path.name + ".sha256")


def _check_sidecar(path: Path, digest: str) -> None:
    """The file beside it, when there is one, must name the content's digest."""
    sidecar = sidecar_of(path)
    if sidecar.is_file():
        words = sidecar.read_text(errors="replace").split()
        if not words or words[0].lower() != digest:
            raise _refuse(path, f"does not match its checksum in {sidecar.name}")


def _build(
    content: bytes, path: Path, digest: str, marker: int, reader: Any, meta: Any
) -> GeoDatabase:
    tree_bytes = meta.node_count * meta.record_size // 4
    if meta.ip_version not in (4, 6) or not 0 < tree_bytes + SEPARATOR_BYTES <= marker:
        raise _refuse(path, "is truncated: its search tree is longer than the file")
    left, right = tree.read_nodes(content[:tree_bytes], meta.node_count, meta.record_size)
    data_end = meta.node_count + SEPARATOR_BYTES + (marker - tree_bytes - SEPARATOR_BYTES)
    highest = int(max(left.max(), right.max()))
    if highest >= data_end:
        raise _refuse(path, "is damaged: its search tree points past the data")
    targets = np.concatenate((left, right))
    inside = targets[(targets > meta.node_count)]
    if len(inside) and int(inside.min()) < meta.node_count + SEPARATOR_BYTES:
        raise _refuse(path, "is damaged: its search tree points between tree and data")

    ipv4_root = 0
    if meta.ip_version == 6:
        for _ in range(96):
            if ipv4_root >= meta.node_count:
                break
            ipv4_root = int(left[ipv4_root])
    if ipv4_root >= meta.node_count:
        v4_starts = np.zeros(1, dtype=np.uint64)
        v4_targets = np.array([ipv4_root], dtype=np.uint64)
    else:
        v4_starts, v4_targets = tree.flatten(left, right, ipv4_root, 32)
    parts = [(32, v4_starts, v4_targets)]
    if meta.ip_version == 6:
        parts.append((64, *tree.flatten(left, right, 0, 64)))

    pointers = np.unique(np.concatenate([targets for _, _, targets in parts]))
    pointers = pointers[pointers > meta.node_count]
    locations = _locations(path, parts, pointers, reader)
    number_of: dict[Location | None, int] = {}
    numbers = np.array(
        [
            tree.NO_RECORD if one is None else number_of.setdefault(one, len(number_of))
            for one in locations
        ],
        dtype=np.int64,
    )
    built = [_ranges(bits, starts, targets, pointers, numbers) for bits, starts, targets in parts]
    distinct: list[Location | None] = [*number_of, None]
    info = GeoInfo(
        path=str(path),
        database_type=meta.database_type,
        description=str(meta.description.get("en", "")),
        build_epoch=meta.build_epoch,
        ip_version=meta.ip_version,
        nodes=meta.node_count,
        ranges=sum(len(one.starts) for one in built),
        locations=len(number_of),
        size_bytes=len(content),
        sha256=digest,
        attribution=ATTRIBUTION if meta.database_type.upper().startswith(("DBIP", "DB-IP")) else "",
    )
    return GeoDatabase(info, built[0], built[1] if len(built) > 1 else None, distinct)


def _ranges(
    bits: int, starts: tree.Numbers, targets: tree.Numbers, pointers: Any, numbers: Any
) -> tree.Ranges:
    place = np.searchsorted(pointers, targets)
    place = np.minimum(place, max(0, len(pointers) - 1))
    values = np.full(len(targets), tree.NO_RECORD, dtype=np.int64)
    if len(pointers):
        hit = pointers[place] == targets
        values[hit] = numbers[place[hit]]
    return tree.ranges(bits, starts, values)


def _locations(
    path: Path, parts: list[tuple[int, Any, Any]], pointers: Any, reader: Any
) -> list[Location | None]:
    """The location of each distinct record, in the order of `pointers`, found through an
    address that leads there."""
    representative: dict[int, tuple[int, int]] = {}
    for bits, starts, targets in parts:
        first_targets, first = np.unique(targets, return_index=True)
        for target, place in zip(first_targets.tolist(), first.tolist(), strict=True):
            representative.setdefault(target, (bits, int(starts[place])))
    found: list[Location | None] = []
    located = 0
    for pointer in pointers.tolist():
        bits, start = representative[pointer]
        address = _address_object(bits, start)
        try:
            record = reader.get(address)
            located += is_location(record)
            found.append(location_from(record) if is_location(record) else None)
        except (BadRecord, maxminddb.InvalidDatabaseError) as error:
            raise _refuse(path, f"is damaged: {error}") from error
        except (ValueError, TypeError, KeyError, IndexError, UnicodeError, RecursionError,
                AttributeError, OverflowError, MemoryError) as error:  # fmt: skip
            # What the decoder raises when it is led astray depends on where it ends up.
            raise _refuse(path, f"is damaged: a record cannot be read ({error})") from error
    if not located:
        kind = reader.metadata().database_type
        raise _refuse(path, f"is of type {kind!r} and says nothing of locations")
    return found


def _address_object(bits: int, start: int) -> Any:
    if bits == 32:
        return ipaddress.IPv4Address(start)
    return ipaddress.IPv6Address(start << 64)
