"""Overlap of shuffle shards: what is counted is what the formulas expect."""

from __future__ import annotations

import pytest

from control_plane.errors import InvalidInput
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.selectors import UnitSelector
from provisioner.policy.document import ShuffleSharding
from simulation.policy.shard_overlap import expected_overlap, overlap_of
from tests.support.fleets import unit

FLEET = PlacementFleet(units=tuple(unit(f"u{at:02d}", at) for at in range(12)), revision=1)
TENANTS = [f"tenant-{at}" for at in range(900)]


def sharding(count: int, **among: frozenset[str]) -> ShuffleSharding:
    return ShuffleSharding(units=count, among=UnitSelector(**among))  # type: ignore[arg-type]


@pytest.mark.parametrize("units", [1, 2, 4])
def test_tenants_share_as_many_units_as_chance_has_it(units: int) -> None:
    found = overlap_of(sharding(units), FLEET, "acme", TENANTS)
    expected = found["expected"]
    assert found["tenants"] == 901
    # 405,450 pairs, which are not independent of each other: 5 % of what is expected.
    for name in ("share_all", "share_any", "shared_on_average"):
        assert found[name] == pytest.approx(expected[name], rel=0.05, abs=0.0005)
    assert sum(found["tenants_by_shared_units"].values()) == 900
    each = 901 * units / 12
    assert each * 0.7 < found["least_tenants_of_a_unit"] <= found["most_tenants_of_a_unit"]
    assert found["most_tenants_of_a_unit"] < each * 1.3
    assert found["lose_all_with_it"] == pytest.approx(expected["share_all"], abs=0.02)


def test_where_there_are_no_more_units_all_tenants_have_all() -> None:
    found = overlap_of(sharding(20), FLEET, "acme", TENANTS[:9])
    assert (found["share_all"], found["share_any"], found["lose_all_with_it"]) == (1.0, 1.0, 1.0)
    assert found["expected"] == {"share_all": 1.0, "share_any": 1.0, "shared_on_average": 12.0}


def test_where_nothing_is_among_them_nobody_has_a_unit() -> None:
    found = overlap_of(sharding(2, units=frozenset({"gone"})), FLEET, "acme", TENANTS[:9])
    assert (found["units"], found["share_any"], found["lose_all_with_it"]) == ([], 0.0, 0.0)
    assert expected_overlap(0, 2)["share_any"] == 0.0


def test_too_many_tenants_are_refused() -> None:
    with pytest.raises(InvalidInput, match="2,000"):
        overlap_of(sharding(2), FLEET, "acme", [f"t{at}" for at in range(2_000)])
