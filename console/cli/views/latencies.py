"""Latencies between places and units, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, fold, number, whole

if TYPE_CHECKING:
    from rich.console import RenderableType

    from homeport.api.policy.v1 import latency_pb2 as pb


def latency_document(one: pb.LatencyEstimate) -> dict[str, Any]:
    """As JSON and YAML show it."""
    return {
        "cell": one.cell,
        "unit": one.unit_id,
        "ms": round(one.round_trip.ToNanoseconds() / 1e6, 1),
        "reports": one.reports,
        "networks": one.networks,
        "age_s": round(one.age.ToNanoseconds() / 1e9),
    }


def latencies_table(documents: list[dict[str, Any]]) -> RenderableType:
    """A row for each."""
    if not documents:
        return "none are known: too few networks of a place have reported"
    table = Table(
        fold("place"), whole("unit"), number("ms"), number("clients"), number("networks"),
        number("last, s ago"),
    )  # fmt: skip
    for one in documents:
        table.add_row(
            escape(one["cell"]), escape(one["unit"]), f"{one['ms']:,.1f}", f"{one['reports']:,}",
            f"{one['networks']:,}", f"{one['age_s']:,}",
        )  # fmt: skip
    return table
