"""`homeport up`, `serve`, `agent` and `share`: what runs until it is told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from console.cli.options import GeoFile

PAGES_HOST = "homeport.localhost"  # leads to this machine (RFC 6761)
# Behind --port: the first port of what browsers reach, and how many are tried.
FIRST_BROWSED, MOST_BROWSED = 20, 40
# The wrapped programs read their own flags; --help shows theirs, too.
PASSES_EVERYTHING_ON: dict[str, Any] = {
    "context_settings": {
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    },
}


def up(
    store: Annotated[
        str,
        typer.Option(help="embedded, etcd (starts one here), or etcd://host:port,… that runs."),
    ] = "embedded",
    units: Annotated[
        Path | None, typer.Option(help="Fleet file. Default: a sample fleet of twelve units.")
    ] = None,
    geo: GeoFile = None,
    data_dir: Annotated[Path, typer.Option(help="Where everything is kept between runs.")] = Path(
        "homeport-data"
    ),
    port: Annotated[
        int, typer.Option(help="gRPC port on 127.0.0.1; 0: any free one.", min=0, max=65535)
    ] = 7700,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            help="Metrics and health over HTTP. Default: the port after --port.", min=0, max=65535
        ),
    ] = None,
    http_port: Annotated[
        int | None,
        typer.Option(
            help="For clients that have HTTP and JSON alone; 0: any free one. Default: the first "
            "free one from the second after --port, 7702.",
            min=0,
            max=65535,
        ),
    ] = None,
    etcd_port: Annotated[
        int | None,
        typer.Option(
            help="The port of an etcd that is started here; 0: any free one. Default: the ninth "
            "after --port, 7709.",
            min=0,
            max=65535,
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Server processes that share the port (etcd only).", min=1, max=256)
    ] = 1,
    transport: Annotated[
        str, typer.Option(help="How gRPC is served.", metavar="auto|native|grpcio")
    ] = "auto",
    ready_file: Annotated[
        Path | None,
        typer.Option(help="Written as JSON once everything serves; gone once it stops."),
    ] = None,
    accounts: Annotated[
        bool,
        typer.Option("--accounts", help="Units keep accounts, for `homeport accounts` to look at."),
    ] = False,
    with_directory: Annotated[
        bool,
        typer.Option(
            "--with-directory",
            help="For names and messages: units keep accounts and serve browsers, each by a "
            "process of its own. Default fleet: two units, London and Stockholm.",
        ),
    ] = False,
    mail_relay: Annotated[
        str | None,
        typer.Option(
            help="Who takes mail that goes out: codes to addresses, messages to people without an "
            "account. Units take in answers. Needs --with-directory and --mail-domain.",
            metavar="HOST:PORT",
        ),
    ] = None,
    mail_domain: Annotated[
        str | None,
        typer.Option(
            help="The domain that such mail comes from, and answers go to.", metavar="DOMAIN"
        ),
    ] = None,
    text_line: Annotated[
        str | None,
        typer.Option(
            help="The line for texts, both ways. Needs --with-directory and --text-number.",
            metavar="HOST:PORT",
        ),
    ] = None,
    text_number: Annotated[
        str | None, typer.Option(help="The number from which they go.", metavar="+44…")
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(
            help="Push services that accounts may have notices sent by, each SCHEMA=HOST, with "
            "commas; SCHEMA=* is any host. Needs --accounts or --with-directory.",
            metavar="SCHEMA=HOST,…",
        ),
    ] = None,
    feeds: Annotated[
        str | None,
        typer.Option(
            help="nats: starts a NATS server as well, and a data-sharing server that keeps "
            "everything there. Default: neither; `homeport share` is one.",
            metavar="nats",
        ),
    ] = None,
    feeds_port: Annotated[
        int | None,
        typer.Option(
            help="gRPC port of that data-sharing server, and HTTP the next one; 0: any free ones. "
            "Default: the third after --port, 7703.",
            min=0,
            max=65534,
        ),
    ] = None,
    feeds_partitions: Annotated[
        int,
        typer.Option(
            help="Over how many of such servers keys are spread, each with two ports; fixed once "
            "there is something in --data-dir. Needs --feeds.",
            min=1,
            max=8,
        ),
    ] = 1,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Without TLS and tokens, for tools that have none.")
    ] = False,
    mtls: Annotated[
        bool,
        typer.Option(
            "--mtls", help="Callers show a certificate of the stack's CA as well; this user's do."
        ),
    ] = False,
) -> None:
    """Runs Homeport on this machine until Ctrl-C.

    Starts a store, the provisioning service, and an agent for each unit of the fleet file,
    and keeps its data between runs.
    """
    from console.cli.up import run_until_stopped
    from console.local.stack import first_free_port, is_free_port
    from console.local.stack_options import MailRelay, StackOptions, TextLine, with_pages
    from control_plane.fleet.file import SAMPLE, TWO_UNITS, read_fleet
    from deployment_units.services.channels.push import read_allowed

    if transport not in ("auto", "native", "grpcio"):
        raise typer.BadParameter(
            f"{transport} is none of auto, native, grpcio", param_hint="--transport"
        )
    if mtls and insecure:
        raise typer.BadParameter(
            "--mtls and --insecure are opposites; give one of them", param_hint="--mtls"
        )
    _check_pair("--mail-relay", mail_relay, "--mail-domain", mail_domain, with_directory)
    _check_pair("--text-line", text_line, "--text-number", text_number, with_directory)
    if push:
        if not (accounts or with_directory):
            raise typer.BadParameter(
                "notices are of accounts; add --with-directory, or --accounts", param_hint="--push"
            )
        read_allowed(push)
    if feeds_partitions > 1 and not feeds:
        raise typer.BadParameter(
            "partitions are of feeds on NATS; add --feeds nats", param_hint="--feeds-partitions"
        )
    fleet = units or (TWO_UNITS if with_directory else SAMPLE)
    if metrics_port is None:
        metrics_port = min(port + 1, 65535) if port else 0
    if etcd_port is None:
        etcd_port = min(port + 9, 65535) if port else 0
    if feeds_port is None:
        feeds_port = min(port + 3, 65534) if port else 0
    if http_port is None:
        feeds_ports = range(feeds_port, feeds_port + 2 * feeds_partitions) if feeds else ()
        taken = (metrics_port, etcd_port, *feeds_ports)
        after = [one for one in range(port + 2, min(port + 12, 65536)) if one not in taken]
        http_port = first_free_port(after) if port else 0
    apart = tuple(unit.id for unit in read_fleet(fleet)) if with_directory else ()
    options = StackOptions(
        data_dir=data_dir,
        units=fleet,
        store=store,
        port=port,
        metrics_port=metrics_port,
        http_port=http_port,
        etcd_port=etcd_port,
        geo=geo,
        workers=workers,
        transport=transport,
        accounts=accounts or with_directory,
        apart=apart,
        mail=MailRelay(address=mail_relay, domain=mail_domain)
        if mail_relay and mail_domain
        else None,
        text=TextLine(address=text_line, number=text_number) if text_line and text_number else None,
        push=push or "",
        feeds=feeds or "",
        feeds_port=feeds_port,
        feeds_partitions=feeds_partitions,
    )
    if with_directory:
        # The same ones each time, so that links keep leading there.
        first = port + FIRST_BROWSED if port else 65536
        browsed = range(first, min(first + MOST_BROWSED, 65536))
        free = (one for one in browsed if is_free_port(one))
        pages_port = next(free, 0)
        web_ports = {unit: next(free, 0) for unit in apart}
        options = with_pages(options, PAGES_HOST, pages_port, web_ports, secured=not insecure)
    run_until_stopped(options, ready_file, insecure=insecure, mutual=mtls)


def _check_pair(
    flag: str, value: str | None, other_flag: str, other: str | None, with_directory: bool
) -> None:
    """Raises BadParameter."""
    if (value or other) and not (value and other and with_directory):
        raise typer.BadParameter(
            f"{flag} and {other_flag} go together, and with --with-directory", param_hint=flag
        )


def serve(context: typer.Context) -> None:
    """Runs one provisioning server against a store.

    Takes the flags of the server itself; see `homeport serve --help`.
    """
    _become("provisioner", context.args)


def agent(context: typer.Context) -> None:
    """Runs the agents of units: keeps them live, checks tickets.

    Takes the flags of the agent itself; see `homeport agent --help`.
    """
    _become("deployment_units.agent", context.args)


def share(context: typer.Context) -> None:
    """Runs one data-sharing server: applications and feeds.

    Takes the flags of the server itself; see `homeport share --help`.
    """
    _become("data_sharing", context.args)


def _become(module: str, arguments: list[str]) -> None:
    """Replaces this process, so that signals and exit codes are the program's own."""
    import os
    import sys

    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])
