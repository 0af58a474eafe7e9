"""Compiling: a document to a CompiledPolicy, or everything that is wrong with it. Pure.

Costs some 100 µs for each condition: whoever serves calls has it done beside its event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from control_plane.errors import InvalidInput
from provisioner.geo.countries import continent_of, countries
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.selectors import UnitSelector
from provisioner.policy.compiled import CompiledPolicy, CompiledRule
from provisioner.policy.conditions import Condition, compile_condition
from provisioner.policy.document import PolicyDocument, Rule
from provisioner.policy.faulty import FaultyPolicy
from provisioner.policy.reading import read_policy


def compile_policy(
    text: str,
    *,
    tenant: str,
    revision: int,
    base: PlacementPolicy,
    wall: Callable[[], float],
) -> CompiledPolicy:
    """Of a policy's text. base: what holds where the policy says nothing; wall: Unix seconds, for
    conditions that read `now`. Raises FaultyPolicy."""
    return compile_document(
        read_policy(text), tenant=tenant, revision=revision, base=base, wall=wall
    )


def compile_document(
    document: PolicyDocument,
    *,
    tenant: str,
    revision: int,
    base: PlacementPolicy,
    wall: Callable[[], float],
) -> CompiledPolicy:
    """The same of a document that was read. Raises FaultyPolicy."""
    problems: list[str] = []
    groups = [group.name for group in document.groups]
    rings = [ring.name for ring in document.rings]
    conditions: dict[str, Condition | None] = {}
    rules = []
    for at, rule in enumerate(document.rules):
        condition = None
        if rule.when:
            field = f"rules[{at}] ({rule.name}).when"
            try:
                condition = conditions.get(rule.when) or compile_condition(
                    rule.when, field=field, groups=groups, rings=rings
                )
                conditions[rule.when] = condition
            except InvalidInput as error:
                problems.append(error.message)
        rules.append(CompiledRule(rule=rule, condition=condition, bit=1 << at))
    problems += contradictions(document.rules)
    if problems:
        raise FaultyPolicy(problems)
    return CompiledPolicy(
        document, tuple(rules), tenant=tenant, revision=revision, base=base, wall=wall
    )


def contradictions(rules: Sequence[Rule]) -> list[str]:
    """Rules that no unit of any country could ever satisfy together: one rule by itself, or one
    with those that hold whenever it does, because they always hold or have the same condition."""
    always = [rule for rule in rules if not rule.when and rule.is_hard and not rule.deny]
    alike: dict[str, list[Rule]] = {}
    for rule in rules:
        if rule.when:
            alike.setdefault(rule.when, []).append(rule)
    problems = []
    known = countries()
    told = False
    for at, rule in enumerate(rules):
        if not rule.is_hard or rule.deny:
            continue
        where = f"rules[{at}] ({rule.name})"
        if not _leaves_any([rule], known):
            problems.append(f"{where}: forbids every country that it requires")
            continue
        together = [*always, *alike.get(rule.when, [])] if rule.when else always
        if told and not rule.when:
            continue
        hard = [one for one in together if one.require or one.forbid]
        if not _leaves_any([*hard, rule], known):
            others = sorted({one.name for one in hard if one.name != rule.name})
            problems.append(
                f"{where}: contradicts {', '.join(others)}: there is no country in which a unit "
                "satisfies all of them"
            )
            told = told or not rule.when
    return problems


def _leaves_any(rules: Sequence[Rule], known: Mapping[str, object]) -> bool:
    required = [rule.require for rule in rules if rule.require is not None]
    forbidden = [rule.forbid for rule in rules if rule.forbid is not None]
    required = [one for one in required if one.countries or one.continents]
    forbidden = [one for one in forbidden if _by_area_alone(one)]
    if not required:
        return True
    narrow = min((one.countries for one in required if one.countries), key=len, default=None)
    among = known if narrow is None else narrow
    return any(
        all(_is_in(code, one) for one in required)
        and not any(_is_in(code, one) for one in forbidden)
        for code in among
    )


def _by_area_alone(selector: UnitSelector) -> bool:
    return not selector.units and not selector.labels


def _is_in(country: str, selector: UnitSelector) -> bool:
    return (not selector.countries or country in selector.countries) and (
        not selector.continents or continent_of(country) in selector.continents
    )
