"""Clients' homes, and why they are there, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.output import kilometres, load_bar
from console.cli.tables import Table, facts, fold, number, optional, whole

if TYPE_CHECKING:
    from rich.console import RenderableType

    from homeport import (
        Assignment,
        ExplainedCap,
        ExplainedHook,
        ExplainedPin,
        Explanation,
        LocationSource,
        MeasuredFigure,
        RecordedDecision,
    )


_LOCATED_BY = {
    "": "somebody whom the record does not name",
    "override": "an operator's override",
    "declared": "its caller, who gave the position",
    "database": "the geo database",
    "tenant-default": "the tenant's default position",
    "nowhere": "nobody, for nobody knows where it is",
}


def document_of(assignment: Assignment) -> dict[str, Any]:
    """An assignment for programs. The ticket is a credential; whoever prints it, asked for it."""
    return {
        "tenant": assignment.tenant,
        "client_id": assignment.client_id,
        "unit": assignment.unit_id,
        "endpoint": assignment.endpoint,
        "epoch": assignment.epoch,
        "existing": assignment.existing,
        "stale": assignment.stale,
        "source": assignment.source.value or None,
        "country": assignment.country or None,
        "distance_km": rounded_km(assignment.distance_km),
        "rule": assignment.rule or None,
        "ticket": assignment.ticket or None,
        "ticket_expires_at": assignment.ticket_expires_at,
    }


def found_document(assignment: Assignment) -> dict[str, Any]:
    """The same of a client's home as it was found, with how it came to it."""
    return {
        **document_of(assignment),
        "recorded": recorded_document(assignment.recorded),
        "attributes": dict(sorted(assignment.attributes.items())),
    }


def recorded_document(recorded: RecordedDecision | None) -> dict[str, Any] | None:
    """How a client came to its home, for programs; None: it is not recorded."""
    if recorded is None:
        return None
    where = recorded.location
    return {
        "rule": recorded.rule,
        "placed_by": recorded.placed_by or None,
        "moved_from": recorded.moved_from or None,
        "job": recorded.job_id or None,
        "source": where.source.value or None,
        "country": where.country or None,
        "latitude": where.latitude,
        "longitude": where.longitude,
        "uncertainty_km": where.uncertainty_km,
        "distance_km": rounded_km(recorded.distance_km),
        "fleet_revision": recorded.fleet_revision,
        "policy_revision": recorded.policy_revision,
    }


def located_by(source: LocationSource) -> str:
    """Who said where a client is, in words."""
    return _LOCATED_BY.get(source.value, source.value)


def how_it_came(recorded: RecordedDecision | None) -> str:
    """How a client came to its home, in one line."""
    if recorded is None:
        return "not recorded"
    text = recorded.rule
    if recorded.moved_from:
        text += f" from {recorded.moved_from}"
        text += f" by job {recorded.job_id}" if recorded.job_id else " when it asked"
        text += f", placed by {recorded.placed_by}" if recorded.placed_by else ""
    where = recorded.location
    if recorded.distance_km is not None:
        text += f", {kilometres(recorded.distance_km)} away"
    named = f"located by {located_by(where.source)}"
    if where.country:
        named += f", {where.country}"
    if where.latitude is not None and where.longitude is not None:
        named += f" at {where.latitude:.1f}, {where.longitude:.1f}"
        if where.uncertainty_km:
            named += f" within {where.uncertainty_km:,.0f} km"
    return f"{text}; {named}; fleet as of revision {recorded.fleet_revision}"


def rounded_km(distance_km: float | None) -> float | None:
    """To a tenth, which is more than anybody knows."""
    return None if distance_km is None else round(distance_km, 1)


def explanation_document(client: str, explanation: Explanation) -> dict[str, Any]:
    """An explanation for programs."""
    where, current = explanation.location, explanation.current
    return {
        "client_id": client,
        "location": {
            "source": where.source.value,
            "country": where.country or None,
            "subdivision": where.subdivision or None,
            "continent": where.continent or None,
            "latitude": where.latitude,
            "longitude": where.longitude,
            "uncertainty_km": where.uncertainty_km,
            "reason": explanation.location_reason,
        },
        "rule": explanation.rule,
        "current": None
        if current is None
        else {
            "unit": current.unit_id,
            "epoch": current.epoch,
            "recorded": recorded_document(current.recorded),
        },
        "stale": explanation.stale,
        "sentence": explanation.sentence or None,
        "policy": _policy_document(explanation),
        "pin": _pin_document(explanation.pin),
        "cap": _cap_document(explanation.cap),
        "quota_reason": explanation.quota_reason or None,
        "units": [
            {
                "unit": unit.unit_id,
                "verdict": unit.verdict.value,
                "rank": unit.rank or None,
                "distance_km": rounded_km(unit.distance_km),
                "load": unit.load,
                "bias": unit.bias or None,
                "measured": _measured_document(unit.measured),
                "reason": unit.reason,
            }
            for unit in explanation.units
        ],
    }


def _measured_document(measured: MeasuredFigure | None) -> dict[str, Any] | None:
    if measured is None:
        return None
    return {
        "ms": round(measured.ms, 1),
        "reports": measured.reports,
        "networks": measured.networks,
        "age_s": round(measured.age_s),
    }


def _measured_words(measured: MeasuredFigure | None) -> str:
    """What a reason is followed by."""
    if measured is None:
        return ""
    return (
        f"; {measured.ms:,.0f} ms were measured by {measured.reports:,} clients in "
        f"{measured.networks:,} networks, the last {measured.age_s:,.0f} s ago"
    )


def _pin_document(pin: ExplainedPin | None) -> dict[str, Any] | None:
    if pin is None:
        return None
    return {"unit": pin.unit_id or None, "reason": pin.reason or None, "until": pin.until}


def _cap_document(cap: ExplainedCap | None) -> dict[str, Any] | None:
    """A latency that is null is any; a time that is null never comes, or was not."""
    if cap is None:
        return None
    return {
        "limit_ms": cap.limit_ms,
        "waits_since": cap.waits_since,
        "relaxes_after_s": cap.relaxes_after_s,
        "next_limit_ms": cap.next_limit_ms,
    }


def _policy_document(explanation: Explanation) -> dict[str, Any] | None:
    policy = explanation.policy
    if policy is None:
        return None
    return {
        "version": policy.version,
        "certainty": policy.certainty,
        "groups": list(policy.groups),
        "rings": list(policy.rings),
        "attributes": dict(sorted(policy.attributes.items())),
        "rules": [
            {"rule": rule.name, "holds": rule.holds, "reason": rule.reason} for rule in policy.rules
        ],
        "hook": _hook_document(policy.hook),
    }


def _hook_document(hook: ExplainedHook | None) -> dict[str, Any] | None:
    if hook is None:
        return None
    return {
        "name": hook.name,
        "answered": hook.answered,
        "order": list(hook.order),
        "vetoed": list(hook.vetoed),
        "age_s": hook.age_s if hook.answered else None,
        "told_attributes": dict(sorted(hook.told_attributes.items())),
        "told_groups": list(hook.told_groups),
    }


def _hook_line(hook: ExplainedHook) -> str:
    """What a hook said, in markup."""
    name = f"hook {escape(hook.name)}"
    if not hook.answered:
        return f"[yellow]![/] {name} [dim]gives no answer that counts; the policy goes on[/]"
    said = [
        f"{words} {', '.join(units)}"
        for words, units in (("puts first", hook.order), ("vetoes", hook.vetoed))
        if units
    ]
    told = f"{' and '.join(said) or 'has no objection'}, {hook.age_s:,.0f} s ago"
    knew = [attributes_text(hook.told_attributes), *hook.told_groups]
    if any(knew):
        told += f"; it was told {', '.join(part for part in knew if part)}"
    return f"[green]✓[/] {name} [dim]{escape(told)}[/]"


def _policy_lines(explanation: Explanation) -> list[str]:
    """What the policy makes of the client, in markup; none where there is none."""
    policy = explanation.policy
    if policy is None:
        return []
    lines = [
        f"policy version {policy.version}; its country is {escape(policy.certainty)}"
        + (
            f"; in {escape(', '.join((*policy.groups, *policy.rings)))}"
            * bool(policy.groups or policy.rings)
        )
    ]
    if policy.attributes:
        lines[0] += f"; attributes {escape(attributes_text(policy.attributes))}"
    for rule in policy.rules:
        mark = "[green]✓[/]" if rule.holds else "[dim]·[/]"
        lines.append(f"{mark} {escape(rule.name)} [dim]{escape(rule.reason)}[/]")
    if policy.hook is not None:
        lines.append(_hook_line(policy.hook))
    return lines


def attributes_text(attributes: Mapping[str, str]) -> str:
    """In one line, by name."""
    return ", ".join(f"{name}={value}" for name, value in sorted(attributes.items()))


def _pin_line(pin: ExplainedPin) -> str:
    reason = f" [dim]{escape(pin.reason)}[/]" if pin.reason else ""
    where = escape(pin.unit_id) or "a unit that cannot be read"
    return f"pinned to [bold]{where}[/]{reason}"


def explanation_view(client: str, explanation: Explanation) -> RenderableType:
    """How it came to its home, if it has one; then what would be decided now: the location in a
    sentence and the units, best first."""
    from rich.console import Group
    from rich.text import Text

    table = Table(
        whole(""), whole("unit"), number("distance"), optional(whole("load")), fold("why")
    )
    for unit in explanation.units:
        excluded = not unit.rank
        chosen = unit.rank == 1
        table.add_row(
            "[red]✗[/]" if excluded else "[bold green]✓[/]" if chosen else str(unit.rank),
            f"[bold green]{escape(unit.unit_id)}[/]" if chosen else escape(unit.unit_id),
            kilometres(unit.distance_km),
            f"{load_bar(unit.load, width=6)} {unit.load:>4.0%}",
            escape(unit.reason + _measured_words(unit.measured)),
            style="dim" if excluded else "",
        )
    where, current = explanation.location, explanation.current
    named = ", ".join(part for part in (where.subdivision, where.country) if part)
    place = f"in {named} " if named else ""
    if where.latitude is not None and where.longitude is not None:
        place += f"at {where.latitude:.2f}, {where.longitude:.2f}"
    lines = []
    if current is not None:
        lines += [
            f"[bold]{escape(client)}[/] has a home: [bold]{escape(current.unit_id)}[/], "
            f"epoch {current.epoch}",
            "[bold]how it came there:[/]",
            escape(how_it_came(current.recorded)),
            "",
            "[bold]if it were decided now:[/]",
        ]
    if explanation.stale:
        lines.append("[yellow]stale: answered without the store, its home is not known[/]")
    lines += [
        f"[bold]{escape(client)}[/] is {escape(place.strip())}"
        if place
        else f"nobody knows where [bold]{escape(client)}[/] is",
        f"[dim]{escape(explanation.location_reason)}[/]",
    ]
    if explanation.rule:
        lines.append(f"rule: {escape(explanation.rule)}")
    lines += _policy_lines(explanation)
    if explanation.pin is not None:
        lines.append(_pin_line(explanation.pin))
    if explanation.sentence:
        lines.append(escape(explanation.sentence))
    return Group(Text.from_markup("\n".join(lines)), table)


def assignment_table(assignment: Assignment) -> Table:
    import time

    table = facts()
    had = " [dim](it had this home already)[/]" if assignment.existing else ""
    table.add_row("client", escape(assignment.client_id))
    table.add_row(
        "unit", f"[bold green]{escape(assignment.unit_id)}[/], epoch {assignment.epoch}{had}"
    )
    table.add_row("endpoint", escape(assignment.endpoint))
    if assignment.source:
        country = f", {assignment.country}" if assignment.country else ""
        table.add_row("located by", escape(f"{located_by(assignment.source)}{country}"))
        table.add_row("distance", kilometres(assignment.distance_km))
    if assignment.rule:
        table.add_row("rule", escape(assignment.rule))
    if assignment.attributes:
        table.add_row("attributes", escape(attributes_text(assignment.attributes)))
    if assignment.recorded is not None:
        table.add_row("how it came there", escape(how_it_came(assignment.recorded)))
    if assignment.stale:
        table.add_row("", "[yellow]stale: answered without the store[/]")
    if assignment.ticket and assignment.ticket_expires_at is not None:
        left_s = assignment.ticket_expires_at - time.time()
        table.add_row("ticket", escape(assignment.ticket))
        table.add_row("good for", f"{left_s:,.0f} s")
    return table
