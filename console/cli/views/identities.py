"""As whom a message goes and where to, for people and programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Group

from console.cli.markup import escape
from console.cli.tables import Table, fold, whole
from homeport.api.communication.v1 import identity_pb2 as pb
from homeport.api.communication.v1 import profile_pb2


def choice_document(choice: pb.IdentityChoice) -> dict[str, Any]:
    return {
        "identifier": choice.identifier or None,
        "chosen": choice.chosen,
        "why": _reasons(choice.why),
        "ranked": [
            {"identifier": one.identifier, "why": _reasons(one.why)} for one in choice.ranked
        ],
    }


def suggestion_document(found: pb.SuggestResponse) -> dict[str, Any]:
    return {
        "from": choice_document(found.contactor),
        "to": [{"member": one.member, **choice_document(one.choice)} for one in found.contactees],
        "warnings": [
            {"rule": one.rule, "about": one.about, "text": one.text} for one in found.warnings
        ],
    }


def suggestion_view(document: dict[str, Any]) -> Group:
    """All that may be chosen, the best first; what the message goes from and to is marked."""
    table = Table(whole(""), fold("who"), whole("is"), fold("identifier"), fold("why"))
    for who, choice in [
        ("from", document["from"]),
        *((one["member"], one) for one in document["to"]),
    ]:
        listed = [one["identifier"] for one in choice["ranked"]]
        rows = list(choice["ranked"])
        if choice["identifier"] not in listed:
            rows.insert(0, {"identifier": choice["identifier"], "why": choice["why"]})
        for place, one in enumerate(rows):
            taken = one["identifier"] == choice["identifier"]
            state = ("chosen" if choice["chosen"] else "suggested") if taken else ""
            why = choice["why"] if taken else one["why"]
            table.add_row(
                "→" if taken else "", escape(who) if place == 0 else "", state,
                escape(one["identifier"] or "–"), escape("; ".join(map(reason_text, why))),
            )  # fmt: skip
    return Group(table, *(f"[yellow]![/] {escape(one['text'])}" for one in document["warnings"]))


def reason_text(reason: dict[str, str]) -> str:
    value = reason["value"]
    return f"{reason['rule']}: {reason['clause']}" + (f" ({value})" if value else "")


def _reasons(why: Iterable[profile_pb2.Reason]) -> list[dict[str, str]]:
    return [{"rule": one.rule, "clause": one.clause, "value": one.value} for one in why]
