"""Explaining: every rule of a policy for one client, whether it holds and by which clause. Pure.

It asks the same conditions that decide, clause by clause. Compiling clauses costs some 100 µs each
the first time: whoever serves calls has it done beside its event loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from control_plane.errors import InvalidInput
from control_plane.expressions.clauses import Clause, clauses_of
from control_plane.expressions.expression import Bindings, Expression, Fault
from provisioner.geo.location import Location
from provisioner.placement.attributes import Attributes, attributes_of
from provisioner.policy.certainty import Certainty, certainty_of, trusted
from provisioner.policy.compiled import CompiledPolicy, CompiledRule, client_of
from provisioner.policy.conditions import environment, location_values
from provisioner.policy.document import Trust
from provisioner.policy.membership import groups_of, is_in

MOST_RULES = 500  # that are explained clause by clause; of a longer policy the first


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOutcome:
    """The rule outcome of one rule. why: the clauses that decided, in words."""

    name: str
    holds: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyExplanation:
    """What a policy makes of one client. rules: in their order; attributes: that it has."""

    version: int
    certainty: Certainty
    groups: tuple[str, ...]
    rings: tuple[str, ...]
    attributes: Attributes
    rules: tuple[RuleOutcome, ...]


def explain_policy(
    policy: CompiledPolicy, location: Location, client_key: bytes
) -> PolicyExplanation:
    """Of a client at a location."""
    document, client_id = policy.document, client_of(client_key)
    certainty = certainty_of(location, document.certain_within_km)
    attributes = attributes_of(client_key)
    groups = groups_of(client_id, document.groups, attributes)
    rings = [ring.name for ring in document.rings if is_in(ring, policy.tenant, client_id)]
    values = location_values(location, certainty)
    bindings = policy.client_bindings(values, client_id, groups, rings, attributes)
    return PolicyExplanation(
        version=policy.revision,
        certainty=certainty,
        groups=tuple(groups),
        rings=tuple(rings),
        attributes=attributes,
        rules=tuple(
            _outcome(one, location, certainty, bindings) for one in policy.rules[:MOST_RULES]
        ),
    )


def sentence_of(client_id: str, home: str, why: str, policy: PolicyExplanation | None) -> str:
    """What a support person can read aloud. home: the unit; empty: there is none, and `why` says
    why."""
    where = f"would live in {home}" if home else "would live nowhere"
    said = f"{client_id} {where}: {why}"
    if policy is None:
        return said
    holding = [rule.name for rule in policy.rules if rule.holds]
    told = _listed(holding) if holding else "none"
    verb = "holds" if len(holding) == 1 else "hold"
    return f"{said}; of the rules of the policy, version {policy.version}, {told} {verb}"


def _outcome(
    one: CompiledRule, location: Location, certainty: Certainty, bindings: Bindings
) -> RuleOutcome:
    rule = one.rule
    if not trusted(location, certainty, rule.trust):
        asked = "is certain" if rule.trust is Trust.STRICT else "somebody declared"
        known = certainty.value if rule.trust is Trust.STRICT else location.source.value
        why = f"it asks for a location that {asked}, and this one is {known}"
        return RuleOutcome(name=rule.name, holds=False, why=why)
    if not rule.when:
        return RuleOutcome(name=rule.name, holds=True, why="it always holds")
    said, clauses = _decided(clauses_of(rule.when), bindings)
    if isinstance(said, Fault):
        holds = rule.is_hard
        rest = "so it holds, as it keeps clients off units" if holds else "so it does not hold"
        return RuleOutcome(name=rule.name, holds=holds, why=f"{_listed(clauses)}, {rest}")
    return RuleOutcome(name=rule.name, holds=said, why=_listed(clauses))


def _decided(clause: Clause, bindings: Bindings) -> tuple[bool | Fault, list[str]]:
    """What a condition comes to, and the clauses that are the reason."""
    if not clause.parts:
        expression = _compiled(clause.text)
        said: bool | Fault
        if expression is None:
            said = Fault("it cannot be evaluated by itself", missing=False)
        else:
            said = expression.holds(bindings)
        if isinstance(said, Fault):
            return said, [f"`{clause.text}` cannot be decided ({said.message})"]
        return said, [f"`{clause.text}` is {'true' if said else 'false'}"]
    decides = clause.joined_by == "||"
    fault: tuple[Fault, list[str]] | None = None
    clauses: list[str] = []
    for part in clause.parts:
        said, told = _decided(part, bindings)
        if said is decides:
            return said, told
        if isinstance(said, Fault):
            fault = fault or (said, told)
        clauses += told
    return fault if fault is not None else (not decides, clauses)


@lru_cache(maxsize=4_096)
def _compiled(text: str) -> Expression | None:
    try:
        return environment().compile(text, field="when")
    except InvalidInput:
        return None


def _listed(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
