"""Backups and what was restored of them, for people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from console.cli.markup import escape
from console.cli.tables import Table, number, whole
from control_plane.printable import number_of


def backup_table(done: dict[str, Any]) -> Table:
    """What a backup is of."""
    table = Table(
        whole("store"), number("revision"), number("keys"), whole("taken"),
        title=escape(f"backup {done['file']}"),
    )  # fmt: skip
    table.add_row(
        escape(done["store"]), str(done["revision"]), f"{done['keys']:,}", _time(done["taken_ms"])
    )
    table.caption = (
        f"left out, for they end with their holders: {number_of(done['left_out'], 'key')}\n"
        "it holds the ticket keys: keep it as you keep those"
    )
    return table


def restored_table(done: dict[str, Any]) -> Table:
    """What was put into a store, and what is to be done."""
    table = Table(
        whole("backup of"), number("revision"), number("keys"), number("clients"),
        title=escape(f"restored {done['file']}"),
    )  # fmt: skip
    table.add_row(
        _time(done["taken_ms"]), str(done["revision"]), f"{done['written']:,}",
        f"{done['clients']:,}",
    )  # fmt: skip
    said = ["what was written since then is lost; all clients need new tickets"]
    if not done["new_ticket_keys"]:
        said.append(
            "the ticket keys are in a file: give it a new epoch and end those before it "
            "(retires_at), then start the servers"
        )
    if done["damaged"]:
        named = ", ".join(done["damaged_keys"])
        count = number_of(done["damaged"], "damaged record")
        said.append(f"{count}, left as found: {named}")
    table.caption = escape("\n".join(said))
    return table


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
