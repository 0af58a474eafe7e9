"""UnitSelector: which units are meant, by id, country, continent and labels. Pure.

Every part that says something has to hold; one that says nothing means all units. A Constraint
is a selector with the rule that asks for it: a unit that it excludes never takes the client,
whatever room there is and whatever the way by which the client comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from provisioner.placement.fleet import PlacementUnit

MOST_NAMED = 5  # values of a list that a reason repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSelector:
    """Empty parts say nothing. labels: each has to have one of these values."""

    units: frozenset[str] = frozenset()  # ids
    countries: frozenset[str] = frozenset()  # ISO 3166-1 alpha-2
    continents: frozenset[str] = frozenset()  # AF AN AS EU NA OC SA
    labels: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def matches(self, unit: PlacementUnit) -> bool:
        """Whether the unit is one of those meant."""
        return (
            (not self.units or unit.id in self.units)
            and (not self.countries or unit.country in self.countries)
            and (not self.continents or unit.continent in self.continents)
            and all(unit.labels.get(name) in values for name, values in self.labels.items())
        )

    def why_not(self, unit: PlacementUnit) -> str:
        """The first part that the unit does not match, in words; empty where it matches all."""
        if self.units and unit.id not in self.units:
            return f"is not {listed(self.units)}"
        if self.countries and unit.country not in self.countries:
            return f"is in {unit.country}, not in {listed(self.countries)}"
        if self.continents and unit.continent not in self.continents:
            where = f"continent {unit.continent}" if unit.continent else "an unknown continent"
            return f"is in {where}, not in {listed(self.continents)}"
        for name, values in self.labels.items():
            if (has := unit.labels.get(name)) not in values:
                wanted = f"{name}={listed(values)}"
                return f"has {name}={has}, not {wanted}" if has else f"lacks the label {wanted}"
        return ""

    @property
    def text(self) -> str:
        """All of it in words, as an operator would say it."""
        parts = [
            f"{noun} {listed(names)}"
            for noun, names in (
                ("unit", self.units), ("country", self.countries), ("continent", self.continents),
            )
            if names
        ]  # fmt: skip
        parts += [f"{name}={listed(values)}" for name, values in self.labels.items()]
        return " and ".join(parts) or "any unit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """What a rule asks of every unit that its clients live in. forbids: it must not match."""

    rule: str
    selector: UnitSelector
    forbids: bool = False

    def why_not(self, unit: PlacementUnit) -> str:
        """Why the unit is excluded, in words that begin with a verb; empty where it is not."""
        if self.forbids:
            if not self.selector.matches(unit):
                return ""
            return f"is {self.selector.text}, which rule {self.rule} forbids"
        reason = self.selector.why_not(unit)
        return f"{reason}, as rule {self.rule} requires" if reason else ""


def listed(names: Iterable[str]) -> str:
    """Names in order, as a sentence has them; of many the first."""
    ordered = sorted(names)
    if len(ordered) > MOST_NAMED:
        return f"{', '.join(ordered[:MOST_NAMED])} or {len(ordered) - MOST_NAMED} others"
    return " or ".join([", ".join(ordered[:-1]), ordered[-1]]) if ordered[1:] else ordered[0]
