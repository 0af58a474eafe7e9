"""Links and calls of an account, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, facts, whole
from console.cli.views.times import time_text
from homeport.api.communication.v1 import telephony_pb2 as pb

if TYPE_CHECKING:
    from rich.console import RenderableType

_NOTHING = "–"
_STRANGERS = {pb.STRANGERS_LINKED: "linked", pb.STRANGERS_ANONYMOUS: "anonymous"}


def link_document(found: pb.ContactLink) -> dict[str, Any]:
    return {
        "technical": found.technical,
        "contact": found.contact,
        "since": time_text(found.since.ToMilliseconds()),
        "last": time_text(found.last.ToMilliseconds()) if found.HasField("last") else None,
        "by_stranger": found.by_stranger,
    }


def links_document(found: pb.ListLinksResponse) -> dict[str, Any]:
    return {
        "own": list(found.own),
        "virtual": list(found.virtual),
        "strangers": _STRANGERS.get(found.strangers),
        "links": [link_document(one) for one in found.links],
    }


def links_view(document: dict[str, Any]) -> RenderableType:
    """The account's own numbers, and a row for each contact."""
    from rich.console import Group

    about = facts(
        ("rings", ", ".join(document["own"]) or "nothing: no telephone is proved"),
        ("is shown as", ", ".join(document["virtual"]) or "nothing: no number is assigned"),
        ("strangers are", document["strangers"] or _NOTHING),
    )
    if not document["links"]:
        return Group(about, "no contact is linked; homeport calls link CLIENT NUMBER does")
    table = Table(whole("dial"), whole("to reach"), whole("since"), whole("last"), whole("made by"))
    for one in document["links"]:
        by = "a call" if one["by_stranger"] else "the account"
        table.add_row(one["technical"], one["contact"], one["since"], one["last"] or _NOTHING, by)
    return Group(about, table)


def call_document(found: pb.Call) -> dict[str, Any]:
    duration = found.duration.seconds if found.HasField("duration") else None
    ended = None
    if found.end != pb.CALL_END_UNSPECIFIED:
        ended = pb.CallEnd.Name(found.end).removeprefix("CALL_END_").lower().replace("_", "-")
    return {
        "record": found.record.hex(),
        "kind": pb.CallKind.Name(found.kind).removeprefix("CALL_KIND_").lower(),
        "direction": "out" if found.outgoing else "in",
        "technical": found.technical or None,
        "other": found.other or None,
        "time": time_text(found.time.ToMilliseconds()),
        "answered": time_text(found.answer_time.ToMilliseconds())
        if found.HasField("answer_time")
        else None,
        "duration_s": duration,
        "ended": ended,
    }


def calls_table(documents: list[dict[str, Any]]) -> RenderableType:
    """A row for each."""
    if not documents:
        return "no call or text was passed on for this account"
    table = Table(
        whole("time"), whole("kind"), whole("direction"), whole("other side"), whole("lasted"),
        whole("ended"),
    )  # fmt: skip
    for one in documents:
        lasted = _NOTHING if one["duration_s"] is None else f"{one['duration_s']} s"
        table.add_row(
            one["time"], one["kind"], one["direction"], one["technical"] or "anonymous", lasted,
            one["ended"] or _NOTHING,
        )  # fmt: skip
    return table


def trace_document(found: pb.TraceCallResponse) -> dict[str, Any]:
    refused = None
    if found.refused != pb.CALL_REFUSAL_UNSPECIFIED:
        word = pb.CallRefusal.Name(found.refused).removeprefix("CALL_REFUSAL_")
        refused = word.lower().replace("_", "-")
    return {
        "emergency": found.emergency or None,
        "refused": refused,
        "target": found.target or None,
        "shown": found.shown or None,
        "stranger": found.stranger,
        "why": found.why,
    }


def trace_view(document: dict[str, Any]) -> Table:
    if document["emergency"]:
        goes = f"to the emergency trunk, as {document['emergency']}"
    elif document["refused"]:
        goes = f"nowhere: {document['refused']}"
    else:
        goes = f"to {document['target']}"
    shown = document["shown"] or ("a new technical number" if document["stranger"] else _NOTHING)
    return facts(("goes", goes), ("is shown", shown), ("why", escape(document["why"])))


def unlinked_view(document: dict[str, Any]) -> Table:
    return facts(("taken back", "yes" if document["unlinked"] else "no, there was no such link"))


def strangers_view(document: dict[str, Any]) -> Table:
    return facts(("strangers are", document["strangers"]))


def rings_view(document: dict[str, Any]) -> Table:
    return facts(("rings", document["rings"] or "the telephone that was proved first"))


def link_view(document: dict[str, Any]) -> Table:
    return facts(("dial", document["technical"]), ("to reach", document["contact"]))
