"""Two versions of a rule in a rollout, and what operators do to it."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from data_sharing.rules.rollout import (
    Activation,
    Rollout,
    RolloutFacts,
    RolloutPhase,
    aborted,
    activations,
    bucket_of,
    held,
    promoted,
)
from data_sharing.rules.ruleset import RuleSet
from data_sharing.rules.spec import RolloutSpec
from tests.support.rule_harness import rules_of

STEPS = msgspec.convert(
    {
        "steps": [
            {"shadow": True, "for": "1m"},
            {"share": 10, "decisions": 5},
            {"share": 50},
        ],
        "hold": {"differs": {"share": 0.5, "of": 4}, "failed": {"share": 0.2, "of": 5, "count": 9}},
    },
    RolloutSpec,
)
NEW = Rollout(candidate=2, stable=1)


def version(number: int, minutes: int, activation: Activation, extra: str = "") -> RuleSet:
    """A rule that fires over so many minutes."""
    text = f"""
rules:
  - rule: slow
    watch: {{t: {{feed: traffic}}}}
    when: t.data.minutes > {minutes}
    {extra}
    do: [{{invoke: {{application: lamp, action: blink, config: {{times: t.data.minutes}}}}}}]
"""
    (rule,) = rules_of(text, version=number).rules.values()
    return RuleSet([replace(rule, activation=activation)])


def both(rollout: Rollout, *, old: int = 30, new: int = 30, extra: str = "") -> RuleSet:
    """What decides: one version where the rollout is over, else two."""
    if not rollout.live:
        last = rollout.candidate if rollout.phase is RolloutPhase.PROMOTED else rollout.stable
        minutes = new if last == rollout.candidate else old
        state = "slow@2" if last == rollout.candidate else ""
        return version(last, minutes, Activation(state=state), extra)
    stable, candidate = activations(rollout, STEPS, rule="slow", state="")
    rules = [
        *version(1, old, stable, extra).rules.values(),
        *version(2, new, candidate, extra).rules.values(),
    ]
    return RuleSet(rules)


def moved(rollout: Rollout, move: str) -> Rollout:
    """A live one after what an operator does."""
    if move in ("promote", "full"):
        return promoted(rollout, STEPS, RolloutFacts(), 0, "", full=move == "full")
    return {"hold": held(rollout, ""), "abort": aborted(rollout, "")}.get(move, rollout)


def acting(rollout: Rollout, key: str) -> int:
    """Said anew, from the words of the reference: by the key's bucket and the share."""
    new = {RolloutPhase.PROMOTED: True, RolloutPhase.ABORTED: False}.get(rollout.phase)
    if new is None:
        new = bucket_of("slow", key) < (0, 1_000, 5_000)[rollout.step]
    return rollout.candidate if new else rollout.stable
