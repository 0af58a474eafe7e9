"""What the records of a unit come to: its clients, its state, its revision. No store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control_plane import keys
from control_plane.errors import NotFound
from control_plane.fleet.capacity import CapacityRecord, encode_capacity
from control_plane.fleet.lifecycle import LifecycleRecord, State
from control_plane.fleet.records import DamagedRecord, encode_lifecycle, encode_status, encode_unit
from control_plane.fleet.unit_view import (
    UnitSnapshot,
    clients_in_clusters,
    last_seen_views,
    revision_of,
    views_from_pairs,
)
from control_plane.store.port import KeyValue
from tests.support.odd_keys import NAMES
from tests.support.unit_records import unit_spec, unit_status

RECORD = CapacityRecord(capacity=100, settled=10, grants={"p1": 20, "p2": 5})


def pair(key: bytes, value: bytes, revision: int = 1) -> KeyValue:
    return KeyValue(key, value, revision, revision, 1)


UNIT = pair(keys.unit("u"), encode_unit(unit_spec()), 3)
CAPACITY = pair(keys.capacity("u"), encode_capacity(RECORD), 4)
LIVE = pair(keys.live("u"), encode_status(unit_status(load=0.5)), 5)
CORDONED = pair(keys.lifecycle("u"), encode_lifecycle(LifecycleRecord(state=State.CORDONED)), 9)
AGENT = pair(keys.agent("u"), b"1")
NOTHING = UnitSnapshot(unit=None, live=None, capacity=None, usages=())
SEEN = replace(NOTHING, unit=UNIT, capacity=CAPACITY)


def usage(provisioner: str, count: int) -> KeyValue:
    return pair(keys.usage("u", provisioner), b"%d" % count)


@pytest.mark.parametrize(
    ("usages", "in_clusters", "expected"),
    [
        pytest.param((), 0, 10, id="settled-clients-alone"),
        pytest.param((usage("p1", 7), usage("p2", -2)), 0, 15, id="and-net-usage"),
        pytest.param((), 4, 14, id="and-those-counted-in-clusters"),
        pytest.param((usage("p1", -12),), 0, 0, id="never-below-none"),
    ],
)
def test_how_many_clients_a_unit_has(usages, in_clusters, expected):
    assert replace(SEEN, usages=usages, cluster_clients=in_clusters).clients == expected


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        pytest.param(SEEN, State.JOINING, id="never-heard"),
        pytest.param(replace(SEEN, agent=AGENT), State.ACTIVE, id="it-had-an-agent"),
        pytest.param(replace(SEEN, lifecycle=CORDONED), State.CORDONED, id="as-written"),
    ],
)
def test_the_state_of_a_unit(snapshot, expected):
    assert snapshot.state.state is expected


def test_the_revision_is_that_of_the_record_or_of_the_state_whichever_is_later():
    assert SEEN.revision == 3
    assert replace(SEEN, lifecycle=CORDONED).revision == 9
    assert replace(NOTHING, lifecycle=CORDONED).revision == 0
    assert (revision_of(None), revision_of(UNIT)) == (0, 3)


def test_a_unit_without_a_record_is_not_there():
    with pytest.raises(NotFound, match="there is no unit u"):
        NOTHING.view("u")


def test_views_are_made_of_all_records_and_of_nothing_else():
    other = pair(keys.unit("a"), encode_unit(replace(unit_spec(), id="a")), 2)
    stray = pair(keys.live("ghost"), encode_status(unit_status()))
    pairs = [UNIT, CAPACITY, LIVE, AGENT, CORDONED, usage("p1", 3), other, stray]
    first, second = views_from_pairs(pairs)
    assert (first.spec.id, first.status, first.clients) == ("a", None, 0)
    assert (second.spec, second.status, second.clients) == (
        unit_spec(), unit_status(load=0.5), 13,
    )  # fmt: skip
    assert (second.lifecycle.state, second.capacity) == (State.CORDONED, RECORD)


def test_what_was_read_earlier_counts_every_reserved_slot_as_a_client():
    (view,) = last_seen_views([UNIT, CAPACITY])
    assert view.clients == 10 + 20 + 5


def test_clusters_count_for_the_provisioners_that_the_record_names():
    counted = {("u", "p1"): 6, ("u", "gone"): 50, ("other", "p1"): 9}
    assert clients_in_clusters("u", CAPACITY, counted) == 6
    assert clients_in_clusters("u", None, counted) == 0
    (view,) = views_from_pairs([UNIT, CAPACITY], counted)
    assert view.clients == 16


@pytest.mark.parametrize("prefix", ["unit", "live", "capacity", "lifecycle", "agent"])
def test_a_unit_with_a_damaged_record_is_left_out_and_named(prefix: str) -> None:
    others = [pair(keys.unit("v"), encode_unit(replace(unit_spec(), id="v"))),
              pair(keys.capacity("v"), encode_capacity(RECORD))]  # fmt: skip
    records = {one.key: one for one in (UNIT, CAPACITY, LIVE, CORDONED, AGENT)}
    key = getattr(keys, prefix)("u")
    records[key] = pair(key, b"{nonsense")
    left_out: dict[str, Exception] = {}
    views = views_from_pairs([*records.values(), *others], damaged=left_out.__setitem__)
    assert [view.spec.id for view in views] == ["v"]
    assert list(left_out) == ["u"]


@pytest.mark.parametrize("prefix", [keys.UNITS, keys.LIVE, keys.CAPACITY, keys.USAGE, keys.AGENTS])
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_a_key_that_is_nobodys_costs_no_unit(prefix, name):
    left_out = {}
    records = [UNIT, CAPACITY, LIVE, usage("p1", 7), pair(prefix + name, b"1")]
    views = views_from_pairs(records, damaged=left_out.__setitem__)
    assert [(view.spec.id, view.clients) for view in views] == [("u", 17)]
    assert set(left_out) <= {"/"}  # the one name among them


@pytest.mark.parametrize("value", [b"", b"many", b"\xff", b"1" * 5_000])
def test_usage_that_is_no_number_leaves_out_its_unit_alone(value):
    """Here, and where it was read in another cluster."""
    other = [
        pair(keys.unit("v"), encode_unit(unit_spec())),
        pair(keys.capacity("v"), encode_capacity(CapacityRecord(capacity=5, grants={"p@e": 2}))),
    ]
    left_out: dict[str, Exception] = {}
    views = views_from_pairs(
        [UNIT, CAPACITY, *other, pair(keys.usage("u", "p1"), value)],
        {("v", "p@e"): None},
        damaged=left_out.__setitem__,
    )
    assert (list(views), set(left_out)) == ([], {"u", "v"})
    assert all(isinstance(error, DamagedRecord) for error in left_out.values())
    assert "usage/u/p1" in str(left_out["u"])
    assert "usage/v/p@e of cluster e" in str(left_out["v"])
