"""How a client came to its home, on the wire."""

from __future__ import annotations

import pytest

from homeport.api.geo.v1 import geo_pb2
from provisioner.api.recorded_decision import recorded_decision
from provisioner.ledger.assignment import AssignmentRecord
from provisioner.ledger.provenance import Provenance


def record(why: Provenance | None, cell: str = "IE:53.3,-6.3~20") -> AssignmentRecord:
    return AssignmentRecord(unit="dublin", epoch=2, at_ms=1, cell=cell, policy=4, why=why)


def test_of_a_first_home_it_is_placements_own_rule():
    found = recorded_decision(record(Provenance("nearest", "database", 12.5, 17)))
    assert (found.rule, found.distance_km) == ("nearest", 12.5)
    assert (found.placed_by, found.moved_from, found.job_id) == ("", "", "")
    assert (found.fleet_revision, found.policy_revision) == (17, 4)
    where = found.location
    assert (where.source, where.country) == (geo_pb2.LOCATION_SOURCE_DATABASE, "IE")
    assert (where.position.latitude, where.uncertainty_km) == (53.3, 20.0)


@pytest.mark.parametrize("job", ["j1", ""])
def test_of_a_move_it_is_the_moves(job):
    why = Provenance("next-best", "declared", -1.0, 17, "drained", job, "frankfurt")
    found = recorded_decision(record(why, "nowhere"))
    assert (found.rule, found.placed_by, found.moved_from, found.job_id) == (
        "drained", "next-best", "frankfurt", job,
    )  # fmt: skip
    assert found.distance_km == -1.0
    assert not found.location.HasField("position")


def test_what_was_not_recorded_is_not_made_up():
    assert recorded_decision(record(None)) is None
