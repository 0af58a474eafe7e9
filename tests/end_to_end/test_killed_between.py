"""Servers that are killed (-9) between what is asked, the change and its outcome: the log is true
and whole, and a tenant is removed or stands."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import pytest

from console.local.etcd_process import EtcdCluster
from control_plane import faultpoints
from control_plane.fleet_messages import spec_to_proto
from homeport.api.audit.v1 import audit_pb2, audit_pb2_grpc
from homeport.api.datasharing.v1 import plan_pb2, plan_pb2_grpc
from homeport.api.fleet.v1 import fleet_pb2, fleet_pb2_grpc
from homeport.api.provisioning.v1 import provisioning_pb2, provisioning_pb2_grpc
from homeport.api.tenancy.v1 import tenancy_pb2, tenancy_pb2_grpc
from tests.support import servers
from tests.support.command_line import run_process
from tests.support.data_sharing_server import SharingServer

WITHIN_S = 60.0
PLAN = json.dumps(
    {
        "plan": "p1",
        "owner": "ann",
        "at": "2027-06-01T08:00:00Z",
        "actions": {"ring": {"application": "alarm", "action": "ring"}},
    }
)
SHOP = tenancy_pb2.ApplyTenantRequest(tenant=tenancy_pb2.Tenant(tenant="shop"))


@pytest.fixture(params=["embedded", pytest.param("etcd", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "embedded":
        return f"embedded:{tmp_path / 'store.db'}"
    cluster: EtcdCluster = request.getfixturevalue("own_etcd")()
    return f"etcd://{cluster.endpoints[0]}"


class Killed:
    """Starts servers over one store; the first ends at a fault point."""

    def __init__(self, folder: Path, store: str) -> None:
        self._folder, self._store = folder, store

    def at(self, label: str) -> servers.Server:
        return self._server("killed", {faultpoints.VARIABLE: label})

    def after(self) -> servers.Server:
        return self._server("after", {})

    def _server(self, name: str, environment: dict[str, str]) -> servers.Server:
        return servers.Server(
            self._folder, name, self._store, "--session-ttl-s=3", environment=environment
        )


@pytest.fixture
def killed(tmp_path: Path, store: str) -> Killed:
    return Killed(tmp_path, store)


async def dies(server: servers.Server | SharingServer, call: Awaitable[object]) -> None:
    """The call is what the server is killed in."""
    with pytest.raises(grpc.aio.AioRpcError):
        await call
    assert await asyncio.to_thread(server.process.wait, 30) == -9


async def until(found: Callable[[], Awaitable[bool]]) -> None:
    end = time.monotonic() + WITHIN_S
    while not await found():
        assert time.monotonic() < end, "it did not come to be so"
        await asyncio.sleep(0.2)


async def home_of(homes: provisioning_pb2_grpc.ProvisioningServiceStub, client: str) -> str:
    """Where a client of the tenant is; asked again while the server has no session."""
    asked = provisioning_pb2.ProvisionRequest(tenant="shop", client_id=client)
    end = time.monotonic() + WITHIN_S
    while True:
        try:
            return (await homes.Provision(asked, timeout=30)).assignment.unit_id
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE or time.monotonic() > end:
                raise
            await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    ("label", "made", "phase"),
    [
        pytest.param(
            "audit.asked", False, "FAILED", id="before-the-change", marks=pytest.mark.slow
        ),
        pytest.param("audit.committed", True, "DONE", id="its-transaction-was-made"),
        pytest.param("audit.changed", True, "DONE", id="after-it", marks=pytest.mark.slow),
        pytest.param("audit.ended", True, "DONE", id="before-the-answer", marks=pytest.mark.slow),
    ],
)
async def test_what_a_killed_server_was_asked_is_in_the_log_and_true(
    killed: Killed, label: str, made: bool, phase: str
) -> None:
    with killed.at(label) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            tenants = tenancy_pb2_grpc.TenantServiceStub(channel)
            await dies(server, tenants.ApplyTenant(SHOP, timeout=30))
    with killed.after() as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            log = audit_pb2_grpc.AuditServiceStub(channel)

            async def closed() -> bool:
                listed = await log.ListAuditEntries(audit_pb2.ListAuditEntriesRequest(), timeout=30)
                return [one.open for one in listed.entries] == [False]

            await until(closed)
            listed = await log.ListAuditEntries(
                audit_pb2.ListAuditEntriesRequest(with_asked=True), timeout=30
            )
            outcome, asked = listed.entries
            assert asked.phase == audit_pb2.AUDIT_PHASE_ASKED
            assert outcome.phase == audit_pb2.AuditPhase.Value(f"AUDIT_PHASE_{phase}")
            assert (outcome.asked_sequence, outcome.object_id) == (asked.sequence, "shop")
            tenants = tenancy_pb2_grpc.TenantServiceStub(channel)
            found = await tenants.ListTenants(tenancy_pb2.ListTenantsRequest(), timeout=30)
            assert ("shop" in [one.tenant for one in found.tenants]) is made
        verified = run_process("audit", "verify", "--server", server.address)
        assert verified.code == 0, verified.err


async def test_each_change_of_one_transaction_marks_it_once(killed: Killed) -> None:
    """The server is killed by the last of them: by an earlier one if one marked twice, by none if
    one did not mark."""
    unit = spec_to_proto(servers.units(dublin=10)[0])
    group = {"tenant": "shop", "group": "cars"}
    with killed.at("audit.committed:12") as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            fleet = fleet_pb2_grpc.FleetServiceStub(channel)
            tenants = tenancy_pb2_grpc.TenantServiceStub(channel)
            await tenants.ApplyTenant(SHOP, timeout=30)
            await fleet.ApplyUnit(fleet_pb2.ApplyUnitRequest(spec=unit), timeout=30)
            unit.unit_id = "lyon"
            await fleet.ApplyUnit(fleet_pb2.ApplyUnitRequest(spec=unit), timeout=30)
            dublin = {"unit_id": "dublin"}
            await fleet.CordonUnit(fleet_pb2.CordonUnitRequest(**dublin), timeout=30)
            await fleet.UndrainUnit(fleet_pb2.UndrainUnitRequest(**dublin), timeout=30)
            await fleet.ApplyUnit(fleet_pb2.ApplyUnitRequest(spec=unit), timeout=30)  # as it is
            job = (await fleet.Rebalance(fleet_pb2.RebalanceRequest(rate_per_s=1), timeout=30)).job
            assert job.job_id
            await tenants.AddEnrolmentGroup(
                tenancy_pb2.AddEnrolmentGroupRequest(**group), timeout=30
            )
            await tenants.RemoveEnrolmentGroup(
                tenancy_pb2.RemoveEnrolmentGroupRequest(**group), timeout=30
            )
            tokens = tenancy_pb2.IssueBootstrapTokensRequest(tenant="shop", count=3)
            await tenants.IssueBootstrapTokens(tokens, timeout=30)
            await tenants.RevokeBootstrapTokens(
                tenancy_pb2.RevokeBootstrapTokensRequest(tenant="shop"), timeout=30
            )
            await tenants.RotateTicketKeys(
                tenancy_pb2.RotateTicketKeysRequest(replacing=1), timeout=30
            )
            await dies(server, fleet.DrainUnit(fleet_pb2.DrainUnitRequest(**dublin), timeout=30))


@pytest.mark.parametrize(
    ("label", "made", "phase"),
    [
        pytest.param("audit.asked", False, "FAILED", id="before-the-change"),
        pytest.param("audit.changed", True, "DONE", id="after-it", marks=pytest.mark.slow),
    ],
)
async def test_what_killed_data_sharing_was_asked_is_in_its_log_and_true(
    tmp_path: Path, label: str, made: bool, phase: str
) -> None:
    with SharingServer(tmp_path, environment={faultpoints.VARIABLE: label}) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            plans = plan_pb2_grpc.PlanServiceStub(channel)
            plan = plan_pb2.CreatePlanRequest(tenant="city", spec=PLAN)
            await dies(server, plans.CreatePlan(plan, timeout=30))
    with SharingServer(tmp_path) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            log = audit_pb2_grpc.AuditServiceStub(channel)

            async def closed() -> bool:
                listed = await log.ListAuditEntries(audit_pb2.ListAuditEntriesRequest(), timeout=30)
                return [one.open for one in listed.entries] == [False]

            await until(closed)
            listed = await log.ListAuditEntries(audit_pb2.ListAuditEntriesRequest(), timeout=30)
            (outcome,) = listed.entries
            assert outcome.phase == audit_pb2.AuditPhase.Value(f"AUDIT_PHASE_{phase}")
            plans = plan_pb2_grpc.PlanServiceStub(channel)
            found = await plans.ListPlans(plan_pb2.ListPlansRequest(tenant="city"), timeout=30)
            assert bool(found.plans) is made


@pytest.mark.parametrize(
    ("label", "clients", "with_clients"),
    [
        pytest.param("tenants.marked", 0, False, id="empty-and-marked"),
        pytest.param(
            "tenants.marked", 3, False, id="with-clients-and-marked", marks=pytest.mark.slow
        ),
        pytest.param("tenants.released", 3, True, id="its-clients-released"),
        pytest.param("tenants.emptied", 0, False, id="found-empty", marks=pytest.mark.slow),
    ],
)
async def test_a_removal_whose_server_is_killed_goes_on_or_is_undone(
    killed: Killed, label: str, clients: int, with_clients: bool
) -> None:
    with killed.at(label) as server:
        await servers.apply(server.address, servers.units(dublin=10))
        async with grpc.aio.insecure_channel(server.address) as channel:
            tenants = tenancy_pb2_grpc.TenantServiceStub(channel)
            await tenants.ApplyTenant(SHOP, timeout=30)
            homes = provisioning_pb2_grpc.ProvisioningServiceStub(channel)
            for number in range(clients):
                await home_of(homes, f"c{number}")
            removal = tenancy_pb2.RemoveTenantRequest(tenant="shop", with_clients=with_clients)
            await dies(server, tenants.RemoveTenant(removal, timeout=30))
    with killed.after() as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            tenants = tenancy_pb2_grpc.TenantServiceStub(channel)

            async def settled() -> bool:
                found = await tenants.ListTenants(tenancy_pb2.ListTenantsRequest(), timeout=30)
                return not any(one.removing for one in found.tenants)

            await until(settled)
            found = await tenants.ListTenants(tenancy_pb2.ListTenantsRequest(), timeout=30)
            stands = "shop" in [one.tenant for one in found.tenants]
            assert stands is (clients > 0 and not with_clients)
            homes = provisioning_pb2_grpc.ProvisioningServiceStub(channel)
            if stands:
                assert await home_of(homes, "c0") == "dublin"
            else:
                await tenants.ApplyTenant(SHOP, timeout=30)
                again = tenancy_pb2.RemoveTenantRequest(tenant="shop")
                await tenants.RemoveTenant(again, timeout=30)  # nobody of it is left
