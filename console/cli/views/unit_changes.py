"""What applying a fleet file would change, for people and for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, fold, whole
from console.cli.views.units import spec_document

if TYPE_CHECKING:
    from homeport.api.fleet.v1 import fleet_pb2 as fleet


def change_of(before: fleet.Unit | None, after: fleet.Unit) -> dict[str, Any]:
    """A unit's fields that would change, each with its value before and after; `change` is
    create, update or none."""
    new = spec_document(after.spec)
    old = spec_document(before.spec) if before is not None else {}
    fields = {
        name: {"before": old.get(name), "after": value}
        for name, value in new.items()
        if name != "id" and old.get(name) != value
    }
    change = "create" if before is None else "update" if fields else "none"
    return {"id": after.spec.unit_id, "change": change, "fields": fields}


def changes_table(changes: list[dict[str, Any]]) -> Table:
    """A line for each field: what it is, and what it would be."""
    table = Table(whole("unit"), whole("change"), whole("field"), fold("old -> new"))
    for one in changes:
        name, change = escape(one["id"]), one["change"]
        if not one["fields"]:
            table.add_row(name, change, "–", "–")
        for field, values in one["fields"].items():
            old = "" if change == "create" else f"{_written(values['before'])} -> "
            table.add_row(name, change, field, escape(old + _written(values["after"])))
    return table


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
