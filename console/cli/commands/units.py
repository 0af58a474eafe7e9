"""`homeport units`: the fleet, as the service sees it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.markup import escape
from console.cli.options import Ca, NamedFile, Output, Profile, Server, Token, one_file, target_of
from console.cli.output import Format, busy, note, show, show_event

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
        note(f"[yellow]the server's store is away: this is as of {as_of}, clients at most[/]")
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


@app.command("clients")
def list_clients(
    unit: UnitIdArgument,
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists the clients of a unit, as they are found: a line for each.

    With -o json each is one line (NDJSON).
    """
    from functools import partial

    from console.cli.calls.fleet import FleetCalls

    with FleetCalls(target_of(server, None, token, profile, ca)) as service:
        for one in service.unit_clients(unit):
            document = {"tenant": one.tenant, "client_id": one.client_id, "epoch": one.epoch}
            line = f"{one.tenant}  {one.client_id}  epoch {one.epoch}"
            show_event(document, output, partial(escape, line))


@app.command("latency")
def list_latencies(
    unit: Annotated[str, typer.Option(help="Of this unit alone.", metavar="UNIT")] = "",
    place: Annotated[
        str,
        typer.Option(
            help="Of places whose names begin so: a country, or more of a name.", metavar="IE"
        ),
    ] = "",
    limit: Annotated[int, typer.Option(help="So many at most.", min=1, max=1_000)] = 100,
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists what the server knows of round trips between places and units, the newest first."""
    from console.cli.calls.latencies import LatencyCalls
    from console.cli.views.latencies import latencies_table, latency_document

    with LatencyCalls(target_of(server, None, token, profile, ca)) as service:
        found = service.known(unit=unit, cell=place, limit=limit)
    documents = [latency_document(one) for one in found.estimates]
    if found.total > len(documents):
        note(f"{found.total - len(documents):,} more are known; --limit shows more")
    show(documents, output, lambda: latencies_table(documents))


@app.command("apply")
def apply_units(
    file: Annotated[
        Path | None,
        typer.Argument(help="Fleet file, YAML or JSON; - reads stdin.", metavar="FILE|-"),
    ] = None,
    named: NamedFile = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would change; change nothing.")
    ] = False,
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Applies a fleet file: creates units, and changes what the file says of others.

    Units that the file does not name stay as they are, and so does what it leaves out of a unit
    (weight, labels, serves, tenants); null resets that. Where agents are reached is not touched.
    Exits with 2 for a faulty file, and then nothing has changed.
    """
    from console.cli.calls.fleet import FleetCalls
    from console.cli.input.text_file import name_of, read_text
    from console.cli.progress import counting
    from console.cli.views.unit_changes import change_of, changes_table
    from console.cli.views.units import document_of, fleet_table, over_capacity
    from control_plane.fleet.file import parse_entries
    from control_plane.fleet_messages import spec_to_proto
    from control_plane.yaml_files import MOST_BYTES

    path = one_file(file, named)
    entries = parse_entries(read_text(path, most_bytes=MOST_BYTES), name_of(path))
    applied = []
    with FleetCalls(target_of(server, None, token, profile, ca)) as service:
        before = {unit.spec.unit_id: unit for unit in service.list_units()} if dry_run else {}
        doing = "comparing units" if dry_run else "applying units"
        with counting(doing, total=len(entries)) as advance:
            for entry in entries:
                unit = service.apply_unit(
                    spec_to_proto(entry.spec), fields=sorted(entry.given), dry_run=dry_run
                )
                applied.append(unit)
                advance(1)
    if dry_run:
        changes = [change_of(before.get(unit.spec.unit_id), unit) for unit in applied]
        show({"dry_run": True, "units": changes}, output, lambda: changes_table(changes))
    else:
        document = {"units": [document_of(unit) for unit in applied]}
        show(document, output, lambda: fleet_table(applied))
    for sentence in over_capacity(applied):
        note(f"[yellow]{escape(sentence)}[/]")
