"""What of a submission is done in a process of its own: reading the manifest, with its schemas and
samples, and holding it against the others. Nothing is kept there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from control_plane.offloading.port import Ask
from data_sharing.registry.catalogue_part import catalogue_of, decoded, encoded
from data_sharing.registry.conflicts import conflicts
from data_sharing.registry.manifest import ManifestFault
from data_sharing.registry.manifest_reader import manifest_value, read_manifest

READ, COMPARE = "read-manifest", "compare-manifest"


def read_task(arguments: Any, ask: Ask) -> Any:
    """[text, tenant] to [faults, manifest, the same as JSON text]."""
    text, tenant = arguments
    manifest, faults = read_manifest(text, tenant=tenant)
    if manifest is None:
        return [_plain(faults), b"", ""]
    return [[], encoded(manifest), json.dumps(manifest_value(text), ensure_ascii=False)]


def compare_task(arguments: Any, ask: Ask) -> Any:
    """[manifest, part of the catalogue] to faults."""
    manifest, part = arguments
    return _plain(conflicts(catalogue_of(part), decoded(manifest)))


def faults_of(plain: Sequence[Sequence[str]]) -> tuple[ManifestFault, ...]:
    """As the tasks gave them."""
    return tuple(
        ManifestFault(path=path, message=message, consumer=consumer, field=field)
        for path, message, consumer, field in plain
    )


def _plain(faults: Sequence[ManifestFault]) -> list[list[str]]:
    return [[one.path, one.message, one.consumer, one.field] for one in faults]
