"""`homeport provision-many`: NDJSON or CSV in, NDJSON out, one line for one client."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.cli.options import Ca, Profile, Server, Tenant, Token, target_of


def provision_many(
    file: Annotated[
        Path,
        typer.Argument(
            help='NDJSON, a client a line: {"client_id": "…", "ip": "…"} or {"client_id": "…", '
            '"at": [LAT, LON]}; or CSV (FILE.csv, --csv) with a header: client_id, ip, latitude, '
            "longitude. - reads stdin.",
            metavar="FILE|-",
            allow_dash=True,
        ),
    ],
    tickets: Annotated[bool, typer.Option("--tickets", help="Write tickets, too.")] = False,
    csv: Annotated[
        bool | None,
        typer.Option("--csv/--ndjson", help="What the input is. Default: by its name."),
    ] = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
) -> None:
    """Provisions any number of clients, NDJSON or CSV in, NDJSON out.

    Answers come in the order of the lines: {"client_id", "unit", "epoch", "source",
    "distance_km"}, or {"client_id", "error": {"code", "message"}} for a line that is wrong or a
    client that finds no room, which leaves the others alone. Exits with 1 when there was one.
    """
    import sys

    from console.cli.commands.clients import connect
    from console.cli.input.client_csv import looks_like_csv
    from console.cli.input.client_lines import count_lines, run
    from console.cli.input.text_file import open_input
    from console.cli.progress import counting

    target = target_of(server, tenant, token, profile, ca)
    with (
        open_input(file) as lines,
        connect(target) as client,
        counting("provisioning", total=count_lines(file)) as advance,
    ):
        all_done = run(
            client, lines, sys.stdout, with_tickets=tickets, advance=advance,
            csv=looks_like_csv(file.name) if csv is None else csv,
        )  # fmt: skip
    if not all_done:
        raise typer.Exit(1)
