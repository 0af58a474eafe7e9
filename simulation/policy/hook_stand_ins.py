"""Stand-ins of hooks: what they say in a simulation, from a file. Read strictly.

For each hook a list of answers; of those whose `when` is of the client's place the first counts. A
client for whom there is none finds the hook away, and the policy says what holds then. A stand-in
is asked about the whole fleet, where a hook is about the units nearest.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from control_plane.yaml_files import UnreadableYaml, parse
from provisioner.geo.countries import countries
from provisioner.geo.location import Location
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.hook_answers import answered, unanswered
from provisioner.placement.hooks import HookAnswer
from provisioner.policy.faulty import FaultyPolicy
from provisioner.policy.fields import Fields, Problems
from provisioner.policy.unit_selectors import CONTINENTS
from simulation.policy.client_policy import ClientPolicy, Reads

MOST_ANSWERS = 10_000  # of a hook
MOST_UNITS = 1_000  # of an answer
MOST_POLICIES = 100_000  # that are kept with an answer


class FaultyStandIns(FaultyPolicy):
    """What is wrong with a file of answers, a sentence each."""

    reason = "FAULTY_HOOK_ANSWERS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """Places by their codes; empty: any."""

    countries: frozenset[str] = frozenset()
    continents: frozenset[str] = frozenset()

    def has(self, country: str, continent: str) -> bool:
        """Whether a place is in it."""
        return (not self.countries or country in self.countries) and (
            not self.continents or continent in self.continents
        )


def read_area(when: Fields) -> Area:
    """Of an object with `countries` and `continents`."""
    known = countries()
    for code in when.texts("countries", most=len(known)):
        if code not in known:
            when.problem("countries", f"there is no country {code}; give its ISO 3166-1 code")
    for code in when.texts("continents", most=len(CONTINENTS)):
        if code not in CONTINENTS:
            when.problem("continents", f"there is no continent {code}")
    return Area(
        countries=frozenset(when.texts("countries", most=len(known))),
        continents=frozenset(when.texts("continents", most=len(CONTINENTS))),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StandInAnswer:
    """What clients of an area get. answer None: the hook is away."""

    area: Area
    answer: HookAnswer | None = None

    def is_of(self, location: Location) -> bool:
        """Whether clients there get it."""
        return self.area.has(location.country, location.continent)


def read_stand_ins(text: str) -> Mapping[str, tuple[StandInAnswer, ...]]:
    """By hook. Raises FaultyStandIns with all that is wrong."""
    try:
        said, doubled = parse(text)
    except UnreadableYaml as error:
        raise FaultyStandIns([f"the file of answers {error}"]) from error
    problems = Problems(doubled)
    fields = Fields(said, "", ("hooks",), problems)
    hooks = fields.inner("hooks", fields.list_object("hooks"))
    found = {
        name: tuple(
            _answer(Fields(one, f"hooks.{name}[{at}]", ("when", "order", "veto", "away"), problems))
            for at, one in enumerate(hooks.entries(name, most=MOST_ANSWERS))
        )
        for name in fields.names("hooks")
    }
    if fields.given and not found and not problems.found:
        problems.add("hooks", "there is none; give the answers of each hook, by its name")
    if problems.found:
        raise FaultyStandIns(problems.found)
    return found


def _answer(said: Fields) -> StandInAnswer:
    area = read_area(said.part("when", ("countries", "continents")))
    answer = HookAnswer(
        order=tuple(said.texts("order", most=MOST_UNITS)),
        vetoed=frozenset(said.texts("veto", most=MOST_UNITS)),
    )
    away = said.flag("away", False)
    if away is bool(answer.order or answer.vetoed) and not said.has_problems:
        said.problem("", "say one of: order and veto, or away: true")
    if why := answer.why_faulty():
        said.problem("order", f"{why}, which no server would take")
    return StandInAnswer(area=area, answer=None if away else answer)


class StandInPolicy:
    """A ClientPolicy whose hooks are answered by stand-ins. `unknown`: hooks that were away for
    want of any."""

    def __init__(
        self, policy: ClientPolicy, answers: Mapping[str, tuple[StandInAnswer, ...]]
    ) -> None:
        self._policy = policy
        self._answers = answers
        self._kept: dict[tuple[PlacementPolicy, HookAnswer | None], PlacementPolicy] = {}
        self.unknown: set[str] = set()

    @property
    def reads(self) -> Reads:
        return self._policy.reads

    def of(self, location: Location, client_key: bytes) -> PlacementPolicy:
        """The same object for clients that are treated alike."""
        policy = self._policy.of(location, client_key)
        if policy.hook is None:
            return policy
        name = policy.hook.name
        if name not in self._answers:
            self.unknown.add(name)
        found = (one.answer for one in self._answers.get(name, ()) if one.is_of(location))
        return self._after(policy, next(found, None))

    def kind_of(self, client_key: bytes) -> Hashable:
        return self._policy.kind_of(client_key)

    def certainty(self, location: Location) -> str:
        return self._policy.certainty(location)

    def _after(self, policy: PlacementPolicy, answer: HookAnswer | None) -> PlacementPolicy:
        key = (policy, answer)
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= MOST_POLICIES:
                self._kept.clear()
            made = unanswered(policy) if answer is None else answered(policy, answer)
            found = self._kept[key] = made
        return found
