"""One side of a simulation in a process of its own comes to what it comes to in this one."""

from __future__ import annotations

import os
import random
from multiprocessing import Pipe
from signal import SIGKILL

import numpy as np
import pytest

from control_plane.errors import Unavailable
from control_plane.fleet.file import SAMPLE, read_fleet
from provisioner.placement.filters import PlacementPolicy
from simulation.policy.client_policy import OnePolicy, TenantPolicy
from simulation.policy.decisions import Decisions
from simulation.policy.figures import document_of
from simulation.policy.simulated_fleet import simulated_fleet
from simulation.policy.simulator import Engine, Question, simulate
from simulation.population.population import load_population
from simulation.side_process import Heard, SideProcess, side_process
from tests.simulation.policy.fleets import random_locations, random_units
from tests.support.policies import compiled

RULES = """
rings: {canary: {share: 20, units: [eu-north]}}
rules:
  - {name: odd, when: 'client.id.endsWith("1")', require: {countries: [US]}}
"""


@pytest.mark.parametrize("growth", [0.5, 1.0, 1.4])
def test_both_say_the_same_also_of_classes_that_are_met_late(growth: float) -> None:
    question = Question(
        tenant="t",
        units=read_fleet(SAMPLE),
        before=OnePolicy(PlacementPolicy()),
        after=TenantPolicy(compiled(RULES, tenant="t")),
        clients=1_500,
        engine=Engine.EXACT,
        growth=growth,
    )
    population = load_population()
    found = [
        document_of(*simulate(question, population, lambda more: None, apart=apart))
        for apart in (None, side_process)
    ]
    assert found[0] == found[1]


def test_a_process_that_is_gone_is_told_and_waited_for_no_longer() -> None:
    rng = random.Random(1)
    decisions = Decisions(simulated_fleet(random_units(rng, 3, 10)), "t")
    decisions.add(random_locations(rng, 3)[2], PlacementPolicy())
    with side_process(decisions) as side:
        side.begin(np.zeros(4, dtype=np.int64), np.arange(4))
        units, _ = side.placed()
        assert len(units) == 4
        assert sum(side.clients) == 4
        os.kill(side.process_id, SIGKILL)
        with pytest.raises(Unavailable, match="ended early"):
            side.placed()
        with pytest.raises(Unavailable, match="ended early"):
            side.begin(np.zeros(4, dtype=np.int64), np.arange(4))


def test_a_policy_that_is_told_of_twice_is_one_there() -> None:
    rng = random.Random(1)
    simulated = simulated_fleet(random_units(rng, 3, 10))
    decisions = Decisions(simulated, "t")
    shared = PlacementPolicy()
    policies = [PlacementPolicy(spillover=shared), PlacementPolicy(spillover=shared)]
    pipe, far = Pipe()
    side = SideProcess(decisions, pipe, 0)
    heard, there = Heard(far), Decisions(simulated, "t")
    for at in range(4):
        decisions.add(random_locations(rng, 3)[2], policies[at % 2])
        side.begin(np.array([at]), np.array([at]))
        heard.next(there)
    found = [policy for _, policy in there.classes(0)]
    assert found[0] is found[2]
    assert found[1] is found[3]
    assert found[0].spillover is found[1].spillover
