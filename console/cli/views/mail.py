"""What a mail says, for people and programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, facts, fold, whole
from deployment_units.services.channels.mail_message import message_id_of
from deployment_units.services.channels.port import OutgoingMessage, SendResult
from deployment_units.services.mail_in.authenticity import AuthenticityFinding
from deployment_units.services.mail_in.delivery_reports import ReportedOutcome
from deployment_units.services.mail_in.loops import OriginFinding
from deployment_units.services.mail_in.mail import ReceivedMail
from deployment_units.services.mail_in.visible_reply import VisibleReply

if TYPE_CHECKING:
    from rich.console import RenderableType


def reply_document(mail: ReceivedMail, reply: VisibleReply) -> dict[str, Any]:
    """For programs."""
    return {
        "from": mail.words("From") or None,
        "subject": mail.words("Subject") or None,
        "text": reply.text,
        "quoted": reply.quoted,
        "forwarded": reply.forwarded,
        "attachments": list(mail.attachments),
        "lost": list(mail.lost),
    }


def reply_view(document: dict[str, Any]) -> RenderableType:
    """Whose it is, what is left out, and the text below."""
    from rich.console import Group

    table = facts()
    for name in ("from", "subject"):
        table.add_row(name, escape(document[name] or "–"))
    if document["forwarded"]:
        table.add_row("passed on", "yes: nothing is left out")
    else:
        table.add_row("left out", "what it quotes" if document["quoted"] else "nothing is quoted")
    for one in document["attachments"]:
        table.add_row("attached", escape(one))
    if document["lost"]:
        table.add_row("lost", escape(", ".join(document["lost"])))
    text = document["text"] or "(nothing was written anew)"
    return Group(table, "", *(escape(line) for line in text.splitlines()))


def explained_document(
    found: AuthenticityFinding,
    origin: OriginFinding,
    token: str | None,
    reports: Sequence[ReportedOutcome],
) -> dict[str, Any]:
    """For programs. aligned: whether somebody vouches for the domain of From."""
    return {
        "sender": None if found.sender is None else found.sender.normal,
        "aligned": found.aligned,
        "origin": origin.origin.value,
        "origin_why": origin.why or None,
        "reply_token": token,
        "reports": [
            {
                "recipients": sorted(one.recipients),
                "state": one.state.name.lower(),
                "words": one.words,
                "envelope_id": one.envelope_id or None,
                "message_id": one.message_id or None,
            }
            for one in reports
        ],
        "why": [
            {"rule": one.rule, "clause": one.clause, "value": one.value}
            for one in found.why
            if one.rule != "token"
        ],
    }


def explained_view(document: dict[str, Any]) -> RenderableType:
    """What is known of it, and below what it reports and what decided."""
    from rich.console import Group

    table = facts()
    table.add_row("sender", escape(document["sender"] or "nobody"))
    table.add_row("vouched for", "yes" if document["aligned"] else "no")
    table.add_row("written by", escape(document["origin"]))
    if document["origin_why"]:
        table.add_row("because of", escape(document["origin_why"]))
    if document["reply_token"]:
        table.add_row("reply token", escape(document["reply_token"]))
    parts: list[RenderableType] = [table]
    if document["reports"]:
        reports = Table(fold("recipient"), whole("state"), fold("words"))
        for one in document["reports"]:
            reports.add_row(
                escape(", ".join(one["recipients"]) or "–"),
                escape(one["state"]),
                escape(one["words"]),
            )
        parts.append(reports)
    if document["why"]:
        why = Table(whole("rule"), fold("clause"), fold("value"))
        for one in document["why"]:
            why.add_row(escape(one["rule"]), escape(one["clause"]), escape(one["value"]))
        parts.append(why)
    return Group(*parts)


def sent_document(result: SendResult, message: OutgoingMessage, host: str) -> dict[str, Any]:
    """For programs."""
    return {
        "outcome": result.outcome.value,
        "words": result.words,
        "message_id": message_id_of(message.message_id, host),
        "envelope_id": message.attempt_id,
    }


def sent_view(document: dict[str, Any]) -> RenderableType:
    """What the relay answered, and by what a report would name the mail."""
    return facts(
        ("outcome", escape(document["outcome"])),
        ("the relay says", escape(document["words"])),
        ("message id", escape(document["message_id"])),
        ("envelope id", escape(document["envelope_id"])),
    )
