"""One simulation, in a process of its own: how long it took, and how much memory.

    python -m bench.load.simulation_run exact|classes CLIENTS

A thousand units where people are, twelve rules, before and after a unit is left out and rules come
in; with its page. Prints JSON."""

from __future__ import annotations

import json
import random
import resource
import sys
import time

from control_plane.fleet.unit import Position, UnitId, UnitSpec
from provisioner.geo.countries import countries
from provisioner.geo.database import GeoDatabase
from provisioner.placement.filters import PlacementPolicy
from provisioner.policy.compiling import compile_policy
from simulation.policy.client_policy import OnePolicy, TenantPolicy
from simulation.policy.figures import document_of
from simulation.policy.page import page_of
from simulation.policy.simulator import Engine, Question, simulate
from simulation.population.population import population_of
from simulation.side_process import can_fork, side_process

UNITS = 1_000
ROOM = 1.25  # times as many as there are clients
RULES = """
policy: 1
rules:
  - {name: eu, when: location.continent == "EU", require: {continents: [EU]}}
  - {name: us, when: location.country == "US", require: {countries: [US]}}
  - {name: in, when: location.country == "IN", require: {continents: [AS]}}
  - {name: cn, when: location.country == "CN", forbid: {countries: [US, IN]}}
  - {name: br, when: location.country == "BR", require: {continents: [SA, NA]}}
  - {name: ng, when: location.country == "NG", require: {continents: [AF, EU]}}
  - {name: south, when: location.latitude < -30.0, rank: {bias: [{continents: [SA], percent: 20}]}}
  - {name: vague, when: location.uncertainty_km > 500.0, forbid: {labels: {kind: [small]}}}
  - {name: jp, when: location.country == "JP", require: {continents: [AS]}}
  - {name: asia, when: location.continent == "AS", rank: {cost: {label: price, band: 5}}}
  - {name: unknown, when: location.certainty == "unknown", require: {continents: [EU]}}
  - {name: all, rank: {weights: [{labels: {kind: large}, weight: 2}]}}
"""


def units(clients: int) -> list[UnitSpec]:
    """Where people are, the same each time."""
    rng = random.Random(UNITS)
    known = sorted(countries().values(), key=lambda one: one.code)
    people = [one.population for one in known]
    found = []
    for number in range(UNITS):
        (country,) = rng.choices(known, people)
        found.append(
            UnitSpec(
                id=UnitId(f"unit-{number:04d}"),
                endpoint="unit.example:443",
                position=Position(
                    latitude=min(89.0, max(-89.0, country.latitude + rng.gauss(0, 2))),
                    longitude=min(179.0, max(-179.0, country.longitude + rng.gauss(0, 2))),
                ),
                country=country.code,
                capacity=max(1, round(clients * ROOM / UNITS)),
                labels={
                    "kind": rng.choice(["small", "medium", "large"]),
                    "price": str(rng.randint(10, 60)),
                },
            )
        )
    return found


def run(engine: Engine, clients: int) -> dict[str, float]:
    """Seconds of the simulation and its page, and the memory of this process at most."""
    database = GeoDatabase.open()
    population = population_of(database)
    base = PlacementPolicy()
    after = TenantPolicy(compile_policy(RULES, tenant="t", revision=1, base=base, wall=time.time))
    question = Question(
        tenant="t",
        units=units(clients),
        before=OnePolicy(base),
        after=after,
        clients=clients,
        engine=engine,
        without=["unit-0000"],
    )
    began = time.perf_counter()
    apart = side_process if can_fork() else None
    answer = simulate(question, population, lambda more: None, apart=apart)
    page = page_of(*answer, document_of(*answer), attribution=database.info.attribution)
    took_s = time.perf_counter() - began
    assert len(page) > 100_000
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": took_s, "peak_mib": peak_kib / 1_024}


if __name__ == "__main__":
    print(json.dumps(run(Engine(sys.argv[1]), int(sys.argv[2]))))
