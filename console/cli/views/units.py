"""Deployment units, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.output import load_bar
from console.cli.tables import Table, facts, fold, number, optional, whole

if TYPE_CHECKING:
    from homeport.api.fleet.v1 import fleet_pb2 as fleet


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


def fleet_table(units: list[fleet.Unit]) -> Table:
    """The fleet, with its sums where there are several units."""
    clients = sum(unit.clients for unit in units)
    capacity = sum(unit.spec.capacity for unit in units)
    table = Table(
        fold("unit", footer=f"{len(units)} units"),
        optional(whole("country")),
        whole("status"),
        number("clients", footer=f"{clients:,}"),
        number("capacity", footer=f"{capacity:,}"),
        optional(whole("load")),
        footers=len(units) > 1,
    )
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

    spec, load = unit.spec, load_of(unit)
    places = [*spec.serves.continents, *spec.serves.countries]
    position = f"{spec.position.latitude:.2f}, {spec.position.longitude:.2f}"
    labels = ", ".join(f"{name}={value}" for name, value in sorted(spec.labels.items()))
    agent = escape(unit.status.version) if unit.HasField("status") else "none is live"
    return facts(
        ("unit", f"[bold]{spec.unit_id}[/]"),
        ("endpoint", escape(spec.endpoint)),
        ("where", f"{spec.country} ({position})"),
        ("status", status_of(unit)),
        ("state", escape(_state(unit))),
        ("clients", f"{unit.clients:,} of {spec.capacity:,}"),
        ("load", f"{load_bar(load, width=24)} {load:.1%}"),
        ("reserved", f"{unit.granted:,} slots are held by provisioners"),
        ("weight", f"{spec.weight:g}"),
        ("serves", ", ".join(places) or "everywhere"),
        ("tenants", ", ".join(spec.tenants) or "all"),
        ("labels", escape(labels) or "–"),
        ("agent", agent),
        ("revision", str(unit.revision)),
    )


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
