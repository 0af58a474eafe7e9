"""`homeport platforms`: the hosts that run applications."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from console.cli.commands.local import PASSES_EVERYTHING_ON
from console.cli.options import (
    Ca,
    DataServer,
    Output,
    Profile,
    Tenant,
    Token,
    data_target_of,
)
from console.cli.output import Format, show

if TYPE_CHECKING:
    pass

app = typer.Typer(help="Platforms: hosts that run applications.", no_args_is_help=True)


@app.command("list")
def list_platforms(
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists the platforms that are connected, with what they host."""
    from console.cli.calls.decisions import DecisionCalls
    from console.cli.views.platforms import document_of, platforms_table

    target = data_target_of(server, tenant, token, profile, ca)
    with DecisionCalls(target) as calls:
        found = calls.list_platforms(target.tenant)
    show({"platforms": [document_of(one) for one in found]}, output, lambda: platforms_table(found))


@app.command("run", **PASSES_EVERYTHING_ON)
def run(context: typer.Context) -> None:
    """Runs a platform: connects out, hosts applications, performs instructions.

    Takes the flags of the platform itself; see `homeport platforms run --help`.
    """
    import os
    import sys

    os.execv(sys.executable, [sys.executable, "-P", "-m", "data_sharing.platforms", *context.args])
