"""The record of a home, and of how its client came there."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.identity.jws import base64url
from provisioner.geo.cells import cell_of
from provisioner.geo.location import NOWHERE, Location, LocationSource
from provisioner.ledger.assignment import (
    AssignmentRecord,
    decode_assignment,
    with_attributes_written,
)
from provisioner.ledger.assignment_encoding import encode_assignment
from provisioner.ledger.provenance import (
    UNKNOWN_KM,
    Provenance,
    encode_provenance,
    provenance_of,
)
from provisioner.placement.attributes import attributes_of
from tests.support.fleets import at, fleet

names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
cells = st.sampled_from(["", "nowhere", "IE:53.3,-6.3~20", "@EU:", "CY@EU:", "FJ:-17.7,177.4~0"])
subdivisions = st.sampled_from(["", "US-HI", "Île-de-France", 'a "quoted" \\ one'])
digests = st.binary(min_size=16, max_size=16).map(lambda one: base64url(one).decode())
provenances = st.builds(
    Provenance,
    st.sampled_from(["", "nearest", "least-loaded-near", "spread-near", "next-best", "spread"]),
    st.sampled_from([source.value for source in LocationSource]),
    st.one_of(st.just(UNKNOWN_KM), st.floats(0, 20_100).map(lambda km: round(km, 1))),
    st.integers(0, 2**53),
    st.sampled_from(["", "drained", "failed-over", "returned-home", "reprovisioned"]),
    st.one_of(st.just(""), names),
    st.one_of(st.just(""), names),
).map(lambda one: one if one.cause else msgspec.structs.replace(one, job="", left=""))


@given(names, st.integers(1, 2**40), st.integers(0, 2**45), cells, st.integers(0, 99),
       st.one_of(st.just(""), names), st.one_of(st.none(), provenances),
       st.one_of(st.just(""), digests), st.integers(0, 2**45), subdivisions)  # fmt: skip
def test_a_record_is_read_as_it_was_written(
    unit, epoch, at_ms, cell, policy, home, why, key, first_ms, subdivision
):
    encoded = "" if why is None else encode_provenance(why)
    value = encode_assignment(
        unit, epoch, at_ms, cell, policy, home, encoded, key, first_ms, subdivision
    )
    record = decode_assignment(value)
    assert record == AssignmentRecord(
        unit=unit, epoch=epoch, at_ms=at_ms, cell=cell, policy=policy, home=home, why=why, key=key,
        first=first_ms if epoch > 1 else 0, sub=subdivision,
    )  # fmt: skip
    assert record.first_ms == (first_ms if epoch > 1 else at_ms)
    assert json.loads(value)["unit"] == unit  # an operator reads it with any tool


@given(provenances)
def test_it_takes_few_bytes(why):
    """It is kept for every client there is."""
    if not why.cause:
        assert len(encode_provenance(why)) <= 70


def test_what_was_written_before_provenance_was_kept_says_that_it_is_not_recorded():
    record = decode_assignment(
        b'{"unit":"dublin","epoch":2,"at_ms":7,"cell":"IE:53.3,-6.3~20","policy":0}'
    )
    assert record.why is None
    assert (record.key, record.first_ms) == ("", 0)
    assert record.location.source is LocationSource.UNKNOWN
    assert (record.location.country, record.location.latitude) == ("IE", 53.3)


@pytest.mark.parametrize(
    ("why", "source"),
    [
        (Provenance("nearest", "declared", 1.0, 1), LocationSource.DECLARED),
        (Provenance("nearest", "database", 1.0, 1), LocationSource.DATABASE),
        (Provenance("nearest", "by-dead-reckoning", 1.0, 1), LocationSource.UNKNOWN),
        (None, LocationSource.UNKNOWN),
    ],
)
def test_the_location_is_by_whom_the_record_says(why, source):
    record = AssignmentRecord(unit="u", epoch=1, at_ms=1, cell="IE:53.3,-6.3~20", why=why)
    assert record.location.source is source
    assert record.location.cell == "IE:53.3,-6.3~20"


def test_a_client_that_was_nowhere_is_there_still():
    why = Provenance("spread", "nowhere", UNKNOWN_KM, 1)
    assert AssignmentRecord(unit="u", epoch=1, at_ms=1, cell="nowhere", why=why).location is NOWHERE


def test_provenance_is_of_the_clients_own_position():
    """Not of the middle of its cell: a client 4 km from there is as far from its unit."""
    units = fleet("dublin")
    found = provenance_of(units, 0, "nearest", at(53.34, -6.3))
    assert found == Provenance("nearest", "declared", 4.4, 1)
    moved = provenance_of(
        units, 0, "spread", at(53.3, -6.3), cause="drained", job="j", left="frankfurt"
    )
    assert (moved.distance_km, moved.cause, moved.job, moved.left) == (
        0.0, "drained", "j", "frankfurt",
    )  # fmt: skip
    country = Location(
        source=LocationSource.DATABASE, country="IE", cell=cell_of("IE", None, None, 0.0)
    )
    assert provenance_of(units, 0, "nearest", country).distance_km == UNKNOWN_KM


@pytest.mark.parametrize("text", ["x" * 65, "a\nb", "\ud800", "\x00"])
def test_a_subdivision_that_is_no_code_is_not_kept(text):
    record = decode_assignment(encode_assignment("dublin", 1, 7, "US:", subdivision=text))
    assert record.sub == ""


def test_where_a_client_was_is_known_to_the_subdivision():
    value = encode_assignment("dublin", 1, 7, "US:21.3,-157.9~20", subdivision="US-HI")
    location = decode_assignment(value).location
    assert (location.country, location.subdivision) == ("US", "US-HI")


def test_attributes_are_kept_and_written_anew_with_all_else_as_it_was():
    said = {"kind": 'a"b', "tier": "gold"}
    value = encode_assignment("dublin", 2, 7, "US:", key="digest", first_ms=3, attributes=said)
    assert decode_assignment(value).attributes == said
    assert decode_assignment(encode_assignment("dublin", 1, 7, "US:")).attributes is None
    later = value[:-1] + b',"of_a_later_version":[1,{"a":2}]}'
    changed = with_attributes_written(later, {"kind": "other"})
    assert b'"of_a_later_version":[1,{"a":2}]' in changed
    record = decode_assignment(changed)
    assert (record.attributes, record.key, record.first) == ({"kind": "other"}, "digest", 3)
    assert decode_assignment(with_attributes_written(changed, {})).attributes is None


def test_a_client_is_placed_anew_by_what_its_record_keeps():
    value = encode_assignment("dublin", 1, 7, "US:", attributes={"kind": "x"})
    assert attributes_of(decode_assignment(value).placed_by(b"k")) == {"kind": "x"}
    assert decode_assignment(encode_assignment("dublin", 1, 7, "US:")).placed_by(b"k") == b"k"
