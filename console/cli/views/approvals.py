"""Approvals, for people and for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, fold, whole
from console.cli.views.decisions import instruction_document

if TYPE_CHECKING:
    from rich.console import RenderableType

    from homeport.api.datasharing.v1 import approval_pb2 as pb


def verdict_of(approval: pb.Approval) -> str:
    """In one word."""
    from homeport.api.datasharing.v1 import approval_pb2 as pb

    return pb.ApprovalVerdict.Name(approval.verdict).removeprefix("APPROVAL_VERDICT_").lower()


def approval_document(approval: pb.Approval, *, with_events: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {
        "instruction": instruction_document(approval.instruction),
        "verdict": verdict_of(approval),
        "ask_time": _time(approval, "ask_time"),
        "expire_time": _time(approval, "expire_time"),
        "role": approval.role,
        "approvers": list(approval.approvers),
        "four_eyes": approval.four_eyes,
        "rule_applied_by": approval.rule_applied_by or None,
        "revision": approval.revision or None,
        "rule_change": approval.rule_change or None,
        "read": {name: _value(text) for name, text in sorted(approval.read.items())},
        "decide_time": _time(approval, "decide_time"),
        "approver": approval.approver or None,
        "reason": approval.reason or None,
        "decided_revision": approval.decided_revision or None,
        "values_hidden": approval.values_hidden,
    }
    if with_events:
        found["events"] = [
            {
                "source": one.event.source,
                "id": one.event.id,
                "position": one.event.position or None,
                "data": _value(one.event_json) if one.event_json else None,
                "hidden": one.event_hidden,
            }
            for one in approval.events
        ]
    return found


def approvals_table(found: list[pb.Approval]) -> Table:
    """What waits, or was decided, and by whom."""
    table = Table(
        *map(whole, ("instruction", "state", "asked", "expires")), fold("what"), fold("because"),
    )  # fmt: skip
    for one in found:
        what = one.instruction
        by = f"{verdict_of(one)} by {one.approver}" if one.approver else verdict_of(one)
        table.add_row(
            escape(what.instruction_id),
            escape(by),
            _time(one, "ask_time") or "–",
            _time(one, "expire_time") or "–",
            escape(f"{what.application} {what.action} {what.config_json}"),
            escape(_because(one)),
        )
    return table


def approval_view(approval: pb.Approval) -> RenderableType:
    """One with its evidence."""
    from rich.console import Group

    parts: list[RenderableType] = [approvals_table([approval]), evidence_table(approval)]
    return Group(*parts)


def evidence_table(approval: pb.Approval) -> Table:
    """What it is judged by."""
    table = Table(whole("evidence"), fold("what"), title="evidence")
    what = approval.instruction
    rule = f"{what.rule_id} version {what.rule_version}" if what.rule_id else "no rule: a plan"
    table.add_row("rule", escape(rule))
    if approval.rule_applied_by:
        table.add_row("applied by", escape(approval.rule_applied_by))
    if approval.revision:
        table.add_row("revision now", escape(approval.revision))
    if approval.rule_change:
        table.add_row("changed", f"[yellow]{escape(approval.rule_change)}[/]")
    for name, text in sorted(approval.read.items()):
        table.add_row("read", escape(f"{name} = {text}"))
    for one in approval.events:
        said = one.event_json or ("hidden" if one.event_hidden else "passed its retention")
        table.add_row("event", escape(f"{one.event.id} of {one.event.source}: {said}"))
    if approval.values_hidden:
        table.add_row("read", "[yellow]a sharing policy hides it from operators[/]")
    if any(one.event_hidden for one in approval.events):
        table.add_row("event", "[yellow]a sharing policy hides the rest; say --purpose[/]")
    table.add_row("may decide", escape(_who(approval)))
    return table


def _who(approval: pb.Approval) -> str:
    who = ", ".join(approval.approvers) or f"any {approval.role}"
    if approval.approvers and approval.role != "operator":
        who += f" with the role {approval.role}"
    if approval.four_eyes:
        who += f"; not {approval.rule_applied_by or 'who applied the rule'}"
    return who


def _because(approval: pb.Approval) -> str:
    what = approval.instruction
    said = f"rule {what.rule_id}" if what.rule_id else f"plan {what.plan_id}"
    return f"{said}; {approval.rule_change}" if approval.rule_change else said


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _time(message: Any, field: str) -> str | None:
    return getattr(message, field).ToJsonString() if message.HasField(field) else None
