"""RecordedDecision on the wire: how a client came to its home, from the record of it."""

from __future__ import annotations

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.ledger.assignment import AssignmentRecord
from provisioner.provisioning.response_encoding import location_message


def recorded_decision(record: AssignmentRecord) -> pb.Decision | None:
    """What decided this home; None: that is not recorded. Of a move, its cause is the rule."""
    why = record.why
    if why is None:
        return None
    return pb.Decision(
        location=location_message(record.location),
        distance_km=why.distance_km,
        rule=why.cause or why.rule,
        placed_by=why.rule if why.cause else "",
        moved_from=why.left,
        job_id=why.job,
        fleet_revision=why.fleet,
        policy_revision=record.policy,
    )
