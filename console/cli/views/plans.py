"""Event plans, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, fold, number, optional, whole

if TYPE_CHECKING:
    from homeport.api.datasharing.v1 import plan_pb2 as pb


def document_of(plan: pb.Plan) -> dict[str, Any]:
    import json

    following = None
    if plan.HasField("next"):
        following = {
            "planned_time": plan.next.planned_time.ToJsonString(),
            "effective_time": plan.next.effective_time.ToJsonString(),
            "cancelled": plan.next.cancelled,
            "actions": [
                {
                    "name": one.name, "application": one.application, "action": one.action,
                    "due_time": one.due_time.ToJsonString(),
                    "config": json.loads(one.config_json),
                }
                for one in plan.next.actions
            ],
        }  # fmt: skip
    return {
        "id": plan.plan_id,
        "version": plan.version,
        "cancelled": plan.cancelled,
        "next": following,
        "spec": json.loads(plan.spec),
        "warnings": list(plan.warnings),
    }


def change_document(one: pb.PlanChange) -> dict[str, Any]:
    import json

    return {
        "id": one.change_id,
        "version": one.version,
        "change_time": one.change_time.ToJsonString(),
        "occurrence_time": (
            one.occurrence_time.ToJsonString() if one.HasField("occurrence_time") else None
        ),
        "by": f"user {one.user}" if one.user else f"rule {one.rule_id}",
        "rule_version": one.rule_version or None,
        "event": one.event_id or None,
        "undoes": one.undoes or None,
        "undone": one.undone,
        "note": one.note or None,
        "fields": [
            {
                "field": field.field,
                "before": json.loads(field.before) if field.before else None,
                "after": json.loads(field.after) if field.after else None,
            }
            for field in one.fields
        ],
    }


def plans_table(plans: list[pb.Plan]) -> Table:
    """Plans with their next occurrence."""
    table = Table(
        whole("plan"), optional(number("version")), whole("next"), number("moved by"),
        fold("actions"),
    )  # fmt: skip
    for one in plans:
        if not one.HasField("next"):
            table.add_row(escape(one.plan_id), str(one.version), _state(one), "–", "–")
            continue
        moved_s = one.next.effective_time.seconds - one.next.planned_time.seconds
        actions = ", ".join(action.name for action in one.next.actions)
        table.add_row(
            escape(one.plan_id),
            str(one.version),
            _state(one),
            f"{moved_s // 60:+d} min",
            escape(actions),
        )
    return table


def _state(plan: pb.Plan) -> str:
    if plan.cancelled:
        return "cancelled"
    if not plan.HasField("next"):
        return "nothing to come"
    at = plan.next.effective_time.ToJsonString()
    return f"{at} (cancelled)" if plan.next.cancelled else at


def plan_table(plan: pb.Plan) -> Table:
    title = escape(f"{plan.plan_id}: {_state(plan)}")
    table = Table(
        *map(whole, ("action", "due")), *map(fold, ("application", "config")), title=title
    )
    for one in plan.next.actions:
        table.add_row(
            escape(one.name), one.due_time.ToJsonString(),
            escape(f"{one.application} {one.action}"),
            escape(one.config_json),
        )  # fmt: skip
    return table


def history_table(changes: list[pb.PlanChange]) -> Table:
    """Changes of a plan with their causes."""
    table = Table(*map(whole, ("change", "when")), *map(fold, ("by", "what", "why")))
    for one in changes:
        what = ",\n".join(
            escape(f"{field.field}: {field.before or 'as planned'} → {field.after or 'as planned'}")
            for field in one.fields
        )
        by = f"user {one.user}" if one.user else f"rule {one.rule_id} v{one.rule_version}"
        undone = " [dim](undone)[/]" if one.undone else ""
        table.add_row(
            escape(one.change_id) + undone, one.change_time.ToJsonString(), escape(by), what,
            escape(one.note),
        )  # fmt: skip
    return table
