"""Units taken out of service and lost, over real servers on a real etcd, on both transports:
what operators and clients are told, and that the store's history bears it out."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest

from homeport.api.fleet.v1 import fleet_pb2 as fleet
from homeport.api.fleet.v1 import fleet_pb2_grpc as fleet_grpc
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy
from tests.end_to_end.fleet_harness import IRISH, WAIT_S, fleet_harness, state_is
from tests.support import servers
from tests.support.agent_processes import unit_agent


async def refusal(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


@pytest.mark.parametrize("transport", ["native", pytest.param("grpcio", marks=pytest.mark.slow)])
async def test_a_unit_is_drained_while_its_clients_ask(own_etcd, tmp_path, transport):
    async with fleet_harness(
        own_etcd().url, tmp_path, f"--transport={transport}",
        dublin=5_000, virginia=5_000, mumbai=5_000,
    ) as on:  # fmt: skip
        names = await on.fill(1_500)
        plan = (
            await on.units.DrainUnit(
                fleet.DrainUnitRequest(unit_id="dublin", dry_run=True), timeout=WAIT_S
            )
        ).plan
        assert (plan.moves, plan.stay) == (1_500, 0)
        assert plan.targets[0].unit_id == "virginia"
        assert (await on.unit("dublin")).state == fleet.UNIT_STATE_JOINING
        begun = await on.units.DrainUnit(
            fleet.DrainUnitRequest(unit_id="dublin", rate_per_s=400), timeout=WAIT_S
        )
        assert (begun.job.job_id, begun.job.total) == ("drain-dublin", 1_500)
        assert begun.unit.state == fleet.UNIT_STATE_DRAINING
        # From the end: those the job comes to last. Each is moved before it is answered.
        answers = await asyncio.gather(*(on.provision(name) for name in reversed(names[-200:])))
        assert {one.assignment.unit_id for one in answers} <= {"virginia", "mumbai"}
        assert {one.assignment.epoch for one in answers} == {2}
        assert all(one.ticket for one in answers)
        assert "drained" in {one.decision.rule for one in answers}
        newcomer = await on.provision("newcomer")
        assert newcomer.assignment.unit_id != "dublin"
        done = await on.until("dublin", state_is(fleet.UNIT_STATE_DRAINED))
        assert (done.clients, done.state_reason) == (0, "it was drained, and nobody is left")
        (job,) = (
            await on.units.ListMoveJobs(fleet.ListMoveJobsRequest(with_ended=True), timeout=WAIT_S)
        ).jobs
        assert job.state == fleet.MOVE_JOB_STATE_DONE
        found = await on.clients.GetAssignment(
            pb.GetAssignmentRequest(client_id=names[0]), timeout=WAIT_S
        )
        how = found.decision  # of the move; who asked first was moved without the job
        assert (how.rule, how.moved_from) == ("drained", "dublin")
        assert how.job_id in ("drain-dublin", "")
        assert how.placed_by
        explained = await on.clients.ExplainPlacement(
            pb.ExplainPlacementRequest(client_id="who", address=IRISH), timeout=WAIT_S
        )
        (dublin,) = (unit for unit in explained.units if unit.unit_id == "dublin")
        assert (dublin.verdict, dublin.reason) == (pb.PLACEMENT_VERDICT_EXCLUDED, "it was drained")
        await on.units.UndrainUnit(fleet.UndrainUnitRequest(unit_id="dublin"), timeout=WAIT_S)
        assert (await on.provision("after")).assignment.unit_id == "dublin"
        stays = await on.provision(names[0])  # who left does not wander back by itself
        assert (stays.assignment.epoch, stays.existing) == (2, True)
        history = await on.judged()
        assert history.verdict.moves == 1_500


@pytest.mark.parametrize("transport", ["native", pytest.param("grpcio", marks=pytest.mark.slow)])
async def test_what_operators_are_refused(own_etcd, tmp_path, transport):
    async with fleet_harness(
        own_etcd().url, tmp_path, f"--transport={transport}", dublin=100, virginia=100, count=1
    ) as on:
        await on.fill(3)
        seen = (await on.unit("dublin")).revision
        moved = await on.units.CordonUnit(
            fleet.CordonUnitRequest(unit_id="virginia"), timeout=WAIT_S
        )
        assert moved.unit.state == fleet.UNIT_STATE_CORDONED
        for dry_run in (True, False):
            last = await refusal(
                on.units.DrainUnit(
                    fleet.DrainUnitRequest(unit_id="dublin", dry_run=dry_run), timeout=WAIT_S
                )
            )
            assert last.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert "clients of tenant default" in last.details()
            full = await refusal(
                on.units.RemoveUnit(
                    fleet.RemoveUnitRequest(unit_id="dublin", dry_run=dry_run), timeout=WAIT_S
                )
            )
            assert full.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert "3 clients" in full.details()
        assert (await on.unit("dublin")).revision == seen
        await on.units.CordonUnit(fleet.CordonUnitRequest(unit_id="dublin"), timeout=WAIT_S)
        stubs = on.units
        for call in (
            stubs.CordonUnit(fleet.CordonUnitRequest(unit_id="dublin", revision=seen)),
            stubs.DrainUnit(fleet.DrainUnitRequest(unit_id="dublin", revision=seen)),
            stubs.DrainUnit(fleet.DrainUnitRequest(unit_id="dublin", revision=seen, dry_run=True)),
            stubs.UndrainUnit(fleet.UndrainUnitRequest(unit_id="dublin", revision=seen)),
            stubs.RemoveUnit(fleet.RemoveUnitRequest(unit_id="dublin", revision=seen)),
        ):
            stale = await refusal(call)
            assert stale.code() in (
                grpc.StatusCode.ABORTED, grpc.StatusCode.FAILED_PRECONDITION,
            )  # fmt: skip
        assert (await on.unit("dublin")).state == fleet.UNIT_STATE_CORDONED
        for call, code in (
            (stubs.DrainUnit(fleet.DrainUnitRequest(unit_id="ghost")), "NOT_FOUND"),
            (stubs.DrainUnit(fleet.DrainUnitRequest(unit_id="a/b")), "INVALID_ARGUMENT"),
            (
                stubs.DrainUnit(fleet.DrainUnitRequest(unit_id="dublin", rate_per_s=-1)),
                "INVALID_ARGUMENT",
            ),
            (stubs.ControlMoveJob(fleet.ControlMoveJobRequest(job_id="ghost")), "NOT_FOUND"),
            (stubs.ControlMoveJob(fleet.ControlMoveJobRequest()), "INVALID_ARGUMENT"),
            (
                stubs.ControlMoveJob(
                    fleet.ControlMoveJobRequest(
                        job_id="drain-dublin", state=fleet.MOVE_JOB_STATE_DONE
                    )
                ),
                "INVALID_ARGUMENT",
            ),
        ):
            assert (await refusal(call)).code().name == code
        await on.units.UndrainUnit(fleet.UndrainUnitRequest(unit_id="virginia"), timeout=WAIT_S)
        await on.units.DrainUnit(fleet.DrainUnitRequest(unit_id="dublin"), timeout=WAIT_S)
        await on.until("dublin", state_is(fleet.UNIT_STATE_DRAINED))
        await on.units.RemoveUnit(fleet.RemoveUnitRequest(unit_id="dublin"), timeout=WAIT_S)
        await on.judged()


async def test_two_operators_cannot_drain_the_last_two_units_at_once(own_etcd, tmp_path):
    async with fleet_harness(own_etcd().url, tmp_path, dublin=100, virginia=100) as on:
        async with grpc.aio.insecure_channel(on.running[1].address) as channel:
            other = fleet_grpc.FleetServiceStub(channel)
            done = await asyncio.gather(
                on.units.DrainUnit(fleet.DrainUnitRequest(unit_id="dublin"), timeout=WAIT_S),
                other.DrainUnit(fleet.DrainUnitRequest(unit_id="virginia"), timeout=WAIT_S),
                return_exceptions=True,
            )
        codes = [one.code() for one in done if isinstance(one, grpc.aio.AioRpcError)]
        assert len(codes) == 1
        assert codes[0] in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ABORTED)


@pytest.mark.slow
async def test_a_lost_units_clients_live_elsewhere_and_come_home_when_they_next_ask(
    own_etcd, tmp_path
):
    arguments = ("--lost-after-s=1", "--back-after-s=1", "--move-rate-per-s=200")
    async with fleet_harness(own_etcd().url, tmp_path, *arguments) as on:
        addresses = [server.address for server in on.running]
        await on.tenants.ApplyTenant(
            tenancy.ApplyTenantRequest(
                tenant=tenancy.Tenant(tenant="shop", return_home=tenancy.RETURN_HOME_NEXT_CONTACT)
            ),
            timeout=WAIT_S,
        )
        async with AsyncExitStack() as neighbours:
            async with unit_agent(tmp_path, *addresses, killed=True):
                await on.until("dublin", state_is(fleet.UNIT_STATE_ACTIVE))
                await servers.apply(addresses[0], servers.units(virginia=100, mumbai=100))
                homes = [await on.provision(f"c{n}", tenant="shop") for n in range(30)]
                assert {home.assignment.unit_id for home in homes} == {"dublin"}
                # Another unit's agent is heard, so it is dublin that is lost and not everybody.
                await neighbours.enter_async_context(
                    unit_agent(tmp_path, *addresses, unit="virginia", capacity=100)
                )
            lost = await on.until("dublin", state_is(fleet.UNIT_STATE_LOST))
            assert lost.state_reason == "its agent is not heard any more"
            moved = await on.provision("c29", tenant="shop")
            assert moved.assignment.unit_id != "dublin"
            assert moved.assignment.epoch == 2
            await on.until("dublin", lambda unit: unit.clients == 0)
            async with unit_agent(tmp_path, *addresses):
                await on.until("dublin", state_is(fleet.UNIT_STATE_ACTIVE))
                back = await on.provision("c29", tenant="shop")
                assert back.assignment.unit_id == "dublin"
                assert (back.assignment.epoch, back.decision.rule) == (3, "returned-home")
                again = await on.provision("c29", tenant="shop")
                assert (again.existing, again.assignment.epoch) == (True, 3)
        await on.judged()


@pytest.mark.parametrize("transport", ["native", pytest.param("grpcio", marks=pytest.mark.slow)])
async def test_a_travelling_client_is_moved_where_its_tenant_wants_that(
    own_etcd, tmp_path, transport
):
    async with fleet_harness(
        own_etcd().url, tmp_path, f"--transport={transport}", count=1,
        dublin=100, virginia=100, mumbai=100,
    ) as on:  # fmt: skip
        for name, policy in (("stays", "KEEP"), ("roams", "MOVE")):
            tenant = tenancy.Tenant(
                tenant=name, reprovision=tenancy.Reprovision.Value(f"REPROVISION_{policy}")
            )
            await on.tenants.ApplyTenant(tenancy.ApplyTenantRequest(tenant=tenant), timeout=WAIT_S)
        answers: dict[str, list[Any]] = {}
        for name in ("stays", "roams"):
            for latitude, longitude in ((53.0, -6.0), (19.0, 73.0), (19.1, 73.1)):
                request = pb.ProvisionRequest(tenant=name, client_id="traveller")
                request.position.latitude, request.position.longitude = latitude, longitude
                told = await on.clients.Provision(request, timeout=WAIT_S)
                answers.setdefault(name, []).append(
                    (told.assignment.unit_id, told.assignment.epoch, told.decision.rule)
                )
        assert answers == {
            "stays": [("dublin", 1, "nearest"), ("dublin", 1, "existing"),
                      ("dublin", 1, "existing")],
            "roams": [("dublin", 1, "nearest"), ("mumbai", 2, "reprovisioned"),
                      ("mumbai", 2, "existing")],
        }  # fmt: skip
        await on.judged()


async def test_a_fleet_is_rebalanced_after_a_unit_was_added(own_etcd, tmp_path):
    async with fleet_harness(own_etcd().url, tmp_path, virginia=5_000) as on:
        await on.fill(400, "virginia")
        await servers.apply(on.running[0].address, servers.units(dublin=5_000))
        request = fleet.RebalanceRequest(dry_run=True, max_moves=150)
        async with asyncio.timeout(WAIT_S):
            while True:
                plan = (await on.units.Rebalance(request)).plan
                if plan.moves:
                    break  # the servers have heard of the new unit
                await asyncio.sleep(0.05)
        assert (plan.moves, plan.beyond_bound) == (150, 250)
        await on.units.Rebalance(fleet.RebalanceRequest(max_moves=150, rate_per_s=1e6))
        await on.until("dublin", lambda unit: unit.clients == 150)
        history = await on.judged()
        assert history.verdict.moves == 150
