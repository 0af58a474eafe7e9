"""GeoDatabase: any MaxMind-format file, verified whole when opened, then read in a microsecond.

The file is read into memory once and never mapped, so that whoever overwrites it in place
cannot hurt a reader. Opening walks the whole tree and decodes every distinct record; a file
that is damaged anywhere it could be looked at is refused with what is wrong. Locations are
made then, so a lookup reads no record at all: it finds a number and returns an object.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from maxminddb.decoder import Decoder

from control_plane.errors import FaultyFile
from control_plane.printable import quoted
from provisioner.geo import mmdb, tree
from provisioner.geo.address import Address, blocks_never_looked_up
from provisioner.geo.location import Location
from provisioner.geo.ranges import NO_RECORD, Ranges, cleared, ranges
from provisioner.geo.schema import BadRecord, is_location, location_from

SECONDS_A_DAY = 86_400
_YEAR_10000_S = 253_402_300_800
ATTRIBUTIONS = {
    "DBIP": "IP Geolocation by DB-IP (https://db-ip.com)",
    "DB-IP": "IP Geolocation by DB-IP (https://db-ip.com)",
    "GEOLITE": "This product includes GeoLite data created by MaxMind (https://www.maxmind.com)",
}
_LOW_64 = (1 << 64) - 1


class GeoDatabaseError(FaultyFile):
    """The file is not a usable geo database; the message says why and what to do."""

    reason = "BAD_GEO_DATABASE"

    def __init__(self, message: str) -> None:
        super().__init__("geo", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeoInfo:
    """What `homeport geo info` shows."""

    path: str
    database_type: str
    description: str
    languages: tuple[str, ...]
    build_epoch: int  # Unix time, s
    ip_version: int
    nodes: int
    networks: int  # with a location, as the file has them
    ranges: int  # after merging neighbours that are alike
    records: int  # distinct ones, before what is not needed is left out
    locations: int  # distinct ones
    size_bytes: int
    sha256: str
    attribution: str

    @property
    def build_time_s(self) -> float | None:
        """When it was built, Unix seconds; None where `build_epoch` is no such time."""
        return None if self.build_epoch_fault else float(self.build_epoch)

    @property
    def build_epoch_fault(self) -> str:
        """What is wrong with the time of the build, in a sentence; empty: nothing. The format
        has it in seconds (MaxMind DB 2.0, `build_epoch`); nothing else depends on it."""
        if 0 < self.build_epoch < _YEAR_10000_S:
            return ""
        said = f"build_epoch is {self.build_epoch}, which is not a time in seconds"
        milliseconds = 0 < self.build_epoch / 1_000 < _YEAR_10000_S
        return f"{said}; it looks like milliseconds" if milliseconds else said

    def age_days(self, now_s: float) -> float:
        """Days from its build to `now_s` (Unix time); 0 where that is not known."""
        built_s = self.build_time_s
        return 0.0 if built_s is None else max(0.0, (now_s - built_s) / SECONDS_A_DAY)


def bundled_path() -> Path:
    """The database that comes with Homeport."""
    return Path(str(files("provisioner.geo").joinpath("data/dbip-city-lite-compact.mmdb")))


class GeoDatabase:
    """Immutable; safe for any number of readers in any thread. Make it with `open`.

    `v4` has a range for each stretch of IPv4 addresses, `v6` for each of /64 networks; their
    values are places in `locations`, whose last one is None, for NO_RECORD. Values below that
    are the /64 networks that the file divides: -2 is the first of `divided`.
    """

    def __init__(
        self,
        info: GeoInfo,
        v4: Ranges,
        v6: Ranges,
        divided: list[Ranges],
        locations: list[Location | None],
    ) -> None:
        self.info = info
        self.v4 = v4
        self.v6 = v6
        self.divided = divided
        self.locations = locations
        self._find_v4 = v4.find
        self._find_v6 = v6.find

    @property
    def build_epoch(self) -> int:
        """When it was built, Unix time, s."""
        return self.info.build_epoch

    def find(self, address: Address) -> Location | None:
        """Where an address is, or None where the database does not know. It knows of public
        addresses alone, and of no IPv6 address that stands for an IPv4 one."""
        version, number = address
        if version == 4:
            return self.locations[self._find_v4(number)]
        value = self._find_v6(number >> 64)
        if value < NO_RECORD:
            value = self.divided[-2 - value].find(number & _LOW_64)
        return self.locations[value]

    def around(self, address: Address) -> tuple[int, int]:
        """The first and the last number around an address that `find` answers alike, without a
        gap between them. It costs a bisection of all ranges."""
        version, number = address
        if version == 4:
            return self.v4.around(number)
        network = number >> 64
        value = self.v6.find(network)
        if value < NO_RECORD:
            first, last = self.divided[-2 - value].around(number & _LOW_64)
            return network << 64 | first, network << 64 | last
        first, last = self.v6.around(network)
        return first << 64, last << 64 | _LOW_64

    @classmethod
    def open(cls, path: Path | None = None) -> GeoDatabase:
        """Reads and verifies a file; None: the bundled one. Raises GeoDatabaseError."""
        path = path if path is not None else bundled_path()
        try:
            content = path.read_bytes()
        except OSError as error:
            raise GeoDatabaseError(f"{path} cannot be read: {error.strerror}") from error
        return parse(content, path)


def sidecar_of(path: Path) -> Path:
    """Where a database's checksum is, for those that have one: FILE.sha256."""
    return path.with_name(path.name + ".sha256")


def parse(content: bytes, path: Path) -> GeoDatabase:
    """The same for a file's content. Raises GeoDatabaseError."""
    digest = hashlib.sha256(content).hexdigest()
    _check_sidecar(path, digest)
    try:
        return _build(mmdb.split(content), str(path), digest, len(content))
    except mmdb.DamagedFile as error:
        raise _refusal(path, str(error)) from error
    except (tree.DamagedTree, mmdb.DamagedValue, BadRecord) as error:
        raise _refusal(path, f"is damaged: {error}") from error


def _refusal(path: Path, what: str) -> GeoDatabaseError:
    return GeoDatabaseError(f"{path} {what}; get the file again, or name another one")


def _check_sidecar(path: Path, digest: str) -> None:
    """The file beside it, when there is one, must name the content's digest."""
    sidecar = sidecar_of(path)
    try:
        words = sidecar.read_text(errors="replace").split()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise GeoDatabaseError(f"{sidecar} cannot be read: {error.strerror}") from error
    if not words or words[0].lower() != digest:
        raise _refusal(path, f"does not match its checksum in {sidecar.name}")


def _build(parts: mmdb.FileParts, path: str, digest: str, size_bytes: int) -> GeoDatabase:
    metadata = parts.metadata
    search = tree.read(parts.tree, metadata.nodes, metadata.record_bits, len(parts.data))
    ipv4_root = search.ipv4_root(metadata.ip_version)
    flat_v4 = tree.flatten(search, ipv4_root, 32)
    if flat_v4.deeper:
        raise tree.DamagedTree("its search tree has IPv4 networks longer than an address")
    if metadata.ip_version == 6:
        flat_v6 = tree.flatten(search, 0, 64, without=ipv4_root)
        below = [tree.flatten(search, node, 64, without=ipv4_root) for _, node in flat_v6.deeper]
        if any(one.deeper for one in below):
            raise tree.DamagedTree("its search tree has networks longer than an address")
    else:
        flat_v6, below = tree.flatten(search, search.nodes, 64), []

    flats = [flat_v4, flat_v6, *below]
    used = tree.distinct(np.concatenate([one.records for one in flats]))
    used = used[used > search.nodes]
    locations = _locations(parts, (used - np.uint32(search.nodes + tree.SEPARATOR_BYTES)).tolist())
    if not any(locations):
        kind = metadata.database_type
        raise mmdb.DamagedFile(f"is of type {quoted(kind)} and says nothing of locations")
    number_of: dict[Location | None, int] = {None: NO_RECORD}
    for one in locations:
        number_of.setdefault(one, len(number_of) - 1)
    number = np.array([number_of[one] for one in locations], dtype=np.int64)
    networks = 0

    def values(flat: tree.FlatTree) -> tree.Values:
        nonlocal networks
        found = np.full(len(flat.records), NO_RECORD, dtype=np.int64)
        leads = flat.records > search.nodes
        found[leads] = number[np.searchsorted(used, flat.records[leads])]
        networks += int((found != NO_RECORD).sum())
        return found

    v4 = ranges(32, *cleared(32, flat_v4.starts, values(flat_v4), *_never_looked_up(4)))
    divided = [ranges(64, one.starts, values(one)) for one in below]
    v6_values = values(flat_v6)
    for place, (prefix, _) in enumerate(flat_v6.deeper):
        v6_values[np.searchsorted(flat_v6.starts, np.uint64(prefix))] = -2 - place
    v6 = ranges(64, *cleared(64, flat_v6.starts, v6_values, *_never_looked_up(6)))
    info = GeoInfo(
        path=path,
        database_type=metadata.database_type,
        description=metadata.description,
        languages=metadata.languages,
        build_epoch=metadata.build_epoch,
        ip_version=metadata.ip_version,
        nodes=metadata.nodes,
        networks=networks,
        ranges=sum(map(len, (v4, v6, *divided))),
        records=len(used),
        locations=len(number_of) - 1,
        size_bytes=size_bytes,
        sha256=digest,
        attribution=_attribution(metadata),
    )
    known = [one for one in number_of if one is not None]
    return GeoDatabase(info, v4, v6, divided, [*known, None])


def _locations(parts: mmdb.FileParts, offsets: list[int]) -> list[Location | None]:
    """The location that each record stands for, None where it stands for none."""
    decoder = Decoder(parts.data)
    found: list[Location | None] = []
    for offset in offsets:
        record = mmdb.value_at(decoder, offset)
        found.append(location_from(record) if is_location(record) else None)
    return found


def _never_looked_up(version: int) -> tuple[tree.Numbers, tree.Numbers]:
    """(firsts, lasts) of what nobody looks up, as keys."""
    shift = 0 if version == 4 else 64
    blocks = blocks_never_looked_up(version)
    return (
        np.array([first >> shift for first, _ in blocks], dtype=np.uint64),
        np.array([last >> shift for _, last in blocks], dtype=np.uint64),
    )


def _attribution(metadata: mmdb.Metadata) -> str:
    named = f"{metadata.database_type} {metadata.description}".upper()
    return next((text for name, text in ATTRIBUTIONS.items() if name in named), "")
