"""simulate: what becomes of a population under two policies, by the engine that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from control_plane.errors import InvalidInput
from control_plane.fleet.unit import UnitSpec
from provisioner.placement.latency import NOTHING_MEASURED, Latencies
from simulation.policy.attribute_shares import NO_SHARES, AttributeShares
from simulation.policy.client_classes import ClientClasses, ModelledClients
from simulation.policy.client_policy import ClientPolicy
from simulation.policy.comparison import BegunRun, ComparedSides, compare_classes, compare_exactly
from simulation.policy.decisions import Decisions
from simulation.policy.figures import Scenario, prices_of
from simulation.policy.simulated_fleet import simulated_fleet
from simulation.population.population import Population

MOST_EXACT = 200_000_000  # clients: minutes
MOST_CLIENTS = 100_000_000_000


class Engine(StrEnum):
    EXACT = "exact"  # client by client
    CLASSES = "classes"  # alike clients together


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked. clients: of the side before; growth: times as many afterwards; without:
    units that take nobody afterwards; price_label: of units, empty: cost is not told; latencies:
    what was measured, on both sides."""

    tenant: str
    units: Sequence[UnitSpec]
    before: ClientPolicy
    after: ClientPolicy
    clients: int
    engine: Engine
    seed: int = 1
    growth: float = 1.0
    without: Sequence[str] = ()
    sun: bool = False
    price_label: str = ""
    latencies: Latencies = NOTHING_MEASURED
    shares: AttributeShares = NO_SHARES  # of users that have attributes


class Answer(NamedTuple):
    """What came of it, and what of."""

    scenario: Scenario
    outcome: ComparedSides


def steps_of(question: Question) -> int:
    """How many steps a simulation has, for who shows how far it is."""
    grown = round(question.clients * question.growth)
    return max(question.clients, grown) if question.engine is Engine.EXACT else 3


SideApart: TypeAlias = Callable[[Decisions], AbstractContextManager[BegunRun]]


def simulate(
    question: Question,
    population: Population,
    advance: Callable[[int], None],
    *,
    apart: SideApart | None = None,
) -> Answer:
    """advance: called with how many more steps are done; apart: makes who is at one side of an
    exact simulation while this process is at the other. Raises InvalidInput, as `check`."""
    check(question)
    grown = round(question.clients * question.growth)
    before, after = (
        Decisions(simulated_fleet(question.units, without, question.latencies), question.tenant)
        for without in ((), question.without)
    )
    classes = ClientClasses((question.before, before), (question.after, after))
    clients = ModelledClients(
        population, classes, tenant=question.tenant, seed=question.seed, shares=question.shares
    )
    if question.engine is Engine.EXACT:
        sides = (before, question.clients), (after, grown)
        with apart(after) if apart is not None else nullcontext() as other:
            outcome = compare_exactly(clients, *sides, advance, apart=other)
    else:
        weights = clients.weights()
        outcome = compare_classes(
            classes,
            weights,
            (before, float(question.clients)),
            (after, float(grown)),
            advance,
            sun=question.sun,
        )
    ordered = sorted(question.units, key=lambda unit: str(unit.id))
    label = question.price_label
    scenario = Scenario(
        tenant=question.tenant,
        engine=question.engine.value,
        population="by country population",
        fleet=before.simulated.fleet,
        units=ordered,
        locations=classes.locations,
        without=question.without,
        growth=question.growth,
        sun=question.sun,
        seed=question.seed,
        certainty=question.after.certainty,
        prices=prices_of(ordered, label) if label else None,
    )
    return Answer(scenario, outcome)


def check(question: Question) -> None:
    """Raises InvalidInput for what cannot be simulated, and for units that are not there."""
    if not question.units:
        raise InvalidInput("units", "the fleet has no units; name a fleet file with --units")
    if question.engine is Engine.EXACT:
        if question.sun:
            raise InvalidInput(
                "sun", "--sun is for --engine classes: clients come by the hours of their places"
            )
        if max(question.clients, round(question.clients * question.growth)) > MOST_EXACT:
            raise InvalidInput(
                "users",
                f"more than {MOST_EXACT:,} clients are simulated with --engine classes alone",
            )
    simulated_fleet(question.units, question.without)
