"""`homeport units`: the fleet, as the service sees it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.options import Ca, Output, Profile, Server, Token, target_of
from console.cli.output import Format, busy, console_for_notes, load_bar, show

if TYPE_CHECKING:
    from rich.table import Table

    from homeport.api.fleet.v1 import fleet_pb2 as fleet

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
    show(document, output, lambda: _fleet_table(units))


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
    from control_plane.fleet.file import read_fleet
    from deployment_units.agent.spec_message import spec_to_proto

    specs = read_fleet(file)
    applied = []
    with (
        FleetCalls(target_of(server, None, token, profile, ca)) as service,
        counting("applying units", total=len(specs)) as advance,
    ):
        for spec in specs:
            applied.append(service.apply_unit(spec_to_proto(spec)))
            advance(1)
    show({"units": [document_of(unit) for unit in applied]}, output, lambda: _fleet_table(applied))


def document_of(unit: fleet.Unit) -> dict[str, Any]:
    """A unit for programs: the keys of the fleet file, then what the service knows of it."""
    from homeport.api.fleet.v1 import fleet_pb2 as fleet

    spec = unit.spec
    health = None
    if unit.HasField("status"):
        health = fleet.UnitHealth.Name(unit.status.health).removeprefix("UNIT_HEALTH_").lower()
    return {
        "id": spec.unit_id,
        "endpoint": spec.endpoint,
        "position": {"latitude": spec.position.latitude, "longitude": spec.position.longitude},
        "country": spec.country,
        "capacity": spec.capacity,
        "weight": spec.weight,
        "labels": dict(spec.labels),
        "serves": {
            "countries": list(spec.serves.countries),
            "continents": list(spec.serves.continents),
        },
        "tenants": list(spec.tenants),
        "clients": unit.clients,
        "granted": unit.granted,
        "load": load_of(unit),
        "health": health,  # null: no agent is live
        "version": unit.status.version if health else None,
        "state": _word(fleet.UnitState.Name(unit.state), "UNIT_STATE_"),
        "state_reason": unit.state_reason or None,
        "state_since": unit.state_time.seconds if unit.HasField("state_time") else None,
        "job": unit.job.job_id if unit.HasField("job") else None,
        "revision": unit.revision,
    }


def load_of(unit: fleet.Unit) -> float:
    """Share of the capacity in use; may pass 1.0 after the capacity was lowered."""
    return round(unit.clients / unit.spec.capacity, 6) if unit.spec.capacity else 0.0


def _fleet_table(units: list[fleet.Unit]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=len(units) > 1)
    table.add_column("unit", footer=f"{len(units)} units", overflow="fold")
    table.add_column("country")
    table.add_column("status")
    table.add_column("clients", justify="right", footer=f"{sum(u.clients for u in units):,}")
    capacity = sum(unit.spec.capacity for unit in units)
    table.add_column("capacity", justify="right", footer=f"{capacity:,}")
    table.add_column("load")
    for unit in units:
        load = load_of(unit)
        table.add_row(
            unit.spec.unit_id,
            unit.spec.country,
            status_of(unit),
            f"{unit.clients:,}",
            f"{unit.spec.capacity:,}",
            f"{load_bar(load)} {load:>6.1%}",
        )
    return table


def unit_table(unit: fleet.Unit) -> Table:
    """One unit for people."""
    from rich.markup import escape
    from rich.table import Table

    spec, load = unit.spec, load_of(unit)
    places = [*spec.serves.continents, *spec.serves.countries]
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    table.add_row("unit", f"[bold]{spec.unit_id}[/]")
    table.add_row("endpoint", escape(spec.endpoint))
    position = f"{spec.position.latitude:.2f}, {spec.position.longitude:.2f}"
    table.add_row("where", f"{spec.country} ({position})")
    table.add_row("status", status_of(unit))
    table.add_row("state", escape(_state(unit)))
    table.add_row("clients", f"{unit.clients:,} of {spec.capacity:,}")
    table.add_row("load", f"{load_bar(load, width=24)} {load:.1%}")
    table.add_row("reserved", f"{unit.granted:,} slots are held by provisioners")
    table.add_row("weight", f"{spec.weight:g}")
    table.add_row("serves", ", ".join(places) or "everywhere")
    table.add_row("tenants", ", ".join(spec.tenants) or "all")
    labels = ", ".join(f"{name}={value}" for name, value in sorted(spec.labels.items()))
    table.add_row("labels", escape(labels) or "–")
    agent = escape(unit.status.version) if unit.HasField("status") else "none is live"
    table.add_row("agent", agent)
    table.add_row("revision", str(unit.revision))
    return table


def _state(unit: fleet.Unit) -> str:
    """Its state, since when and why, and what is being done about its clients."""
    from datetime import datetime

    told = document_of(unit)
    words = str(told["state"])
    if told["state_since"]:
        since = datetime.fromtimestamp(told["state_since"]).astimezone()
        words += f" since {since:%Y-%m-%d %H:%M:%S %Z}"
    if told["state_reason"]:
        words += f": {told['state_reason']}"
    if unit.HasField("job"):
        job = unit.job
        words += f" ({job.job_id}: {job.moved:,} of {job.total:,} moved)"
    return words


def status_of(unit: fleet.Unit) -> str:
    """What it takes of clients, or whether an agent is live, in rich's markup."""
    from homeport.api.fleet.v1 import fleet_pb2 as fleet

    outside = {
        fleet.UNIT_STATE_CORDONED: "[yellow]cordoned[/]",
        fleet.UNIT_STATE_DRAINING: "[yellow]draining[/]",
        fleet.UNIT_STATE_DRAINED: "[dim]drained[/]",
        fleet.UNIT_STATE_LOST: "[red]lost[/]",
    }.get(unit.state)
    if outside is not None:
        return outside
    if not unit.HasField("status"):
        silent = unit.state == fleet.UNIT_STATE_ACTIVE
        return "[red]silent[/]" if silent else "[yellow]no agent[/]"
    if unit.status.health == fleet.UNIT_HEALTH_NOT_SERVING:
        return "[red]not serving[/]"
    return "[green]serving[/]"


def _word(enum_name: str, prefix: str) -> str:
    return enum_name.removeprefix(prefix).lower().replace("_", "-")
