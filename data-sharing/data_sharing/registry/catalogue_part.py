"""The part of a catalogue that a task in another process needs, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from control_plane.errors import Refused
from data_sharing.registry.access import readers
from data_sharing.registry.catalogue import Catalogue, Version
from data_sharing.registry.manifest import Manifest

MOST_BYTES = 16 << 20


def part_of(versions: Iterable[Version]) -> list[list[Any]]:
    """Of these versions, each once. Raises Refused where they are too much to be looked at."""
    found = {one.name: one for one in versions}
    part: list[list[Any]] = []
    size = 0
    for one in found.values():
        content = encoded(one.manifest)
        size += len(content)
        if size > MOST_BYTES:
            raise Refused(
                "the manifests of the applications that this concerns have more than "
                f"{MOST_BYTES >> 20} MiB together; name fewer in one document"
            )
        part.append([content, one.deprecation])
    return part


def catalogue_of(part: Sequence[Sequence[Any]]) -> Catalogue:
    """As `part_of` gave it, in the other process."""
    return Catalogue(
        Version(
            manifest=decoded(content), text="", artifact_sha256="", artifact_size=0,
            submitted_ms=0, deprecation=deprecation, current=True,
        )
        for content, deprecation in part
    )  # fmt: skip


def encoded(manifest: Manifest) -> bytes:
    return msgspec.msgpack.encode(manifest)


def decoded(content: bytes) -> Manifest:
    return msgspec.msgpack.decode(content, type=Manifest)


def of_manifest(catalogue: Catalogue, manifest: Manifest) -> list[Version]:
    """Whoever has to do with a manifest that may become the current one: its application as it is,
    who reads from it, and whose feeds it produces or reads."""
    tenant = manifest.tenant
    before = catalogue.application(tenant, manifest.application)
    found = [] if before is None else [before]
    for feed in before.manifest.produces if before is not None else ():
        for reader in readers(catalogue, tenant=tenant, feed=feed.type):
            found += _version(catalogue.application(tenant, reader.application))
    feeds = [one.type for one in manifest.produces] + [one.feed for one in manifest.consumes]
    return found + of_names(catalogue, tenant, feeds=feeds, applications=())


def of_names(
    catalogue: Catalogue, tenant: str, *, feeds: Iterable[str], applications: Iterable[str]
) -> list[Version]:
    """Whoever produces these feeds, and these applications."""
    found: list[Version] = []
    for feed in feeds:
        found += _version(catalogue.producer(tenant, feed))
    for application in applications:
        found += _version(catalogue.application(tenant, application))
    return found


def _version(version: Version | None) -> list[Version]:
    return [] if version is None else [version]
