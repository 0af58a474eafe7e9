"""Rollouts of rules, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, fold, number, optional, whole

if TYPE_CHECKING:
    from rich.console import RenderableType

    from homeport.api.datasharing.v1 import rule_pb2 as pb

KINDS = ("same", "more", "less", "other", "failed")


def phase_of(rollout: pb.Rollout | pb.RolloutMove) -> str:
    """In one word."""
    from homeport.api.datasharing.v1 import rule_pb2 as pb

    return pb.RolloutPhase.Name(rollout.phase).removeprefix("ROLLOUT_PHASE_").lower()


def is_live(rollout: pb.Rollout) -> bool:
    """Whether two versions decide."""
    return phase_of(rollout) in ("progressing", "held")


def step_of(rollout: pb.Rollout) -> str:
    """For which keys the new version acts."""
    share = rollout.share_percent
    return f"{share:g} % of keys" if share else "shadow"


def rollout_document(rollout: pb.Rollout, *, whole: bool = False) -> dict[str, Any]:
    """whole: with differences and history."""
    found: dict[str, Any] = {
        "candidate_version": rollout.candidate_version,
        "stable_version": rollout.stable_version or None,
        "phase": phase_of(rollout),
        "step": rollout.step,
        "steps": rollout.steps,
        "share_percent": rollout.share_percent,
        "begin_time": rollout.begin_time.ToJsonString(),
        "step_begin_time": rollout.step_begin_time.ToJsonString(),
        "reason": rollout.reason,
        "comparison": {kind: getattr(rollout.comparison, kind) for kind in KINDS},
        "candidate_instructions": _ended(rollout.candidate_instructions),
        "stable_instructions": _ended(rollout.stable_instructions),
    }
    if whole:
        found["differences"] = [
            {
                "kind": one.kind,
                "decide_time": one.decide_time.ToJsonString(),
                "position": one.position or None,
                "cause": one.cause,
                "key": one.key,
                "stable_effects": list(one.stable_effects),
                "candidate_effects": list(one.candidate_effects),
            }
            for one in rollout.differences
        ]
        found["history"] = [
            {
                "candidate_version": one.candidate_version,
                "move_time": one.move_time.ToJsonString(),
                "phase": phase_of(one),
                "step": one.step,
                "reason": one.reason,
                "operator": one.operator or None,
            }
            for one in rollout.history
        ]
    return found


def _ended(ended: pb.EndedInstructions) -> dict[str, int]:
    return {"done": ended.done, "failed": ended.failed}


def rollout_table(rule: str, rollout: pb.Rollout) -> Table:
    """How far it is, in one row."""
    table = Table(
        whole("rule"), whole("new version"), whole("state"), whole("step"),
        number("same"), number("differ"), number("done"), number("failed"), fold("reason"),
    )  # fmt: skip
    comparison = rollout.comparison
    differing = sum(getattr(comparison, kind) for kind in KINDS[1:])
    step = f"{rollout.step} of {rollout.steps}"
    if is_live(rollout):
        step += f": {step_of(rollout)}"
    table.add_row(
        escape(rule),
        f"{rollout.candidate_version} after {rollout.stable_version or 'none'}",
        phase_of(rollout),
        step,
        f"{comparison.same:,}",
        f"{differing:,}",
        f"{rollout.candidate_instructions.done:,}",
        f"{rollout.candidate_instructions.failed:,}",
        escape(rollout.reason) or "–",
    )
    return table


def rollout_view(rule: str, rollout: pb.Rollout) -> RenderableType:
    """All of it."""
    from rich.console import Group

    parts: list[RenderableType] = [rollout_table(rule, rollout)]
    if rollout.differences:
        parts.append(differences_table(rollout))
    if rollout.history:
        parts.append(history_table(rollout))
    return Group(*parts)


def differences_table(rollout: pb.Rollout) -> Table:
    """The newest decisions in which the versions differ."""
    table = Table(
        whole("time"), whole("which"), whole("key"), optional(whole("event")),
        fold("in force would"), fold("new would"), title="differences",
    )  # fmt: skip
    for one in rollout.differences:
        table.add_row(
            one.decide_time.ToJsonString(),
            one.kind,
            escape(one.key) or "–",
            escape(one.cause) or "–",
            escape("\n".join(one.stable_effects)) or "nothing",
            escape("\n".join(one.candidate_effects)) or "nothing",
        )
    return table


def history_table(rollout: pb.Rollout) -> Table:
    """What moved the rule's rollouts."""
    table = Table(
        whole("time"), number("version"), whole("state"), number("step"), whole("by"),
        fold("reason"), title="history",
    )  # fmt: skip
    for one in rollout.history:
        table.add_row(
            one.move_time.ToJsonString(),
            str(one.candidate_version),
            phase_of(one),
            str(one.step),
            escape(one.operator) or "itself",
            escape(one.reason) or "–",
        )
    return table
