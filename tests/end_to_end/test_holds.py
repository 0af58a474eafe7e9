"""Held places over real processes: two servers over etcd and a unit's agent. Clients that come
in time stay, the others' places are free again, and they are decided anew."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from control_plane import keys
from control_plane.store.port import Store
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from homeport.api.tenancy.v1 import tenancy_pb2, tenancy_pb2_grpc
from homeport.api.unit.v1 import unit_pb2, unit_pb2_grpc
from tests.support import servers
from tests.support.agent_processes import unit_agent
from tests.support.etcd import store_of
from tests.support.judge.recorder import replay

WAIT_S = 60.0
HOLD_S = 5  # those who come do it at once; even on a busy machine that is in time


async def names(store: Store, prefix: bytes) -> set[str]:
    page = await store.range(prefix)
    return {pair.key.decode().rpartition("/")[2] for pair in page.items}


async def until(store: Store, prefix: bytes, expected: set[str]) -> None:
    async with asyncio.timeout(WAIT_S):
        while await names(store, prefix) != expected:  # noqa: ASYNC110 - others write there
            await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_those_who_come_stay_and_the_places_of_the_others_are_free(
    own_etcd, tmp_path: Path
) -> None:
    url = own_etcd().url
    with ExitStack() as stack:
        one, two = servers.start(stack, tmp_path, url, 2)
        async with (
            store_of(url) as store,
            unit_agent(tmp_path, two.address, one.address, capacity=40) as unit,
            grpc.aio.insecure_channel(one.address) as channel,
            grpc.aio.insecure_channel(unit) as door,
        ):
            tenant = tenancy_pb2.Tenant(tenant="shop")
            tenant.hold_ttl.seconds = HOLD_S
            await tenancy_pb2_grpc.TenantServiceStub(channel).ApplyTenant(
                tenancy_pb2.ApplyTenantRequest(tenant=tenant), timeout=WAIT_S
            )
            stub = pb_grpc.ProvisioningServiceStub(channel)
            admitting = unit_pb2_grpc.UnitServiceStub(door)

            async def provision(client: str) -> pb.ProvisionResponse:
                request = pb.ProvisionRequest(tenant="shop", client_id=client)
                async with asyncio.timeout(WAIT_S):
                    while True:
                        try:
                            return await stub.Provision(request, timeout=WAIT_S)
                        except grpc.aio.AioRpcError as error:
                            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                                raise
                            await asyncio.sleep(0.1)  # full, until places are given back

            async def come(client: str) -> None:
                ticket = (await provision(client)).ticket
                answer = await admitting.Admit(unit_pb2.AdmitRequest(ticket=ticket), timeout=WAIT_S)
                assert answer.admitted

            coming = {f"comes-{n}" for n in range(20)}
            absent = {f"absent-{n}" for n in range(20)}
            await asyncio.gather(*(provision(name) for name in absent))
            await asyncio.gather(*(come(name) for name in coming))
            # The unit is full: somebody new has to wait for a place that is given back.
            await come("late")
            await until(store, keys.ASSIGNMENTS, coming | {"late"})
            await until(store, keys.HOLDS, set())
            assert await names(store, keys.MOVES) == absent
            assert not (await provision("absent-0")).existing
            assert (await provision("comes-0")).existing
            history = await replay(store)
            assert history.violations == []
            assert history.fullest["dublin"] == 40
