"""`homeport events`: publish to feeds, and read along."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.markup import escape
from console.cli.options import (
    MOST_INT64,
    Ca,
    DataServer,
    Output,
    Profile,
    Tenant,
    Token,
    data_target_of,
)
from console.cli.output import Format, note, show_event

if TYPE_CHECKING:
    from homeport.api.datasharing.v1 import feed_pb2 as pb

app = typer.Typer(help="Events: publish them to feeds, read feeds.", no_args_is_help=True)


@app.command("publish")
def publish(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="NDJSON, a CloudEvent a line, as its JSON format has it. - reads stdin.",
            metavar="[FILE|-]",
            allow_dash=True,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Instead of a file: the data of one event, JSON.", metavar="JSON"),
    ] = None,
    type_: Annotated[
        str | None, typer.Option("--type", help="Its CloudEvents type: the feed.")
    ] = None,
    source: Annotated[str, typer.Option(help="Who says so, a URI-reference.")] = "/homeport/cli",
    event_id: Annotated[
        str | None, typer.Option("--id", help="Its id; default: a new one.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="Its subject.")] = None,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
) -> None:
    """Publishes events, NDJSON in and out.

    Answers come in the order of the lines: {"id", "position", "duplicate"}, or {"id", "error":
    {"code", "field", "message"}} for an event that was refused, which leaves the others alone.
    Exits with 1 when there was one. Publishing the same events again is safe.
    """
    import io
    import sys
    import uuid

    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.input.client_lines import count_lines
    from console.cli.input.event_lines import line_of, publish_lines
    from console.cli.input.text_file import open_input
    from console.cli.progress import counting

    if (file is None) == (data is None):
        raise typer.BadParameter("give either a file or --data", param_hint="FILE")
    target = data_target_of(server, tenant, token, profile, ca)
    if data is not None:
        if type_ is None:
            raise typer.BadParameter("--data needs --type", param_hint="--type")
        event: dict[str, Any] = {
            "specversion": "1.0", "id": str(uuid.uuid4()) if event_id is None else event_id,
            "source": source, "type": type_,
        }  # fmt: skip
        if subject is not None:
            event["subject"] = subject
        try:
            lines = io.BytesIO(line_of(event, data))
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--data") from error
        with DataSharingCalls(target) as service:
            all_kept = publish_lines(service, target.tenant, lines, sys.stdout, lambda _: None)
    else:
        assert file is not None
        with (
            open_input(file) as opened,
            DataSharingCalls(target) as service,
            counting("publishing", total=count_lines(file)) as advance,
        ):
            all_kept = publish_lines(service, target.tenant, opened, sys.stdout, advance)
    if not all_kept:
        raise typer.Exit(1)


@app.command("tail")
def tail(
    feeds: Annotated[
        list[str] | None,
        typer.Argument(help="CloudEvents types. Default: all that may be read.", metavar="FEED"),
    ] = None,
    application: Annotated[
        str, typer.Option("--as", help="The application that reads.", metavar="APPLICATION")
    ] = "",
    key: Annotated[str, typer.Option(help="Only events of this key.")] = "",
    after: Annotated[
        int | None,
        typer.Option(
            help="Begin behind this position; 0: with the oldest kept.", min=0, max=MOST_INT64
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Begin with what was accepted at this time or later, RFC 3339.", metavar="TIME"
        ),
    ] = None,
    purpose: Annotated[
        str,
        typer.Option(
            help="What for: needed, without --as, to see feeds with a sharing policy.",
            metavar="TEXT",
        ),
    ] = "",
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", "-f/ ", help="Go on with new events.")
    ] = True,
    limit: Annotated[
        int | None, typer.Option(help="End after so many events.", min=1, metavar="N")
    ] = None,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Reads feeds, from now on unless told otherwise, until Ctrl-C.

    With -o json, a CloudEvent a line, which also says its position, feedkey and accepttime. To
    go on later, give the last position to --after.
    """
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.input.times import time_ms
    from homeport.api.datasharing.v1 import feed_pb2 as pb

    target = data_target_of(server, tenant, token, profile, ca)
    if after is not None and since is not None:
        raise typer.BadParameter("give --after or --since, not both", param_hint="--since")
    request = pb.TailRequest(
        tenant=target.tenant, application=application, feeds=feeds or [], key=key, follow=follow,
        purpose=purpose,
    )  # fmt: skip
    if after is not None:
        request.after_position = after
    elif since is not None:
        request.from_accept_time.FromMilliseconds(time_ms(since, "--since"))
    left = limit
    with DataSharingCalls(target) as service:
        for answer in service.tail(request):
            if answer.trimmed:
                note("older events were asked for, but are not kept any more")
            for kept in answer.events:
                _print(kept, output)
                if left is not None:
                    left -= 1
                    if left == 0:
                        return


def _print(kept: pb.FeedEvent, output: Format) -> None:
    import json

    from console.cli.input.event_lines import document_of

    document = document_of(kept)
    data = json.dumps(document["data"], ensure_ascii=False)
    line = (
        f"[bold]{kept.position}[/] [dim]{document['accepttime']}[/] "
        f"[cyan]{escape(kept.event.type)}[/] {escape(kept.key)} {escape(data)}"
    )
    show_event(document, output, lambda: line)
