"""Methods called from within: behind the interceptors, with the errors they would have over gRPC,
and ended when the server ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.rpc import error_details_pb2

from control_plane.errors import Exhausted, InvalidInput, Unavailable
from control_plane.http_serving.in_process import CallFailed, InProcessContext, InProcessMethods
from control_plane.http_serving.status_json import status_response
from control_plane.serving.admission_queue import AdmissionQueue
from control_plane.serving.calls import HotCall, HotMethod
from control_plane.serving.concurrency_limit import ConcurrencyLimit
from control_plane.serving.errors_to_status import ErrorsToStatus
from control_plane.serving.server import Service
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc

NAME = "homeport.api.provisioning.v1.ProvisioningService"
METADATA = (("authorization", "Bearer x"),)


class Servicer(pb_grpc.ProvisioningServiceServicer):
    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def GetAssignment(self, request: Any, context: Any) -> pb.GetAssignmentResponse:
        if request.client_id == "full":
            raise Exhausted("full", retry_after_s=3.0)
        if request.client_id == "broken":
            raise RuntimeError("a secret of the inside")
        if request.client_id == "slow":
            self.begun.set()
            await asyncio.sleep(60)
        assert tuple(context.invocation_metadata()) == METADATA
        return pb.GetAssignmentResponse(ticket=context.peer())

    async def ProvisionMany(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        async for one in requests:
            if not one.clients:
                raise InvalidInput("clients", "none")
            yield pb.ProvisionManyResponse(
                results=[pb.ProvisionResult(client_id=c.client_id) for c in one.clients]
            )

    def provision_hot(self, call: HotCall) -> None:
        if call.payload:
            call.reply(call.payload)
        else:
            call.fail(InvalidInput("client_id", "empty"))


class Methods(InProcessMethods):
    def __init__(self, provision: HotMethod | None = None) -> None:
        self.servicer, self.errors = Servicer(), ErrorsToStatus()
        hot = {"Provision": provision or self.servicer.provision_hot}
        service = Service(
            add=pb_grpc.add_ProvisioningServiceServicer_to_server,
            servicer=self.servicer,
            name=NAME,
            hot=hot,
        )
        super().__init__([service], [self.errors])

    async def get(self, client_id: str) -> pb.GetAssignmentResponse:
        asked = pb.GetAssignmentRequest(client_id=client_id).SerializeToString()
        return pb.GetAssignmentResponse.FromString(
            await self.unary(f"/{NAME}/GetAssignment", asked, context())
        )


def context() -> InProcessContext:
    return InProcessContext(peer="ipv4:192.0.2.1:5", metadata=METADATA, timeout_s=30.0)


async def test_a_method_is_told_who_calls() -> None:
    assert (await Methods().get("a")).ticket == "ipv4:192.0.2.1:5"


async def test_errors_are_those_of_grpc() -> None:
    with pytest.raises(CallFailed) as failed:
        await Methods().get("full")
    retry = error_details_pb2.RetryInfo()
    assert failed.value.status.code == 8
    assert any(one.Unpack(retry) for one in failed.value.status.details)
    assert retry.retry_delay.seconds == 3


async def test_defects_tell_nothing_of_the_inside() -> None:
    with pytest.raises(CallFailed) as failed:
        await Methods().get("broken")
    assert failed.value.status.code == 13
    assert "secret" not in failed.value.status.message


async def test_what_is_no_message_is_the_caller_s_fault() -> None:
    with pytest.raises(CallFailed) as failed:
        await Methods().unary(f"/{NAME}/GetAssignment", b"\xff", context())
    assert failed.value.status.code == 3


async def test_hot_methods_are_called_as_well() -> None:
    methods = Methods()
    assert await methods.unary(f"/{NAME}/Provision", b"x", context()) == b"x"
    with pytest.raises(CallFailed) as failed:
        await methods.unary(f"/{NAME}/Provision", b"", context())
    assert failed.value.status.code == 3


async def test_streams_are_answered_up_to_what_fails() -> None:
    async def requests() -> AsyncIterator[bytes]:
        for names in (["a", "b"], []):
            yield pb.ProvisionManyRequest(
                clients=[pb.ClientOrigin(client_id=name) for name in names]
            ).SerializeToString()

    answers = Methods().stream(f"/{NAME}/ProvisionMany", requests(), context())
    first = pb.ProvisionManyResponse.FromString(await anext(answers))
    assert [one.client_id for one in first.results] == ["a", "b"]
    with pytest.raises(CallFailed):
        await anext(answers)


async def test_calls_under_way_end_with_unavailable_when_the_server_does() -> None:
    methods = Methods()
    call = asyncio.create_task(methods.get("slow"))
    await asyncio.wait_for(methods.servicer.begun.wait(), 10)
    methods.errors.end_calls()
    with pytest.raises(CallFailed) as failed:
        await asyncio.wait_for(call, 10)
    assert failed.value.status.code == 14


async def test_a_method_that_is_not_there() -> None:
    with pytest.raises(KeyError):
        await Methods().unary("/x/y", b"", context())


class Rules:
    """All are alike, and who is refused comes back in 3 s."""

    def rank(self, call: HotCall) -> int:
        return 0

    def refuse(self, call: HotCall, rank: int) -> None:
        call.fail(Unavailable("too many", retry_after_s=3.0))


async def test_where_more_ask_than_can_be_served_http_hears_503_and_when_to_come_back() -> None:
    held: list[HotCall] = []
    limit = ConcurrencyLimit(least=1, most=1, idle=1)
    queue = AdmissionQueue(held.append, Rules(), clock=lambda: 100.0, limit=limit)
    methods = Methods(queue.begin)
    path = f"/{NAME}/Provision"
    served = [asyncio.ensure_future(methods.unary(path, b"x", context())) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(CallFailed) as failed:
        await methods.unary(path, b"y", context())
    response = status_response(failed.value.status)
    assert (response.status, response.headers["Retry-After"]) == (503, "3")
    while held:
        held.pop().reply(b"yes")
    assert await asyncio.gather(*served) == [b"yes", b"yes"]
