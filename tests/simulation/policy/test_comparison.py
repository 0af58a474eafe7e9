"""Two policies next to each other: what moves, and that both engines say the same."""

from __future__ import annotations

from zlib import crc32

import numpy as np
import pytest

from control_plane import keys
from control_plane.errors import InvalidInput
from control_plane.fleet.file import SAMPLE, read_fleet
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.rendezvous import SLOT_MASK
from provisioner.policy.membership import is_in
from simulation.policy.client_classes import ClientClasses, ModelledClients, chunks
from simulation.policy.client_policy import OnePolicy, TenantPolicy
from simulation.policy.decisions import Decisions
from simulation.policy.figures import Document, document_of
from simulation.policy.page import page_of
from simulation.policy.simulated_fleet import simulated_fleet
from simulation.policy.simulator import Engine, Question, simulate
from simulation.population.population import Population, load_population
from tests.support.policies import compiled

UNITS = read_fleet(SAMPLE)
ANYWHERE = OnePolicy(PlacementPolicy())
VAGUE = OnePolicy(PlacementPolicy(least_uncertainty_km=800.0))


def policy_of(rules: str, tenant: str = "t") -> TenantPolicy:
    return TenantPolicy(compiled(rules, tenant=tenant))


@pytest.fixture(scope="module")
def population() -> Population:
    return load_population()


def told(population: Population, **asked: object) -> Document:
    question = Question(
        **{
            "tenant": "t",
            "units": UNITS,
            "before": ANYWHERE,
            "after": VAGUE,
            "clients": 120_000,
            "engine": Engine.CLASSES,
            **asked,
        }  # type: ignore[arg-type]
    )
    return document_of(*simulate(question, population, lambda more: None))


def loads(side: Document) -> np.ndarray:
    return np.array([unit["clients"] for unit in side["units"]], dtype=float)


@pytest.mark.parametrize("growth", [0.5, 1.0, 1.4])
def test_both_engines_say_the_same_of_both_sides_and_of_what_moves(
    population: Population, growth: float
) -> None:
    """Within 1 % of all clients."""
    asked = {"growth": growth, "without": ["eu-west"], "clients": 60_000}
    exact = told(population, engine=Engine.EXACT, **asked)
    classes = told(population, **asked)
    for side in ("before", "after"):
        count = exact[side]["clients"]
        assert classes[side]["clients"] == count
        apart = np.abs(loads(exact[side]) - loads(classes[side])).sum() / 2
        assert apart < 0.01 * count
    assert classes["moved"]["share"] == pytest.approx(exact["moved"]["share"], abs=0.01)


def test_the_same_policy_moves_nobody(population: Population) -> None:
    for engine in Engine:
        found = told(population, after=ANYWHERE, engine=engine, clients=20_000)
        assert found["moved"] == {"clients": 0, "share": 0.0, "ways": 0, "largest": []}


def test_a_unit_that_fails_is_empty_afterwards_and_its_clients_are_elsewhere(
    population: Population,
) -> None:
    found = told(population, after=ANYWHERE, without=["eu-central"])
    clients = {unit["id"]: unit["clients"] for unit in found["after"]["units"]}
    had = {unit["id"]: unit["clients"] for unit in found["before"]["units"]}
    assert clients["eu-central"] == 0
    assert had["eu-central"] > 0
    left = [one for one in found["moved"]["largest"] if one["from"] == "eu-central"]
    assert sum(one["clients"] for one in left) == pytest.approx(had["eu-central"], rel=0.01)


def test_more_clients_than_there_is_room_for_are_placed_nowhere(population: Population) -> None:
    room = sum(unit.capacity for unit in UNITS)
    found = told(population, clients=room, growth=1.25)
    assert found["before"]["unplaced"] == 0
    assert found["after"]["unplaced_share"] == pytest.approx(0.2, abs=0.001)
    assert found["after"]["rules"]["full"] == pytest.approx(room / 4, rel=0.001)


@pytest.mark.parametrize("engine", Engine)
def test_a_ring_gets_its_share_of_clients_and_nobody_else_its_units(
    population: Population, engine: Engine
) -> None:
    rules = "rings: {canary: {share: 20, units: [eu-north]}}"
    ring = policy_of(rules)
    found = told(population, after=ring, engine=engine, clients=8_000)
    in_ring = {unit["id"]: unit["clients"] for unit in found["after"]["units"]}["eu-north"]
    assert in_ring == pytest.approx(1_600, abs=120)
    if engine is Engine.EXACT:
        (canary,) = compiled(rules).document.rings
        assert in_ring == sum(is_in(canary, "t", f"user-1-{at}") for at in range(8_000))


@pytest.mark.parametrize("engine", Engine)
def test_residency_sends_clients_where_a_rule_requires_and_nowhere_else(
    population: Population, engine: Engine
) -> None:
    found = told(
        population,
        after=policy_of(
            """
            rules:
              - {name: eu, when: location.continent == "EU", require: {continents: [EU]}}
              - {name: us, when: location.country == "US", require: {countries: [US]}}
              - {name: cn, when: location.country == "CN", deny: true}
            """
        ),
        engine=engine,
        clients=200_000,
    )
    rows = {one["certainty"]: one for one in found["after"]["residency"]}
    assert set(rows) <= {"certain", "uncertain", "registered", "unknown"}
    refused = found["after"]["rules"]["refused"]
    assert refused == found["after"]["unplaced"]
    china = 0.175  # of all people
    assert refused / 200_000 == pytest.approx(china, abs=0.01)


@pytest.mark.parametrize("engine", Engine)
def test_a_condition_that_reads_ids_is_asked_for_each_client(
    population: Population, engine: Engine
) -> None:
    odd = policy_of(
        """
        rules:
          - {name: odd, when: 'client.id.endsWith("1")', require: {countries: [US]}}
          - {name: rest, when: '!client.id.endsWith("1")', forbid: {countries: [US]}}
        """
    )
    found = told(population, after=odd, engine=engine, clients=2_000)
    in_us = sum(u["clients"] for u in found["after"]["units"] if u["id"].startswith("us-"))
    assert in_us == pytest.approx(200, abs=1 if engine is Engine.EXACT else 40)


def test_a_day_shows_when_each_unit_is_busy(population: Population) -> None:
    found = told(population, sun=True, clients=700_000)
    peaks = {unit["id"]: unit["peak_hour_utc"] for unit in found["before"]["units"]}
    assert 4 <= peaks["ap-northeast"] <= 10  # afternoon in Japan
    assert 18 <= peaks["us-east"] <= 23
    units = {unit["id"]: unit for unit in found["before"]["units"]}
    came = np.diff([0, *units["ap-northeast"]["over_time"]])
    assert came[3:9].sum() > came[14:20].sum()


def test_a_day_is_for_classes(population: Population) -> None:
    with pytest.raises(InvalidInput, match="--engine classes"):
        told(population, sun=True, engine=Engine.EXACT)


def test_slots_are_those_of_the_clients_keys(population: Population) -> None:
    decisions = [Decisions(simulated_fleet(UNITS), "t") for _ in range(2)]
    classes = ClientClasses((ANYWHERE, decisions[0]), (ANYWHERE, decisions[1]))
    clients = ModelledClients(population, classes, tenant="t", seed=7)
    for first, count in ((0, 2_500), (998, 3), (999_999, 1_002), (12_345_678, 5)):
        _, slots = clients.clients(first, count)
        expected = [
            crc32(keys.assignment("t", population.user(number, 7).client_id)) & SLOT_MASK
            for number in range(first, first + count)
        ]
        assert slots.tolist() == expected


def test_chunks_end_where_parts_do() -> None:
    found = list(chunks([3, 10, 10, 12], 4))
    assert found == [(0, 3), (3, 4), (7, 3), (10, 2)]


def test_a_page_holds_everything_and_fetches_nothing(population: Population) -> None:
    question = Question(
        tenant="<b>t</b>", units=UNITS, before=ANYWHERE, after=VAGUE, clients=10_000,
        engine=Engine.CLASSES, without=["eu-west"], sun=True,
    )  # fmt: skip
    answer = simulate(question, population, lambda more: None)
    page = page_of(
        *answer, document_of(*answer), attribution="IP Geolocation by DB-IP (https://db-ip.com)"
    )
    assert page.count("<svg") == 2 + len(UNITS)
    assert "<b>t</b>" not in page
    assert 'href="https://db-ip.com"' in page
    links = page.replace('href="https://db-ip.com"', "").replace("http://www.w3.org/2000/svg", "")
    assert "http" not in links
    assert "<script" not in page
    assert all(f">{unit.id}<" in page for unit in UNITS)
