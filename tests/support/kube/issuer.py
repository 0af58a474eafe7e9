"""Issues what Certificates of cert-manager ask for, by one CA of the cluster's: as much of that
controller as a chart needs to be installed."""

from __future__ import annotations

import base64
from typing import Any

from tests.support.certificates import Authority
from tests.support.kube.api import KubeApi

_GROUP = "/apis/cert-manager.io/v1"


class Issuer:
    """Every Issuer that a Certificate names is this CA, where there is one of that name."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._authority = Authority.new("homeport test issuer")

    def step(self) -> None:
        """Issues what is missing; says of the rest why it is not issued."""
        names = {
            (one["metadata"]["namespace"], one["metadata"]["name"])
            for one in self._api.items(f"{_GROUP}/issuers")
        }
        for certificate in self._api.items(f"{_GROUP}/certificates"):
            metadata, spec = certificate["metadata"], certificate["spec"]
            wanted = spec["issuerRef"]
            is_there = (
                wanted.get("kind", "Issuer") == "ClusterIssuer"
                or (metadata["namespace"], wanted["name"]) in names
            )
            conditions = (certificate.get("status") or {}).get("conditions") or [{}]
            if conditions[0].get("status") == str(is_there):
                continue
            if is_there:
                self._issue(metadata["namespace"], spec)
            self._tell(metadata, is_there, f"issuer {wanted['name']}")

    def _issue(self, namespace: str, spec: dict[str, Any]) -> None:
        pem, key = self._authority.issue(
            names=spec.get("dnsNames") or (),
            addresses=spec.get("ipAddresses") or (),
            uris=spec.get("uris") or (),
        )
        content = {"tls.crt": pem, "tls.key": key, "ca.crt": self._authority.certificate}
        self._api.create_if_absent(
            f"/api/v1/namespaces/{namespace}/secrets",
            {
                "metadata": {"name": spec["secretName"]},
                "type": "kubernetes.io/tls",
                "data": {name: base64.b64encode(one).decode() for name, one in content.items()},
            },
        )

    def _tell(self, metadata: dict[str, Any], is_there: bool, who: str) -> None:
        path = f"{_GROUP}/namespaces/{metadata['namespace']}/certificates/{metadata['name']}"
        condition = {
            "type": "Ready",
            "status": str(is_there),
            "reason": "Ready" if is_there else "DoesNotExist",
            "message": "Certificate is up to date" if is_there else f"{who} does not exist",
        }
        self._api.patch(f"{path}/status", {"status": {"conditions": [condition]}})
