"""`homeport store`: which cluster holds which clients, moving them to another one, and passwords.

Talks to the stores themselves, not to a server, with the settings that servers are given.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.options import Output
from console.cli.output import Format, busy, show

if TYPE_CHECKING:
    pass

app = typer.Typer(
    help="The stores: assignments spread over clusters by shard.", no_args_is_help=True
)

Store = Annotated[
    str | None,
    typer.Option("--store", help="The store, as servers are given it.", metavar="etcd://…"),
]
AssignmentStores = Annotated[
    str | None,
    typer.Option(
        "--assignment-stores",
        help="The assignment clusters, as servers are given them.",
        metavar="NAME=etcd://…;…",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", help="The servers' settings file (TOML); HOMEPORT_CONFIG."),
]


@app.command("map")
def show_map(
    store: Store = None,
    assignment_stores: AssignmentStores = None,
    config: Config = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows how many shards each assignment cluster owns, and which are on their way."""
    from console.cli.calls.shard_stores import read, settings_of
    from console.cli.views.shard_stores import map_table

    found = read(settings_of(store, assignment_stores, config), counting=False)
    show(found, output, lambda: map_table(found))


@app.command("status")
def show_status(
    store: Store = None,
    assignment_stores: AssignmentStores = None,
    config: Config = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows each cluster with its servers and clients; reads every client's key once."""
    from console.cli.calls.shard_stores import read, settings_of
    from console.cli.views.shard_stores import status_table

    found = read(settings_of(store, assignment_stores, config), counting=True)
    show(found, output, lambda: status_table(found))


@app.command("move-shards")
def move_shards(
    target: Annotated[
        str | None, typer.Option("--to", help="The cluster that gets them.", metavar="CLUSTER")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="The cluster that gives them; default: whichever has most.",
            metavar="CLUSTER",
        ),
    ] = None,
    count: Annotated[
        int,
        typer.Option(
            help="How many shards; default: as many as make an even share.", min=0, max=1024
        ),
    ] = 0,
    at_once: Annotated[
        int,
        typer.Option(
            help="How many go together: one reading of the source for all of them.",
            min=1,
            max=1024,
        ),
    ] = 64,
    resume: Annotated[
        bool, typer.Option("--resume", help="Takes moves up again that somebody left.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Says what would move, and changes nothing.")
    ] = False,
    store: Store = None,
    assignment_stores: AssignmentStores = None,
    config: Config = None,
    output: Output = Format.TABLE,
) -> None:
    """Moves shards with their clients to another cluster, while everything is being served.

    May be stopped at any time and run again with --resume.
    """
    from console.cli.calls.shard_stores import MoveOrder, carry_out, settings_of
    from console.cli.views.shard_stores import moved_table
    from control_plane.errors import InvalidInput

    if not resume and not target:
        raise InvalidInput("to", "say which cluster gets the shards: --to CLUSTER, or --resume")
    if resume and (target or source or count):
        raise InvalidInput("resume", "--resume goes on with what was begun; leave the others out")
    order = MoveOrder(
        source=source or "",
        target=target or "",
        count=count,
        at_once=at_once,
        dry_run=dry_run,
        resume=resume,
    )
    with busy("moving shards") as tell:
        done = carry_out(settings_of(store, assignment_stores, config), order, tell)
    show(done, output, lambda: moved_table(done))


@app.command("check-clients")
def check_clients(
    store: Store = None,
    config: Config = None,
    output: Output = Format.TABLE,
) -> None:
    """Counts the clients of each tenant with a bound on them, and compares with what the ledger
    says at the same revision (exit code 1 where they differ).

    Reads the keys of their clients once, and writes nothing. An embedded store is read while no
    server uses it.
    """
    from console.cli.calls.client_checks import checked
    from console.cli.calls.shard_stores import any_settings_of
    from console.cli.views.client_checks import clients_table

    settings = any_settings_of(store, None, config)
    with busy("counting clients") as now_doing:
        found = checked(
            settings, lambda tenant, clients: now_doing(f"{tenant}: {clients:,} clients so far")
        )
    show(found, output, lambda: clients_table(found))
    if not found["exact"]:
        raise typer.Exit(1)


@app.command("require-password")
def require_password(
    within_s: Annotated[
        float,
        typer.Option("--within", help="How long to wait for etcd, s.", min=1, max=3600),
    ] = 60.0,
    store: Store = None,
    assignment_stores: AssignmentStores = None,
    config: Config = None,
    output: Output = Format.TABLE,
) -> None:
    """Has the etcd clusters ask for the password of root that the settings name.

    Changes nothing where they do already, and may be run again. Servers that have the same
    settings go on meanwhile.
    """
    from console.cli.calls.shard_stores import any_settings_of
    from console.cli.calls.store_password import carry_out as ask_from_now_on
    from console.cli.views.shard_stores import password_table

    settings = any_settings_of(store, assignment_stores, config)
    with busy("waiting for etcd"):
        done = ask_from_now_on(settings, within_s=within_s)
    show(done, output, lambda: password_table(done))
