"""Ranking by latency: what was measured counts, and distance where nothing was."""

from __future__ import annotations

import pytest

from provisioner.placement.choice import NEXT_BEST, Choice
from provisioner.placement.chooser import Chooser
from provisioner.placement.explanation import explain
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.latency import LatencyCaps, latency_ms
from provisioner.placement.ranking import Cost, Ranking
from tests.support.fleets import MeasuredByCell, at, fleet, occupied

CAPS = LatencyCaps(cap_ms=20.0, relax_to_ms=60.0)
POLICY = PlacementPolicy(ranking=Ranking(latency=CAPS))
PARIS = at(48.9, 2.4, country="FR", continent="EU", uncertainty_km=20.0)
NAMES = ("frankfurt", "dublin", "oregon")


def units_with(measured: dict[str, float]) -> PlacementFleet:
    return PlacementFleet(
        units=fleet(*NAMES).units,
        revision=1,
        latencies=MeasuredByCell({PARIS.cell: measured}),
    )


def chosen(units: PlacementFleet, policy: PlacementPolicy, room: list[int] | None = None) -> str:
    chooser = Chooser(units, policy, occupied(room or [9, 9, 9], [0.0, 0.0, 0.0]))
    choice = chooser.choose(PARIS, "t", b"t/a")
    assert isinstance(choice, Choice)
    return units.units[choice.unit_index].id


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        pytest.param({}, "frankfurt", id="by-distance-alone"),
        pytest.param({"frankfurt": 70.0}, "dublin", id="the-nearest-is-slow"),
        pytest.param({"frankfurt": 19.0, "dublin": 3.0}, "frankfurt", id="within-the-cap-alike"),
        pytest.param({"frankfurt": 70.0, "dublin": 80.0, "oregon": 30.0}, "oregon", id="relaxed"),
        pytest.param(
            {"frankfurt": 70.0, "dublin": 65.0, "oregon": 90.0}, "frankfurt", id="all-beyond"
        ),
    ],
)
def test_units_within_the_cap_go_first_and_then_by_distance(
    measured: dict[str, float], expected: str
) -> None:
    assert chosen(units_with(measured), POLICY) == expected


def test_cost_goes_before_latency() -> None:
    dear = PlacementPolicy(ranking=Ranking(latency=CAPS, orders=(Cost(label="none"),)))
    assert chosen(units_with({"frankfurt": 70.0}), dear) == "dublin"


def test_what_was_measured_elsewhere_is_not_of_this_place() -> None:
    units = units_with({"frankfurt": 70.0})
    chooser = Chooser(units, POLICY, occupied([9, 9, 9], [0.0, 0.0, 0.0]))
    choice = chooser.choose(at(48.9, 4.4, country="FR"), "t", b"t/a")
    assert isinstance(choice, Choice)
    assert units.units[choice.unit_index].id == "frankfurt"


def test_where_those_within_the_cap_are_full_the_relaxed_ones_are_next() -> None:
    units = units_with({"oregon": 50.0, "dublin": 70.0})
    assert chosen(units, POLICY, [0, 9, 9]) == "oregon"


def test_each_unit_is_explained_by_its_latency() -> None:
    units = units_with({"frankfurt": 70.0, "oregon": 45.0})
    told = explain(units, POLICY, PARIS, "t", b"t/a", [9, 9, 9], [0.0, 0.0, 0.0])
    reasons = {one.id: one.reason for one in told.units}
    assert [one.id for one in told.units] == ["dublin", "oregon", "frankfurt"]
    assert reasons["dublin"] == (
        "779 km away, some 11 ms, within 20 ms (by its distance), ranked first by the policy"
    )
    assert reasons["oregon"] == (
        "some 45 ms, above 20 ms and within 60 ms (measured); dublin is within 20 ms"
    )
    assert reasons["frankfurt"] == "some 70 ms, above 60 ms (measured); dublin is within 20 ms"
    told = explain(units, POLICY, PARIS, "t", b"t/a", [9, 0, 9], [0.0, 0.0, 0.0])
    assert (told.units[0].id, told.rule) == ("oregon", NEXT_BEST)


def test_distance_tells_what_light_needs_there_and_back() -> None:
    assert latency_ms(204.2) == pytest.approx(3.0)
