"""Policies of every kind, by what is of note about each."""

from __future__ import annotations

from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.hook_answers import answered
from provisioner.placement.hooks import HookAnswer, HookUse
from provisioner.placement.ranking import Preference, Ranking
from provisioner.placement.selectors import Constraint, UnitSelector

GERMAN = Constraint(rule="pool:german", selector=UnitSelector(countries=frozenset({"DE"})))
EUROPEAN = Constraint(rule="eu", selector=UnitSelector(continents=frozenset({"EU"})))
POLICIES = {
    "everywhere": PlacementPolicy(),
    "nowhere is refused": PlacementPolicy(nowhere="refuse"),
    "all of a city are equal": PlacementPolicy(least_uncertainty_km=300.0),
    "German units spill over to European ones": PlacementPolicy(
        constraints=(EUROPEAN, GERMAN), spillover=PlacementPolicy(constraints=(EUROPEAN,))
    ),
    "a bias, weights and no regard to load": PlacementPolicy(
        least_uncertainty_km=100.0,
        ranking=Ranking(
            biases=((UnitSelector(countries=frozenset({"FR"})), 60.0),),
            weights=((UnitSelector(countries=frozenset({"DE"})), 5.0),),
            by_load=False,
        ),
    ),
    "a hook orders two units and vetoes one, in pools": answered(
        PlacementPolicy(
            hook=HookUse(name="latency"),
            constraints=(EUROPEAN, GERMAN),
            spillover=PlacementPolicy(hook=HookUse(name="latency"), constraints=(EUROPEAN,)),
        ),
        HookAnswer(
            order=("unit-003", "unit-001"), vetoed=frozenset({"unit-000", "unit-002", "unit-004"})
        ),
    ),
    "a hook orders a unit of several that are equal, by load": answered(
        PlacementPolicy(hook=HookUse(name="latency"), least_uncertainty_km=900.0),
        HookAnswer(order=("unit-005",), vetoed=frozenset({"unit-006"})),
    ),
    "large sets of equals, several weights": PlacementPolicy(
        least_uncertainty_km=900.0,
        ranking=Ranking(weights=((UnitSelector(countries=frozenset({"US"})), 3.0),)),
    ),
    "several pools, one after another": PlacementPolicy(
        constraints=(EUROPEAN, GERMAN),
        spillover=PlacementPolicy(
            constraints=(EUROPEAN,), spillover=PlacementPolicy(least_uncertainty_km=400.0)
        ),
    ),
    "French units first": PlacementPolicy(
        ranking=Ranking(
            orders=(Preference(selectors=(UnitSelector(countries=frozenset({"FR"})),)),)
        ),
    ),
}
