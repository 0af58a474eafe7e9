"""Pins of a tenant's clients, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, fold, whole

if TYPE_CHECKING:
    from rich.console import RenderableType

    from homeport.api.policy.v1 import pin_pb2 as pb

_NOTHING = "–"


def pin_document(pin: pb.Pin) -> dict[str, Any]:
    """As JSON and YAML show it. unit None: the pin's record cannot be read."""
    return {
        "client_id": pin.client_id,
        "unit": pin.unit_id or None,
        "reason": pin.reason or None,
        "pinned": pin.pin_time.ToJsonString() if pin.HasField("pin_time") else None,
        "until": pin.until_time.ToJsonString() if pin.HasField("until_time") else None,
        "over": pin.over,
    }


def pins_table(documents: list[dict[str, Any]]) -> RenderableType:
    """A row for each."""
    if not documents:
        return "no client of the tenant is pinned; homeport policy pin CLIENT UNIT pins one"
    table = Table(fold("client"), whole("unit"), whole("since"), whole("until"), fold("reason"))
    for one in documents:
        until = "over" if one["over"] else one["until"] or _NOTHING
        table.add_row(
            escape(one["client_id"]),
            escape(one["unit"]) if one["unit"] else "[red]cannot be read[/]",
            one["pinned"] or _NOTHING,
            until,
            escape(one["reason"] or _NOTHING),
            style="dim" if one["over"] else "",
        )
    return table
