"""Jobs that move clients, as an operator of one tenant sees and controls them: those of its own
policy, and another one is as one that is not there.

Calls pass the check of access as they do in a server.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from control_plane.auth.access_control import AccessControl
from control_plane.auth.callers import Caller
from control_plane.auth.method_access import access_of_services
from control_plane.auth.roles import Role, with_implied
from control_plane.errors import InvalidInput, NotFound, PermissionDenied, Refused
from control_plane.fleet.move_job import JobKind, JobState, MoveJob, policy_job_id
from control_plane.store.embedded import EmbeddedStore
from homeport.api.fleet.v1 import fleet_pb2 as pb
from provisioner.api.fleet_service import NAME, FleetService
from provisioner.api.unit_operations import UnitOperations
from provisioner.applied_policies.registry import PolicyRegistry
from provisioner.moves.job_store import JobStore
from tests.support.credentials import authenticator_of, bearer, tokens_of
from tests.support.moves_harness import tenant

NOT_ITS_OWN = ["policy-bank-v1", "moveback-bank-v1", "drain-dublin", "rebalance"]
EVERYBODYS = ["policy-city-v1", *NOT_ITS_OWN]
PAUSED, RUNNING = pb.MOVE_JOB_STATE_PAUSED, pb.MOVE_JOB_STATE_RUNNING


def _job(name: str) -> MoveJob:
    kind = JobKind(name.partition("-")[0])
    of_policy = kind in (JobKind.POLICY, JobKind.MOVE_BACK)
    return MoveJob(
        id=name,
        kind=kind,
        rate_per_s=5.0,
        tenant=name.split("-")[1] if of_policy else "",
        policy_version=1 if of_policy else 0,
    )


class Served:
    """FleetService's methods about jobs behind the check of access, and the jobs."""

    def __init__(self, store: EmbeddedStore) -> None:
        self.jobs = JobStore(store, wall=time.time)
        self.policies = PolicyRegistry(store, wall=time.time)
        nothing: Any = None
        operations = UnitOperations(
            store, store, registry=nothing, transitions=nothing, job_store=self.jobs,
            fleet_view=nothing, placer=nothing, policies=self.policies, wall=time.time,
        )  # fmt: skip
        self._service = FleetService(
            store, nothing, nothing, nothing, nothing, operations, nothing, nothing, nothing,
            nothing, endpoint_of=nothing, capacity_of=nothing, places_in=nothing, wall=time.time,
        )  # fmt: skip
        roles = with_implied({Role.OPERATOR})
        self._control = AccessControl(
            access_of_services([NAME]),
            authenticator_of(
                tokens_of(
                    of_city=Caller(name="of city", roles=roles, tenant="city"),
                    of_all=Caller(name="of all", roles=roles),
                    viewer=Caller(name="viewer", roles=with_implied({Role.VIEWER}), tenant="city"),
                )
            ),
        )

    async def call(self, method: str, request: Any, token: str = "of_city") -> Any:
        path = f"/{NAME}/{method}"
        caller = self._control.admit(path, bearer(token))
        self._control.check(path, caller, request)
        return await getattr(self._service, method)(request, None)

    async def listed(self, token: str, **asked: Any) -> set[str]:
        answer = await self.call("ListMoveJobs", pb.ListMoveJobsRequest(**asked), token)
        return {one.job_id for one in answer.jobs}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    await tenant(store, "city")
    found = Served(store)
    for name in EVERYBODYS:
        await found.jobs.create(_job(name))
    yield found
    await store.close()


async def test_it_sees_the_jobs_of_its_own_policy_and_no_others(served: Served) -> None:
    own = {"policy-city-v1"}
    assert await served.listed("of_city") == await served.listed("viewer") == own
    assert await served.listed("of_city", tenant="city") == own
    with pytest.raises(PermissionDenied, match="nothing to do with tenant"):
        await served.listed("of_city", tenant="bank")
    assert await served.listed("of_all") == set(EVERYBODYS)
    assert await served.listed("of_all", tenant="bank") == {"policy-bank-v1", "moveback-bank-v1"}
    assert await served.listed("of_all", tenant="nobody") == set()
    with pytest.raises(InvalidInput, match="is not a valid name"):
        await served.listed("of_all", tenant="a/b")


async def test_it_pauses_resumes_slows_and_ends_them(served: Served) -> None:
    async def control(**what: Any) -> pb.MoveJob:
        request = pb.ControlMoveJobRequest(job_id="policy-city-v1", **what)
        job: pb.MoveJob = (await served.call("ControlMoveJob", request)).job
        return job

    await served.policies.apply("city", "policy: 1\n", base_version=0)
    assert (await control(state=PAUSED)).state == PAUSED
    assert (await control(rate_per_s=2.0)).rate_per_s == 2.0
    assert (await control(state=RUNNING)).state == RUNNING
    await served.policies.apply("city", "policy: 1\n", base_version=1)
    with pytest.raises(Refused, match="version 2 is in force"):
        await control(state=RUNNING)
    assert (await control(state=RUNNING, policy_version=2)).policy_version == 2
    ended = await control(state=pb.MOVE_JOB_STATE_CANCELLED)
    assert ended.state == pb.MOVE_JOB_STATE_CANCELLED
    assert await served.listed("of_city", with_ended=True) == {"policy-city-v1"}


@pytest.mark.parametrize("named", NOT_ITS_OWN)
@pytest.mark.parametrize(
    "wanted",
    [{"state": PAUSED}, {"state": RUNNING}, {"rate_per_s": 9.0}, {"policy_version": 7}],
    ids=["pause", "resume", "rate", "version"],
)
async def test_another_one_is_as_one_that_is_not_there(
    served: Served, named: str, wanted: dict[str, Any]
) -> None:
    before = [one async for one in _everything(served)]
    told = []
    for name in (named, "policy-nobody-v1"):
        request = pb.ControlMoveJobRequest(job_id=name, **wanted)
        with pytest.raises(NotFound) as found:
            await served.call("ControlMoveJob", request)
        told.append(found.value.message.replace(name, "JOB"))
    assert told[0] == told[1]
    assert [one async for one in _everything(served)] == before


async def test_an_operator_of_all_has_any_and_may_say_whose_it_has_to_be(served: Served) -> None:
    for name in NOT_ITS_OWN:
        request = pb.ControlMoveJobRequest(job_id=name, state=PAUSED)
        assert (await served.call("ControlMoveJob", request, "of_all")).job.state == PAUSED
    request = pb.ControlMoveJobRequest(job_id="drain-dublin", tenant="city", rate_per_s=1.0)
    with pytest.raises(NotFound):
        await served.call("ControlMoveJob", request, "of_all")


async def test_viewers_control_none(served: Served) -> None:
    request = pb.ControlMoveJobRequest(job_id="policy-city-v1", state=PAUSED)
    with pytest.raises(PermissionDenied):
        await served.call("ControlMoveJob", request, "viewer")


def test_ids_of_jobs_tell_tenants_apart() -> None:
    assert policy_job_id(JobKind.POLICY, "city", 11) != policy_job_id(JobKind.POLICY, "city-v1", 1)


async def _everything(served: Served) -> AsyncIterator[tuple[str, JobState, float, int]]:
    for job in await served.jobs.list(with_ended=True):
        yield job.id, job.state, job.rate_per_s, job.policy_version
