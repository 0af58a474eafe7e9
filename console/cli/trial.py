"""What `homeport rules test` does: rules, events and plans from files, tried here, and shown as a
story: what came, which rules looked at it, which clause decided, what followed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.cli.failure import CommandFailed, ExitCode
from control_plane.errors import InvalidInput
from data_sharing.documents import value_of
from data_sharing.feed_key import KeyPath
from data_sharing.management.dry_run import try_rules
from data_sharing.management.simulator import Tried
from data_sharing.plans.due import DueAction
from data_sharing.registry.reading import read_manifest
from data_sharing.rules.compiling import (
    check_document,
    compile_forecast,
    compile_rule,
    parse,
)
from data_sharing.rules.decided import Clause, RuleOutcome, Verdict, effect_text
from data_sharing.rules.faults import Faults
from data_sharing.rules.feed_schema import FeedSchema
from data_sharing.rules.ruleset import RuleSet

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.tree import Tree

TENANT = "trial"
_COLOURS = {
    Verdict.FIRED: "green", Verdict.ERROR: "red", Verdict.PARKED: "red",
    Verdict.NOT_MATCHED: "dim",
}  # fmt: skip


class _Feeds:
    """Those of the manifests; every feed there could be, where there is no manifest."""

    def __init__(self, manifests: Sequence[Path]) -> None:
        self._any = not manifests
        self._schemas: dict[str, FeedSchema] = {}
        self._keys: dict[str, KeyPath] = {}
        for path in manifests:
            manifest, faults = read_manifest(read_text(path), tenant=TENANT)
            if manifest is None:
                said = "; ".join(f"{one.path} {one.message}".strip() for one in faults)
                raise CommandFailed(f"{path}: {said}", ExitCode.USAGE)
            for one in manifest.produces:
                self._schemas[one.type] = FeedSchema(one.type, one.schema)
                self._keys[one.type] = KeyPath.parse(one.key)

    def get(self, feed: str, /) -> FeedSchema | None:
        return FeedSchema(feed, None) if self._any else self._schemas.get(feed)

    def key_of(self, feed: str, event: Mapping[str, Any]) -> str | None:
        path = self._keys.get(feed)
        if path is None:
            return None
        if path.attribute:
            return str(event.get(path.attribute, ""))
        return path.of_data(event.get("data", {}))


def run(rules: Path, events: Path, plans: Sequence[Path], manifests: Sequence[Path]) -> list[Tried]:
    """Raises CommandFailed or InvalidInput saying which file is at fault, and where."""
    feeds = _Feeds(manifests)
    document, faults = parse(read_text(rules), str(rules)), Faults()
    check_document(document)
    forecasts, compiled = {}, []
    for estimate in document.forecasts:
        with faults.gather():
            made = compile_forecast(estimate, tenant=TENANT, schemas=feeds)
            forecasts[estimate.forecast] = made
    for rule in document.rules:
        with faults.gather():
            compiled.append(
                compile_rule(rule, tenant=TENANT, version=1, schemas=feeds, forecasts=forecasts)
            )
    faults.settle()
    return try_rules(
        RuleSet(compiled, forecasts.values()),
        TENANT,
        events=_lines(events),
        plans=[value_of(read_text(path), str(path)) for path in plans],
        key_of=feeds.key_of,
    )


def read_text(path: Path) -> str:
    """Of a file that a command names. Raises CommandFailed."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{path} cannot be read: {error}", ExitCode.USAGE) from error


def _lines(path: Path) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found.append(json.loads(line))
        except ValueError as error:
            raise InvalidInput("events", f"{path}, line {number}: not JSON: {error}") from None
    return found


def document_of(tried: Sequence[Tried]) -> dict[str, Any]:
    """For programs."""
    return {"steps": [_step(one) for one in tried]}


def _step(one: Tried) -> dict[str, Any]:
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


def _clause(clause: Clause) -> dict[str, Any]:
    found: dict[str, Any] = {"text": clause.text, "outcome": clause.outcome}
    if clause.parts:
        return found | {
            "joined_by": clause.joined_by, "parts": [_clause(part) for part in clause.parts]
        }  # fmt: skip
    return found | {"read": dict(clause.read)}


def picture_of(tried: Sequence[Tried]) -> RenderableType:
    """For people."""
    from rich.console import Group
    from rich.markup import escape
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
    from rich.markup import escape

    colour = _COLOURS.get(outcome.verdict, "yellow")
    said = f"[{colour}]{outcome.verdict.value}[/] {escape(outcome.rule)}"
    said += f" [dim]plan {escape(outcome.plan_id)}[/]" if outcome.plan_id else ""
    said += f": {escape(outcome.detail)}" if outcome.detail else ""
    branch = tree.add(said)
    if outcome.clauses is not None:
        _add_clause(branch, outcome.clauses)
    for effect in outcome.effects:
        branch.add("→ " + escape(effect_text(effect)))


def _add_clause(tree: Tree, clause: Clause) -> None:
    from rich.markup import escape

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
    from rich.markup import escape

    config = escape(json.dumps(action.config, ensure_ascii=False))
    late = f", {action.late_ms / 1_000:g} s late" if action.late_ms else ""
    word = "[yellow]skipped[/]" if action.skipped else "[green]runs[/]"
    what = f"{action.application} {action.action} {config}{late}"
    return f"{word} {action.plan_id}/{action.name}: {what}"


def time_text(at_ms: int) -> str:
    """RFC 3339, to the second."""
    return f"{datetime.fromtimestamp(at_ms / 1_000, UTC):%Y-%m-%dT%H:%M:%SZ}"
