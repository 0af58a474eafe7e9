"""Rules, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, fold, number, optional, whole
from console.cli.views.rollouts import is_live, phase_of, rollout_document, step_of
from console.cli.views.rule_memory import memory_document

if TYPE_CHECKING:
    from rich.console import RenderableType

    from homeport.api.datasharing.v1 import rule_pb2 as pb


def document_of(rule: pb.Rule, *, with_spec: bool = False) -> dict[str, Any]:
    import json

    health = rule.health
    found: dict[str, Any] = {
        "id": rule.rule_id,
        "version": rule.version,
        "application": rule.application or None,
        "apply_time": rule.apply_time.ToJsonString() if rule.HasField("apply_time") else None,
        "retired": rule.retired,
        "parked": health.parked,
        "parked_whole": health.parked_whole,
        "parked_keys": health.parked_keys,
        "parked_producers": health.parked_producers,
        "retry_time": _time(health, "retry_time"),
        "failures": health.failures,
        "last_error": health.last_error or None,
        "warnings": list(rule.warnings),
        "looped_events": rule.looped_events,
        "memory": memory_document(rule.memory),
        "rollout": rollout_document(rule.rollout) if rule.HasField("rollout") else None,
        "pause": pause_document(rule.pause) if rule.HasField("pause") else None,
    }
    if with_spec:
        found["parked_scopes"] = scopes_of(rule)
        found["spec"] = json.loads(rule.spec)
    return found


def scopes_of(rule: pb.Rule) -> list[dict[str, Any]]:
    """Each key or producer for which it is parked; neither: all of it is."""
    return [
        {
            "key": one.key or None,
            "producer": one.source or None,
            "park_time": _time(one, "park_time"),
            "retry_time": _time(one, "retry_time"),
            "failures": one.failures,
            "last_error": one.last_error,
        }
        for one in rule.health.parked_scopes
    ]


def _time(message: Any, field: str) -> str | None:
    """Of RuleHealth or ParkedScope."""
    return getattr(message, field).ToJsonString() if message.HasField(field) else None


def state_of(rule: pb.Rule) -> str:
    """Whether it decides, in rich's markup."""
    health = rule.health
    if rule.retired:
        return "retired"
    if rule.HasField("pause"):
        pause = rule.pause
        lost = f", {pause.lost_events:,} lost" if pause.lost_events else ""
        what = "resuming" if pause.resuming else "paused"
        count = pause.waiting_events
        waits = "1 event waits" if count == 1 else f"{count:,} events wait"
        return f"[yellow]{what}: {waits}{lost}[/]"
    parts = ["rule"] if health.parked_whole else []
    for count, what in ((health.parked_keys, "key"), (health.parked_producers, "producer")):
        if count:
            parts.append(f"{count} {what}{'s' * (count != 1)}")
    if not parts:
        looped = f"[red]in a loop: {rule.looped_events:,} cut[/]" if rule.looped_events else ""
        full = f"[red]full: {escape(rule.memory.full)}[/]" if rule.memory.full else ""
        return ", ".join(filter(None, (rollout_state(rule), looped, full))) or "deciding"
    colour = "red" if health.parked_whole else "yellow"
    return f"[{colour}]parked: {', '.join(parts)}[/]"


def rollout_state(rule: pb.Rule) -> str:
    """How far its rollout is, in rich's markup; empty: none is going on."""
    rollout = rule.rollout
    if not rule.HasField("rollout") or not is_live(rollout):
        return ""
    said = f"version {rollout.candidate_version}: {step_of(rollout)}"
    return f"[yellow]{said}, held[/]" if phase_of(rollout) == "held" else said


def pause_document(pause: pb.Pause) -> dict[str, Any]:
    return {
        "pause_time": pause.pause_time.ToJsonString(),
        "operator": pause.operator or None,
        "reason": pause.reason or None,
        "resuming": pause.resuming,
        "waiting_events": pause.waiting_events,
        "lost_events": pause.lost_events,
    }


def rules_table(rules: list[pb.Rule]) -> Table:
    """Rules with how they fare."""
    table = Table(
        whole("rule"), optional(number("version")), whole("application"), fold("state"),
        optional(number("keys")), optional(whole("next retry")), fold("last error"),
    )  # fmt: skip
    for one in rules:
        table.add_row(
            escape(one.rule_id), str(one.version), escape(one.application) or "–", state_of(one),
            f"{one.memory.keys:,}" if one.memory.keys else "–",
            _time(one.health, "retry_time") or "–", escape(one.health.last_error) or "–",
        )  # fmt: skip
    return table


def rule_view(rule: pb.Rule) -> RenderableType:
    """One rule, with each key and producer for which it is parked."""
    from rich.console import Group

    return (
        Group(rules_table([rule]), scopes_table(rule))
        if rule.health.parked_scopes
        else (rules_table([rule]))
    )


def scopes_table(rule: pb.Rule) -> Table:
    """What of it is parked."""
    table = Table(
        whole("key"), whole("producer"), whole("parked since"), whole("next retry"),
        number("failures"), fold("last error"),
        title="parked", caption=f"homeport rules retry {escape(rule.rule_id)} runs it again now",
    )  # fmt: skip
    for one in scopes_of(rule):
        table.add_row(
            escape(one["key"] or "every"), escape(one["producer"] or "every"), one["park_time"],
            one["retry_time"], str(one["failures"]), escape(one["last_error"]) or "–",
        )  # fmt: skip
    return table


def retry_view(answer: pb.RetryRuleResponse) -> RenderableType:
    """How much is run again, and what is not."""
    from rich.console import Group

    count, rule = answer.unparked, answer.rule
    text = f"{escape(rule.rule_id)}: {count} parked before, run again from the next event on"
    if not count:
        text = f"{escape(rule.rule_id)}: nothing of that was parked"
    return Group(text, scopes_table(rule)) if rule.health.parked_scopes else text
