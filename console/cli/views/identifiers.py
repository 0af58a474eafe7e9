"""What a text is as an identifier, for people."""

from __future__ import annotations

from typing import Any

from console.cli.markup import escape
from console.cli.tables import Table, facts

_SIMPLE = ("kind", "normal", "shown", "uri", "skeleton", "kept_under", "public_suffix")


def explained(document: dict[str, Any]) -> Table:
    """Names and values; of one that was refused, why and what would do."""
    table = facts()

    def row(name: str, value: str) -> None:
        table.add_row(name, escape(value))

    row("text", document["text"])
    if not document["accepted"]:
        row("refused", f"{document['reason']}: {document['message']}")
        row("what would do", document["remedy"])
        return table
    for name in _SIMPLE:
        if document.get(name):
            row(name.replace("_", " "), document[name])
    if "registrable_domain" in document:
        row("registrable", document["registrable_domain"] or "no: it is a public suffix itself")
    for change in document["changes"]:
        row("changed", change["text"])
    for note in document["notes"]:
        row("note", note["text"])
    if document.get("scripts_that_look_alike"):
        row("could be taken for", ", ".join(document["scripts_that_look_alike"]))
    if document.get("claimable") is True:
        row("claimable", "yes, if nobody has it or one that looks like it")
    elif flaw := document.get("not_claimable"):
        row("claimable", f"no, {flaw['reason']}: {flaw['message']}; {flaw['remedy']}")
    return table
