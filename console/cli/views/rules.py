"""Rules, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.tables import Table, fold, number, optional, whole

if TYPE_CHECKING:
    from homeport.api.datasharing.v1 import rule_pb2 as pb


def document_of(rule: pb.Rule, *, with_spec: bool = False) -> dict[str, Any]:
    import json

    found: dict[str, Any] = {
        "id": rule.rule_id,
        "version": rule.version,
        "application": rule.application or None,
        "apply_time": rule.apply_time.ToJsonString() if rule.HasField("apply_time") else None,
        "retired": rule.retired,
        "parked": rule.health.parked,
        "failures": rule.health.failures,
        "last_error": rule.health.last_error or None,
    }
    if with_spec:
        found["spec"] = json.loads(rule.spec)
    return found


def rules_table(rules: list[pb.Rule]) -> Table:
    """Rules with how they fare."""
    from rich.markup import escape

    table = Table(
        fold("rule"), optional(number("version")), fold("application"), whole("state"),
        fold("last error"),
    )  # fmt: skip
    for one in rules:
        state = "retired" if one.retired else "[red]parked[/]" if one.health.parked else "deciding"
        table.add_row(
            one.rule_id, str(one.version), one.application or "–", state,
            escape(one.health.last_error) or "–",
        )  # fmt: skip
    return table
