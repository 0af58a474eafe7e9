"""What a provisioning server asks of simulation: policies tried and simulated, in a child process.

`python -m control_plane.offloading.child` imports this, for the server imports nothing of it. Tasks
take and give plain data. A simulation asks for the clients that there are page by page, and says
how far it is; it ends where it is told that nobody waits any more.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from control_plane.errors import Refused
from control_plane.fleet.unit import UnitSpec
from control_plane.offloading.messages import error_of
from control_plane.offloading.port import Ask, Tasks
from control_plane.store.damaged import UNREADABLE
from provisioner.geo.database import GeoDatabase
from provisioner.geo.location import Location
from provisioner.geo.locator import Locator
from provisioner.ledger.assignment import AssignmentRecord, decode_assignment, split_key
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.latency import NOTHING_MEASURED, Latencies
from provisioner.policy.compiling import compile_policy
from simulation.policy.attribute_shares import ToldShare, shares_of
from simulation.policy.case_run import run_cases
from simulation.policy.cases import read_cases
from simulation.policy.client_policy import ClientPolicy, OnePolicy, TenantPolicy
from simulation.policy.figures import document_of
from simulation.policy.hook_stand_ins import StandInPolicy, read_stand_ins
from simulation.policy.latency_file import read_latencies
from simulation.policy.listed import ListedQuestion, ListedSimulation
from simulation.policy.page import page_of
from simulation.policy.picture import picture_of
from simulation.policy.simulator import Answer, Engine, Question, check, simulate, steps_of
from simulation.population.population import population_of

LIVE = "the clients there are, by id"
MOST_LIVE = 10_000_000
SAID_EVERY = 20_000  # clients, of those that come one after another


class _Policies:
    """Policies as a task's arguments have them, their hooks answered by stand-ins."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._tenant = arguments["tenant"]
        self._base = PlacementPolicy(nowhere=arguments["nowhere"])
        text = arguments["hook_answers"]
        self._answers = read_stand_ins(text) if text else {}
        self._made: list[StandInPolicy] = []

    def of(self, document: str) -> ClientPolicy:
        """Raises FaultyPolicy. Empty: the tenant has none."""
        policy: ClientPolicy = OnePolicy(self._base)
        if document:
            compiled = compile_policy(
                document, tenant=self._tenant, revision=0, base=self._base, wall=time.time
            )
            policy = TenantPolicy(compiled)
        made = StandInPolicy(policy, self._answers)
        self._made.append(made)
        return made

    def hooks_away(self) -> list[str]:
        """Hooks that were asked and have no answers."""
        return sorted({name for made in self._made for name in made.unknown})


class _Said:
    """Tells how far a simulation is. Raises Refused once nobody waits for it."""

    def __init__(self, ask: Ask, doing: str, total: int) -> None:
        self._ask = ask
        self._doing, self._total = doing, total
        self._done = self._told = 0
        self.advance(0)

    def advance(self, more: int) -> None:
        self._done += more
        if more and self._done - self._told < SAID_EVERY and self._done < self._total:
            return
        self._told = self._done
        _answered(self._ask({"doing": self._doing, "done": self._done, "total": self._total}))


def test_policy(arguments: Any, ask: Ask) -> Any:
    """Cases held against a policy."""
    cases = read_cases(arguments["cases"])
    policies = _Policies(arguments)
    policy = policies.of(arguments["document"])
    opened: list[GeoDatabase] = []

    def locate(address: str) -> Location:
        if not opened:
            opened.append(_geo(arguments))
        return Locator(lambda: opened[0]).explain(address, None, None)[0]

    results = run_cases(
        cases,
        policy,
        _units(arguments),
        tenant=arguments["tenant"],
        locate=locate,
        latencies=_latencies(arguments),
    )
    return {"results": [asdict(one) for one in results], "hooks_away": policies.hooks_away()}


def simulate_policy(arguments: Any, ask: Ask) -> Any:
    """What would become of a population."""
    policies = _Policies(arguments)
    before = policies.of(arguments["current"])
    after = before if arguments["as_it_is"] else policies.of(arguments["document"])
    attribution = ""
    if arguments["live"]:
        answer = _live(arguments, before, after, ask)
    else:
        answer, attribution = _modelled(arguments, before, after, ask)
    document = document_of(*answer)
    page = picture = ""
    if arguments["page"]:
        page = page_of(*answer, document, attribution=attribution)
    if arguments["picture"]:
        picture = picture_of(*answer, document)
    return {
        "report": msgspec.json.encode(document),
        "page": page.encode(),
        "picture": picture.encode(),
        "hooks_away": policies.hooks_away(),
    }


def _modelled(
    arguments: Mapping[str, Any], before: ClientPolicy, after: ClientPolicy, ask: Ask
) -> tuple[Answer, str]:
    question = Question(
        tenant=arguments["tenant"],
        units=_units(arguments),
        before=before,
        after=after,
        clients=arguments["users"],
        engine=Engine.EXACT if arguments["exact"] else Engine.CLASSES,
        seed=arguments["seed"],
        growth=arguments["growth"],
        without=arguments["without"],
        sun=arguments["sun"],
        price_label=arguments["price_label"],
        latencies=_latencies(arguments),
        shares=shares_of([ToldShare(*one) for one in arguments["attribute_shares"]]),
    )
    check(question)  # before what takes seconds
    said = _Said(ask, "simulating", steps_of(question))
    database = _geo(arguments)
    answer = simulate(question, population_of(database), said.advance)
    return answer, database.info.attribution


def _live(
    arguments: Mapping[str, Any], before: ClientPolicy, after: ClientPolicy, ask: Ask
) -> Answer:
    question = ListedQuestion(
        tenant=arguments["tenant"],
        units=_units(arguments),
        before=before,
        after=after,
        population=LIVE,
        without=arguments["without"],
        closed=arguments["closed"],
        price_label=arguments["price_label"],
        latencies=_latencies(arguments),
    )
    simulation = ListedSimulation(question, most=MOST_LIVE)
    for page in _pages(ask):
        for key, value in page["items"]:
            try:
                record: AssignmentRecord = decode_assignment(value)
                client_id = split_key(key)[1]
            except UNREADABLE:
                continue  # damaged: nobody can move it
            simulation.clients.add(
                client_id,
                record.location,
                record.unit,
                record.attributes,
                pin=page["pins"].get(client_id),
            )
    said = _Said(ask, "simulating", len(simulation.clients))
    return simulation.run(said.advance, arguments["taken"])


def _pages(ask: Ask) -> Iterator[Mapping[str, Any]]:
    more = True
    while more:
        page = _answered(ask({"page": True}))
        yield page
        more = page["more"]


def _answered(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Raises what the server could not do."""
    if answer.get("error"):
        raise error_of(answer["error"])
    if answer.get("stop"):
        raise Refused("nobody waits for this simulation any more")
    return answer


def _units(arguments: Mapping[str, Any]) -> Sequence[UnitSpec]:
    return msgspec.convert(arguments["units"], list[UnitSpec])


def _latencies(arguments: Mapping[str, Any]) -> Latencies:
    """Raises FaultyLatencies."""
    text = arguments["latencies"]
    return read_latencies(text) if text else NOTHING_MEASURED


def _geo(arguments: Mapping[str, Any]) -> GeoDatabase:
    return GeoDatabase.open(Path(arguments["geo"]) if arguments["geo"] else None)


TASKS: Tasks = {"test_policy": test_policy, "simulate_policy": simulate_policy}
