"""Decisions in the form in which they are kept, each with a sentence for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from data_sharing.decisions.history import Decision, DecisionKind
from data_sharing.decisions.instruction_factory import cause_of, planned_id
from data_sharing.instruction import Cause, Instruction, instruction_id
from data_sharing.plans.due_actions import DueAction
from data_sharing.rules.effects import PlanChange
from data_sharing.rules.results import EffectOutcome, RuleOutcome


def rule_decision_id(
    tenant: str, outcome: RuleOutcome, *, now_ms: int, position: int, cause: Cause | None
) -> str:
    """Of the decision that a rule fires. A function of what caused it."""
    names = [part for one in _causes(outcome, cause) for part in (one.source, one.id)]
    # At one time a rule may fire at many keys, with no event that tells them apart.
    by_time = (0,) if position else (now_ms, outcome.key)
    made_of = (tenant, outcome.rule, outcome.version, outcome.plan_id, position, *by_time)
    return instruction_id(*made_of, *names).replace("i-", "c-", 1)


def _causes(outcome: RuleOutcome, cause: Cause | None) -> tuple[Cause, ...]:
    if outcome.events:
        return tuple(cause_of(ref) for ref in outcome.events)
    return () if cause is None else (cause,)


def rule_fired(
    tenant: str,
    outcome: RuleOutcome,
    instruction_ids: Mapping[str, str],
    *,
    now_ms: int,
    position: int,
    cause: Cause | None,
    late_ms: int,
) -> Decision:
    """A rule that fired. Its id is a function of what caused it. instruction_ids: by those of their
    effects; position: of the event, 0 where time did it."""
    name = rule_decision_id(tenant, outcome, now_ms=now_ms, position=position, cause=cause)
    effects = tuple(_effect(one) for one in outcome.effects)
    return Decision(
        id=name,
        tenant=tenant,
        kind=DecisionKind.RULE,
        time_ms=now_ms,
        summary=_summary(outcome, effects),
        position=position,
        rule=outcome.rule,
        rule_version=outcome.version,
        plan=outcome.plan_id,
        causes=_causes(outcome, cause),
        effects=effects,
        instructions=tuple(
            instruction_ids[one.effect.id]
            for one in outcome.effects
            if one.effect.id in instruction_ids
        ),
        late_ms=late_ms,
        correlation=outcome.correlation or name,
        timer=next((one.effect.cause.timer for one in outcome.effects), ""),
        hops=outcome.hops + 1,
    )


def rule_held_back(tenant: str, outcome: RuleOutcome, *, now_ms: int, late_ms: int) -> Decision:
    """A rule that time would have made fire, and that its hours or limits kept from it."""
    found = rule_fired(
        tenant, outcome, {}, now_ms=now_ms, position=0, cause=None, late_ms=late_ms
    )  # fmt: skip
    said = f"rule {outcome.rule} did not fire ({outcome.verdict.value}): {outcome.detail}"
    return replace(found, summary=said)


def action_due(due: DueAction, instruction: Instruction | None, now_ms: int) -> Decision:
    """An action of a plan that fell due, or is too late to be wanted: then there is no
    instruction."""
    what = f"{due.name}: {due.application} {due.action}"
    late = f"{due.late_ms / 1000:.1f} s after it was due"
    return Decision(
        id=planned_id(due),
        tenant=due.tenant,
        kind=DecisionKind.MISSED if due.skipped else DecisionKind.PLANNED,
        time_ms=now_ms,
        summary=f"{what} is not wanted any more, {late}" if due.skipped else f"{what} is due",
        plan=due.plan_id,
        causes=() if instruction is None else instruction.causes,
        effects=({"does": "invoke", "of": what, "to": due.config},),
        instructions=() if instruction is None else (instruction.id,),
        late_ms=due.late_ms,
        correlation=planned_id(due) if instruction is None else instruction.correlation,
        hops=1 if instruction is None else instruction.hops,
    )


def _effect(one: EffectOutcome) -> dict[str, Any]:
    effect = one.effect
    if isinstance(effect, PlanChange):
        of, does = effect.plan_id, "change"
        to = {name: value for name, value in effect.fields if one.field in ("", name)}
    else:
        of, does = f"{effect.application} {effect.action}", "invoke"
        to = dict(effect.config)
    return {"does": does, "of": of, "to": to, "fate": one.status.value, "reason": one.reason}


def _summary(outcome: RuleOutcome, effects: Sequence[Mapping[str, Any]]) -> str:
    """What the rule did, in one sentence."""
    did = ", ".join(f"{one['does']} {one['of']} ({one['fate']})" for one in effects)
    return f"rule {outcome.rule} fired: {did or 'nothing to do'}"
