"""Maps values to protobuf messages and back: the only place of the SDK that does.

What a server would certainly refuse, and what would make a whole batch unreadable, is refused
here in the server's own words; everything else is left to the server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from homeport.api.geo.v1 import geo_pb2
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.unit.v1 import unit_pb2
from homeport.errors import HomeportError, error_of, invalid
from homeport.failure import Code, Failure, Violation, Waiting
from homeport.status_details import seconds_of
from homeport.values import (
    Admission,
    AdmitReason,
    Assignment,
    ClientAt,
    ConsideredUnit,
    ExplainedCap,
    ExplainedHook,
    ExplainedPin,
    ExplainedPolicy,
    ExplainedRule,
    Explanation,
    Location,
    LocationSource,
    MeasuredFigure,
    PlacementVerdict,
    ProvisionResult,
    RecordedDecision,
    Redirect,
)

MAX_CLIENT_ID_BYTES = 128
MAX_ADDRESS_CHARS = 64  # the longest literal, IPv4 in IPv6 with a zone, takes fewer

_SOURCES = {
    geo_pb2.LOCATION_SOURCE_OVERRIDE: LocationSource.OVERRIDE,
    geo_pb2.LOCATION_SOURCE_DECLARED: LocationSource.DECLARED,
    geo_pb2.LOCATION_SOURCE_DATABASE: LocationSource.DATABASE,
    geo_pb2.LOCATION_SOURCE_TENANT_DEFAULT: LocationSource.TENANT_DEFAULT,
    geo_pb2.LOCATION_SOURCE_NOWHERE: LocationSource.NOWHERE,
}
_VERDICTS = {
    pb.PLACEMENT_VERDICT_CHOSEN: PlacementVerdict.CHOSEN,
    pb.PLACEMENT_VERDICT_RANKED: PlacementVerdict.RANKED,
    pb.PLACEMENT_VERDICT_EXCLUDED: PlacementVerdict.EXCLUDED,
}
_REASONS = {
    unit_pb2.ADMIT_REASON_ADMITTED: AdmitReason.ADMITTED,
    unit_pb2.ADMIT_REASON_MALFORMED: AdmitReason.MALFORMED,
    unit_pb2.ADMIT_REASON_FORGED: AdmitReason.FORGED,
    unit_pb2.ADMIT_REASON_EXPIRED: AdmitReason.EXPIRED,
    unit_pb2.ADMIT_REASON_NOT_YET_VALID: AdmitReason.NOT_YET_VALID,
    unit_pb2.ADMIT_REASON_WRONG_UNIT: AdmitReason.WRONG_UNIT,
    unit_pb2.ADMIT_REASON_FOREIGN_TENANT: AdmitReason.FOREIGN_TENANT,
    unit_pb2.ADMIT_REASON_STALE_EPOCH: AdmitReason.STALE_EPOCH,
    unit_pb2.ADMIT_REASON_UNIT_FULL: AdmitReason.UNIT_FULL,
}


# -- requests ----------------------------------------------------------------------------


def checked_id(client_id: str) -> str:
    """The id, when it can be sent. Raises InvalidRequest; TypeError for another type."""
    try:
        size = len(client_id) if client_id.isascii() else len(client_id.encode())
    except AttributeError:
        raise TypeError(f"client_id is {client_id!r}; give a str") from None
    except UnicodeEncodeError as error:
        raise invalid(
            "client_id",
            f"client_id cannot be written as UTF-8 (character {error.start} is a lone "
            "surrogate); use 1 to 128 bytes of UTF-8",
        ) from None
    if size > MAX_CLIENT_ID_BYTES:
        raise invalid(
            "client_id",
            f"client_id is {size} bytes long; at most {MAX_CLIENT_ID_BYTES} are allowed",
        )
    if not size:
        raise invalid("client_id", "client_id is empty; give each client a stable id")
    return client_id


def checked_origin(address: str | None, position: tuple[float, float] | None) -> dict[str, Any]:
    """The fields that say where a client is, for any message that has them; empty: it does
    not say. Raises InvalidRequest."""
    if address is not None:
        if position is not None:
            raise invalid(
                "position",
                "a client is at an address or at a position; give one of them, not both",
            )
        if len(address) > MAX_ADDRESS_CHARS or not address.isascii():
            shown = json.dumps(address[:MAX_ADDRESS_CHARS], ensure_ascii=False)
            raise invalid("address", f"address {shown} is not an IPv4 or IPv6 address")
        return {"address": address}
    if position is None:
        return {}
    latitude, longitude = position
    return {"position": geo_pb2.Position(latitude=latitude, longitude=longitude)}


def client_to_proto(client: ClientAt | str) -> pb.ClientOrigin:
    """One client of a batch. Raises InvalidRequest; TypeError for something else than a client."""
    if isinstance(client, str):
        return pb.ClientOrigin(client_id=checked_id(client))
    if not isinstance(client, ClientAt):
        raise TypeError(f"provision_many takes ClientAt or client ids, not {type(client).__name__}")
    return pb.ClientOrigin(
        client_id=checked_id(client.client_id),
        **checked_origin(client.address, client.position),
        attributes=client.attributes,
        waiting_token=client.waiting_token,
    )


# -- responses --------------------------------------------------------------------


def assignment_of(response: pb.ProvisionResponse, sent_at: float) -> Assignment:
    """`sent_at`: Unix time when the request left, so that the ticket's end is never put too
    late, whatever the server's clock shows."""
    assignment, decision = response.assignment, response.decision
    ticket = response.ticket
    distance_km = decision.distance_km
    return Assignment(
        tenant=assignment.tenant,
        client_id=assignment.client_id,
        unit_id=assignment.unit_id,
        endpoint=assignment.endpoint,
        epoch=assignment.epoch,
        ticket=ticket,
        ticket_expires_at=sent_at + seconds_of(response.ticket_ttl) if ticket else None,
        assigned_at=unix_s(assignment.assign_time),
        source=_SOURCES.get(decision.location.source, LocationSource.UNKNOWN),
        country=decision.location.country,
        distance_km=None if distance_km < 0 else distance_km,
        rule=decision.rule,
        existing=response.existing,
        stale=response.stale,
        network=response.network,
    )


def found_assignment_of(response: pb.GetAssignmentResponse, sent_at: float) -> Assignment:
    """The assignment in a response to `get`."""
    return _assignment(
        response.assignment,
        response.ticket,
        sent_at + seconds_of(response.ticket_ttl) if response.ticket else None,
        response.decision if response.HasField("decision") else None,
        stale=response.stale,
        attributes=response.attributes,
    )


def watched_assignment_of(response: pb.WatchAssignmentResponse, sent_at: float) -> Assignment:
    """The assignment in a response of a watch."""
    return _assignment(
        response.assignment,
        response.ticket,
        sent_at + seconds_of(response.ticket_ttl) if response.ticket else None,
    )


def _assignment(
    message: pb.Assignment,
    ticket: str = "",
    ticket_expires_at: float | None = None,
    decision: pb.Decision | None = None,
    *,
    stale: bool = False,
    attributes: Mapping[str, str] | None = None,
) -> Assignment:
    recorded = _recorded(decision) if decision is not None else None
    return Assignment(
        tenant=message.tenant,
        client_id=message.client_id,
        unit_id=message.unit_id,
        endpoint=message.endpoint,
        epoch=message.epoch,
        ticket=ticket,
        ticket_expires_at=ticket_expires_at,
        assigned_at=unix_s(message.assign_time),
        source=recorded.location.source if recorded else LocationSource.UNKNOWN,
        country=recorded.location.country if recorded else "",
        distance_km=recorded.distance_km if recorded else None,
        rule=recorded.rule if recorded else "",
        existing=True,
        recorded=recorded,
        stale=stale,
        attributes=dict(attributes or {}),
    )


def _recorded(decision: pb.Decision) -> RecordedDecision:
    return RecordedDecision(
        location=_location(decision.location),
        distance_km=None if decision.distance_km < 0 else decision.distance_km,
        rule=decision.rule,
        placed_by=decision.placed_by,
        moved_from=decision.moved_from,
        job_id=decision.job_id,
        fleet_revision=decision.fleet_revision,
        policy_revision=decision.policy_revision,
    )


def result_of(result: pb.ProvisionResult, sent_at: float) -> ProvisionResult:
    """The result of one client of a batch."""
    if result.WhichOneof("outcome") == "provisioned":
        return ProvisionResult(
            client_id=result.client_id, assignment=assignment_of(result.provisioned, sent_at)
        )
    return ProvisionResult(client_id=result.client_id, error=_client_error(result.error))


def _client_error(error: pb.ClientError) -> HomeportError:
    retry_after_s = seconds_of(error.retry_after) if error.HasField("retry_after") else None
    violations = (Violation(error.field, error.message),) if error.field else ()
    return error_of(
        Failure(
            Code(error.code),
            error.message,
            retry_after_s=retry_after_s,
            violations=violations,
            from_homeport=True,
            waiting=Waiting(error.waiting_token) if error.waiting_token else None,
        )
    )


def explanation_of(response: pb.ExplainPlacementResponse) -> Explanation:
    """Where a client would go and why."""
    return Explanation(
        location=_location(response.location),
        location_reason=response.location_reason,
        units=tuple(
            ConsideredUnit(
                unit_id=unit.unit_id,
                verdict=_VERDICTS.get(unit.verdict, PlacementVerdict.UNKNOWN),
                reason=unit.reason,
                distance_km=None if unit.distance_km < 0 else unit.distance_km,
                load=unit.load,
                rank=unit.rank,
                bias=unit.bias,
                measured=_measured(unit.measured) if unit.HasField("measured") else None,
            )
            for unit in response.units
        ),
        rule=response.rule,
        current=_assignment(
            response.current,
            decision=response.current_decision if response.HasField("current_decision") else None,
        )
        if response.HasField("current")
        else None,
        stale=response.stale,
        policy=_explained_policy(response.policy) if response.HasField("policy") else None,
        sentence=response.sentence,
        pin=_explained_pin(response.pin) if response.HasField("pin") else None,
        cap=_explained_cap(response.cap) if response.HasField("cap") else None,
        quota_reason=response.quota_reason,
    )


def _measured(message: pb.MeasuredFigure) -> MeasuredFigure:
    return MeasuredFigure(
        ms=message.round_trip.ToNanoseconds() / 1e6,
        reports=message.reports,
        networks=message.networks,
        age_s=message.age.ToNanoseconds() / 1e9,
    )


def _explained_pin(message: pb.ExplainedPin) -> ExplainedPin:
    return ExplainedPin(
        unit_id=message.unit_id, reason=message.reason, until=unix_s(message.until_time)
    )


def _explained_cap(message: pb.ExplainedCap) -> ExplainedCap:
    relaxes = message.HasField("relaxes_after")
    return ExplainedCap(
        limit_ms=_ms(message.limit) if message.HasField("limit") else None,
        waits_since=unix_s(message.since_time),
        relaxes_after_s=seconds_of(message.relaxes_after) if relaxes else None,
        next_limit_ms=_ms(message.next_limit) if message.HasField("next_limit") else None,
    )


def _ms(duration: Duration) -> float:
    return duration.ToNanoseconds() / 1e6


def _explained_policy(message: pb.ExplainedPolicy) -> ExplainedPolicy:
    return ExplainedPolicy(
        version=message.version,
        certainty=message.certainty,
        groups=tuple(message.groups),
        rings=tuple(message.rings),
        rules=tuple(
            ExplainedRule(name=rule.name, holds=rule.holds, reason=rule.reason)
            for rule in message.rules
        ),
        hook=_explained_hook(message.hook) if message.HasField("hook") else None,
        attributes=dict(message.attributes),
    )


def _explained_hook(message: pb.ExplainedHook) -> ExplainedHook:
    return ExplainedHook(
        name=message.name,
        answered=message.answered,
        order=tuple(message.order),
        vetoed=tuple(message.vetoed),
        age_s=message.age.ToTimedelta().total_seconds(),
        told_attributes=dict(message.told_attributes),
        told_groups=tuple(message.told_groups),
    )


def _location(message: geo_pb2.Location) -> Location:
    known = message.HasField("position")
    return Location(
        source=_SOURCES.get(message.source, LocationSource.UNKNOWN),
        country=message.country,
        subdivision=message.subdivision,
        continent=message.continent,
        latitude=message.position.latitude if known else None,
        longitude=message.position.longitude if known else None,
        uncertainty_km=message.uncertainty_km,
    )


def admission_of(response: unit_pb2.AdmitResponse) -> Admission:
    """A unit's answer to a ticket."""
    return Admission(
        admitted=response.admitted,
        reason=_REASONS.get(response.reason, AdmitReason.UNKNOWN),
        message=response.message,
        tenant=response.tenant,
        client_id=response.client_id,
        epoch=response.epoch,
        expires_at=unix_s(response.expire_time),
        redirect=Redirect(
            unit_id=response.redirect.unit_id,
            endpoint=response.redirect.endpoint,
            epoch=response.redirect.epoch,
        )
        if response.HasField("redirect")
        else None,
    )


def unix_s(time: Timestamp) -> float | None:
    """A Timestamp as Unix seconds; None: it was not set."""
    return time.seconds + time.nanos / 1e9 if time.seconds or time.nanos else None
