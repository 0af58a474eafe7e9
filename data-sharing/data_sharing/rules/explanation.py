"""Explanation of a condition, clause by clause, each with its outcome and the values it read.

Evaluates the clauses by the code that decides, over the very values that the decision saw; what
follows from the outcome of the whole is not evaluated again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from control_plane.expressions.clauses import Clause as Split
from control_plane.expressions.expression import Bindings, Fault
from control_plane.expressions.tree import Path, paths_read
from control_plane.expressions.values import time_text
from data_sharing.rules.compiled import CompiledRule, read_path
from data_sharing.rules.event_view import json_number
from data_sharing.rules.results import ClauseOutcome

_LONGEST = 200  # characters of a text, items of a list


def clauses(
    rule: CompiledRule, values: Mapping[str, Any], bindings: Bindings, holds: bool | Fault
) -> ClauseOutcome:
    """Of the rule's `when`, which came to `holds`. Short-circuits are not taken: every leaf is
    shown with its value."""
    if not rule.clauses.parts:
        return ClauseOutcome(rule.clauses.text, _outcome(holds), read(rule, values))
    return _clause(rule, rule.clauses, values, bindings, holds is True)


def of_steps(
    rule: CompiledRule, names: Collection[str], values: Mapping[str, Any]
) -> ClauseOutcome | None:
    """Why no step of the rule's sequence takes an event that comes as these inputs, none of whose
    conditions on it alone hold; None: they have none. values: what is seen of it, by input."""
    parts = () if rule.pattern is None else rule.pattern.parts
    found: list[ClauseOutcome] = []
    for part in parts:
        if part.name not in names or part.condition is None:
            continue
        own = {part.name: values[part.name]} if part.name in values else {}
        said: bool | Fault = False  # where it reads steps before it, of which none is at hand
        if part.reads <= own.keys():
            said = part.condition.holds(rule.environment.bind(own))
        paths = {
            ".".join(path): path for path, _, _ in paths_read(part.condition.tree) if path[0] in own
        }
        outcome = _outcome(said)
        found.append(ClauseOutcome(part.condition.text, outcome, _read(paths, own)))
    if len(found) < 2:
        return found[0] if found else None
    return ClauseOutcome(" || ".join(one.text for one in found), "false", {}, "||", tuple(found))


def read(rule: CompiledRule, values: Mapping[str, Any]) -> dict[str, Any]:
    """What the rule's `when` reads, by path."""
    return _read(rule.paths, values)


def read_by(clauses: ClauseOutcome) -> Mapping[str, Any]:
    """The same, out of what each of its clauses has read."""
    if not clauses.parts:
        return clauses.read
    found: dict[str, Any] = {}
    for part in clauses.parts:
        found.update(read_by(part))
    return found


def _read(paths: Mapping[str, Path], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: json_shown(read_path(values, path)) for name, path in paths.items()}


def _clause(
    rule: CompiledRule, split: Split, values: Mapping[str, Any], bindings: Bindings, held: bool
) -> ClauseOutcome:
    """held: it is known to be true."""
    if not split.parts:
        said = held or rule.clause(split.text).holds(bindings)
        return ClauseOutcome(
            split.text, _outcome(said), _read(rule.clause_paths[split.text], values)
        )
    all_held = held and split.joined_by == "&&"  # then each of them
    parts = tuple(_clause(rule, part, values, bindings, all_held) for part in split.parts)
    outcome = "true" if held else _combined(parts, split.joined_by)
    return ClauseOutcome(split.text, outcome, {}, split.joined_by, parts)


def _outcome(holds: bool | Fault) -> str:
    if isinstance(holds, Fault):
        return f"{'missing' if holds.missing else 'error'}: {holds.message}"
    return "true" if holds else "false"


def _combined(parts: tuple[ClauseOutcome, ...], joined_by: str) -> str:
    """As CEL's && and ||: one part that decides it outweighs parts that failed."""
    outcomes = [part.outcome for part in parts]
    decides, other = ("false", "true") if joined_by == "&&" else ("true", "false")
    if decides in outcomes:
        return decides
    failed = [one for one in outcomes if one not in ("true", "false")]
    return failed[0] if failed else other


def json_shown(value: Any) -> Any:
    """A value for people, as JSON: whole numbers without a fraction. Long ones are cut."""
    if isinstance(value, float):
        return json_number(value)
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else value[:_LONGEST] + "…"
    if isinstance(value, Mapping):
        return {
            str(key).lower() if isinstance(key, bool) else str(key): json_shown(one)
            for key, one in list(value.items())[:_LONGEST]
        }
    if isinstance(value, (list, tuple)):
        return [json_shown(one) for one in value[:_LONGEST]]
    text = time_text(value)
    return value if text is None else text
