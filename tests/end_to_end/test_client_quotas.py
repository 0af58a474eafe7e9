"""Bounds on the clients of a tenant hold exactly over several servers, whoever dies.

The history of the store is judged revision by revision by code of its own (tests/support/judge).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

import grpc
import pytest

from control_plane import faultpoints
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy
from homeport.api.tenancy.v1 import tenancy_pb2_grpc as tenancy_grpc
from provisioner.geo.database import GeoDatabase
from provisioner.geo.sampling import sample_public_addresses
from tests.support import servers
from tests.support.crowd import ask, crowd, home
from tests.support.etcd import StartEtcd, store_of
from tests.support.judge.recorder import replay

LEASE_S = 3
WITHIN_S = 60.0
ROOM = {"dublin": 5_000, "virginia": 5_000, "singapore": 5_000, "mumbai": 5_000}


async def bound(address: str, most: int, *, excess: bool = False) -> tenancy.Tenant:
    """Bounds the clients of the default tenant."""
    request = tenancy.ApplyTenantRequest(
        tenant=tenancy.Tenant(tenant="default", max_clients=most), accept_excess=excess
    )
    request.update_mask.paths.append("max_clients")
    async with grpc.aio.insecure_channel(address) as channel:
        stub = tenancy_grpc.TenantServiceStub(channel)
        applied: tenancy.Tenant = await stub.ApplyTenant(request, timeout=30)
        return applied


async def shown(address: str) -> tenancy.Tenant:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = tenancy_grpc.TenantServiceStub(channel)
        found: tenancy.Tenant
        found = await stub.GetTenant(tenancy.GetTenantRequest(tenant="default"), timeout=30)
        return found


@lru_cache
def addresses_anywhere() -> list[str]:
    return sample_public_addresses(GeoDatabase.open(), 2_000, 7)


def some(count: int, name: str) -> list[tuple[str, str]]:
    """So many clients, and where they are."""
    places = addresses_anywhere()
    return [(f"{name}-{n:05d}", places[n % len(places)]) for n in range(count)]


def made(answers: dict[str, list[pb.ProvisionResult]]) -> int:
    return sum(any(home(one) for one in given) for given in answers.values())


async def until_it_dies(address: str) -> None:
    """Asks for new clients for ever."""
    while True:
        await ask(address, some(2_000, f"v{time.monotonic_ns()}"), {})


async def test_servers_that_race_fill_a_tenant_to_its_bound_and_no_further(
    own_etcd: StartEtcd, tmp_path: Path
) -> None:
    url = own_etcd().url
    with ExitStack() as stack:
        running = servers.start(stack, tmp_path, url, 2)
        addresses = [one.address for one in running]
        await servers.apply(addresses[0], servers.units(**ROOM))
        await asyncio.sleep(1.0)  # the other hears of the fleet through its watches
        before: dict[str, list[pb.ProvisionResult]] = {}
        await ask(addresses[0], some(300, "before"), before)
        assert made(before) == 300
        with pytest.raises(grpc.aio.AioRpcError, match="has 300 clients, more than 200"):
            await bound(addresses[0], 200)
        applied = await bound(addresses[1], 2_000)
        assert applied.client_use.state == tenancy.CLIENT_BOUND_STATE_IN_FORCE
        assert (applied.max_clients, applied.client_use.clients) == (2_000, 300)

        answers = await crowd(addresses, 4_000, 1_700)

        use = (await shown(addresses[0])).client_use
        assert (use.clients, made(answers)) == (2_000, 1_700)
        refusals = [r.error for given in answers.values() for r in given if not home(r)]
        assert {error.code for error in refusals} == {"RESOURCE_EXHAUSTED"}
        assert all(error.HasField("retry_after") for error in refusals)
        known: dict[str, list[pb.ProvisionResult]] = {}
        await ask(addresses[1], some(300, "before"), known)
        assert made(known) == 300
    async with store_of(url) as store:
        history = await replay(store, tmp_path / "judge.db")
    assert history.violations == []
    assert len(history.assigned) == 2_000


@pytest.mark.parametrize(
    ("label", "passings"),
    [
        pytest.param("ledger.commit.before", 4, id="before-a-commit"),
        pytest.param("ledger.commit.after", 4, id="after-one", marks=pytest.mark.slow),
        pytest.param("ledger.grant.after", 3, id="after-a-grant", marks=pytest.mark.slow),
    ],
)
async def test_what_a_killed_server_held_of_a_bound_comes_back(
    own_etcd: StartEtcd, tmp_path: Path, label: str, passings: int
) -> None:
    url = own_etcd().url
    with ExitStack() as stack:
        (survivor,) = servers.start(stack, tmp_path, url, 1, f"--session-ttl-s={LEASE_S}")
        await servers.apply(survivor.address, servers.units(**ROOM))
        await bound(survivor.address, 1_000)
        victim = stack.enter_context(
            servers.Server(
                tmp_path, "victim", url, f"--session-ttl-s={LEASE_S}",
                environment={faultpoints.VARIABLE: f"{label}:{passings}"},
            )
        )  # fmt: skip
        await asyncio.sleep(1.0)
        with pytest.raises(grpc.aio.AioRpcError):
            await until_it_dies(victim.address)
        assert await asyncio.to_thread(victim.process.wait, 30) == -9
        await asyncio.sleep(LEASE_S + 5.0)  # what it held is reclaimed by then
        answers = await crowd([survivor.address], 1_500, 1_000)
        use = (await shown(survivor.address)).client_use
        assert use.clients == 1_000
        assert made(answers) <= 1_000
    async with store_of(url) as store:
        history = await replay(store, tmp_path / "judge.db")
    assert history.violations == []
    assert len(history.assigned) == 1_000


@pytest.mark.parametrize("label", ["quotas.page", "quotas.counted", "quotas.added"])
async def test_a_count_whose_server_is_killed_is_begun_anew_by_another(
    own_etcd: StartEtcd, tmp_path: Path, label: str
) -> None:
    url = own_etcd().url
    with ExitStack() as stack:
        (survivor,) = servers.start(stack, tmp_path, url, 1, f"--session-ttl-s={LEASE_S}")
        await servers.apply(survivor.address, servers.units(**ROOM))
        await ask(survivor.address, some(500, "before"), {})
        victim = stack.enter_context(
            servers.Server(
                tmp_path, "victim", url, f"--session-ttl-s={LEASE_S}",
                environment={faultpoints.VARIABLE: label},
            )
        )  # fmt: skip
        with pytest.raises(grpc.aio.AioRpcError):
            await bound(victim.address, 600)
        assert await asyncio.to_thread(victim.process.wait, 30) == -9
        end = time.monotonic() + WITHIN_S
        while (await shown(survivor.address)).client_use.state != (
            tenancy.CLIENT_BOUND_STATE_IN_FORCE
        ):
            assert time.monotonic() < end, "nobody goes on with the count"
            await asyncio.sleep(0.2)
        answers = await crowd([survivor.address], 300, 100)
        assert made(answers) == 100
    async with store_of(url) as store:
        history = await replay(store, tmp_path / "judge.db")
    assert history.violations == []
    assert len(history.assigned) == 600


async def test_one_that_is_refused_is_told_why_and_when_to_come_back(
    own_etcd: StartEtcd, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        (server,) = servers.start(stack, tmp_path, own_etcd().url, 1)
        await servers.apply(server.address, servers.units(**ROOM))
        await bound(server.address, 1)
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub = pb_grpc.ProvisioningServiceStub(channel)

            async def provision(client: str) -> str:
                """Its unit, or what is said in its place."""
                try:
                    request = pb.ProvisionRequest(client_id=client)
                    return str((await stub.Provision(request, timeout=10)).assignment.unit_id)
                except grpc.aio.AioRpcError as error:
                    return f"{error.code().name}: {error.details()}"

            mine = await provision("mine")
            assert mine in ROOM
            refused = await provision("another")
            assert "RESOURCE_EXHAUSTED: tenant default may have 1 clients at once" in refused
            assert await provision("mine") == mine
            asked = pb.ExplainPlacementRequest(client_id="another")
            explained = await stub.ExplainPlacement(asked, timeout=10)
            assert "may have 1 clients at once" in explained.quota_reason
            assert "would live nowhere" in explained.sentence
            asked = pb.ExplainPlacementRequest(client_id="mine")
            assert not (await stub.ExplainPlacement(asked, timeout=10)).quota_reason
            await stub.ReleaseAssignment(pb.ReleaseAssignmentRequest(client_id="mine"), timeout=10)
            end = time.monotonic() + WITHIN_S
            while await provision("another") not in ROOM:
                assert time.monotonic() < end, "nobody gets the place of who was released"
                await asyncio.sleep(0.2)
