"""Values to messages and back: nothing is lost, and a choice that nobody knows is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from control_plane.fleet.lifecycle import State
from control_plane.fleet.move_job import JobKind, JobState, MoveJob
from control_plane.fleet.unit import (
    Failover,
    Position,
    Reprovision,
    ReturnHome,
    ServedAreas,
    TenantId,
    TenantSpec,
    UnitHealth,
    UnitId,
    UnitSpec,
    UnitStatus,
)
from control_plane.fleet_messages import spec_to_proto
from control_plane.identity.tickets import EDDSA, HS256
from homeport.api.fleet.v1 import fleet_pb2
from homeport.api.tenancy.v1 import tenancy_pb2
from provisioner.api import mapping
from provisioner.moves.plan import MovePlan

positions = st.builds(
    Position, latitude=st.floats(-90, 90, width=32), longitude=st.floats(-180, 180, width=32)
)
seconds = st.integers(1, 10**9).map(lambda milliseconds: milliseconds / 1000)


@given(
    st.builds(
        TenantSpec,
        id=st.just(TenantId("acme")),
        ticket_algorithm=st.sampled_from([HS256, EDDSA]),
        ticket_ttl_s=seconds,
        default_position=st.none() | positions,
        hold_s=st.just(0.0) | seconds,
        reprovision=st.sampled_from(Reprovision),
        return_home=st.sampled_from(ReturnHome),
        failover=st.sampled_from(Failover),
    )
)
def test_a_tenant_comes_back_as_it_went(tenant: TenantSpec) -> None:
    read = mapping.tenant_from_proto(mapping.tenant_to_proto(tenant))
    assert read.ticket_ttl_s == pytest.approx(tenant.ticket_ttl_s, abs=1e-6)
    assert read.hold_s == pytest.approx(tenant.hold_s, abs=1e-6)
    assert (read.id, read.ticket_algorithm, read.default_position) == (
        tenant.id, tenant.ticket_algorithm, tenant.default_position
    )  # fmt: skip
    assert (read.reprovision, read.return_home) == (tenant.reprovision, tenant.return_home)
    assert read.failover == tenant.failover


def test_a_tenant_that_says_nothing_keeps_its_clients_where_they_are_for_an_hour() -> None:
    read = mapping.tenant_from_proto(tenancy_pb2.Tenant(tenant="acme"))
    assert read == TenantSpec(
        id=TenantId("acme"), ticket_algorithm=HS256, ticket_ttl_s=3600.0, default_position=None,
        hold_s=0.0, reprovision=Reprovision.KEEP, return_home=ReturnHome.NEVER,
    )  # fmt: skip


@pytest.mark.parametrize("field", ["ticket_algorithm", "reprovision", "return_home", "failover"])
def test_a_choice_nobody_knows_is_refused_by_name(field: str) -> None:
    message = tenancy_pb2.Tenant(tenant="acme")
    setattr(message, field, 99)
    with pytest.raises(InvalidInput) as refused:
        mapping.tenant_from_proto(message)
    assert refused.value.field == f"tenant.{field}"


@given(
    st.builds(
        UnitSpec,
        id=st.just(UnitId("dublin")),
        endpoint=st.just("dublin.example.net:443"),
        position=positions,
        country=st.sampled_from(["", "IE"]),
        capacity=st.integers(0, 2**31),
        weight=st.floats(0.1, 100),
        labels=st.dictionaries(st.sampled_from(["a", "b"]), st.text("xy", max_size=3)),
        serves=st.builds(
            ServedAreas,
            countries=st.just(()) | st.just(("IE", "GB")),
            continents=st.just(()) | st.just(("EU",)),
        ),
        tenants=st.just(()) | st.just(("acme",)),
    )
)
def test_a_unit_comes_back_as_it_went(spec: UnitSpec) -> None:
    assert mapping.spec_from_proto(spec_to_proto(spec)) == spec


def test_a_unit_without_a_position_is_refused() -> None:
    with pytest.raises(InvalidInput) as refused:
        mapping.spec_from_proto(fleet_pb2.UnitSpec(unit_id="dublin"))
    assert refused.value.field == "spec.position"


def test_a_unit_that_gives_no_weight_weighs_one() -> None:
    message = fleet_pb2.UnitSpec(unit_id="dublin")
    message.position.latitude = 53.3
    assert mapping.spec_from_proto(message).weight == 1.0


@pytest.mark.parametrize(
    ("load", "expected"), [(-1.0, 0.0), (0.25, 0.25), (7.0, 1.0)], ids=["below", "within", "above"]
)
def test_a_reported_load_is_a_share(load: float, expected: float) -> None:
    message = fleet_pb2.UnitStatus(incarnation="i", load=load, version="v" * 100)
    status = mapping.status_from_proto(message, now=12.5)
    assert status.load == expected
    assert status.version == "v" * 64
    assert status.reported_at == 12.5
    assert mapping.status_to_proto(status).report_time.ToMilliseconds() == 12_500


def test_an_agent_without_an_incarnation_is_refused() -> None:
    with pytest.raises(InvalidInput) as refused:
        mapping.status_from_proto(fleet_pb2.UnitStatus(), now=0.0)
    assert refused.value.field == "status.incarnation"


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        (fleet_pb2.UNIT_HEALTH_UNSPECIFIED, UnitHealth.SERVING),
        (fleet_pb2.UNIT_HEALTH_SERVING, UnitHealth.SERVING),
        (fleet_pb2.UNIT_HEALTH_NOT_SERVING, UnitHealth.NOT_SERVING),
    ],
    ids=["who-does-not-say-serves", "serving", "not-serving"],
)
def test_health_is_as_reported(health: int, expected: UnitHealth) -> None:
    message = fleet_pb2.UnitStatus(incarnation="i", health=health)
    status: UnitStatus = mapping.status_from_proto(message, now=0.0)
    assert status.health is expected


@pytest.mark.parametrize("kind", JobKind)
@pytest.mark.parametrize("state", JobState)
def test_every_kind_and_state_of_a_job_has_its_message(kind: JobKind, state: JobState) -> None:
    job = MoveJob(id="j", kind=kind, state=state, rate_per_s=5.0, start_ms=1_500, end_ms=0)
    message = mapping.job_to_proto(job)
    assert fleet_pb2.MoveJobKind.Name(message.kind) == f"MOVE_JOB_KIND_{kind.name}"
    assert fleet_pb2.MoveJobState.Name(message.state) == f"MOVE_JOB_STATE_{state.name}"
    assert message.start_time.ToMilliseconds() == 1_500
    assert not message.HasField("end_time")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (fleet_pb2.MOVE_JOB_STATE_UNSPECIFIED, None),
        (fleet_pb2.MOVE_JOB_STATE_RUNNING, JobState.RUNNING),
        (fleet_pb2.MOVE_JOB_STATE_PAUSED, JobState.PAUSED),
        (fleet_pb2.MOVE_JOB_STATE_CANCELLED, JobState.CANCELLED),
    ],
)
def test_what_an_operator_wants_of_a_job(state: int, expected: JobState | None) -> None:
    assert mapping.job_state_from_proto(state) is expected


def test_an_operator_cannot_declare_a_job_done() -> None:
    with pytest.raises(InvalidInput) as refused:
        mapping.job_state_from_proto(fleet_pb2.MOVE_JOB_STATE_DONE)
    assert refused.value.field == "state"


@pytest.mark.parametrize("state", [state for state in State if state is not State.REMOVED])
def test_every_state_of_a_unit_has_its_message(state: State) -> None:
    number = mapping._STATES[state]
    assert fleet_pb2.UnitState.Name(number) == f"UNIT_STATE_{state.name}"


def test_a_plan_names_its_targets() -> None:
    plan = MovePlan(
        ways={}, targets={"dublin": 2, "virginia": 1}, stay=1, stay_reason="full", beyond_bound=4
    )
    message = mapping.plan_to_proto(plan)
    assert {one.unit_id: one.clients for one in message.targets} == plan.targets
    assert (message.moves, message.stay, message.stay_reason, message.beyond_bound) == (
        3, 1, "full", 4
    )  # fmt: skip
