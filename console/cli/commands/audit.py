"""`homeport audit`: who changed what, and whether the log of it is whole."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.options import Ca, Output, Profile, Token, data_target_of, target_of
from console.cli.output import Format, json_text, note, show
from control_plane.printable import number_of

if TYPE_CHECKING:
    from console.cli.profile import Target
    from control_plane.audit.entry import ChainPoint

app = typer.Typer(help="The audit log: who changed what, when, from where.", no_args_is_help=True)


class AuditedService(StrEnum):
    FLEET = "fleet"
    SHARING = "sharing"


Of = Annotated[
    AuditedService,
    typer.Option("--of", help="Whose log: of the provisioning or of the data-sharing service."),
]
LogServer = Annotated[
    str | None,
    typer.Option(
        "--server",
        help="The service, host:port; several with commas. Default: HOMEPORT_SERVER, with --of "
        "sharing HOMEPORT_DATA_SERVER; else the profile's; else 127.0.0.1:7700 or :7703.",
        metavar="HOST:PORT",
        rich_help_panel="Service",
    ),
]


@app.command("list")
def list_entries(
    of: Of = AuditedService.FLEET,
    tenant: Annotated[
        str, typer.Option(help="Only what is about this tenant. Default: all there is.")
    ] = "",
    caller: Annotated[str, typer.Option(help="Only of this caller, by name.")] = "",
    method: Annotated[str, typer.Option(help="Only this method, such as DrainUnit.")] = "",
    since: Annotated[
        str, typer.Option(help="From then on, such as 2026-11-25T07:30:00Z.", metavar="TIME")
    ] = "",
    until: Annotated[str, typer.Option(help="Before then.", metavar="TIME")] = "",
    asked: Annotated[
        bool,
        typer.Option("--asked", help="Also the entries from before each change was attempted."),
    ] = False,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help="At most so many, newest first.")
    ] = 50,
    server: LogServer = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists changes, newest first: who made them, from where, to what, and what came of them.

    `open` is a change that was asked for and whose outcome nobody recorded: it may have been made.
    """
    from console.cli.calls.audit import AuditCalls
    from console.cli.input.times import time_ms
    from console.cli.views.audit import document_of, entries_table
    from homeport.api.audit.v1 import audit_pb2 as pb

    request = pb.ListAuditEntriesRequest(
        tenant=tenant, caller=caller, method=method, with_asked=asked
    )
    if since:
        request.start_time.FromMilliseconds(time_ms(since, "--since"))
    if until:
        request.end_time.FromMilliseconds(time_ms(until, "--until"))
    with AuditCalls(_target(of, server, token, profile, ca)) as calls:
        found = calls.entries(request, limit)
    document = {"entries": [document_of(one) for one in found]}
    show(document, output, lambda: entries_table(found))


@app.command("verify")
def verify(
    of: Of = AuditedService.FLEET,
    head: Annotated[
        list[str] | None,
        typer.Option(
            "--head",
            help="A head that an earlier verify told: it has to be in the log still. Without one, "
            "a log that was written anew as a whole is not noticed. May be repeated.",
            metavar="ENTRY:HASH",
        ),
    ] = None,
    server: LogServer = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Walks the chain of hashes, and names the first entry that was altered, is missing or is out
    of order (exit code 1).

    Tells the head: keep it elsewhere, and give it to a later verify.
    """
    from console.cli.calls.audit import AuditCalls
    from console.cli.failure import ExitCode
    from console.cli.input.audit_heads import parse_head
    from console.cli.verification import verified

    known = [parse_head(one) for one in head or ()]
    with AuditCalls(_target(of, server, token, profile, ca)) as calls:
        result = verified(calls.pages, known)
    last = result.last
    document = {
        "whole": not result.broken,
        "fault": result.broken or None,
        "first_bad": result.first_bad,
        "entries": result.entries,
        "trimmed": result.trimmed,
        "open": result.open,
        "head": _head_text(last),
    }

    def view() -> str:
        if result.broken:
            return f"[red]{result.broken}[/]"
        trimmed = f", {result.trimmed} before them were trimmed" if result.trimmed else ""
        opened = f"\n{result.open} without outcome: see `audit list`" if result.open else ""
        entries = number_of(result.entries, "entry", "entries")
        return f"[green]whole[/]: {entries}{trimmed}{opened}\nhead {_head_text(last)}"

    show(document, output, view)
    if result.broken:
        raise typer.Exit(ExitCode.FAILED)


@app.command("export")
def export(
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Default: stdout.", metavar="FILE")
    ] = None,
    of: Of = AuditedService.FLEET,
    server: LogServer = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
) -> None:
    """Writes the log as it is kept, oldest first, one JSON object a line: sequence, hash, content.

    SHA-256 of the hash before a line and its content, both as they stand there, is its hash.
    """
    import sys
    from contextlib import nullcontext

    from console.cli.calls.audit import AuditCalls
    from console.cli.output import opened

    written = 0
    with (
        AuditCalls(_target(of, server, token, profile, ca)) as calls,
        nullcontext(sys.stdout) if file is None else opened(file, "--file") as out,
    ):
        for page in calls.pages():
            for record in page.records:
                line = {
                    "sequence": record.sequence,
                    "hash": record.hash.hex(),
                    "content": record.content.decode("utf-8", "replace"),
                }
                print(json_text(line), file=out)
                written += 1
    if file is not None:
        note(number_of(written, "entry", "entries"))


def _target(
    of: AuditedService, server: str | None, token: str | None, profile: str | None, ca: str | None
) -> Target:
    import os

    sharing = of is AuditedService.SHARING
    variable = "HOMEPORT_DATA_SERVER" if sharing else "HOMEPORT_SERVER"
    chosen = data_target_of if sharing else target_of
    return chosen(server or os.environ.get(variable), None, token, profile, ca)


def _head_text(point: ChainPoint) -> str:
    return f"{point.sequence}:{point.hash}"
