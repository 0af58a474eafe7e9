"""The parts of an mmdb file: its search tree, its data and what it says of itself.

Format: https://maxmind.github.io/MaxMind-DB/: tree, sixteen zeros, data, a marker, metadata.
The tree is read in `tree`, values by maxminddb's decoder; what records mean is a matter of the
schema. docs/decisions/0004-reading-mmdb-files.md says why it is divided like this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from maxminddb.decoder import Decoder
from maxminddb.errors import InvalidDatabaseError

from control_plane.printable import quoted
from provisioner.geo.tree import SEPARATOR_BYTES

MARKER = b"\xab\xcd\xefMaxMind.com"
_LONGEST_METADATA_BYTES = 128 * 1024
_FIELDS: dict[str, type] = {
    "binary_format_major_version": int, "node_count": int, "record_size": int,
    "ip_version": int, "build_epoch": int, "database_type": str, "description": dict,
    "languages": list,
}  # fmt: skip
_ALLOWED = {
    "binary_format_major_version": (2,), "record_size": (24, 28, 32), "ip_version": (4, 6),
}  # fmt: skip
_OPTIONAL: dict[str, Any] = {"description": {}, "languages": []}


class DamagedFile(Exception):
    """It is not an mmdb file, or not a whole one; the message goes on after the file's name."""


class DamagedValue(ValueError):
    """The bytes there are no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a file says of itself."""

    nodes: int
    record_bits: int  # 24, 28 or 32
    ip_version: int  # 4 or 6
    build_epoch: int  # Unix time, s
    database_type: str
    description: str  # English where there is
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileParts:
    """A file, cut where its metadata says."""

    metadata: Metadata
    tree: bytes
    data: bytes


def split(content: bytes) -> FileParts:
    """The parts of a file. Raises DamagedFile."""
    if not content:
        raise DamagedFile("is empty")
    marker = content.rfind(MARKER, max(0, len(content) - _LONGEST_METADATA_BYTES))
    if marker < 0:
        raise DamagedFile("is not a MaxMind database, or its end is missing")
    try:
        document = value_at(Decoder(content[marker + len(MARKER) :]), 0)
    except DamagedValue as error:
        raise DamagedFile(f"has damaged metadata ({error})") from error
    metadata = _metadata(document)
    tree_bytes = metadata.nodes * metadata.record_bits // 4
    data_begins = tree_bytes + SEPARATOR_BYTES
    if data_begins > marker:
        raise DamagedFile("is truncated: its search tree goes past the end of the file")
    if any(content[tree_bytes:data_begins]):
        raise DamagedFile("is damaged: no zeros stand between its search tree and its data")
    return FileParts(metadata=metadata, tree=content[:tree_bytes], data=content[data_begins:marker])


def value_at(decoder: Decoder, offset: int) -> Any:
    """The value that begins at `offset` of what `decoder` reads: a record, or the metadata.
    Raises DamagedValue."""
    try:
        return decoder.decode(offset)[0]
    except (InvalidDatabaseError, UnicodeDecodeError) as error:
        raise DamagedValue(str(error)) from error
    except TypeError as error:  # a map or list as the key of a map
        raise DamagedValue("a key of a map is not a text") from error


def _metadata(document: Any) -> Metadata:
    if not isinstance(document, dict):
        raise DamagedFile("has damaged metadata (it is no map)")
    found: dict[str, Any] = {}
    for name, kind in _FIELDS.items():
        found[name] = document.get(name, _OPTIONAL.get(name))
        if not isinstance(found[name], kind) or isinstance(found[name], bool):
            raise DamagedFile(f"has damaged metadata ({name} {quoted(found[name])})")
    for name, allowed in _ALLOWED.items():
        if found[name] not in allowed:
            raise DamagedFile(f"has damaged metadata ({name} {quoted(found[name])})")
    if found["node_count"] < 1:
        raise DamagedFile("has damaged metadata (its search tree has no nodes)")
    described = [found["description"].get("en"), *found["description"].values()]
    return Metadata(
        nodes=found["node_count"],
        record_bits=found["record_size"],
        ip_version=found["ip_version"],
        build_epoch=found["build_epoch"],
        database_type=found["database_type"],
        description=next((text for text in described if isinstance(text, str) and text), ""),
        languages=tuple(one for one in found["languages"] if isinstance(one, str)),
    )
