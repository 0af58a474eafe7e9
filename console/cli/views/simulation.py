"""What a simulation says, for people."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, facts, number, optional, whole

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST_UNITS = 40  # rows: the units whose clients change most come first
MOST_MOVES = 10


def simulation_tables(document: dict[str, Any]) -> RenderableType:
    """What differs, the units, and who moves from where to where."""
    from rich.console import Group

    parts: list[RenderableType] = [simulation_facts(document), "", unit_loads(document)]
    if document["moved"]["largest"]:
        parts += ["", largest_moves(document)]
    return Group(*parts)


def simulation_facts(document: dict[str, Any]) -> Table:
    """Before and after, a figure a line."""
    before, after, moved = document["before"], document["after"], document["moved"]
    table = facts()
    table.add_row("clients", _both(before["clients"], after["clients"], _whole))
    table.add_row(
        "placed nowhere", _both(before["unplaced_share"], after["unplaced_share"], _percent)
    )
    table.add_row("live elsewhere", f"{moved['clients']:,} ({_percent(moved['share'])})")
    for name, key in (("median", "p50"), ("99 %", "p99")):
        km = _both(before["distance_km"][key], after["distance_km"][key], _km)
        table.add_row(f"distance, {name}", km)
    round_trip = _both(before["latency_ms"]["p90"], after["latency_ms"]["p90"], _ms)
    table.add_row("round trip by distance, 90 %", round_trip)
    if "cost" in after:
        table.add_row("cost", _both(before["cost"]["total"], after["cost"]["total"], _money))
    return table


def unit_loads(document: dict[str, Any]) -> Table:
    """Clients and load of each unit; those that change most come first."""
    was = {unit["id"]: unit for unit in document["before"]["units"]}
    units = sorted(
        document["after"]["units"],
        key=lambda unit: (-abs(unit["clients"] - was[unit["id"]]["clients"]), unit["id"]),
    )
    more = len(units) - MOST_UNITS
    table = Table(
        whole("unit"),
        number("clients before"),
        number("after"),
        optional(number("capacity")),
        number("load before"),
        number("after"),
        caption=f"and {more:,} more, of which less changes" if more > 0 else "",
    )
    for unit in units[:MOST_UNITS]:
        earlier = was[unit["id"]]
        load = _percent(unit["load"])
        table.add_row(
            escape(unit["id"]),
            _whole(earlier["clients"]),
            _whole(unit["clients"]),
            _whole(unit["capacity"]),
            _percent(earlier["load"]),
            f"[red]{load}[/]" if unit["load"] > 0.95 else load,
        )
    return table


def largest_moves(document: dict[str, Any]) -> Table:
    """From where to where most clients move."""
    table = Table(whole("from"), whole("to"), number("clients"))
    for one in document["moved"]["largest"][:MOST_MOVES]:
        table.add_row(
            escape(one["from"] or "nowhere"), escape(one["to"] or "nowhere"), _whole(one["clients"])
        )
    return table


def _both(before: Any, after: Any, shown: Callable[[Any], str]) -> str:
    return shown(after) if before == after else f"{shown(before)} → {shown(after)}"


def _whole(count: int) -> str:
    return f"{count:,}"


def _percent(share: float) -> str:
    return f"{share:.1%}"


def _money(amount: float) -> str:
    return f"{amount:,.2f}"


def _km(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f} km"


def _ms(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f} ms"
