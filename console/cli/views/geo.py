"""What the geo database says, for people."""

from __future__ import annotations

from typing import Any

from console.cli.markup import escape
from console.cli.tables import Table, facts


def known_facts(document: dict[str, Any]) -> Table:
    """Names and values, without those that are not known."""
    table = facts()
    for name, value in document.items():
        if value not in (None, ""):
            shown = f"{value:,}" if isinstance(value, int | float) else str(value)
            table.add_row(name.replace("_", " "), escape(shown))
    return table
