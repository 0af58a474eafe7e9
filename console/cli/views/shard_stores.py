"""The shard map, moves of shards, and clusters that ask for a password, for people."""

from __future__ import annotations

from typing import Any

from console.cli.markup import escape
from console.cli.tables import Table, number, whole
from control_plane.printable import number_of


def map_table(found: dict[str, Any]) -> Table:
    """Which cluster holds how many shards."""
    table = Table(
        whole("cluster"), number("shards"), number("arriving"), number("leaving"),
        title=f"map {found['version']}",
    )  # fmt: skip
    for one in found["clusters"]:
        table.add_row(
            escape(one["name"]),
            str(one["shards"]),
            str(one["arriving"] or ""),
            str(one["leaving"] or ""),
        )
    return table


def status_table(found: dict[str, Any]) -> Table:
    """Clusters with their clients and servers, and the moves between them."""
    table = Table(
        whole("cluster"), number("shards"), number("clients"), number("servers"),
        title=f"map {found['version']}",
    )  # fmt: skip
    for one in found["clusters"]:
        table.add_row(
            escape(one["name"]), str(one["shards"]), f"{one['clients']:,}", str(one["servers"])
        )
    table.caption = "\n".join(
        escape(f"move {move['id']} from {move['source']} is {move['stage']}")
        for move in found["moves"]
    )
    return table


def moved_table(done: dict[str, Any]) -> Table:
    """What was moved, or would be."""
    words = "would move" if done["dry_run"] else "moved"
    title = f"{words} {number_of(done['shards'], 'shard')}"
    table = Table(whole("from"), whole("to"), number("shards"), title=title)
    for one in done["moves"]:
        table.add_row(escape(one["source"]), escape(one["target"]), str(one["shards"]))
    if not done["dry_run"]:
        table.caption = (
            f"{number_of(done['clients'], 'client')} copied; writes of a group waited "
            f"{done['longest_pause_ms']} ms at most"
        )
    return table


def password_table(done: dict[str, Any]) -> Table:
    """Which clusters ask for the password, and since when."""
    table = Table(whole("store"), whole("user"), whole("asks for the password"))
    for one in done["stores"]:
        since = "from now on" if one["changed"] else "already"
        table.add_row(escape(one["store"]), escape(one["user"]), since)
    return table
