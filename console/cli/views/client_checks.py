"""Clients of tenants by the ledger and as they stand, for people."""

from __future__ import annotations

from typing import Any

from console.cli.markup import escape
from console.cli.tables import Table, number, whole


def clients_table(found: dict[str, Any]) -> Table:
    """A tenant a line; what differs is marked, with what to do below."""
    table = Table(
        whole("tenant"), number("in the ledger"), number("standing"), number("at most"),
        title="clients of tenants with a bound",
    )  # fmt: skip
    for one in found["tenants"]:
        counted = "being counted" if one["counted"] is None else f"{one['counted']:,}"
        table.add_row(
            escape(one["tenant"]),
            counted if one["exact"] else f"[red]{counted}[/]",
            f"{one['standing']:,}",
            f"{one['bound']:,}" if one["bound"] else "",
        )
    if not found["exact"]:
        table.caption = (
            "the ledger is not exact: somebody wrote past Homeport, or it is a defect; have them "
            "counted anew with `homeport tenants apply TENANT --max-clients none`, then the bound"
        )
    return table
