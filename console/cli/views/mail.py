"""What a mail says, for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import facts
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
