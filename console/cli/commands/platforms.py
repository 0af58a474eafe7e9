"""`homeport platforms`: the hosts that run applications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    from rich.table import Table

    from homeport.api.datasharing.v1 import platform_pb2 as pb

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

    target = data_target_of(server, tenant, token, profile, ca)
    with DecisionCalls(target) as calls:
        found = calls.list_platforms(target.tenant)
    show({"platforms": [_document(one) for one in found]}, output, lambda: _table(found))


@app.command("run", **PASSES_EVERYTHING_ON)
def run(context: typer.Context) -> None:
    """Runs a platform: connects out, hosts applications, performs instructions.

    Takes the flags of the platform itself; see `homeport platforms run --help`.
    """
    import os
    import sys

    os.execv(sys.executable, [sys.executable, "-P", "-m", "data_sharing.platforms", *context.args])


def _document(platform: pb.Platform) -> dict[str, Any]:
    return {
        "platform": platform.platform,
        "tenant": platform.tenant,
        "leaving": platform.leaving,
        "capacity": platform.capacity,
        "in_flight": platform.in_flight,
        "applications": [
            {"application": one.application, "version": one.version, "sha256": one.sha256}
            for one in platform.applications
        ],
        "outcomes": platform.outcomes,
        "refusals": platform.refusals,
        "connected": platform.connect_time.ToJsonString(),
        "last_seen_time": platform.last_seen_time.ToJsonString(),
        "incarnation": platform.incarnation,
        "version": platform.version,
    }


def _table(found: list[pb.Platform]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("platform", "hosts", "busy", "outcomes", "refusals", "last seen"):
        table.add_column(name, overflow="fold")
    for one in found:
        hosts = ", ".join(f"{app.application} {app.version}" for app in one.applications)
        table.add_row(
            one.platform + (" (leaving)" if one.leaving else ""),
            hosts or "–",
            f"{one.in_flight} of {one.capacity}",
            f"{one.outcomes:,}",
            f"{one.refusals:,}",
            one.last_seen_time.ToJsonString(),
        )
    return table
