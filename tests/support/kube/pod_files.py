"""The volumes of a pod as files, laid out as a kubelet does it: Secrets, ConfigMaps and projected
ones behind a link that is swapped when they change, with the mode that is asked for and the group
of the pod; folders for emptyDir and claims.
"""

from __future__ import annotations

import base64
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.kube.api import ApiRefused, KubeApi

_KINDS = {"secret": "secrets", "configMap": "configmaps"}
_NOT_FOUND = 404
_FILE_MODE, _FOLDER_MODE, _GROUP_BITS = 0o644, 0o755, 0o440


class NotThere(Exception):
    """A Secret, ConfigMap, key or claim that a pod needs; the pod waits for it."""


class PodFiles:
    """The volumes of one pod. folder: of the pod; claims: where the folders of claims are."""

    def __init__(self, api: KubeApi, pod: dict[str, Any], folder: Path, claims: Path) -> None:
        self._api = api
        self._namespace = pod["metadata"]["namespace"]
        self._pod = pod
        self._folder = folder
        self._claims = claims
        self._group = (pod["spec"].get("securityContext") or {}).get("fsGroup")
        self._generation = itertools.count()
        self._seen: dict[str, dict[str, bytes]] = {}

    def lay_out(self) -> None:
        """Makes all of them, or those that have changed anew. Raises NotThere."""
        for volume in self._pod["spec"].get("volumes") or ():
            path = self.path(volume["name"])
            if "emptyDir" in volume:
                path.mkdir(parents=True, exist_ok=True)
                path.chmod(0o777)
            elif "persistentVolumeClaim" in volume:
                self._claim(volume["persistentVolumeClaim"]["claimName"])
            else:
                self._content(volume, path)

    def path(self, volume: str) -> Path:
        """Where the volume is on this machine."""
        for one in self._pod["spec"].get("volumes") or ():
            if one["name"] == volume and "persistentVolumeClaim" in one:
                claim = self._claim(one["persistentVolumeClaim"]["claimName"])
                return self._claims / claim
        return self._folder / "volumes" / volume

    def mounts(self, container: dict[str, Any]) -> list[str]:
        """For bwrap: what the container sees of them."""
        words: list[str] = []
        for mount in sorted(container.get("volumeMounts") or (), key=lambda one: one["mountPath"]):
            source = self.path(mount["name"])
            if below := mount.get("subPath"):
                source = source / below
                if not source.exists():
                    source.mkdir(parents=True)
            how = "--ro-bind" if mount.get("readOnly") or self._is_content(mount) else "--bind"
            words += [how, str(source.resolve() if below else source), mount["mountPath"]]
        return words

    def value(self, kind: str, reference: dict[str, Any]) -> str | None:
        """The content of a key that a variable names; None: optional, and not there."""
        found = self._read(kind, reference["name"], optional=bool(reference.get("optional")))
        content = None if found is None else found.get(reference["key"])
        if content is None and not reference.get("optional"):
            raise NotThere(f"couldn't find key {reference['key']} in {kind} {reference['name']}")
        return None if content is None else content.decode()

    def values(self, kind: str, reference: dict[str, Any]) -> dict[str, str]:
        found = self._read(kind, reference["name"], optional=bool(reference.get("optional")))
        return {key: content.decode() for key, content in (found or {}).items()}

    def _is_content(self, mount: dict[str, Any]) -> bool:
        volume = next(v for v in self._pod["spec"]["volumes"] if v["name"] == mount["name"])
        return "emptyDir" not in volume and "persistentVolumeClaim" not in volume

    def _claim(self, name: str) -> str:
        """The name of the volume that is bound to it. Raises NotThere."""
        claim = self._api.get(f"/api/v1/namespaces/{self._namespace}/persistentvolumeclaims/{name}")
        volume = claim["spec"].get("volumeName")
        if not volume or claim["status"].get("phase") != "Bound":
            raise NotThere(f"claim {name} is not bound")
        path = self._claims / str(volume)
        if not path.exists():
            path.mkdir(parents=True)
        if self._group is not None:
            os.chown(path, -1, self._group)
            path.chmod(0o2775)
        return str(volume)

    def _content(self, volume: dict[str, Any], path: Path) -> None:
        files: dict[str, bytes] = {}
        mode = _FILE_MODE
        projected = volume.get("projected")
        mode = int((projected or volume.get("secret") or volume.get("configMap") or {})
                   .get("defaultMode", mode))  # fmt: skip
        for source in (projected or {}).get("sources", [volume]):
            for kind, reference in self._sources(source):
                files |= self._files(kind, reference)
        if self._seen.get(volume["name"]) == files and path.exists():
            return
        path.mkdir(parents=True, exist_ok=True)
        fresh = path / f"..{next(self._generation)}"
        for name, content in files.items():
            target = fresh / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(mode | (_GROUP_BITS if self._group is not None else 0))
            if self._group is not None:
                os.chown(target, -1, self._group)
        fresh.mkdir(exist_ok=True)
        for folder in (path, fresh):
            folder.chmod(_FOLDER_MODE)
        old = (path / "..data").resolve() if (path / "..data").exists() else None
        (path / "..next").symlink_to(fresh.name)
        (path / "..next").replace(path / "..data")
        for name in {one.split("/")[0] for one in files}:
            if not (path / name).is_symlink():
                (path / name).symlink_to(f"..data/{name}")
        if old is not None:
            shutil.rmtree(old)
        self._seen[volume["name"]] = files

    @staticmethod
    def _sources(source: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        for kind in _KINDS:
            if kind in source:
                yield kind, source[kind]

    def _files(self, kind: str, reference: dict[str, Any]) -> dict[str, bytes]:
        """By their paths below the mount."""
        name = reference.get("secretName") or reference["name"]
        found = self._read(kind, name, optional=bool(reference.get("optional")))
        if found is None:
            return {}
        if not reference.get("items"):
            return found
        files = {}
        for item in reference["items"]:
            if item["key"] not in found and not reference.get("optional"):
                raise NotThere(f"{kind} {name} has no key {item['key']}")
            if item["key"] in found:
                files[item["path"]] = found[item["key"]]
        return files

    def _read(self, kind: str, name: str, *, optional: bool) -> dict[str, bytes] | None:
        try:
            found = self._api.get(f"/api/v1/namespaces/{self._namespace}/{_KINDS[kind]}/{name}")
        except ApiRefused as refused:
            if refused.status != _NOT_FOUND:
                raise
            if optional:
                return None
            raise NotThere(f'{kind.lower()} "{name}" not found') from refused
        data = found.get("data") or {}
        if kind == "secret":
            return {key: base64.b64decode(content) for key, content in data.items()}
        binary = found.get("binaryData") or {}
        return {
            **{key: content.encode() for key, content in data.items()},
            **{key: base64.b64decode(content) for key, content in binary.items()},
        }
