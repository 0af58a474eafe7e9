"""Quotas of real servers, on both transports and over HTTP; one tenant's flood is its own."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from homeport.api.datasharing.v1 import feed_pb2, feed_pb2_grpc, plan_pb2, plan_pb2_grpc
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from homeport.api.tenancy.v1 import tenancy_pb2, tenancy_pb2_grpc
from tests.support import servers
from tests.support.data_sharing_server import SharingServer

QUOTAS = {
    "provisions": {"tenant:flood": 1.0},
    "lookups": {"tenant:flood": 1.0},
    "batched-clients": {"tenant:flood": 1.0},
}


def details(error: grpc.aio.AioRpcError) -> tuple[error_details_pb2.ErrorInfo, float]:
    """What is told, and after how many seconds to come back."""
    status = rpc_status.from_call(error)
    assert status is not None
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for one in status.details:
        one.Unpack(info)
        one.Unpack(retry)
    return info, retry.retry_delay.ToMilliseconds() / 1_000


def scraped(address: object) -> str:
    """All metrics of a server."""
    with urllib.request.urlopen(f"http://{address}/metrics") as answer:
        return answer.read().decode()


@pytest.mark.parametrize("transport", ["native", "grpcio"])
async def test_a_tenant_over_its_quota_is_told_when_and_others_are_served(
    tmp_path: Path, transport: str
):
    with servers.Server(
        tmp_path, "server", f"embedded:{tmp_path / 'store.db'}", f"--transport={transport}",
        f"--quotas={json.dumps(QUOTAS)}",
    ) as server:  # fmt: skip
        await servers.apply(server.address, servers.units(dublin=1_000))
        async with grpc.aio.insecure_channel(server.address) as channel:
            tenants = tenancy_pb2_grpc.TenantServiceStub(channel)
            for name in ("flood", "quiet"):
                tenant = tenancy_pb2.Tenant(tenant=name)
                await tenants.ApplyTenant(tenancy_pb2.ApplyTenantRequest(tenant=tenant), timeout=10)
            stub = pb_grpc.ProvisioningServiceStub(channel)

            async def provision(tenant: str, number: int) -> None:
                request = pb.ProvisionRequest(tenant=tenant, client_id=f"c{number}")
                await stub.Provision(request, timeout=10)

            flood = [provision("flood", number) for number in range(60)]
            quiet = [provision("quiet", number) for number in range(60)]
            answers = await asyncio.gather(*flood, *quiet, return_exceptions=True)
            assert answers[60:] == [None] * 60
            over = [one for one in answers[:60] if one is not None]
            assert len(over) > 30
            assert {one.code() for one in over} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
            info, retry_s = details(over[0])
            assert (info.reason, dict(info.metadata)) == (
                "QUOTA", {"quota": "provisions", "counted_by": "tenant"},
            )  # fmt: skip
            assert 0 < retry_s <= 10

            async def lookup() -> None:
                request = pb.GetAssignmentRequest(tenant="flood", client_id="c0")
                await stub.GetAssignment(request, timeout=10)

            lookups = await asyncio.gather(*(lookup() for _ in range(40)), return_exceptions=True)
            reasons = {details(one)[0].reason for one in lookups if one is not None}
            assert "QUOTA" in reasons

            async def batches():
                for batch in range(4):
                    clients = [
                        pb.ClientOrigin(client_id=f"b{batch}-{number}") for number in range(9)
                    ]
                    yield pb.ProvisionManyRequest(tenant="flood", clients=clients)

            with pytest.raises(grpc.aio.AioRpcError) as told:
                async for _ in stub.ProvisionMany(batches(), timeout=10):
                    pass
            assert details(told.value)[0].metadata["quota"] == "batched-clients"
        text = await asyncio.to_thread(scraped, server.told["metrics"])
        assert 'homeport_quota_refused_total{by="tenant",quota="provisions",tenant="flood"}' in text
        assert 'tenant="quiet"' not in text


def post(server: SharingServer, number: int) -> tuple[int, str | None]:
    """The status of one event, and when to come back."""
    event = {"specversion": "1.0", "id": f"e{number}", "source": "/s", "type": "a.b", "data": {}}
    request = urllib.request.Request(
        f"http://{server.http}/v1/tenants/city/events",
        data=json.dumps(event).encode(),
        headers={"Content-Type": "application/cloudevents+json"},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, None
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Retry-After"]


async def test_events_over_http_are_counted_and_plans_too(tmp_path: Path):
    said = {"events": {"tenant:city": 0.5}, "plan-writes": {"tenant:city": 0.2}}
    with SharingServer(tmp_path, f"--quotas={json.dumps(said)}") as server:
        answers = await asyncio.to_thread(lambda: [post(server, number) for number in range(8)])
        over = [retry for status, retry in answers if status == 429]
        assert over
        assert all(int(retry or 0) >= 1 for retry in over)
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub = plan_pb2_grpc.PlanServiceStub(channel)

            async def create(tenant: str) -> str:
                try:
                    await stub.CreatePlan(plan_pb2.CreatePlanRequest(tenant=tenant, spec="{}"))
                except grpc.aio.AioRpcError as error:
                    return error.code().name
                return "OK"

            over_plans = await asyncio.gather(*(create("city") for _ in range(8)))
            others = await asyncio.gather(*(create("bank") for _ in range(8)))
            assert "RESOURCE_EXHAUSTED" in over_plans
            assert set(others) == {"INVALID_ARGUMENT"}


async def test_settings_that_mean_nothing_end_the_start(tmp_path: Path):
    with (
        pytest.raises(Exception, match="quotas"),
        SharingServer(tmp_path, '--quotas={"provisions": {"tenant": 1}}'),
    ):
        pass


@pytest.mark.parametrize("transport", ["native", pytest.param("grpcio", marks=pytest.mark.slow)])
async def test_so_many_tails_at_once_and_one_more_when_one_ends(tmp_path: Path, transport: str):
    with SharingServer(
        tmp_path, f"--transport={transport}", "--max-tails-per-caller=2", "--max-tails-per-tenant=2"
    ) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            feeds = feed_pb2_grpc.FeedServiceStub(channel)

            def tail(tenant: str, *, follow: bool = True) -> grpc.aio.UnaryStreamCall:
                request = feed_pb2.TailRequest(tenant=tenant, follow=follow, after_position=0)
                return feeds.Tail(request, timeout=60)

            async def refused() -> grpc.aio.AioRpcError | None:
                try:
                    async for _ in tail("city", follow=False):
                        pass
                except grpc.aio.AioRpcError as error:
                    return error
                return None

            async def until(over: bool) -> grpc.aio.AioRpcError | None:
                """Once one more is refused, or is not; a stream begins and ends when it does. One
                that is to be held comes again where the asking itself stood in its way."""
                for _ in range(400):
                    held[:] = [tail("city") if over and one.done() else one for one in held]
                    error = await refused()
                    if (error is not None) == over:
                        return error
                    await asyncio.sleep(0.05)
                raise AssertionError(f"refused: {not over}")

            held = [tail("city") for _ in range(2)]
            error = await until(over=True)
            assert error is not None
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            info, retry_s = details(error)
            assert info.reason == "TOO_MANY_OPEN"
            assert 0 < retry_s <= 10
            assert "2 tails open for tenant city" in str(error.details())
            async for _ in tail("other", follow=False):
                pass  # another tenant has as many of its own
            held[0].cancel()
            await until(over=False)
            held[1].cancel()
