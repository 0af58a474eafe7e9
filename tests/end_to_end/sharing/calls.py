"""What tests of feeds ask again and again."""

from __future__ import annotations

import http.client
import json
import ssl
from contextlib import closing

import grpc

from homeport.api.datasharing.v1 import feed_pb2 as pb
from homeport.api.status.v1 import status_pb2
from tests.support.submissions import SPEED

HEADERS = {
    "ce-specversion": "1.0", "ce-id": "a", "ce-source": "/city/traffic", "ce-type": SPEED,
    "content-type": "application/json",
}  # fmt: skip
DATA = {"road": "A1", "speed_kmh": 43.5}


async def publish(feeds, tenant, *events):
    request = pb.PublishBatchRequest(tenant=tenant, events=events)
    return (await feeds.PublishBatch(request, timeout=30)).results


async def read(stub, tenant, **fields):
    found = []
    async for answer in stub.Tail(
        pb.TailRequest(tenant=tenant, **{"after_position": 0, **fields}), timeout=30
    ):
        found += answer.events
    return found


def violation(error: grpc.aio.AioRpcError) -> str:
    """The field that an INVALID_ARGUMENT names."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                if detail.type_url.endswith("BadRequest"):
                    return status_pb2.BadRequest.FromString(detail.value).field_violations[0].field
    return ""


def post(
    server, tenant: str, body, headers: dict[str, str], tls: ssl.SSLContext | None = None
) -> tuple[int, dict]:
    """Over HTTP: the status, and what was answered."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    host, _, port = server.http.rpartition(":")
    opened = (
        http.client.HTTPSConnection(host, int(port), timeout=30, context=tls)
        if tls
        else http.client.HTTPConnection(host, int(port), timeout=30)
    )
    with closing(opened) as connection:
        connection.request("POST", f"/v1/tenants/{tenant}/events", content, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")
