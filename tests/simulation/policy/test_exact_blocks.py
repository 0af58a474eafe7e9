"""However many clients are guessed at at once, each gets what a server would give it.

Several policies over one fleet, with pins, weights, caps of latency, pools and areas; units that
fill up, and some that are full from the beginning.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pytest

from provisioner.geo.location import Location
from provisioner.placement.choice import Choice
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.latency import LatencyCaps
from provisioner.placement.occupancy import Occupancy
from provisioner.placement.policy_chooser import PolicyChooser
from provisioner.placement.ranking import Ranking
from provisioner.placement.rendezvous import slot_of
from provisioner.placement.selectors import UnitSelector
from provisioner.placement.shuffle_shards import ShuffleShard
from provisioner.policy.pinning import pinned
from simulation.policy import equal_units, slot_scores
from simulation.policy.decisions import FULL, REFUSED, Decisions
from simulation.policy.exact import UNPLACED, ExactRun
from simulation.policy.simulated_fleet import SimulatedFleet, simulated_fleet
from tests.simulation.policy.fleets import COUNTRIES, random_locations, random_units, with_others
from tests.simulation.policy.policies import POLICIES


@dataclass(frozen=True)
class Case:
    """clients: the class and the key of each, in the order in which they come."""

    classes: list[tuple[Location, PlacementPolicy]]
    clients: list[tuple[int, bytes]]
    units: int
    capacity: int
    seed: int

    def fleet(self) -> SimulatedFleet:
        """Anew, with some units taken in part and one that takes nobody."""
        rng = random.Random(self.seed)
        made = simulated_fleet(random_units(rng, self.units, self.capacity), ["unit-001"])
        return with_others(made, rng) if self.seed % 2 else made


def case(seed: int) -> Case:
    rng = random.Random(seed)
    count = rng.choice([4, 9, 30, 70])
    clients = rng.choice([300, 1_200])
    weights = UnitSelector(countries=frozenset({rng.choice(COUNTRIES)[0]}))
    policies = [
        *POLICIES.values(),
        PlacementPolicy(ranking=Ranking(latency=LatencyCaps(cap_ms=20.0, relax_to_ms=60.0))),
        PlacementPolicy(
            least_uncertainty_km=rng.choice([50.0, 500.0, 5_000.0]),
            ranking=Ranking(weights=((weights, rng.choice([0.5, 4.0])),)),
        ),
        PlacementPolicy(least_uncertainty_km=20_000.0, ranking=Ranking(by_load=False)),
        PlacementPolicy(
            least_uncertainty_km=800.0,
            shuffle_shard=ShuffleShard(tenant="t", units=3, among=UnitSelector()),
        ),
        pinned(PlacementPolicy(), "unit-003"),
    ]
    some = rng.sample(policies, rng.randint(1, 4))
    classes = [(place, rng.choice(some)) for place in random_locations(rng, 30)]
    often = [rng.random() ** 3 for _ in classes]
    return Case(
        classes=classes,
        clients=[
            (number, b"assignments/t/c-%d" % at)
            for at, number in enumerate(rng.choices(range(len(classes)), often, k=clients))
        ],
        units=count,
        capacity=max(1, round(clients * rng.uniform(0.6, 3.0) / count)),
        seed=seed,
    )


def one_after_another(given: Case) -> list[tuple[int, str]]:
    """What a server would do, had it nothing else to do."""
    fleet = given.fleet()
    occupancy = Occupancy(len(fleet.capacities))
    for unit, room in enumerate(fleet.room):
        occupancy.update(unit, room, fleet.load[unit])
    choosers: dict[PlacementPolicy, PolicyChooser] = {}
    taken = [has - room for has, room in zip(fleet.capacities, fleet.room, strict=True)]
    found = []
    for number, key in given.clients:
        location, policy = given.classes[number]
        if policy not in choosers:
            choosers[policy] = PolicyChooser(fleet.fleet, policy, occupancy)
        choice = choosers[policy].choose(location, "t", key)
        if isinstance(choice, Choice):
            unit = choice.unit_index
            taken[unit] += 1
            left = fleet.capacities[unit] - taken[unit]
            occupancy.update(unit, left, taken[unit] / fleet.capacities[unit])
            found.append((unit, choice.rule))
        else:
            found.append((UNPLACED, FULL if choice.allowed else REFUSED))
    return found


@pytest.mark.parametrize("seed", range(24))
def test_each_client_gets_what_a_server_gives_it_whatever_the_block(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = case(seed)
    expected = one_after_another(given)
    classes = np.array([number for number, _ in given.clients])
    slots = np.array([slot_of(key) for _, key in given.clients])
    for block, kept, compared in ((1, 4_096, 32), (37, 0, 32), (250, 4_096, 2), (4_096, 4_096, 32)):
        monkeypatch.setattr(slot_scores, "MOST_KEPT", kept)
        monkeypatch.setattr(equal_units, "MOST_COMPARED", compared)
        fleet = given.fleet()
        decisions = Decisions(fleet, "t")
        for location, policy in given.classes:
            decisions.add(location, policy)
        run = ExactRun(decisions, block=block)
        targets, rules = run.place(classes, slots)
        found = zip(targets.tolist(), (run.rules[rule] for rule in rules.tolist()), strict=True)
        assert list(found) == expected
        begun = sum(fleet.capacities) - sum(fleet.room)
        assert sum(run.clients) - begun == sum(unit != UNPLACED for unit, _ in expected)
