"""Where a file that a container reads comes from: the Secret or ConfigMap behind its path.

Kubernetes puts keys of objects below mount paths; this follows a path back to its key, as the
kubelet lays files out (volumes of kind secret, configMap and projected, `items`, `subPath`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from console.cli.kubernetes.state import ClusterState, Object, Workload, listed

DEFAULT_MODE, GROUP_READS = 0o644, 0o040
KINDS = {"secret": "secrets", "configMap": "configmaps"}
TITLES = {"secret": "Secret", "configMap": "ConfigMap"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReference:
    """A key of a Secret or ConfigMap that something needs. kind: `secret` or `configMap`; key
    None: the object as a whole."""

    kind: str
    name: str
    key: str | None
    optional: bool = False

    @property
    def title(self) -> str:
        return f"{TITLES[self.kind]} {self.name}"

    def content(self, state: ClusterState) -> bytes | None:
        """None: there is no such object or key, or it may not be read."""
        found = state.find(KINDS[self.kind], self.name)
        if found is None or self.key is None:
            return None
        encoded = (found.get("data") or {}).get(self.key)
        if self.kind == "configMap":
            if encoded is not None:
                return str(encoded).encode()
            encoded = (found.get("binaryData") or {}).get(self.key)
        try:
            return None if encoded is None else base64.b64decode(str(encoded), validate=True)
        except binascii.Error:
            return b""


def file_behind(
    state: ClusterState, workload: Workload, container: Object, path: str
) -> KeyReference | None:
    """What lies at the path in the container; None: nothing of a Secret or ConfigMap. Where a
    volume has several sources, it is that which has the key, else the first."""
    mount = _mount_of(container, path)
    if mount is None:
        return None
    below = PurePosixPath(path).relative_to(PurePosixPath(str(mount["mountPath"])))
    inside = str(PurePosixPath(str(mount.get("subPath", ""))) / below)
    found = []
    for kind, reference in volume_sources(workload, str(mount.get("name"))):
        key: str | None = inside
        if items := listed(reference, "items"):
            key = next((str(one.get("key")) for one in items if one.get("path") == inside), None)
        if key is not None:
            found.append(_reference(kind, reference, key))
    with_content = (one for one in found if one.content(state) is not None)
    return next(with_content, found[0] if found else None)


def mode_behind(workload: Workload, container: Object, path: str) -> int:
    """The mode that the kubelet gives the file at the path, whose volume is one of `KINDS`."""
    mount = _mount_of(container, path)
    for volume in listed(workload.template, "volumes"):
        if mount is None or volume.get("name") != mount.get("name"):
            continue
        for kind in ("secret", "configMap", "projected"):
            if source := volume.get(kind):
                mode = int(source.get("defaultMode", DEFAULT_MODE))
                group = (workload.template.get("securityContext") or {}).get("fsGroup")
                return mode | (GROUP_READS if group is not None else 0)
    return DEFAULT_MODE


def volume_sources(workload: Workload, volume: str) -> list[tuple[str, Object]]:
    """The Secrets and ConfigMaps of a volume, as (kind, reference)."""
    for one in listed(workload.template, "volumes"):
        if one.get("name") != volume:
            continue
        parts = [one, *listed(one, "projected", "sources")]
        return [(kind, part[kind]) for part in parts for kind in KINDS if part.get(kind)]
    return []


def references_of(workload: Workload) -> Iterator[KeyReference]:
    """All that its pods cannot start without, and what they can."""
    for volume in listed(workload.template, "volumes"):
        for kind, reference in volume_sources(workload, str(volume.get("name"))):
            items = listed(reference, "items")
            if not items:
                yield _reference(kind, reference, None)
            for item in items:
                yield _reference(kind, reference, str(item.get("key")))
    for container in workload.all_containers():
        for variable in listed(container, "env"):
            for kind in KINDS:
                if named := (variable.get("valueFrom") or {}).get(f"{kind}KeyRef"):
                    yield _reference(kind, named, str(named.get("key")))
        for source in listed(container, "envFrom"):
            for kind in KINDS:
                if named := source.get(f"{kind}Ref"):
                    yield _reference(kind, named, None)


def _mount_of(container: Object, path: str) -> Object | None:
    """The innermost mount that has the path."""
    wanted = PurePosixPath(path)
    mounts = [
        mount
        for mount in listed(container, "volumeMounts")
        if wanted.is_relative_to(PurePosixPath(str(mount.get("mountPath", "?"))))
    ]
    return max(mounts, key=lambda one: len(str(one["mountPath"])), default=None)


def _reference(kind: str, source: Object, key: str | None) -> KeyReference:
    name = str(source.get("secretName") or source.get("name") or "?")
    return KeyReference(kind=kind, name=name, key=key, optional=bool(source.get("optional")))
