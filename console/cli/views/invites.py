"""Invitations of an account, for people and programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from console.cli.markup import escape
from console.cli.tables import Table, facts, fold, whole
from console.cli.views.times import time_text
from homeport.api.communication.v1 import invite_pb2 as pb

_NOTHING = "–"


def invite_document(invite: pb.Invite) -> dict[str, Any]:
    state = pb.InviteState.Name(invite.state).removeprefix("INVITE_STATE_").lower()
    return {
        "invitation": invite.invitation,
        "state": state,
        "organisation": invite.organisation,
        "group": invite.group,
        "identifier": invite.identifier,
        "sent": invite.sent,
        "account": invite.account or None,
        "why": [{"rule": one.rule, "clause": one.clause, "value": one.value} for one in invite.why],
        "refused": invite.refused or None,
        "expires": time_text(invite.expire_time.ToMilliseconds()),
    }


def invites_document(invites: Iterable[pb.Invite]) -> dict[str, Any]:
    return {"invites": [invite_document(one) for one in invites]}


def conversation_document(found: pb.GetGroupConversationResponse) -> dict[str, Any]:
    return {"conversation": found.conversation.hex(), "members": list(found.members)}


def invite_view(document: dict[str, Any]) -> Table:
    """One of them."""
    table = facts(
        ("invitation", document["invitation"]),
        ("state", document["state"]),
        ("group", escape(f"{document['group']} of {document['organisation']}")),
        ("went to", escape(document["identifier"])),
        (_of(document), escape(document["account"] or _NOTHING)),
        ("expires", document["expires"]),
    )
    for why in _reasons(document):
        table.add_row("why here", escape(why))
    if document["refused"] is not None:
        table.add_row("refused", escape(document["refused"]))
    return table


def invites_view(document: dict[str, Any]) -> Table:
    table = Table(
        whole("invitation"), whole("state"), fold("group"), fold("went to"), fold("by whom"),
        fold("more"),
    )  # fmt: skip
    for one in document["invites"]:
        more = [*_reasons(one), *([one["refused"]] if one["refused"] else [])]
        whom = f"{_of(one)} {one['account'] or _NOTHING}"
        table.add_row(
            one["invitation"], one["state"], escape(f"{one['group']} of {one['organisation']}"),
            escape(one["identifier"]), escape(whom), escape("; ".join(more) or _NOTHING),
        )  # fmt: skip
    return table


def conversation_view(document: dict[str, Any]) -> Table:
    members = escape(", ".join(document["members"]) or _NOTHING)
    return facts(("conversation", document["conversation"]), ("members besides", members))


def _of(document: dict[str, Any]) -> str:
    return "answered by" if document["sent"] else "from"


def _reasons(document: dict[str, Any]) -> list[str]:
    return [f"{one['rule']}: {one['clause']} {one['value']}".rstrip() for one in document["why"]]
