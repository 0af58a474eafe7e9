"""Changes are written down before they are made and after; where they cannot be, none is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from control_plane.audit.change import change_here
from control_plane.audit.entry import AuditEntry, AuditPhase, Transactions
from control_plane.audit.interceptor import AuditInterceptor
from control_plane.audit.objects import AuditedObject, audited_methods
from control_plane.audit.recorder import AuditRecorder
from control_plane.auth.access_control import AccessControl
from control_plane.auth.callers import Caller
from control_plane.auth.method_access import access_of_services
from control_plane.auth.roles import Role, with_implied
from control_plane.errors import NotFound, OutcomeUnknown, Refused, StoreUnavailable, Unavailable
from control_plane.serving.peers import Proxies, parse_networks
from homeport.api.datasharing.v1 import registry_pb2
from homeport.api.fleet.v1 import fleet_pb2
from homeport.api.provisioning.v1 import provisioning_pb2
from tests.support.audited_calls import Context, FakeLog
from tests.support.credentials import authenticator_of, tokens_of

FLEET = "homeport.api.fleet.v1.FleetService"
CLIENTS = "homeport.api.provisioning.v1.ProvisioningService"
REGISTRY = "homeport.api.datasharing.v1.ApplicationRegistry"
DRAIN, JOB, RELEASE, SUBMIT = (
    f"/{FLEET}/DrainUnit", f"/{FLEET}/ControlMoveJob", f"/{CLIENTS}/ReleaseAssignment",
    f"/{REGISTRY}/SubmitApplication",
)  # fmt: skip
METHODS = {
    path: access
    for path, access in access_of_services([FLEET, CLIENTS, REGISTRY]).items()
    if path in (DRAIN, JOB, RELEASE, SUBMIT)
}


class Bench:
    """The interceptor in front of methods that do what the test says."""

    def __init__(self, *, open_: bool = False, before=None) -> None:
        self.log = FakeLog()
        self.recorder = AuditRecorder(self.log, wall_ms=lambda: 0, keep_s=1.0, keep=1)
        self.calls = 0
        numbers = count()
        known = {
            role.value: Caller(name=f"the {role.value}", roles=with_implied({role}))
            for role in (Role.CLIENT, Role.GATEWAY, Role.OPERATOR, Role.ADMIN)
        }

        async def unit(request: Any, context: Any) -> Any:
            return fleet_pb2.Unit(spec=fleet_pb2.UnitSpec(unit_id=request.unit_id, capacity=7))

        objects = {
            DRAIN: AuditedObject(
                kind="unit",
                transactions=Transactions.ONE,
                target=lambda request: request.unit_id,
                before=before or unit,
                after=lambda response: response.unit,
            ),
            JOB: AuditedObject(
                kind="job",
                transactions=Transactions.ONE,
                target=lambda request: request.job_id,
                named=lambda response: (response.job.tenant, response.job.job_id),
                default_tenant="",
            ),
            RELEASE: AuditedObject(
                kind="client",
                transactions=Transactions.UNMARKED,
                target=lambda request: request.client_id,
            ),
            SUBMIT: AuditedObject(
                kind="application",
                transactions=Transactions.ONE,
                target=lambda request: "",
                named=lambda response: (response.accepted.tenant, response.accepted.application),
                refused=lambda response: response.HasField("refused"),
            ),
        }
        self._interceptor = AuditInterceptor(
            audited_methods(METHODS, objects),
            self.recorder,
            AccessControl(METHODS, None if open_ else authenticator_of(tokens_of(**known))),
            Proxies(parse_networks(["10.0.0.0/8"])),
            new_id=lambda: str(next(numbers)),
        )

    async def call(self, method: str, request: Any, behaviour: Any, role: str = "operator") -> Any:
        async def behave(request: Any, context: Any) -> Any:
            self.calls += 1
            return await behaviour(request)

        async def continuation(details: Any) -> Any:
            if method == SUBMIT:
                return grpc.stream_unary_rpc_method_handler(behave)
            return grpc.unary_unary_rpc_method_handler(behave)

        details: Any = SimpleNamespace(method=method, invocation_metadata=())
        handler = await self._interceptor.intercept_service(continuation, details)
        kind = handler.stream_unary if method == SUBMIT else handler.unary_unary
        return await kind(request, Context(role))

    @property
    def phases(self) -> list[str]:
        return [one.phase.value for one in self.log.entries]


def drain(**what: Any) -> Any:
    return fleet_pb2.DrainUnitRequest(unit_id="dublin", **what)


async def drained(request: Any) -> Any:
    spec = fleet_pb2.UnitSpec(unit_id="dublin", capacity=9)
    return fleet_pb2.DrainUnitResponse(unit=fleet_pb2.Unit(spec=spec))


async def test_a_change_is_written_before_and_after_it_is_made():
    bench = Bench()
    seen: list[list[str]] = []

    async def behaviour(request: Any) -> Any:
        seen.append(bench.phases)
        return await drained(request)

    await bench.call(DRAIN, drain(), behaviour)
    assert seen == [["asked"]]
    asked, done = bench.log.entries
    assert (asked.kind, asked.target, asked.method, asked.code) == (
        "unit", "dublin", "DrainUnit", "",
    )  # fmt: skip
    assert asked.caller is not None
    assert (asked.caller.name, asked.caller.address) == ("the operator", "203.0.113.9")
    assert "operator" in asked.caller.roles
    assert asked.before["spec"]["capacity"] == 7
    assert asked.after is None
    assert (done.phase, done.asked, done.code) == (AuditPhase.DONE, 1, "OK")
    assert done.after["spec"]["capacity"] == 9
    assert (done.caller, done.before, done.target) == (asked.caller, asked.before, asked.target)
    assert asked.id != done.id


async def test_a_change_that_cannot_be_written_is_not_made():
    for failure in (
        Unavailable("the audit log cannot be written"),
        StoreUnavailable("away"),
        OutcomeUnknown("who knows"),
    ):
        bench = Bench()
        bench.log.failing = failure
        with pytest.raises(Unavailable, match="cannot be written") as told:
            await bench.call(DRAIN, drain(), drained)
        assert told.value.reason == "UNAVAILABLE"
        assert bench.calls == 0


@pytest.mark.parametrize(
    ("failure", "phase", "code"),
    [
        (Refused("last unit"), "failed", "FAILED_PRECONDITION"),
        (NotFound("no such unit"), "failed", "NOT_FOUND"),
        (StoreUnavailable("away"), "unknown", "UNAVAILABLE"),
        (OutcomeUnknown("who knows"), "unknown", "UNAVAILABLE"),
        (Unavailable("interrupted"), "unknown", "UNAVAILABLE"),
        (ValueError("a defect"), "unknown", "INTERNAL"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else "",
)
async def test_what_fails_says_how(failure: Exception, phase: str, code: str):
    bench = Bench()

    async def behaviour(request: Any) -> Any:
        raise failure

    with pytest.raises(type(failure)):
        await bench.call(DRAIN, drain(), behaviour)
    assert bench.phases == ["asked", phase]
    assert bench.log.entries[-1].code == code


async def test_a_caller_that_leaves_leaves_an_outcome_that_nobody_knows():
    bench = Bench()
    running = asyncio.Event()

    async def behaviour(request: Any) -> Any:
        running.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(bench.call(DRAIN, drain(), behaviour))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [one.phase for one in bench.recorder.late] == [AuditPhase.UNKNOWN]


async def test_an_outcome_that_cannot_be_written_comes_later():
    bench = Bench()

    async def behaviour(request: Any) -> Any:
        bench.log.failing = Unavailable("away")
        return await drained(request)

    await bench.call(DRAIN, drain(), behaviour)  # it is done, and so the caller is told so
    assert bench.phases == ["asked"]
    bench.log.failing = None
    task = asyncio.create_task(bench.recorder.run())
    async with asyncio.timeout(10):
        while bench.phases != ["asked", "done"]:  # noqa: ASYNC110
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert not bench.recorder.late


async def test_dry_runs_are_not_written():
    bench = Bench()
    await bench.call(DRAIN, drain(dry_run=True), drained)
    assert bench.phases == []
    assert bench.calls == 1


@pytest.mark.parametrize(
    ("role", "open_", "written"),
    [("client", False, False), ("", False, False), ("gateway", False, False),
     ("operator", False, True), ("admin", False, True), ("operator", True, False)],
)  # fmt: skip
async def test_what_clients_do_of_themselves_is_not_written(role: str, open_: bool, written: bool):
    bench = Bench(open_=open_)
    request = provisioning_pb2.ReleaseAssignmentRequest(tenant="city", client_id="c")

    async def released(request: Any) -> Any:
        return provisioning_pb2.ReleaseAssignmentResponse(released=True)

    await bench.call(RELEASE, request, released, role)
    assert bench.phases == (["asked", "done"] if written else [])
    if written:
        assert bench.log.entries[0].tenant == "city"


async def test_on_an_open_server_changes_are_written_as_of_anyone():
    bench = Bench(open_=True)
    await bench.call(DRAIN, drain(), drained, "")
    caller = bench.log.entries[0].caller
    assert caller is not None
    assert caller.name == "anyone"


async def test_an_object_that_cannot_be_read_in_time_is_not_changed():
    async def away(request: Any, context: Any) -> Any:
        raise StoreUnavailable("the store is away")

    bench = Bench(before=away)
    with pytest.raises(Unavailable):
        await bench.call(DRAIN, drain(), drained)
    assert (bench.calls, bench.phases) == (0, [])


async def test_an_object_that_is_not_there_has_no_before():
    async def nowhere(request: Any, context: Any) -> Any:
        raise NotFound("no such unit")

    bench = Bench(before=nowhere)
    await bench.call(DRAIN, drain(), drained)
    assert bench.log.entries[0].before is None


async def submission(*, dry_run: bool = False) -> AsyncIterator[Any]:
    head = registry_pb2.SubmissionHead(tenant="city", manifest="name: lights", dry_run=dry_run)
    yield registry_pb2.SubmitApplicationRequest(head=head)
    yield registry_pb2.SubmitApplicationRequest(artifact=b"\x00" * 100)


async def taken(requests: Any) -> Any:
    received = [request async for request in requests]
    assert len(received) == 2
    accepted = registry_pb2.Application(tenant="city", application="lights", version="1")
    return registry_pb2.SubmitApplicationResponse(accepted=accepted)


async def test_a_stream_is_written_with_its_first_message():
    bench = Bench()
    await bench.call(SUBMIT, submission(), taken)
    asked, done = bench.log.entries
    assert asked.request == {"head": {"tenant": "city", "manifest": "name: lights"}}
    assert (asked.tenant, asked.target) == ("city", "")
    assert (done.phase, done.target) == (AuditPhase.DONE, "lights")
    await bench.call(SUBMIT, submission(dry_run=True), taken)
    assert len(bench.log.entries) == 2


async def test_a_stream_that_cannot_be_written_changes_nothing():
    bench = Bench()
    bench.log.failing = Unavailable("the audit log cannot be written")
    with pytest.raises(Unavailable):
        await bench.call(SUBMIT, submission(), taken)


async def test_an_answer_that_refuses_is_a_failure():
    bench = Bench()

    async def refused(requests: Any) -> Any:
        async for _ in requests:
            pass
        return registry_pb2.SubmitApplicationResponse(refused=registry_pb2.SubmissionFaults())

    await bench.call(SUBMIT, submission(), refused)
    assert bench.phases == ["asked", "failed"]


async def test_a_method_writes_for_its_entry_and_the_log_for_itself():
    bench = Bench()
    seen: list[int] = []
    real = bench.log.append

    async def append(entry: AuditEntry) -> int:
        seen.append(change_here())
        return await real(entry)

    bench.log.append = append  # type: ignore[method-assign]

    async def drains(request: Any) -> Any:
        seen.append(change_here())
        return await drained(request)

    async def takes(requests: Any) -> Any:
        seen.append(change_here())
        answer = await taken(requests)
        seen.append(change_here())
        return answer

    async def releases(request: Any) -> Any:
        seen.append(change_here())
        return provisioning_pb2.ReleaseAssignmentResponse(released=True)

    await bench.call(DRAIN, drain(), drains)
    assert seen == [0, 1, 0]
    seen.clear()
    await bench.call(SUBMIT, submission(), takes)
    assert seen == [0, 0, 3, 0]
    seen.clear()
    await bench.call(DRAIN, drain(dry_run=True), drains)
    request = provisioning_pb2.ReleaseAssignmentRequest(tenant="city", client_id="c")
    await bench.call(RELEASE, request, releases)
    assert seen == [0, 0, 0, 0]


def test_a_table_that_does_not_fit_the_contract_is_told():
    with pytest.raises(ValueError, match="SubmitApplication"):
        audited_methods(METHODS, {})


async def test_what_may_be_of_no_tenant_is_of_none_and_of_whose_the_answer_says():
    async def paused(request: Any) -> Any:
        tenant = "city" if request.job_id.startswith("policy") else ""
        return fleet_pb2.ControlMoveJobResponse(
            job=fleet_pb2.MoveJob(job_id=request.job_id, tenant=tenant)
        )

    bench = Bench()
    for job in ("drain-dublin", "policy-city-v1"):
        await bench.call(JOB, fleet_pb2.ControlMoveJobRequest(job_id=job), paused)
    assert [(one.tenant, one.target) for one in bench.log.entries] == [
        ("", "drain-dublin"), ("", "drain-dublin"),
        ("", "policy-city-v1"), ("city", "policy-city-v1"),
    ]  # fmt: skip
