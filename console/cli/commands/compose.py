"""`homeport compose`: a message from a chosen identifier to chosen ones, with what is suggested and
why before it goes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.commands.at_home import talking_at_home
from console.cli.failure import CommandFailed, ExitCode
from console.cli.markup import escape
from console.cli.options import Ca, Output, Profile, Server, Tenant, Token, target_of
from console.cli.output import Format, note, show

if TYPE_CHECKING:
    from console.cli.calls.identities import IdentityCalls
    from homeport.api.communication.v1 import identity_pb2 as pb


def compose(
    text: Annotated[
        str | None,
        typer.Argument(
            help="What it says. Left out: it is asked for at a terminal, else read from stdin.",
            metavar="TEXT",
        ),
    ] = None,
    *,
    client: Annotated[
        str, typer.Option("--as", help="Who writes: a client, at its home.", metavar="CLIENT")
    ],
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            help="To whom: an account, a handle with its @, an address, or a number with its +; "
            "several with commas, or repeated. Several of one person may be chosen from.",
            metavar="WHO",
        ),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option("--at", help="As --to, and at this identifier of theirs.", metavar="WHO"),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="As which identifier of the client's; else the one that is suggested.",
            metavar="IDENTIFIER",
        ),
    ] = None,
    reply: Annotated[
        str | None,
        typer.Option("--reply", help="Upon this message, to who wrote it.", metavar="MESSAGE"),
    ] = None,
    to_all: Annotated[
        bool, typer.Option("--all", help="With --reply: to everybody who had it.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Shows what is suggested, and sends nothing.")
    ] = False,
    message_id: Annotated[
        str | None,
        typer.Option(
            "--id", help="32 hexadecimal digits; the same again is the same.", metavar="ID"
        ),
    ] = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Writes from one of a client's identifiers to one of each recipient's.

    What is not chosen is suggested, with reasons. At a terminal without TEXT it is asked for, step
    by step. Warnings hold nothing back."""
    import secrets

    from console.cli.calls.conversations import others_of
    from console.cli.calls.identities import (
        IdentityCalls,
        contactees_of,
        identifier_of,
        planned_by,
    )
    from console.cli.commands.conversations import say_who_has_no_account
    from console.cli.input.message_ids import begun_by, id_of
    from console.cli.input.recipients import names_of
    from console.cli.views.identities import suggestion_document, suggestion_view
    from homeport.api.communication.v1 import conversation_pb2
    from homeport.api.communication.v1 import identity_pb2 as pb

    if not (to or at) and reply is None:
        raise typer.BadParameter("to whom? --to, --at, or --reply", param_hint="--to")
    if reply is not None and (to or at):
        raise typer.BadParameter(
            "a reply goes to whom its message names; leave out --to and --at", param_hint="--reply"
        )
    if to_all and reply is None:
        raise typer.BadParameter("to all of which message? --reply", param_hint="--all")
    names, exactly = names_of(to, "--to") if to else [], names_of(at, "--at") if at else []
    asks = text is None and sys.stdin.isatty() and output is Format.TABLE
    about = id_of(reply, "--reply") if reply is not None else b""
    message = secrets.token_bytes(16) if message_id is None else id_of(message_id, "--id")
    from_ = _identifier(from_) if from_ else ""
    target = target_of(server, tenant, token, profile, ca)
    with talking_at_home(IdentityCalls, target, client) as calls:
        conversation, warnings = b"", []
        if about:
            mode = pb.REPLY_MODE_REPLY_ALL if to_all else pb.REPLY_MODE_REPLY
            planned = calls.plan_reply(
                pb.PlanReplyRequest(message=about, mode=mode, chosen_from=from_)
            )
            contactees = [
                pb.Contactee(member=one.member, identifiers=[one.identifier]) for one in planned.to
            ]
            conversation, from_ = planned.conversation, planned.contactor.identifier
            chosen = {one.member: one.identifier for one in planned.to}
            warnings = [one for one in planned.warnings if one.rule == "blind copy"]
        else:
            listed, picked = calls.found(names), calls.found(exactly)
            others = others_of(client, [*listed, *picked])
            say_who_has_no_account(others, client)
            contactees = contactees_of(others)
            chosen = {
                one.member: identifier_of(one) or one.member for one in picked if one in others
            }
        request = pb.SuggestRequest(
            conversation=conversation, contactees=contactees, chosen_from=from_, chosen_to=chosen
        )
        found = calls.suggest(request)
        found.warnings.extend(warnings)
        if about:
            planned_by(found, planned)
        if asks and not dry_run and not about:
            found = _asked(calls, request, found)
        document: dict[str, Any] = suggestion_document(found)
        if dry_run:
            show({**document, "sent": None}, output, lambda: suggestion_view(document))
            return
        for one in found.warnings:
            note(f"warning: {escape(one.text)}")
        said = _text(text, asks=asks)
        sent = calls.send_as(
            found.contactor.identifier,
            {one.member: one.choice.identifier for one in found.contactees},
            conversation_pb2.SendMessageRequest(
                conversation=conversation or begun_by(message),
                id=message,
                members=[] if conversation else [one.member for one in found.contactees],
                content=conversation_pb2.Content(text=said, in_reply_to=about),
            ),
        )
    _show_sent(document, sent, output)


def _show_sent(document: dict[str, Any], sent: Any, output: Format) -> None:
    from console.cli.views.conversations import sent_document, sent_view

    made = sent_document(sent)
    show({**document, "sent": made}, output, lambda: sent_view(made))
    if output is Format.TABLE:
        to = ", ".join(one["identifier"] or one["member"] for one in document["to"])
        note(f"from {escape(document['from']['identifier'] or 'the account')} to {escape(to)}")


def _asked(
    calls: IdentityCalls, request: pb.SuggestRequest, found: pb.SuggestResponse
) -> pb.SuggestResponse:
    """What is suggested once the user has chosen: each choice has the other side presented anew."""
    request.chosen_from = _chosen_of("From", found.contactor)
    found = calls.suggest(request)
    for number in range(len(found.contactees)):
        one = found.contactees[number]
        if one.member not in request.chosen_to and len(one.choice.ranked) > 1:
            request.chosen_to[one.member] = _chosen_of(f"To {one.member}", one.choice)
            found = calls.suggest(request)
    return found


def _chosen_of(what: str, choice: pb.IdentityChoice) -> str:
    from console.cli.output import console_for_notes
    from console.cli.views.identities import choice_document, reason_text

    ranked = choice_document(choice)["ranked"]
    if choice.chosen or not ranked:
        return str(choice.identifier)
    for number, one in enumerate(ranked, 1):
        why = "; ".join(map(reason_text, one["why"]))
        console_for_notes().print(f"  {number}  {escape(one['identifier'])}  [dim]{escape(why)}[/]")
    while True:
        picked: int = typer.prompt(what, default=1, type=int, err=True)
        if 1 <= picked <= len(ranked):
            return str(ranked[picked - 1]["identifier"])
        note(f"a number from 1 to {len(ranked)}")


def _text(text: str | None, *, asks: bool) -> str:
    if text is None:
        text = typer.prompt("Message", err=True) if asks else _piped()
    if not text.strip():
        raise CommandFailed("a message without a text says nothing", ExitCode.USAGE)
    return text


def _piped() -> str:
    from console.cli.input.text_file import STDIN, read_text

    return read_text(STDIN).rstrip("\n")


def _identifier(text: str) -> str:
    """As services take it: an address and a number as URIs."""
    if text.startswith("@") or ":" in text:
        return text
    return (
        f"tel:{text}" if text.startswith("+") else f"mailto:{text}" if "@" in text else f"@{text}"
    )
