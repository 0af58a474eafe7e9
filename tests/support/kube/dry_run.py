"""What a cluster says of manifests before anything is made of them: a dry run on the server, each
object by itself, as `kubectl apply --dry-run=server --server-side` does it."""

from __future__ import annotations

from typing import Any

import yaml

from tests.support.kube.api import ApiRefused, KubeApi


class DryRun:
    """Of one cluster; asks it for its kinds once."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._kinds: dict[str, dict[str, dict[str, Any]]] = {}

    def refusals(self, manifests: str, namespace: str) -> list[str]:
        """YAML documents, tried in the namespace: what the cluster refuses, with the object's
        name and the cluster's words."""
        refused = []
        for document in yaml.safe_load_all(manifests):
            if document is None:
                continue
            name = document["metadata"]["name"]
            try:
                self._api.try_apply(self._path(document, namespace), document)
            except ApiRefused as error:
                refused.append(f"{document['kind']} {name}: {error}")
        return refused

    def _path(self, document: dict[str, Any], namespace: str) -> str:
        version = document["apiVersion"]
        group = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if group not in self._kinds:
            listed = self._api.get(group)["resources"]
            self._kinds[group] = {one["kind"]: one for one in listed if "/" not in one["name"]}
        kind = self._kinds[group].get(document["kind"])
        if kind is None:
            raise ApiRefused(404, f"the cluster knows no {document['kind']} of {version}")
        where = f"/namespaces/{namespace}" if kind["namespaced"] else ""
        return f"{group}{where}/{kind['name']}/{document['metadata']['name']}"
