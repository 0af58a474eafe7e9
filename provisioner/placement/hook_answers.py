"""Hook answers: the policy of a client after its hook has answered, or has not. Pure.

An answer narrows a policy and reorders what is left: everything that held without it holds with
it. So whatever a hook says, no hard constraint is broken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.hooks import UNANSWERED, HookAnswer
from provisioner.placement.ranking import Preference
from provisioner.placement.selectors import Constraint, UnitSelector

_NO_UNIT = frozenset({"-"})  # no unit can have the name


def answered(policy: PlacementPolicy, answer: HookAnswer) -> PlacementPolicy:
    """The policy, which has a hook, with what that said, for its pools as well."""
    stage = policy.spillover
    ranking = policy.ranking
    if answer.order:
        first = Preference(selectors=tuple(_unit(unit) for unit in answer.order))
        ranking = replace(ranking, orders=(first, *ranking.orders))
    return replace(
        policy,
        hook=None,
        answer=answer,
        before_hook=policy,
        constraints=(*policy.constraints, *_constraints(policy, answer)),
        ranking=ranking,
        spillover=None if stage is None else answered(stage, answer),
    )


def unanswered(policy: PlacementPolicy) -> PlacementPolicy:
    """What holds without an answer, as the policy says: itself, or a refusal."""
    hook = policy.hook
    if hook is None or hook.away == "rank":
        return policy
    return replace(
        policy,
        denied=f"hook {hook.name} of its policy gave no answer",
        denied_by=f"{UNANSWERED}{hook.rule}",
        spillover=None,
    )


def _constraints(policy: PlacementPolicy, answer: HookAnswer) -> Iterator[Constraint]:
    hook = policy.hook
    assert hook is not None
    if answer.vetoed:
        vetoed = UnitSelector(units=answer.vetoed)
        yield Constraint(rule=hook.rule, selector=vetoed, forbids=True)
    if hook.away == "refuse" and answer.asked is not None:
        # Of others it has said nothing, and nothing is no. A selector without units means all.
        asked = answer.asked or _NO_UNIT
        yield Constraint(rule=hook.rule, selector=UnitSelector(units=asked))


def _unit(unit: str) -> UnitSelector:
    return UnitSelector(units=frozenset({unit}))
