"""A provisioning service that answers as a test tells it, and keeps what it was asked and when."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from control_plane.serving.reflection import enable_reflection
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc

SERVICE = "homeport.api.provisioning.v1.ProvisioningService"
Answer = Callable[[pb.ProvisionRequest, int, Any], Any]
Each = Callable[[pb.ClientOrigin, int], pb.ProvisionResult]


def details(reason: str, retry_after_s: float | None) -> tuple[tuple[str, bytes], ...]:
    status = status_pb2.Status(code=14, message="not now")
    for one in (
        error_details_pb2.ErrorInfo(reason=reason, domain="homeport"),
        None
        if retry_after_s is None
        else error_details_pb2.RetryInfo(retry_delay={"nanos": int(retry_after_s * 1e9)}),  # type: ignore[arg-type]
    ):
        if one is not None:
            packed = AnyMessage()
            packed.Pack(one)
            status.details.append(packed)
    return (("grpc-status-details-bin", status.SerializeToString()),)


class ScriptedService(pb_grpc.ProvisioningServiceServicer):
    """Answers as it is told; keeps what it was asked, and when."""

    def __init__(self, answer: Answer, each: Each | None = None) -> None:
        self._answer = answer
        self._each = each or at_home
        self.batches: list[int] = []
        self.asked: list[tuple[float, Any, dict[str, str]]] = []
        self.times: Counter[str] = Counter()
        self.server: Any = None

    async def Provision(self, request: pb.ProvisionRequest, context: Any) -> Any:
        self.times[request.client_id] += 1
        self.asked.append((time.monotonic(), request, dict(context.invocation_metadata())))
        made = self._answer(request, self.times[request.client_id], context)
        return await made if asyncio.iscoroutine(made) else made

    async def ProvisionMany(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            self.batches.append(len(request.clients))
            self.asked.append((time.monotonic(), request, dict(context.invocation_metadata())))
            made = []
            for one in request.clients:
                self.times[one.client_id] += 1
                made.append(self._each(one, self.times[one.client_id]))
            yield pb.ProvisionManyResponse(results=made)

    async def ReleaseAssignment(self, request: Any, context: Any) -> Any:
        self.asked.append((time.monotonic(), request, dict(context.invocation_metadata())))
        return pb.ReleaseAssignmentResponse(released=False)


@asynccontextmanager
async def serving(
    answer: Answer, each: Each | None = None
) -> AsyncIterator[tuple[ScriptedService, str]]:
    service, server = ScriptedService(answer, each), grpc.aio.server()
    service.server = server
    pb_grpc.add_ProvisioningServiceServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    enable_reflection(server, [SERVICE])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield service, f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def home(request: pb.ProvisionRequest, times: int, context: Any) -> pb.ProvisionResponse:
    made = pb.ProvisionResponse(existing=times > 1)
    made.assignment.unit_id = "eu-west"
    return made


def at_home(one: pb.ClientOrigin, times: int) -> pb.ProvisionResult:
    made = pb.ProvisionResult(client_id=one.client_id)
    made.provisioned.assignment.unit_id = "eu-west"
    return made


def turned_away(one: pb.ClientOrigin, code: str, retry_after_s: float | None) -> pb.ProvisionResult:
    made = pb.ProvisionResult(client_id=one.client_id)
    made.error.code = code
    if retry_after_s is not None:
        made.error.retry_after.FromNanoseconds(int(retry_after_s * 1e9))
    return made


async def refused(context: Any, reason: str, retry_after_s: float | None) -> None:
    context.set_trailing_metadata(details(reason, retry_after_s))
    await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
