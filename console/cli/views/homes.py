"""Clients' homes, and why they are there, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.output import kilometres, load_bar
from console.cli.tables import Table, facts, fold, number, optional, whole

if TYPE_CHECKING:
    from rich.console import RenderableType

    from homeport import Assignment, Explanation


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
        "current": None if current is None else {"unit": current.unit_id, "epoch": current.epoch},
        "stale": explanation.stale,
        "units": [
            {
                "unit": unit.unit_id,
                "verdict": unit.verdict.value,
                "rank": unit.rank or None,
                "distance_km": rounded_km(unit.distance_km),
                "load": unit.load,
                "reason": unit.reason,
            }
            for unit in explanation.units
        ],
    }


def explanation_view(client: str, explanation: Explanation) -> RenderableType:
    """The location in a sentence, then the units, best first."""
    from rich.console import Group
    from rich.markup import escape
    from rich.text import Text

    table = Table(whole(""), fold("unit"), number("distance"), optional(whole("load")), fold("why"))
    for unit in explanation.units:
        excluded = not unit.rank
        chosen = unit.rank == 1
        table.add_row(
            "[red]✗[/]" if excluded else "[bold green]✓[/]" if chosen else str(unit.rank),
            f"[bold green]{unit.unit_id}[/]" if chosen else unit.unit_id,
            kilometres(unit.distance_km),
            f"{load_bar(unit.load, width=6)} {unit.load:>4.0%}",
            escape(unit.reason),
            style="dim" if excluded else "",
        )
    where, current = explanation.location, explanation.current
    named = ", ".join(part for part in (where.subdivision, where.country) if part)
    place = f"in {named} " if named else ""
    if where.latitude is not None and where.longitude is not None:
        place += f"at {where.latitude:.2f}, {where.longitude:.2f}"
    lines = [
        f"[bold]{escape(client)}[/] is {escape(place.strip())}"
        if place
        else f"nobody knows where [bold]{escape(client)}[/] is",
        f"[dim]{escape(explanation.location_reason)}[/]",
    ]
    if current is not None:
        lines.append(f"it has a home: [bold]{current.unit_id}[/], epoch {current.epoch}")
    if explanation.stale:
        lines.append("[yellow]stale: answered without the store, its home is not known[/]")
    if explanation.rule:
        lines.append(f"rule: {escape(explanation.rule)}")
    return Group(Text.from_markup("\n".join(lines)), table)


def assignment_table(assignment: Assignment) -> Table:
    import time

    from rich.markup import escape

    table = facts()
    had = " [dim](it had this home already)[/]" if assignment.existing else ""
    table.add_row("client", escape(assignment.client_id))
    table.add_row("unit", f"[bold green]{assignment.unit_id}[/], epoch {assignment.epoch}{had}")
    table.add_row("endpoint", escape(assignment.endpoint))
    if assignment.source:
        country = f", {assignment.country}" if assignment.country else ""
        table.add_row("located by", f"{assignment.source}{country}")
        table.add_row("distance", kilometres(assignment.distance_km))
    if assignment.rule:
        table.add_row("rule", escape(assignment.rule))
    if assignment.stale:
        table.add_row("", "[yellow]stale: answered without the store[/]")
    if assignment.ticket and assignment.ticket_expires_at is not None:
        left_s = assignment.ticket_expires_at - time.time()
        table.add_row("ticket", f"{assignment.ticket}\n[dim]good for {left_s:,.0f} s[/]")
    return table
