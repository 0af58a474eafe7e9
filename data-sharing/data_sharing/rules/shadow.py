"""Shadow decisions: what a version of a rule would have done at a key for which the other version
acts, kept apart from what is done, and compared with it.

Both versions of a rule in a rollout decide every event and timer, each with a state of its own. At
a key one of them acts; what the other one decides has no effects. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from msgspec.structs import replace

from data_sharing.rules.cell_cache import CellId
from data_sharing.rules.evaluation_context import EvaluationContext, RuleResult
from data_sharing.rules.results import (
    EffectOutcome,
    EffectStatus,
    RuleOutcome,
    RuleVerdict,
    Timer,
    wanted_text,
)
from data_sharing.rules.rollout_counts import LONGEST_TEXT, Did, RolloutCounts

_FAILED = (RuleVerdict.ERROR, RuleVerdict.PARKED)


class ActingAndShadow(NamedTuple):
    """Results of versions that act at their key, and outcomes of those that do not."""

    acting: list[RuleResult]
    shadow: tuple[RuleOutcome, ...]


def counts_cell(tenant: str, rule: str, candidate: int) -> CellId:
    """Where the counts of a rollout are kept."""
    return CellId(tenant, "rollout", rule, str(candidate))


def separated(found: Sequence[RuleResult]) -> ActingAndShadow:
    """In their order. A paused rule's event waits once, for whichever version acts at its key when
    it is decided: at which key that is, nobody has asked yet."""
    acting: list[RuleResult] = []
    shadow: list[RuleOutcome] = []
    waits: set[str] = set()
    for one in found:
        rule, outcome = one.rule, one.outcome
        if outcome.verdict is RuleVerdict.PAUSED:
            acts = rule.id not in waits
            waits.add(rule.id)
        else:
            acts = rule.activation.acts_for(rule.id, outcome.key)
        if acts:
            acting.append(one)
            continue
        effects = tuple(EffectOutcome(each.effect, EffectStatus.SHADOW) for each in one.effects)
        shadow.append(replace(outcome, effects=effects))
    return ActingAndShadow(acting, tuple(shadow))


def compare(found: Sequence[RuleResult], context: EvaluationContext, timer: Timer | None) -> None:
    """Counts how the versions of each rule in a rollout decided. timer: that was due, if one
    was."""
    by_rollout: dict[CellId, list[RuleResult]] = {}
    for one in found:
        rule = one.rule
        if rule.activation.rollout:
            cell = counts_cell(rule.tenant, rule.id, rule.activation.rollout)
            by_rollout.setdefault(cell, []).append(one)
    for cell, results in by_rollout.items():
        counts: RolloutCounts = context.state.get(cell) or RolloutCounts()
        if timer is None:
            changed = _compare_event(counts, results, context)
        else:
            rule = results[0].rule
            changed = counts.add_timer(
                _label(timer),
                rule.activation.candidate,
                _did(results),
                at_ms=context.now_ms,
                key=timer.key,
            )
        if changed:
            context.state.put(cell, counts)


def _compare_event(
    counts: RolloutCounts, results: Sequence[RuleResult], context: EvaluationContext
) -> bool:
    event = context.event
    assert event is not None
    theirs = [one for one in results if not one.rule.activation.candidate]
    ours = [one for one in results if one.rule.activation.candidate]
    keys = dict.fromkeys(one.outcome.key for one in results if one.outcome.key)
    changed = counts.end_waiting(context.now_ms)
    return (
        counts.add(
            _did(theirs),
            _did(ours),
            at_ms=context.now_ms,
            position=event.position,
            cause=event.id,
            key=next(iter(keys), ""),
        )
        or changed
    )


def _did(results: Sequence[RuleResult]) -> Did:
    effects = [
        _bounded(f"at {one.outcome.key}: {wanted_text(each.effect)}")
        for one in results
        for each in one.effects
        if one.outcome.verdict is RuleVerdict.FIRED
    ]
    failed = next((one.outcome.detail for one in results if one.outcome.verdict in _FAILED), "")
    return Did(tuple(sorted(effects)), _bounded(failed))


def _label(timer: Timer) -> str:
    """What timers of two versions have alike."""
    return _bounded("/".join((timer.kind, timer.key, timer.token)))


def _bounded(text: str) -> str:
    """Different for different texts, however long they are."""
    if len(text) <= LONGEST_TEXT:
        return text
    digest = blake2b(text.encode(errors="replace"), digest_size=8).hexdigest()
    return f"{text[: LONGEST_TEXT - len(digest) - 1]}…{digest}"
