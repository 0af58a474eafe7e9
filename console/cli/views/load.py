"""What a load came to, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, fold, number, optional, whole
from simulation.load.report.page import milliseconds, summary

if TYPE_CHECKING:
    from rich.console import RenderableType


def load_view(result: Mapping[str, Any]) -> RenderableType:
    """Sentences first, then users by kind, and who was not served."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(" ".join(summary(result))), "", load_kinds_table(result)]
    calls = result["calls"]
    if calls["refused"] or calls["failed"]:
        parts += ["", unserved_table(result)]
    if result["thresholds"]:
        parts += ["", thresholds_table(result)]
    return Group(*parts)


def load_kinds_table(result: Mapping[str, Any]) -> Table:
    """Users by kind, and how long they waited."""
    table = Table(
        whole("users"), *map(number, ("arrived", "good", "refused", "p50", "p99")),
        *(optional(number(one)) for one in ("p90", "p99.9", "max")),
    )  # fmt: skip
    order = ("p50", "p99", "p90", "p99.9", "max")
    everything = {
        "arrived": result["calls"]["arrived"],
        "good": result["calls"]["good"],
        "refused": sum(result["calls"]["refused"].values()),
        "latency_ms": result["latency_ms"],
    }
    for kind, one in [*result["kinds"].items(), ("all", everything)]:
        latency = [milliseconds(one["latency_ms"][key]) if one["good"] else "–" for key in order]
        table.add_row(
            escape(kind), *(f"{one[key]:,}" for key in ("arrived", "good", "refused")), *latency
        )
    return table


def unserved_table(result: Mapping[str, Any]) -> Table:
    """Calls that were refused or failed, by why."""
    table = Table(whole("not served"), fold("why"), number("calls"))
    for what in ("refused", "failed"):
        for why, count in result["calls"][what].items():
            table.add_row(what, escape(why), f"{count:,}")
    return table


def thresholds_table(result: Mapping[str, Any]) -> Table:
    """Thresholds, and whether they held."""
    table = Table(whole("threshold"), fold("was"))
    marks = {True: "[green]held[/]", False: "[red]broken[/]"}
    for one in result["thresholds"]:
        table.add_row(marks[one["held"]], escape(one["sentence"]))
    return table
