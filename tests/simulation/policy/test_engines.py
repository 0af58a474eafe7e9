"""Both engines against the chooser of the servers, client after client."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from control_plane.errors import InvalidInput
from provisioner.geo.location import Location
from provisioner.placement.choice import Choice
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.occupancy import Occupancy
from provisioner.placement.policy_chooser import PolicyChooser
from provisioner.placement.rendezvous import slot_of
from simulation.policy.arrivals import even_shares, hourly_shares
from simulation.policy.decisions import FULL, REFUSED, Decisions
from simulation.policy.exact import UNPLACED, ExactRun
from simulation.policy.simulated_fleet import SimulatedFleet, simulated_fleet
from simulation.policy.weighted import WeightedRun
from tests.simulation.policy.fleets import random_locations, random_units, with_others
from tests.simulation.policy.policies import POLICIES


def decided(fleet: SimulatedFleet, places: list[Location], policy: PlacementPolicy) -> Decisions:
    decisions = Decisions(fleet, "t")
    for place in places:
        decisions.add(place, policy)
    return decisions


def one_by_one(
    fleet: SimulatedFleet, policy: PlacementPolicy, clients: list[tuple[Location, bytes]]
) -> list[tuple[int, str]]:
    """What a server would do, had it nothing else to do."""
    occupancy = Occupancy(len(fleet.capacities))
    for unit, room in enumerate(fleet.room):
        occupancy.update(unit, room, fleet.load[unit])
    chooser = PolicyChooser(fleet.fleet, policy, occupancy)
    taken = [has - room for has, room in zip(fleet.capacities, fleet.room, strict=True)]
    found = []
    for location, key in clients:
        choice = chooser.choose(location, "t", key)
        if isinstance(choice, Choice):
            unit = choice.unit_index
            taken[unit] += 1
            left = fleet.capacities[unit] - taken[unit]
            occupancy.update(unit, left, taken[unit] / fleet.capacities[unit])
            found.append((unit, choice.rule))
        else:
            found.append((UNPLACED, FULL if choice.allowed else REFUSED))
    return found


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("seed", range(3))
def test_exact_does_what_a_server_does_with_each_client(seed: int, policy: PlacementPolicy) -> None:
    rng = random.Random(seed)
    count = 1_500
    units = random_units(rng, 12 if seed else 290, 100 if seed else 4)
    places = random_locations(rng, 40)
    of_clients = [rng.randrange(len(places)) for _ in range(count)]
    keys = [b"assignments/t/c-%d" % number for number in range(count)]
    begin_with = rng.randrange(1 << 30)

    def fleet() -> SimulatedFleet:
        made = simulated_fleet(units)
        return with_others(made, random.Random(begin_with)) if seed == 2 else made

    expected = one_by_one(
        fleet(),
        policy,
        [(places[place], key) for place, key in zip(of_clients, keys, strict=True)],
    )
    run = ExactRun(decided(fleet(), places, policy))
    found: list[tuple[int, str]] = []
    begin = 0
    while begin < count:  # in chunks of any length
        end = min(count, begin + rng.choice([1, 7, 400, 900]))
        targets, rules = run.place(
            np.array(of_clients[begin:end]),
            np.array([slot_of(key) for key in keys[begin:end]]),
        )
        named = [run.rules[rule] for rule in rules.tolist()]
        found += zip(targets.tolist(), named, strict=True)
        begin = end
    assert found == expected
    assert sum(run.clients) == sum(unit != UNPLACED for unit, _ in found) + (
        sum(fleet().capacities) - sum(fleet().room)
    )
    assert len({rule for _, rule in found}) > 1


@pytest.mark.parametrize("seed", range(2))
def test_classes_come_to_what_clients_come_to_within_chance(seed: int) -> None:
    """Within 1 % of all clients, and at each unit within five standard deviations of what chance
    does and a step of its load."""
    rng = random.Random(seed)
    count = 80_000
    units = random_units(rng, 16, count // 14)
    places = random_locations(rng, 80)
    weights = np.array([rng.random() ** 2 for _ in places])
    weights /= weights.sum()
    draw = np.random.default_rng(seed)
    of_clients = draw.choice(len(places), count, p=weights)
    policy = PlacementPolicy()
    run = ExactRun(decided(simulated_fleet(units), places, policy))
    targets, _ = run.place(of_clients, draw.integers(0, 2048, count))
    exact = np.bincount(targets + 1, minlength=len(units) + 1)[1:]
    weighted = WeightedRun(
        decided(simulated_fleet(units), places, policy),
        (weights * count).tolist(),
        [even_shares()] * len(places),
    ).run()
    found = weighted.over_time[-1]
    assert np.abs(found - exact).sum() / 2 / count < 0.01
    steps = np.array(simulated_fleet(units).capacities) / 20
    assert (np.abs(found - exact) < 5 * np.sqrt(exact + 1) + steps).all()


def test_no_unit_gets_more_than_it_holds_and_nobody_is_lost() -> None:
    rng = random.Random(8)
    units, places = random_units(rng, 30, 1_000), random_locations(rng, 100)
    clients = [rng.uniform(0, 900) for _ in places]
    shares = [hourly_shares(place.longitude) for place in places]
    decisions = decided(simulated_fleet(units), places, PlacementPolicy())
    outcome = WeightedRun(decisions, clients, shares).run()
    capacities = np.array(decisions.simulated.capacities)
    assert (outcome.over_time <= capacities + 1e-6).all()
    assert (np.diff(outcome.over_time, axis=0) >= -1e-6).all()
    for number, segments in enumerate(outcome.segments):
        assert segments[0].begin == 0.0
        assert segments[-1].end == pytest.approx(clients[number])
        assert all(one.end == two.begin for one, two in pairwise(segments))
    placed = sum(
        segment.end - segment.begin
        for segments in outcome.segments
        for segment in segments
        if segment.decision.units
    )
    assert placed == pytest.approx(outcome.over_time[-1].sum())


def test_a_unit_that_is_left_out_takes_nobody_and_the_others_keep_their_places() -> None:
    rng = random.Random(2)
    units, places = random_units(rng, 5, 1_000), random_locations(rng, 20)
    without = simulated_fleet(units, without=["unit-001"])
    assert [unit.id for unit in without.fleet.units] == [unit.id for unit in units]
    run = ExactRun(decided(without, places, PlacementPolicy()))
    targets, _ = run.place(np.arange(20) % len(places), np.arange(20))
    assert 1 not in targets


def test_a_unit_that_is_not_there_cannot_be_left_out() -> None:
    with pytest.raises(InvalidInput, match="no unit eu-wset"):
        simulated_fleet(random_units(random.Random(1), 2, 5), without=["eu-wset"])
