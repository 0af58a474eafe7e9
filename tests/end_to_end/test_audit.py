"""The audit log of real servers, read and verified with the command line."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import descriptor_pool

from control_plane import keys
from control_plane.auth.method_access import Audited, access_of
from control_plane.fleet_messages import spec_to_proto
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Put, Txn
from data_sharing.wiring.server import SERVICES as DATA_SERVICES
from homeport.api.audit.v1 import audit_pb2, audit_pb2_grpc
from homeport.api.datasharing.v1 import plan_pb2, plan_pb2_grpc
from homeport.api.fleet.v1 import fleet_pb2, fleet_pb2_grpc
from homeport.api.tenancy.v1 import tenancy_pb2, tenancy_pb2_grpc
from provisioner.wiring.services import SERVICES as PROVISIONER_SERVICES
from tests.support import servers
from tests.support.command_line import Ran, run_here
from tests.support.data_sharing_server import SharingServer

ROLES = {"root": ("admin", ""), "ops": ("operator", ""), "city-admin": ("admin", "city")}
PLAN = json.dumps(
    {
        "plan": "p1",
        "owner": "ann",
        "at": "2027-06-01T08:00:00Z",
        "actions": {"ring": {"application": "alarm", "action": "ring"}},
    }
)


def tokens(folder: Path) -> Path:
    lines = []
    for name, (role, tenant) in ROLES.items():
        digest = hashlib.sha256(name.encode()).hexdigest()
        lines += ["[[token]]", f'name = "{name}"', f'sha256 = "{digest}"', f'roles = ["{role}"]']
        lines += [f'tenant = "{tenant}"'] if tenant else []
    path = folder / "tokens.toml"
    path.write_text("\n".join(lines))
    return path


def as_(name: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {name}"),)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    folder = tmp_path_factory.mktemp("fleet")
    store = f"embedded:{folder / 'store.db'}"
    with servers.Server(folder, "server", store, f"--tokens={tokens(folder)}") as server:
        asyncio.run(change_the_fleet(server.address))
        yield server


async def change_the_fleet(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        units = fleet_pb2_grpc.FleetServiceStub(channel)
        tenants = tenancy_pb2_grpc.TenantServiceStub(channel)
        for spec in servers.units(dublin=10):
            asked = fleet_pb2.ApplyUnitRequest(spec=spec_to_proto(spec))
            await units.ApplyUnit(asked, metadata=as_("ops"), timeout=10)
            asked.spec.capacity = 20
            await units.ApplyUnit(asked, metadata=as_("ops"), timeout=10)
        await units.CordonUnit(
            fleet_pb2.CordonUnitRequest(unit_id="dublin", dry_run=True), metadata=as_("ops")
        )
        for tenant in ("city", "bank"):
            asked_tenant = tenancy_pb2.ApplyTenantRequest(tenant=tenancy_pb2.Tenant(tenant=tenant))
            await tenants.ApplyTenant(asked_tenant, metadata=as_("root"), timeout=10)
        with pytest.raises(grpc.aio.AioRpcError):
            await units.CordonUnit(
                fleet_pb2.CordonUnitRequest(unit_id="nowhere"), metadata=as_("root"), timeout=10
            )


def audit(server, *arguments: str, token: str = "root") -> Ran:
    return run_here("audit", *arguments, "--server", server.address, HOMEPORT_TOKEN=token)


def listed(server, *arguments: str, token: str = "root") -> list[dict]:
    ran = audit(server, "list", "-o", "json", *arguments, token=token)
    assert ran.code == 0, ran.err
    return ran.document["entries"]


def test_every_change_is_there_with_who_what_and_from_where(fleet):
    found = listed(fleet)
    assert [(one["method"], one["phase"], one["code"]) for one in reversed(found)] == [
        ("ApplyUnit", "done", "OK"),
        ("ApplyUnit", "done", "OK"),
        ("ApplyTenant", "done", "OK"),
        ("ApplyTenant", "done", "OK"),
        ("CordonUnit", "failed", "NOT_FOUND"),
    ]
    second = found[-2]
    assert second["caller"]["name"] == "ops"
    assert second["caller"]["address"] == "127.0.0.1"
    assert second["object"] == {"kind": "unit", "id": "dublin"}
    assert second["before"]["spec"]["capacity"] == 10
    assert second["after"]["spec"]["capacity"] == 20
    assert found[-1]["before"] is None


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (["--caller", "ops"], 2),
        (["--method", "ApplyTenant"], 2),
        (["--tenant", "bank"], 1),
        (["--since", "2100-01-01T00:00:00Z"], 0),
        (["--until", "2000-01-01T00:00:00Z"], 0),
        (["--since", "2020-01-01T00:00:00Z", "--until", "2100-01-01T00:00:00Z"], 5),
        (["--asked"], 10),
        (["--limit", "3"], 3),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
def test_entries_are_chosen(fleet, filters: list[str], count: int):
    assert len(listed(fleet, *filters)) == count


def test_a_table_names_what_changed(fleet):
    out = audit(fleet, "list").out
    assert "spec.capacity" in out
    assert "dublin" in out


def test_a_tenants_admin_sees_what_is_about_its_tenant_and_verifies_nothing(fleet):
    assert {one["tenant"] for one in listed(fleet, token="city-admin")} == {"city"}
    assert audit(fleet, "list", "--tenant", "bank", token="city-admin").code != 0
    assert audit(fleet, "verify", token="city-admin").code != 0
    assert audit(fleet, "list", token="ops").code != 0


def test_a_log_that_nobody_touched_is_whole_and_exported_as_it_is(fleet, tmp_path: Path):
    ran = audit(fleet, "verify", "-o", "json")
    assert ran.code == 0, ran.err
    assert (ran.document["whole"], ran.document["entries"], ran.document["open"]) == (True, 10, 0)
    head = ran.document["head"]
    assert audit(fleet, "verify", "--head", head).code == 0
    assert audit(fleet, "verify", "--head", f"3:{'0' * 64}").code == 1
    assert audit(fleet, "verify", "--head", "x").code == 2
    assert audit(fleet, "export", "-f", str(tmp_path / "log")).code == 0
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    previous = bytes(32)
    for line in lines:
        previous = hashlib.sha256(previous + line["content"].encode()).digest()
        assert previous.hex() == line["hash"]
    assert f"{lines[-1]['sequence']}:{lines[-1]['hash']}" == head


async def test_pages_hold_all_of_it_once(fleet):
    async with grpc.aio.insecure_channel(fleet.address) as channel:
        stub = audit_pb2_grpc.AuditServiceStub(channel)
        request = audit_pb2.ListAuditEntriesRequest(with_asked=True, page_size=3)
        sequences: list[int] = []
        while True:
            page = await stub.ListAuditEntries(request, metadata=as_("root"), timeout=10)
            sequences += [one.sequence for one in page.entries]
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        assert sequences == list(range(10, 0, -1))
        for token in ("x", "-1", "0", "9" * 30, "١"):
            request.page_token = token
            with pytest.raises(grpc.aio.AioRpcError) as told:
                await stub.ListAuditEntries(request, metadata=as_("root"), timeout=10)
            assert told.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def alter_the_store(file: Path) -> None:
    store = await EmbeddedStore.open(file)
    pair = await store.get(keys.audit_entry(3))
    assert pair is not None
    await store.commit(Txn(then=[Put(pair.key, pair.value.replace(b'"ops"', b'"eve"'))]))
    await store.close()


def test_an_entry_that_was_altered_in_the_store_is_named(tmp_path: Path):
    store = f"embedded:{tmp_path / 'store.db'}"
    arguments = f"--tokens={tokens(tmp_path)}"
    with servers.Server(tmp_path, "first", store, arguments) as server:
        asyncio.run(change_the_fleet(server.address))
    asyncio.run(alter_the_store(tmp_path / "store.db"))
    with servers.Server(tmp_path, "second", store, arguments) as server:
        ran = audit(server, "verify", "-o", "json")
        assert ran.code == 1
        assert (ran.document["whole"], ran.document["first_bad"]) == (False, 3)
        assert "entry 3 was altered" in audit(server, "verify").out


async def create_a_plan(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = plan_pb2_grpc.PlanServiceStub(channel)
        await stub.CreatePlan(
            plan_pb2.CreatePlanRequest(tenant="city", spec=PLAN), metadata=as_("ops"), timeout=10
        )
        await stub.CancelPlan(
            plan_pb2.CancelPlanRequest(tenant="city", plan_id="p1"),
            metadata=as_("city-admin"),
            timeout=10,
        )


def test_data_sharing_has_a_log_of_its_own_and_misses_what_is_taken_out(tmp_path: Path):
    with SharingServer(tmp_path, f"--tokens={tokens(tmp_path)}") as server:
        asyncio.run(create_a_plan(server.address))
        found = listed(server, "--of", "sharing")
        assert [(one["method"], one["caller"]["name"]) for one in found] == [
            ("CancelPlan", "city-admin"),
            ("CreatePlan", "ops"),
        ]
        assert {(one["tenant"], one["object"]["id"]) for one in found} == {("city", "p1")}
        assert not found[0]["before"].get("cancelled")
        assert found[0]["after"]["cancelled"]
        assert audit(server, "verify", "--of", "sharing").code == 0
        with sqlite3.connect(tmp_path / "data" / "sharing.db") as db:
            db.execute("DELETE FROM audit_entries WHERE sequence = 2")
        ran = audit(server, "verify", "--of", "sharing", "-o", "json")
        assert (ran.code, ran.document["first_bad"]) == (1, 2)


async def plans_of(address: str) -> list[str]:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = plan_pb2_grpc.PlanServiceStub(channel)
        found = await stub.ListPlans(
            plan_pb2.ListPlansRequest(tenant="city"), metadata=as_("ops"), timeout=10
        )
        return [one.plan_id for one in found.plans]


def test_what_cannot_be_written_down_is_not_changed(tmp_path: Path):
    with SharingServer(tmp_path, f"--tokens={tokens(tmp_path)}") as server:
        with sqlite3.connect(tmp_path / "data" / "sharing.db") as db:
            db.execute("INSERT INTO audit_entries VALUES (1, x'', x'')")  # where the next one goes
        with pytest.raises(grpc.aio.AioRpcError) as told:
            asyncio.run(create_a_plan(server.address))
        assert told.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "audit log" in str(told.value.details())
        assert asyncio.run(plans_of(server.address)) == []


def test_each_method_that_changes_something_says_whether_it_is_audited():
    """Those that are audited have one answer, which is awaited; hot ones, and streams, are not."""
    pool = descriptor_pool.Default()
    audited, left_out = set(), set()
    for name in (*PROVISIONER_SERVICES, *DATA_SERVICES):
        for method in pool.FindServiceByName(name).methods:
            access = access_of(method)
            assert access is not None
            if not access.changes:
                assert access.audit is Audited.ALWAYS, method.full_name
            elif access.audit is Audited.NEVER:
                left_out.add(method.name)
            else:
                assert not method.server_streaming, method.full_name
                audited.add(method.name)
    assert left_out == {
        "Provision", "ProvisionMany", "PublishEvent", "PublishBatch", "PublishEvents", "Heartbeat",
        "Connect", "ReportLatencies",
    }  # fmt: skip
    assert {"DrainUnit", "ApplyRules", "RotateTicketKeys"} <= audited
