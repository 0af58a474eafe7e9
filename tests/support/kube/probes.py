"""Probes of containers: when each is due, and what it finds. https://kubernetes.io/docs/concepts/workloads/pods/probes/"""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.kube.container import Sandbox
from tests.support.kube.images import Image

_HTTP_GOOD = range(200, 400)


@dataclass(slots=True, kw_only=True)
class Probe:
    """One probe of one container. good: what it comes to by its thresholds; None: not yet told."""

    document: dict[str, Any]
    due_s: float
    good: bool | None = None
    in_a_row: int = 0
    last: bool | None = None

    @classmethod
    def of(cls, container: dict[str, Any], kind: str, now_s: float) -> Probe | None:
        document = container.get(kind)
        if not document:
            return None
        return cls(document=document, due_s=now_s + document.get("initialDelaySeconds", 0))

    def take(self, found: bool, now_s: float) -> None:
        """Counts a result."""
        self.in_a_row = self.in_a_row + 1 if found is self.last else 1
        self.last = found
        wanted = self.document.get(
            "successThreshold" if found else "failureThreshold", 1 if found else 3
        )
        if self.in_a_row >= wanted:
            self.good = found
        self.due_s = now_s + self.document.get("periodSeconds", 10)


def find(
    document: dict[str, Any],
    container: dict[str, Any],
    *,
    address: str,
    sandbox: Sandbox,
    image: Image,
) -> bool:
    """Tries it once. address: of the pod."""
    limit_s = float(document.get("timeoutSeconds", 1)) * 5  # this machine has other work
    try:
        if get := document.get("httpGet"):
            return _http(get, address, _port(container, get["port"]), limit_s)
        if tcp := document.get("tcpSocket"):
            with socket.create_connection((address, _port(container, tcp["port"])), limit_s):
                return True
        if call := document.get("grpc"):
            return _grpc(f"{address}:{call['port']}", call.get("service") or "", limit_s)
    except (OSError, http.client.HTTPException):
        return False
    return sandbox.execute(container, image, document["exec"]["command"], limit_s)


def _http(get: dict[str, Any], address: str, port: int, limit_s: float) -> bool:
    host = get.get("host", address)
    connection: http.client.HTTPConnection
    if get.get("scheme", "HTTP") == "HTTPS":
        anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=limit_s, context=anyone)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=limit_s)
    headers = {one["name"]: one["value"] for one in get.get("httpHeaders") or ()}
    try:
        connection.request("GET", get.get("path", "/"), headers=headers)
        return connection.getresponse().status in _HTTP_GOOD
    finally:
        connection.close()


def _grpc(target: str, service: str, limit_s: float) -> bool:
    """A kubelet speaks no TLS here."""
    with grpc.insecure_channel(target) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=service), timeout=limit_s
            )
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _port(container: dict[str, Any], port: int | str) -> int:
    if isinstance(port, int):
        return port
    named = {
        one["name"]: one["containerPort"] for one in container.get("ports") or () if "name" in one
    }
    return int(named.get(port, port))
