"""Decisions, explanations, instructions and dead letters, for people and for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, fold, whole
from console.cli.views.explained_parts import (
    hidden_document,
    hidden_line,
    kept_document,
    kept_line,
)
from homeport.api.datasharing.v1 import decision_pb2 as pb

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.tree import Tree

    from homeport.api.datasharing.v1 import rule_pb2

_COLOURS = {
    "fired": "green", "not-matched": "dim", "error": "red", "parked": "red", "waiting": "yellow",
    "pending": "yellow",
}  # fmt: skip


def word(enum: Any, value: int, prefix: str) -> str:
    """An enum value as people write it."""
    name: str = enum.Name(value)
    return name.removeprefix(prefix).lower().replace("_", "-")


def time_of(message: Any) -> str:
    """A Timestamp, RFC 3339 to the millisecond."""
    return str(message.ToJsonString())


def event_document(event: pb.EventName) -> dict[str, Any]:
    return {
        "source": event.source,
        "id": event.id,
        "type": event.type or None,
        "position": event.position or None,
    }


def decision_document(decision: pb.Decision) -> dict[str, Any]:
    return {
        "id": decision.decision_id,
        "decide_time": time_of(decision.decide_time),
        "kind": word(pb.DecisionKind, decision.kind, "DECISION_KIND_"),
        "rule": decision.rule_id or None,
        "rule_version": decision.rule_version or None,
        "plan": decision.plan_id or None,
        "summary": decision.summary,
        "causes": [event_document(one) for one in decision.causes],
        "effects": json.loads(decision.effects_json or "[]"),
        "instructions": list(decision.instruction_ids),
        "late_ms": decision.late_ms,
        "correlation": decision.correlation_id or None,
        "timer": decision.timer_id or None,
        "hops": decision.hops,
    }


def instruction_document(instruction: pb.Instruction) -> dict[str, Any]:
    outcome = None
    if instruction.HasField("outcome"):
        told = instruction.outcome
        outcome = {
            "status": word(pb.OutcomeStatus, told.status, "OUTCOME_STATUS_"),
            "output": json.loads(told.output_json) if told.output_json else None,
            "message": told.message or None,
            "platform": told.platform,
            "attempt": told.attempt,
        }
    return {
        "id": instruction.instruction_id,
        "application": instruction.application,
        "version": instruction.version,
        "action": instruction.action,
        "configuration": json.loads(instruction.config_json or "{}"),
        "modification": (
            json.loads(instruction.modification_json) if instruction.modification_json else None
        ),
        "plan": instruction.plan_id or None,
        "rule": instruction.rule_id or None,
        "causes": [event_document(one) for one in instruction.causes],
        "state": word(pb.InstructionState, instruction.state, "INSTRUCTION_STATE_"),
        "platform": instruction.platform or None,
        "attempts": instruction.attempts,
        "decide_time": time_of(instruction.decide_time),
        "deadline_time": time_of(instruction.deadline_time),
        "outcome": outcome,
        "reason": instruction.reason or None,
    }


def letter_document(letter: pb.DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.dead_letter_id,
        "create_time": time_of(letter.create_time),
        "kind": word(pb.DeadLetterKind, letter.kind, "DEAD_LETTER_KIND_"),
        "reason": letter.reason,
        "event": event_document(letter.event) if letter.HasField("event") else None,
        "rule": letter.rule_id or None,
        "instruction": (
            instruction_document(letter.instruction) if letter.HasField("instruction") else None
        ),
        "redriven": time_of(letter.redrive_time) if letter.HasField("redrive_time") else None,
    }


def clause_document(clause: rule_pb2.Clause) -> dict[str, Any]:
    return {
        "text": clause.text,
        "outcome": clause.outcome,
        "read": {name: json.loads(value) for name, value in clause.read.items()},
        "joined_by": clause.joined_by or None,
        "parts": [clause_document(part) for part in clause.parts],
    }


def explanation_document(answer: pb.ExplainDecisionResponse) -> dict[str, Any]:
    return {
        "event": event_document(answer.event) if answer.HasField("event") else None,
        "data": json.loads(answer.event_json) if answer.event_json else None,
        "data_hidden": answer.event_hidden,
        "decide_time": time_of(answer.decide_time),
        "rules": [
            {
                "rule": one.rule_id,
                "version": one.rule_version,
                "verdict": one.verdict,
                "plan": one.plan_id or None,
                "detail": one.detail or None,
                "asked": not one.passed_over,
                "shadow": one.shadow,
                "clauses": [clause_document(clause) for clause in one.clauses],
                "key": one.key or None,
                "kept": [kept_document(each) for each in one.kept],
                "hidden_fields": [hidden_document(each) for each in one.hidden_fields],
                "values_hidden": one.values_hidden,
            }
            for one in answer.rules
        ],
        "decisions": [decision_document(one) for one in answer.decisions],
        "instructions": [instruction_document(one) for one in answer.instructions],
    }


def explanation_view(answer: pb.ExplainDecisionResponse) -> RenderableType:
    """A tree: the event, what each rule made of it, what followed."""
    from rich.tree import Tree

    if answer.HasField("event"):
        event = answer.event
        tree = Tree(
            f"[bold]{escape(event.type)}[/] {escape(event.id)} from {escape(event.source)} "
            f"[dim]position {event.position}[/]"
        )
        tree.add(f"[dim]{escape(answer.event_json)}[/]")
        if answer.event_hidden:
            tree.add("[yellow]a sharing policy hides the rest; say what for with --purpose[/]")
    else:
        tree = Tree(f"[bold]{time_of(answer.decide_time)}[/] [dim]time did it, no event[/]")
    for one in answer.rules:
        colour = _COLOURS.get(one.verdict, "yellow")
        of = f" on plan {escape(one.plan_id)}" if one.plan_id else ""
        said = f" [dim]{escape(one.detail)}[/]" if one.detail else ""
        said = f" [dim](shadow)[/]{said}" if one.shadow else said
        branch = tree.add(
            f"rule [bold]{escape(one.rule_id)}[/] v{one.rule_version}{of}: "
            f"[{colour}]{escape(one.verdict)}[/]{said}"
        )
        for clause in one.clauses:
            _clause(branch, clause)
        for part in one.kept:
            branch.add(f"[dim]{escape(kept_line(part))}[/]")
        for hidden in one.hidden_fields:
            branch.add(f"[yellow]{escape(hidden_line(hidden))}[/]")
    for decision in answer.decisions:
        branch = tree.add(f"[green]→[/] {escape(decision.summary)}")
        for effect in json.loads(decision.effects_json or "[]"):
            branch.add(f"[dim]{escape(json.dumps(effect.get('to', {}), ensure_ascii=False))}[/]")
    for instruction in answer.instructions:
        tree.add(instruction_line(instruction))
    if not answer.rules and not answer.decisions:
        tree.add("[dim]no rule watches this feed[/]")
    return tree


def instruction_line(instruction: pb.Instruction) -> str:
    """One instruction in one line, in rich's markup."""
    document = instruction_document(instruction)
    outcome = document["outcome"]
    said = document["reason"] or ""
    if outcome and outcome["output"] is not None:
        said = _said(outcome["output"])
    configuration = json.dumps(document["configuration"], ensure_ascii=False)
    return escape(
        f"{instruction.application} {instruction.action} {configuration}: {document['state']}"
        f"{' on ' + instruction.platform if instruction.platform else ''}"
        f"{': ' + said if said else ''}"
    )


def _said(output: Any) -> str:
    """What an action's output says, or all of it as JSON."""
    said = output.get("said") if isinstance(output, dict) else None
    return said if isinstance(said, str) else json.dumps(output, ensure_ascii=False)


def _clause(branch: Tree, clause: rule_pb2.Clause) -> None:
    colour = {"true": "green", "false": "red"}.get(clause.outcome, "yellow")
    read = ", ".join(f"{name} = {value}" for name, value in sorted(clause.read.items()))
    leaf = branch.add(
        f"[{colour}]{escape(clause.outcome)}[/] {escape(clause.joined_by or clause.text)}"
        f"{f'  [dim]{escape(read)}[/]' if read else ''}"
    )
    for part in clause.parts:
        _clause(leaf, part)


def decisions_table(found: list[pb.Decision]) -> Table:
    table = Table(*map(whole, ("time", "decision", "kind", "plan")), fold("what"))
    for document in map(decision_document, found):
        table.add_row(
            document["decide_time"],
            escape(document["id"]),
            document["kind"],
            escape(document["plan"] or "–"),
            escape(document["summary"]),
        )
    return table


def instructions_table(found: list[pb.Instruction]) -> Table:
    table = Table(*map(whole, ("time", "instruction")), fold("what"))
    for one in found:
        table.add_row(
            instruction_document(one)["decide_time"],
            escape(one.instruction_id),
            instruction_line(one),
        )
    return table


def dead_letters_table(found: list[pb.DeadLetter]) -> Table:
    table = Table(*map(whole, ("letter", "time")), *map(fold, ("about", "reason")))
    for document in map(letter_document, found):
        event, instruction = document["event"], document["instruction"]
        about = f"{instruction['application']} {instruction['action']}" if instruction else ""
        if event:
            about = f"{event['type'] or event['source']} {event['id']} / {document['rule'] or '–'}"
        again = " (tried again)" if document["redriven"] else ""
        table.add_row(
            escape(document["id"]),
            document["create_time"],
            escape(about),
            escape(document["reason"] + again),
        )
    return table
