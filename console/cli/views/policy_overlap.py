"""How many units tenants share, for people."""

from __future__ import annotations

from typing import Any

from console.cli.markup import escape
from console.cli.tables import Table, facts

MOST_UNITS = 20  # that are named


def overlap_view(document: dict[str, Any]) -> Table:
    """Counted, and as chance has it."""
    table, expected = facts(), document["expected"]
    units = document["units"]
    named = ", ".join(units[:MOST_UNITS])
    more = f" and {len(units) - MOST_UNITS:,} more" if len(units) > MOST_UNITS else ""
    table.add_row("tenant", escape(document["tenant"]))
    table.add_row("its units", escape(f"{named}{more}" if units else "none"))
    table.add_row("of", f"{document['among']:,} units")
    table.add_row("tenants", f"{document['tenants']:,}")
    for name, words in (
        ("share_all", "pairs that share all units"),
        ("share_any", "pairs that share any unit"),
    ):
        table.add_row(words, f"{document[name]:.4%} (by chance {expected[name]:.4%})")
    table.add_row(
        "units that a pair shares",
        f"{document['shared_on_average']:.3f} (by chance {expected['shared_on_average']:.3f})",
    )
    table.add_row("have no unit that it has not", f"{document['lose_all_with_it']:.4%}")
    table.add_row(
        "tenants of a unit",
        f"{document['least_tenants_of_a_unit']:,} to {document['most_tenants_of_a_unit']:,}",
    )
    return table
