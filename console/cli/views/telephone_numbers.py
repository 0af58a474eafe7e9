"""Telephone numbers of a tenant, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, facts, fold, whole
from console.cli.views.times import time_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from homeport.api.directory.v1 import number_pb2 as pb

_NOTHING = "–"


def number_document(found: pb.Number) -> dict[str, Any]:
    from homeport.api.directory.v1 import number_pb2

    return {
        "number": found.number,
        "pool": found.pool,
        "kind": number_pb2.NumberKind.Name(found.kind).removeprefix("NUMBER_KIND_").lower(),
        "state": number_pb2.NumberState.Name(found.state).removeprefix("NUMBER_STATE_").lower(),
        "account": found.account or None,
        "since": time_text(found.since.ToMilliseconds()),
        "free": time_text(found.free_time.ToMilliseconds())
        if found.HasField("free_time")
        else None,
    }


def numbers_table(documents: list[dict[str, Any]]) -> RenderableType:
    """A row for each."""
    if not documents:
        return "the tenant has no numbers; homeport numbers add POOL NUMBER… adds some"
    table = Table(
        whole("number"), fold("pool"), whole("kind"), whole("state"), fold("account"),
        whole("since"), whole("free from"),
    )  # fmt: skip
    for one in documents:
        table.add_row(
            one["number"], escape(one["pool"]), one["kind"], one["state"],
            escape(one["account"] or _NOTHING), one["since"], one["free"] or _NOTHING,
        )  # fmt: skip
    return table


def added_view(document: dict[str, Any]) -> Table:
    return facts(("added", f"{document['added']:,}"), ("were there", f"{document['there']:,}"))


def released_view(document: dict[str, Any]) -> Table:
    done = {True: "yes", False: "no, there was nothing to do", None: "it is so now"}[
        document["released"]
    ]
    return facts(("number", escape(document["number"])), ("released", done))
