"""Accounts, for people and programs: a profile as somebody sees it, its settings, how one is
reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.input.audiences import NAMES, audience_words
from console.cli.markup import escape
from console.cli.tables import Table, facts, fold, whole
from console.cli.views.times import time_text
from homeport.api.communication.v1 import profile_pb2 as pb

if TYPE_CHECKING:
    from rich.console import RenderableType

_NOTHING = "–"
_STATES = {
    pb.NAME_STATE_UNSPECIFIED: None,
    pb.NAME_STATE_HELD: "held",
    pb.NAME_STATE_CONTESTED: "contested",
    pb.NAME_STATE_CONTESTING: "contesting",
    pb.NAME_STATE_QUARANTINED: "quarantined",
    pb.NAME_STATE_LOST: "lost",
}


def profile_document(profile: pb.GetProfileResponse) -> dict[str, Any]:
    return {
        "name": profile.name or None,
        "identifiers": [_identifier(one) for one in profile.identifiers],
        "modes": [str(NAMES[mode]) for mode in profile.modes],
        "vcard": profile.vcard,
    }


def profile_view(document: dict[str, Any]) -> Table:
    table = facts(("name", escape(document["name"] or _NOTHING)))
    for one in document["identifiers"]:
        label = f" ({one['label']})" if one["label"] else ""
        proof = "" if one["proved"] else ", not proved"
        table.add_row("identifier", escape(f"{one['shown']}{label}{proof}"))
    table.add_row("reached by", ", ".join(document["modes"]) or "nothing")
    return table


def settings_document(settings: pb.Settings) -> dict[str, Any]:
    return {
        "name": settings.name or None,
        "preferred": [str(NAMES[mode]) for mode in settings.preferred],
        "identifiers": [
            {
                **_identifier(one.identifier),
                "disclosed_to": audience_words(one.disclosed_to),
                "state": _STATES[one.state],
                "until": _seconds(one, "end_time"),
                "findable": one.findable,
            }
            for one in settings.identifiers
        ],
        "handles": [
            {
                "handle": one.handle,
                "state": _STATES[one.state],
                "until": _seconds(one, "end_time"),
            }
            for one in settings.handles
        ],
        "open_to": {
            str(NAMES[one.mode]): audience_words(one.open_to) for one in settings.reachabilities
        },
    }


def settings_view(document: dict[str, Any]) -> RenderableType:
    from rich.console import Group

    about = facts(
        ("name", escape(document["name"] or _NOTHING)),
        *(("handle", escape(f"@{one['handle']}{_said(one)}")) for one in document["handles"]),
        ("prefers", ", ".join(document["preferred"]) or _NOTHING),
        *((f"by {mode}", escape(", ".join(to))) for mode, to in document["open_to"].items()),
    )
    if not document["identifiers"]:
        return about
    table = Table(fold("identifier"), fold("label"), whole("proved"), fold("seen by"))
    for one in document["identifiers"]:
        table.add_row(
            escape(one["shown"]),
            escape(one["label"] or _NOTHING),
            ("yes" if one["proved"] else "no") + _said(one),
            escape(", ".join(one["disclosed_to"])),
        )
    return Group(about, table)


def _said(name: dict[str, Any]) -> str:
    """What is to be known of a name that is not simply held, or not had at all."""
    if name["state"] in (None, "held"):
        return ""
    until = f" until {time_text(name['until'] * 1_000)}" if name["until"] else ""
    return f" ({name['state']}{until})"


def _seconds(message: Any, field: str) -> int | None:
    return getattr(message, field).seconds if message.HasField(field) else None


def reach_document(found: pb.ReachResponse) -> dict[str, Any]:
    return {
        "mode": str(NAMES[found.mode]) if found.mode else None,
        "uri": found.uri or None,
        "why": [{"rule": one.rule, "clause": one.clause, "value": one.value} for one in found.why],
    }


def reach_view(document: dict[str, Any]) -> RenderableType:
    from rich.console import Group

    mode = document["mode"] or "not at all"
    about = facts(("reached by", mode), ("at", escape(document["uri"] or _NOTHING)))
    why = Table(whole("mode"), whole("wished by"), fold("what came of it"))
    for one in document["why"]:
        why.add_row(escape(one["value"]), escape(one["rule"]), escape(one["clause"]))
    return Group(about, why)


def contacts_view(contacts: list[str]) -> Table:
    table = Table(fold("contact"))
    for one in contacts:
        table.add_row(escape(one))
    return table


def _identifier(identifier: pb.ProfileIdentifier) -> dict[str, Any]:
    return {
        "uri": identifier.uri,
        "shown": identifier.shown or identifier.uri,
        "label": identifier.label or None,
        "proved": identifier.proved,
    }
