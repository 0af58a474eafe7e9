"""`homeport units`: the fleet, as the service sees it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.options import Ca, Output, Profile, Server, Token, target_of
from console.cli.output import Format, busy, console_for_notes, show

if TYPE_CHECKING:
    pass

app = typer.Typer(help="The deployment units.", no_args_is_help=True)

UnitIdArgument = Annotated[str, typer.Argument(help="The unit's id.", metavar="UNIT")]


@app.command("list")
def list_units(
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists all units with their clients and load."""
    from console.cli.calls.fleet import FleetCalls
    from console.cli.views.units import document_of, fleet_table

    with (
        FleetCalls(target_of(server, None, token, profile, ca)) as service,
        busy("reading the fleet"),
    ):
        listed = service.list_fleet()
    units = list(listed.units)
    document: dict[str, Any] = {"units": [document_of(unit) for unit in units]}
    if listed.stale:
        as_of = listed.as_of_time.ToJsonString()
        document |= {"stale": True, "as_of": as_of}
        console_for_notes().print(
            f"[yellow]the server's store is away: this is as of {as_of}, clients at most[/]"
        )
    show(document, output, lambda: fleet_table(units))


@app.command("show")
def show_unit(
    unit: UnitIdArgument,
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows one unit: its record, its live status, its room."""
    from console.cli.calls.fleet import FleetCalls
    from console.cli.views.units import document_of, unit_table

    with FleetCalls(target_of(server, None, token, profile, ca)) as service:
        found = service.get_unit(unit)
    show(document_of(found), output, lambda: unit_table(found))


@app.command("apply")
def apply_units(
    file: Annotated[Path, typer.Option("--file", "-f", help="Fleet file, YAML or JSON.")],
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Creates or replaces the units of a fleet file.

    Units that the file does not name stay as they are.
    """
    from console.cli.calls.fleet import FleetCalls
    from console.cli.progress import counting
    from console.cli.views.units import document_of, fleet_table
    from control_plane.fleet.file import read_fleet
    from control_plane.fleet_messages import spec_to_proto

    specs = read_fleet(file)
    applied = []
    with (
        FleetCalls(target_of(server, None, token, profile, ca)) as service,
        counting("applying units", total=len(specs)) as advance,
    ):
        for spec in specs:
            applied.append(service.apply_unit(spec_to_proto(spec)))
            advance(1)
    show({"units": [document_of(unit) for unit in applied]}, output, lambda: fleet_table(applied))
