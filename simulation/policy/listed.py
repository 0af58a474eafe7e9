"""ListedSimulation: clients that there are, where they live, and where a policy would place them.

They are placed anew one after another, in the order in which they are told, by the exact engine. It
is told of each where it lives, so who moves from where to where is true; where that is told of none
of them, they are placed by the policy before as well. Clients of other tenants take their room, and
stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from control_plane.errors import InvalidInput
from control_plane.fleet.unit import UnitSpec
from provisioner.placement.latency import NOTHING_MEASURED, Latencies
from simulation.policy.client_classes import ClientClasses
from simulation.policy.client_policy import ClientPolicy
from simulation.policy.comparison import compare_exactly
from simulation.policy.decisions import Decisions
from simulation.policy.figures import Scenario, prices_of
from simulation.policy.listed_clients import MOST_CLIENTS, ListedClients, LivedHomes
from simulation.policy.pinned_clients import PinnedClients
from simulation.policy.simulated_fleet import simulated_fleet
from simulation.policy.simulator import Answer, Engine

MOST_MOVES = 500  # ways from unit to unit that a document has, and a job of them takes


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedQuestion:
    """What is asked. population: in words; without: units that take nobody afterwards; closed:
    units that take nobody on either side; price_label, latencies: as Question has them."""

    tenant: str
    units: Sequence[UnitSpec]
    before: ClientPolicy
    after: ClientPolicy
    population: str
    without: Sequence[str] = ()
    closed: Sequence[str] = field(default=())
    price_label: str = ""
    latencies: Latencies = NOTHING_MEASURED


class ListedSimulation:
    """`clients` are to be told first, with `add`; then `run`. Raises InvalidInput for units that
    are not there. most: clients."""

    def __init__(self, question: ListedQuestion, *, most: int = MOST_CLIENTS) -> None:
        if not question.units:
            raise InvalidInput("units", "the fleet has no units; apply one, or name a fleet file")
        self._question = question
        without = {*question.without, *question.closed}
        self._before, self._after = (
            Decisions(simulated_fleet(question.units, one, question.latencies), question.tenant)
            for one in (question.closed, without)
        )
        pins: dict[bytes, str] = {}
        self._classes = ClientClasses(
            (PinnedClients(question.before, pins), self._before),
            (PinnedClients(question.after, pins), self._after),
        )
        fleet = self._before.simulated.fleet
        self.clients = ListedClients(
            self._classes,
            tenant=question.tenant,
            units={str(unit.id): unit.index for unit in fleet.units},
            pins=pins,
            most=most,
        )

    def run(self, advance: Callable[[int], None], taken: Mapping[str, int] | None = None) -> Answer:
        """advance: called with how many more clients are done. taken: clients of each unit, those
        of other tenants among them; None: there are no others. Raises InvalidInput."""
        question, clients = self._question, self.clients
        count = len(clients)
        if not count:
            raise InvalidInput("population", "there are no clients; nobody would move")
        others = self._others(taken or {})
        outcome = compare_exactly(
            clients,
            (self._before, count),
            (self._after, count),
            advance,
            lived=LivedHomes(clients) if clients.any_lives_somewhere else None,
        )
        ordered = sorted(question.units, key=lambda unit: str(unit.id))
        label = question.price_label
        scenario = Scenario(
            tenant=question.tenant,
            engine=Engine.EXACT.value,
            population=question.population,
            fleet=self._before.simulated.fleet,
            units=ordered,
            locations=self._classes.locations,
            without=question.without,
            certainty=question.after.certainty,
            prices=prices_of(ordered, label) if label else None,
            others=others,
            most_moves=MOST_MOVES,
        )
        return Answer(scenario, outcome)

    def _others(self, taken: Mapping[str, int]) -> dict[str, int]:
        """Clients of other tenants by unit, who have their room on both sides."""
        at_home = self.clients.at_home()
        found = {}
        for unit in self._before.simulated.fleet.units:
            more = taken.get(str(unit.id), 0) - int(at_home[unit.index])
            if more > 0:
                found[str(unit.id)] = more
                for decisions in (self._before, self._after):
                    decisions.simulated.update(unit.index, more)
        return found
