"""`homeport backup` and `homeport restore`: all that servers keep, in one file and back.

Talks to the stores themselves, not to a server, with the settings that servers are given.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.cli.commands.store import Config, Store
from console.cli.options import Output
from console.cli.output import Format, busy, show

backup = typer.Typer(help="Takes backups, while everything is served.", no_args_is_help=True)
restore = typer.Typer(
    help="Puts backups back, into what is empty. All servers must have stopped.",
    no_args_is_help=True,
)


@backup.command("store")
def backup_store(
    file: Annotated[Path, typer.Argument(help="Written; there must be none of this name yet.")],
    store: Store = None,
    config: Config = None,
    output: Output = Format.TABLE,
) -> None:
    """Takes a backup of the store: clients, units, tenants, keys, audit log, of one moment.

    The file is a secret: it holds the ticket keys.
    """
    import os

    from console.cli.calls.backups import backup as take
    from console.cli.calls.shard_stores import any_settings_of
    from console.cli.views.backups import backup_table
    from control_plane.written_paths import check_written_file

    if not os.path.lexists(file):  # else it is refused, whatever it is
        check_written_file(file, "FILE")
    settings = any_settings_of(store, None, config)
    with busy("taking a backup"):
        done = take(settings, file)
    show(done, output, lambda: backup_table(done))


@restore.command("store")
def restore_store(
    file: Annotated[Path, typer.Argument(help="What `homeport backup store` wrote.")],
    store: Store = None,
    config: Config = None,
    output: Output = Format.TABLE,
) -> None:
    """Puts a backup into an empty store: a file that is not there yet, or a new etcd cluster.

    Clients keep their homes at higher epochs, and need new tickets: there are new ticket keys.
    """
    from console.cli.calls.backups import restore as put_back
    from console.cli.calls.shard_stores import any_settings_of
    from console.cli.views.backups import restored_table

    settings = any_settings_of(store, None, config)
    with busy("restoring"):
        done = put_back(settings, file)
    show(done, output, lambda: restored_table(done))
