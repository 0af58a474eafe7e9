"""ProvisionMany and what is read after it, over connections of one's own, with quotas that are
soon used up."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Sequence

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from homeport.api.fleet.v1 import fleet_pb2, fleet_pb2_grpc
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from homeport.api.tenancy.v1 import tenancy_pb2, tenancy_pb2_grpc
from tests.support import servers

ANSWER_S = 20.0
SELDOM = 0.001  # a second: nothing comes in while a test runs


@contextlib.asynccontextmanager
async def connection(server: servers.Server, ca: bytes = b"") -> AsyncIterator[grpc.aio.Channel]:
    """One of its own. ca: PEM, of a server with TLS."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    credentials = grpc.ssl_channel_credentials(ca) if ca else None
    async with (
        grpc.aio.secure_channel(server.address, credentials, options)
        if credentials
        else grpc.aio.insecure_channel(server.address, options)
    ) as channel:
        yield channel


async def tenant_of(channel: grpc.aio.Channel, **quotas: float) -> str:
    """A new tenant that may use so much of each quota at once (`provisions`, of the tenant;
    `batched_clients__address`), and then next to nothing; once the server has heard of it."""
    name = f"t-{uuid.uuid4().hex[:12]}"
    tenant = tenancy_pb2.Tenant(tenant=name)
    for quota, burst in quotas.items():
        named, _, counted_by = quota.partition("__")
        tenant.quotas.add(
            quota=named.replace("_", "-"), counted_by=counted_by, per_s=SELDOM, burst=burst
        )
    stub = tenancy_pb2_grpc.TenantServiceStub(channel)
    await stub.ApplyTenant(tenancy_pb2.ApplyTenantRequest(tenant=tenant), timeout=ANSWER_S)
    return name


def batch(tenant: str, names: Sequence[str], **more: object) -> pb.ProvisionManyRequest:
    clients = [pb.ClientOrigin(client_id=name) for name in names]
    return pb.ProvisionManyRequest(tenant=tenant, clients=clients, **more)


def named(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number}" for number in range(count)]


async def placed(channel: grpc.aio.Channel, *requests: pb.ProvisionManyRequest) -> list[str]:
    """The units of all clients of one stream; empty: refused."""
    stub = pb_grpc.ProvisioningServiceStub(channel)
    units = []
    async for response in stub.ProvisionMany(iter(requests), timeout=ANSWER_S):
        units += [one.provisioned.assignment.unit_id for one in response.results]
    return units


async def refusal(
    channel: grpc.aio.Channel, *requests: pb.ProvisionManyRequest
) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as told:
        await placed(channel, *requests)
    return told.value


def quota_of(error: grpc.aio.AioRpcError) -> tuple[str, str, bool]:
    """Which quota, by what it was counted, and whether there is a time to come back."""
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    status = rpc_status.from_call(error)
    assert status is not None
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for one in status.details:
        one.Unpack(info)
        one.Unpack(retry)
    assert info.reason == "QUOTA"
    return info.metadata["quota"], info.metadata["counted_by"], retry.retry_delay.ToSeconds() > 0


async def has_home(channel: grpc.aio.Channel, tenant: str, name: str) -> bool:
    stub = pb_grpc.ProvisioningServiceStub(channel)
    try:
        await stub.GetAssignment(
            pb.GetAssignmentRequest(tenant=tenant, client_id=name), timeout=ANSWER_S
        )
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return False
        raise
    return True


async def counted(channel: grpc.aio.Channel) -> int:
    """Clients of the one unit there is."""
    stub = fleet_pb2_grpc.FleetServiceStub(channel)
    unit = await stub.GetUnit(fleet_pb2.GetUnitRequest(unit_id="dublin"), timeout=ANSWER_S)
    return int(unit.clients)
