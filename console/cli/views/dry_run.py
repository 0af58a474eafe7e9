"""A dry run of rules, step by step: what came, which rules looked at it, which clause decided,
what followed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.views.times import time_text
from data_sharing.management.simulator import SimulatedStep
from data_sharing.plans.due_actions import DueAction
from data_sharing.rules.results import ClauseOutcome, RuleOutcome, RuleVerdict, effect_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.tree import Tree

_COLOURS = {
    RuleVerdict.FIRED: "green", RuleVerdict.ERROR: "red", RuleVerdict.PARKED: "red",
    RuleVerdict.NOT_MATCHED: "dim",
}  # fmt: skip


def document_of(tried: Sequence[SimulatedStep]) -> dict[str, Any]:
    """For programs."""
    return {"steps": [_step(one) for one in tried]}


def _step(one: SimulatedStep) -> dict[str, Any]:
    return {
        "event": one.event or None,
        "at": time_text(one.at_ms),
        "rules": [
            {
                "rule": each.rule,
                "verdict": each.verdict.value,
                "key": each.key or None,
                "plan": each.plan_id or None,
                "detail": each.detail or None,
                "events": [ref.id for ref in each.events],
                "consumed": [ref.id for ref in each.consumed],
                "clauses": None if each.clauses is None else _clause(each.clauses),
                "effects": [effect_text(effect) for effect in each.effects],
            }
            for each in one.outcomes
        ],
        "actions": [
            {
                "plan": each.plan_id, "name": each.name, "application": each.application,
                "action": each.action, "config": each.config, "skipped": each.skipped,
                "late_s": each.late_ms / 1_000,
            }
            for each in one.actions
        ],
    }  # fmt: skip


def _clause(clause: ClauseOutcome) -> dict[str, Any]:
    found: dict[str, Any] = {"text": clause.text, "outcome": clause.outcome}
    if clause.parts:
        return found | {
            "joined_by": clause.joined_by, "parts": [_clause(part) for part in clause.parts]
        }  # fmt: skip
    return found | {"read": dict(clause.read)}


def view_of(tried: Sequence[SimulatedStep]) -> RenderableType:
    """For people."""
    from rich.console import Group
    from rich.tree import Tree

    trees: list[RenderableType] = []
    for one in tried:
        if not one.event and not one.actions:
            continue
        head = f"event {escape(one.event)}" if one.event else "actions of plans"
        tree = Tree(f"[bold]{head}[/] [dim]{time_text(one.at_ms)}[/]")
        if one.event and not one.outcomes:
            tree.add("[dim]no rule can match it[/]")
        for outcome in one.outcomes:
            _add_outcome(tree, outcome)
        for action in one.actions:
            tree.add(_action_text(action))
        trees.append(tree)
    return Group(*trees)


def _add_outcome(tree: Tree, outcome: RuleOutcome) -> None:
    colour = _COLOURS.get(outcome.verdict, "yellow")
    said = f"[{colour}]{outcome.verdict.value}[/] {escape(outcome.rule)}"
    said += f" [dim]plan {escape(outcome.plan_id)}[/]" if outcome.plan_id else ""
    said += f": {escape(outcome.detail)}" if outcome.detail else ""
    branch = tree.add(said)
    if outcome.clauses is not None:
        _add_clause(branch, outcome.clauses)
    for effect in outcome.effects:
        branch.add("→ " + escape(effect_text(effect)))


def _add_clause(tree: Tree, clause: ClauseOutcome) -> None:
    mark = {"true": "[green]✓[/]", "false": "[red]✗[/]"}.get(clause.outcome, "[red]?[/]")
    if clause.parts:
        inner = tree.add(f"{mark} all of" if clause.joined_by == "&&" else f"{mark} one of")
        for part in clause.parts:
            _add_clause(inner, part)
        return
    read = ", ".join(
        f"{path} = {json.dumps(value, ensure_ascii=False)}" for path, value in clause.read.items()
    )
    failed = "" if clause.outcome in ("true", "false") else f" [red]{escape(clause.outcome)}[/]"
    tree.add(f"{mark} {escape(clause.text)}{failed} [dim]{escape(read)}[/]")


def _action_text(action: DueAction) -> str:
    config = escape(json.dumps(action.config, ensure_ascii=False))
    late = f", {action.late_ms / 1_000:g} s late" if action.late_ms else ""
    word = "[yellow]skipped[/]" if action.skipped else "[green]runs[/]"
    what = f"{escape(action.application)} {escape(action.action)} {config}{late}"
    return f"{word} {escape(action.plan_id)}/{escape(action.name)}: {what}"
