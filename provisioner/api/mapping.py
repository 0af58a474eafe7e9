"""Maps between values and protobuf messages, for everything that is not on the hot path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from google.protobuf import duration_pb2, field_mask_pb2, timestamp_pb2

from control_plane.errors import InvalidInput
from control_plane.fleet.enrolment import MAX_ISSUERS, EnrolmentMethod
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
from control_plane.fleet.unit_view import UnitView
from control_plane.fleet.validation import (
    CONTINENTS,
    MAX_COUNTRIES,
    MAX_LABELS,
    MAX_TENANTS,
    check_endpoint,
)
from control_plane.fleet_messages import spec_to_proto
from control_plane.printable import printable, quoted
from control_plane.quotas.tenant_limits import InForce
from control_plane.serving.status import duration
from homeport.api.fleet.v1 import fleet_pb2
from homeport.api.geo.v1 import geo_pb2
from homeport.api.provisioning.v1 import provisioning_pb2
from homeport.api.tenancy.v1 import tenancy_pb2
from provisioner.api.enrolment_mapping import (
    issuers_from_proto,
    issuers_to_proto,
    methods_from_proto,
    methods_to_proto,
)
from provisioner.api.quota_mapping import (
    in_force_to_proto,
    memory_from_proto,
    memory_to_proto,
    quotas_from_proto,
    quotas_to_proto,
)
from provisioner.moves.plan import MovePlan
from provisioner.provisioning.answers import TicketedAssignment

_HEALTH = {
    UnitHealth.SERVING: fleet_pb2.UNIT_HEALTH_SERVING,
    UnitHealth.NOT_SERVING: fleet_pb2.UNIT_HEALTH_NOT_SERVING,
}
_ALGORITHMS = {
    tenancy_pb2.TICKET_ALGORITHM_UNSPECIFIED: "HS256",
    tenancy_pb2.TICKET_ALGORITHM_HS256: "HS256",
    tenancy_pb2.TICKET_ALGORITHM_EDDSA: "EdDSA",
}
_REPROVISION = {
    tenancy_pb2.REPROVISION_UNSPECIFIED: Reprovision.KEEP,
    tenancy_pb2.REPROVISION_KEEP: Reprovision.KEEP,
    tenancy_pb2.REPROVISION_MOVE: Reprovision.MOVE,
    tenancy_pb2.REPROVISION_MOVE_WITH_STATE: Reprovision.MOVE_WITH_STATE,
    tenancy_pb2.REPROVISION_RESET: Reprovision.RESET,
}
_REPROVISION_TO_PROTO = {value: number for number, value in _REPROVISION.items()}
_FAILOVER = {
    tenancy_pb2.FAILOVER_UNSPECIFIED: Failover.BY_STATE,
    tenancy_pb2.FAILOVER_BY_STATE: Failover.BY_STATE,
    tenancy_pb2.FAILOVER_MOVE: Failover.MOVE,
    tenancy_pb2.FAILOVER_WAIT: Failover.WAIT,
}
_FAILOVER_TO_PROTO = {value: number for number, value in _FAILOVER.items()}
_RETURN_HOME = {
    tenancy_pb2.RETURN_HOME_UNSPECIFIED: ReturnHome.NEVER,
    tenancy_pb2.RETURN_HOME_NEVER: ReturnHome.NEVER,
    tenancy_pb2.RETURN_HOME_NEXT_CONTACT: ReturnHome.NEXT_CONTACT,
    tenancy_pb2.RETURN_HOME_GRADUAL: ReturnHome.GRADUAL,
}
_RETURN_HOME_TO_PROTO = {value: number for number, value in _RETURN_HOME.items()}
_STATES = {
    State.JOINING: fleet_pb2.UNIT_STATE_JOINING,
    State.ACTIVE: fleet_pb2.UNIT_STATE_ACTIVE,
    State.CORDONED: fleet_pb2.UNIT_STATE_CORDONED,
    State.DRAINING: fleet_pb2.UNIT_STATE_DRAINING,
    State.DRAINED: fleet_pb2.UNIT_STATE_DRAINED,
    State.LOST: fleet_pb2.UNIT_STATE_LOST,
}
_JOB_KINDS = {
    JobKind.DRAIN: fleet_pb2.MOVE_JOB_KIND_DRAIN,
    JobKind.REBALANCE: fleet_pb2.MOVE_JOB_KIND_REBALANCE,
    JobKind.FAILOVER: fleet_pb2.MOVE_JOB_KIND_FAILOVER,
    JobKind.RETURN_HOME: fleet_pb2.MOVE_JOB_KIND_RETURN_HOME,
    JobKind.POLICY: fleet_pb2.MOVE_JOB_KIND_POLICY,
    JobKind.MOVE_BACK: fleet_pb2.MOVE_JOB_KIND_MOVE_BACK,
}
_JOB_STATES = {
    JobState.RUNNING: fleet_pb2.MOVE_JOB_STATE_RUNNING,
    JobState.PAUSED: fleet_pb2.MOVE_JOB_STATE_PAUSED,
    JobState.DONE: fleet_pb2.MOVE_JOB_STATE_DONE,
    JobState.CANCELLED: fleet_pb2.MOVE_JOB_STATE_CANCELLED,
}
_JOB_STATES_WANTED = {
    fleet_pb2.MOVE_JOB_STATE_UNSPECIFIED: None,
    fleet_pb2.MOVE_JOB_STATE_RUNNING: JobState.RUNNING,
    fleet_pb2.MOVE_JOB_STATE_PAUSED: JobState.PAUSED,
    fleet_pb2.MOVE_JOB_STATE_CANCELLED: JobState.CANCELLED,
}
DEFAULT_TTL_S = 3600.0
MAX_QUOTAS = 64  # of a tenant; there are not as many


def timestamp(seconds: float) -> timestamp_pb2.Timestamp:
    """Unix seconds as a protobuf Timestamp."""
    whole = int(seconds)
    return timestamp_pb2.Timestamp(seconds=whole, nanos=int((seconds - whole) * 1e9))


def given_seconds(message: Any, field: str) -> float | None:
    """A Duration field in seconds; None where it is not given."""
    if not message.HasField(field):
        return None
    given: duration_pb2.Duration = getattr(message, field)
    return given.seconds + given.nanos / 1e9


def position_to_proto(position: Position) -> geo_pb2.Position:
    """A Position for the wire."""
    return geo_pb2.Position(latitude=position.latitude, longitude=position.longitude)


def spec_from_proto(message: fleet_pb2.UnitSpec) -> UnitSpec:
    """An unchecked UnitSpec. Raises InvalidInput where there is nothing to check."""
    if not message.HasField("position"):
        raise InvalidInput("spec.position", "spec.position is missing; give latitude and longitude")
    _count("spec.labels", len(message.labels), MAX_LABELS)
    _count("spec.tenants", len(message.tenants), MAX_TENANTS)
    _count("spec.serves.countries", len(message.serves.countries), MAX_COUNTRIES)
    _count("spec.serves.continents", len(message.serves.continents), len(CONTINENTS))
    return UnitSpec(
        id=UnitId(message.unit_id),
        endpoint=message.endpoint,
        position=Position(latitude=message.position.latitude, longitude=message.position.longitude),
        country=message.country,
        capacity=message.capacity,
        weight=message.weight or 1.0,
        labels=dict(message.labels),
        serves=ServedAreas(
            countries=tuple(message.serves.countries), continents=tuple(message.serves.continents)
        ),
        tenants=tuple(message.tenants),
    )


def _count(field: str, count: int, most: int) -> None:
    """Before anything is made of a list, which may be as long as a message. Raises InvalidInput."""
    if count > most:
        raise InvalidInput(field, f"{field} has {count:,} entries; at most {most:,}")


def status_from_proto(message: fleet_pb2.UnitStatus, *, now: float) -> UnitStatus:
    """What an agent reported, received at `now` (Unix seconds)."""
    if not message.incarnation:
        raise InvalidInput(
            "status.incarnation", "status.incarnation is empty; give each run of an agent an id"
        )
    serving = message.health != fleet_pb2.UNIT_HEALTH_NOT_SERVING
    return UnitStatus(
        health=UnitHealth.SERVING if serving else UnitHealth.NOT_SERVING,
        load=min(1.0, max(0.0, message.load)),
        version=printable(message.version[:64]),
        incarnation=message.incarnation[:64],
        reported_at=now,
        endpoint=check_endpoint(message.endpoint, "status.endpoint") if message.endpoint else "",
        admitted_clients=message.admitted_clients,
        refused_full=message.refused_full,
    )


def status_to_proto(status: UnitStatus) -> fleet_pb2.UnitStatus:
    """A UnitStatus for the wire."""
    return fleet_pb2.UnitStatus(
        health=_HEALTH[status.health],
        load=status.load,
        version=status.version,
        incarnation=status.incarnation,
        report_time=timestamp(status.reported_at),
        endpoint=status.endpoint,
        admitted_clients=status.admitted_clients,
        refused_full=status.refused_full,
    )


def job_to_proto(job: MoveJob) -> fleet_pb2.MoveJob:
    """A job for the wire."""
    return fleet_pb2.MoveJob(
        job_id=job.id,
        kind=_JOB_KINDS[job.kind],
        state=_JOB_STATES[job.state],
        unit_id=job.unit,
        rate_per_s=job.rate_per_s,
        total=job.total,
        moved=job.moved,
        kept=job.kept,
        max_moves=job.max_moves,
        start_time=timestamp(job.start_ms / 1000),
        end_time=timestamp(job.end_ms / 1000) if job.end_ms else None,
        message=job.message,
        tenant=job.tenant,
        policy_version=job.policy_version,
    )


def job_state_from_proto(state: fleet_pb2.MoveJobState.ValueType) -> JobState | None:
    """What an operator wants of a job; None: nothing. Raises InvalidInput."""
    if state not in _JOB_STATES_WANTED:
        raise InvalidInput("state", "state must be RUNNING, PAUSED or CANCELLED")
    return _JOB_STATES_WANTED[state]


def plan_to_proto(plan: MovePlan) -> fleet_pb2.MovePlan:
    """A plan for the wire."""
    return fleet_pb2.MovePlan(
        moves=plan.moves,
        targets=[
            fleet_pb2.MovePlan.Target(unit_id=unit, clients=clients)
            for unit, clients in plan.targets.items()
        ],
        stay=plan.stay,
        stay_reason=plan.stay_reason,
        beyond_bound=plan.beyond_bound,
    )


def unit_to_proto(view: UnitView, job: MoveJob | None = None) -> fleet_pb2.Unit:
    """A unit as the store shows it, and the job that moves its clients away."""
    state = view.lifecycle
    return fleet_pb2.Unit(
        spec=spec_to_proto(view.spec),
        status=status_to_proto(view.status) if view.status is not None else None,
        clients=max(0, view.clients),
        granted=max(0, view.capacity.granted),  # below 0 where others' clients were released
        revision=view.revision,
        state=_STATES[state.state],
        state_reason=state.reason,
        state_time=timestamp(state.since_ms / 1000) if state.since_ms else None,
        job=job_to_proto(job) if job is not None else None,
        endpoint=view.endpoint,
    )


_SPEC_FIELDS = {field.name: field.name for field in fields(UnitSpec) if field.name != "id"}
_TENANT_FIELDS = {
    "ticket_algorithm": "ticket_algorithm", "ticket_ttl": "ticket_ttl_s",
    "default_position": "default_position", "hold_ttl": "hold_s", "reprovision": "reprovision",
    "return_home": "return_home", "enrolment": "enrolment", "issuers": "issuers",
    "quotas": "quotas", "failover": "failover", "max_clients": "clients", "memory": "memory",
}  # fmt: skip


def spec_fields(mask: field_mask_pb2.FieldMask) -> frozenset[str]:
    """The fields of a UnitSpec that a mask names; none: all. Raises InvalidInput."""
    return _masked(mask, _SPEC_FIELDS)


def tenant_fields(mask: field_mask_pb2.FieldMask) -> frozenset[str]:
    """The fields of a TenantSpec that a mask names; none: all. Raises InvalidInput."""
    return _masked(mask, _TENANT_FIELDS)


def _masked(mask: field_mask_pb2.FieldMask, known: Mapping[str, str]) -> frozenset[str]:
    for path in mask.paths:
        if path not in known:
            raise InvalidInput(
                "update_mask",
                f"update_mask names {quoted(path)}; it may name {', '.join(sorted(known))}",
            )
    return frozenset(known[path] for path in mask.paths)


def tenant_from_proto(message: tenancy_pb2.Tenant) -> TenantSpec:
    """An unchecked TenantSpec. Raises InvalidInput for a choice nobody knows."""
    _count("tenant.enrolment", len(message.enrolment), len(EnrolmentMethod))
    _count("tenant.issuers", len(message.issuers), MAX_ISSUERS)
    _count("tenant.quotas", len(message.quotas), MAX_QUOTAS)
    algorithm = _ALGORITHMS.get(message.ticket_algorithm)
    if algorithm is None:
        raise InvalidInput(
            "tenant.ticket_algorithm", "tenant.ticket_algorithm must be HS256 or EDDSA"
        )
    ttl_s = DEFAULT_TTL_S
    if message.HasField("ticket_ttl"):
        ttl_s = message.ticket_ttl.seconds + message.ticket_ttl.nanos / 1e9
    position = None
    if message.HasField("default_position"):
        position = Position(
            latitude=message.default_position.latitude,
            longitude=message.default_position.longitude,
        )
    reprovision = _REPROVISION.get(message.reprovision)
    if reprovision is None:
        raise InvalidInput(
            "tenant.reprovision",
            "tenant.reprovision must be KEEP, MOVE, MOVE_WITH_STATE or RESET",
        )
    return_home = _RETURN_HOME.get(message.return_home)
    if return_home is None:
        raise InvalidInput(
            "tenant.return_home", "tenant.return_home must be NEVER, NEXT_CONTACT or GRADUAL"
        )
    failover = _FAILOVER.get(message.failover)
    if failover is None:
        raise InvalidInput("tenant.failover", "tenant.failover must be BY_STATE, MOVE or WAIT")
    return TenantSpec(
        id=TenantId(message.tenant),
        ticket_algorithm=algorithm,
        ticket_ttl_s=ttl_s,
        default_position=position,
        hold_s=message.hold_ttl.seconds + message.hold_ttl.nanos / 1e9,
        reprovision=reprovision,
        return_home=return_home,
        failover=failover,
        enrolment=methods_from_proto(message.enrolment),
        issuers=issuers_from_proto(message.issuers),
        quotas=quotas_from_proto(message.quotas),
        memory=memory_from_proto(message.memory),
    )


def tenant_to_proto(
    tenant: TenantSpec, held: Iterable[InForce] = (), use: tenancy_pb2.ClientUse | None = None
) -> tenancy_pb2.Tenant:
    """A TenantSpec for the wire. held: of its quotas, what is in force here; use: how many clients
    it has, None: that is not known."""
    eddsa = tenant.ticket_algorithm == "EdDSA"
    return tenancy_pb2.Tenant(
        tenant=tenant.id,
        ticket_algorithm=(
            tenancy_pb2.TICKET_ALGORITHM_EDDSA if eddsa else tenancy_pb2.TICKET_ALGORITHM_HS256
        ),
        ticket_ttl=duration(tenant.ticket_ttl_s),
        default_position=(
            position_to_proto(tenant.default_position) if tenant.default_position else None
        ),
        hold_ttl=duration(tenant.hold_s) if tenant.hold_s else None,
        reprovision=_REPROVISION_TO_PROTO[tenant.reprovision],
        return_home=_RETURN_HOME_TO_PROTO[tenant.return_home],
        failover=_FAILOVER_TO_PROTO[tenant.failover],
        enrolment=methods_to_proto(tenant.enrolment),
        issuers=issuers_to_proto(tenant.issuers),
        quotas=quotas_to_proto(tenant.quotas),
        memory=memory_to_proto(tenant.memory),
        quotas_in_force=in_force_to_proto(held),
        max_clients=tenant.clients.most if tenant.clients is not None else 0,
        client_use=use,
        removing=tenant.removal is not None,
    )


def assignment_to_proto(
    answer: TicketedAssignment,
    decision: provisioning_pb2.Decision | None = None,
    attributes: Mapping[str, str] | None = None,
    *,
    stale: bool = False,
) -> provisioning_pb2.GetAssignmentResponse:
    """What a client has, how it came to it, and a ticket for it. stale: as its last ticket
    showed it; attributes: for who may see them."""
    return provisioning_pb2.GetAssignmentResponse(
        assignment=answer.assignment,
        ticket=answer.ticket,
        ticket_ttl=answer.ticket_ttl,
        stale=stale,
        decision=decision,
        attributes=attributes,
    )
