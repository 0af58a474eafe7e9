"""Deployment units, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.output import load_bar
from console.cli.tables import Table, facts, number, optional, whole
from console.cli.views.numbers import exact
from control_plane.printable import number_of

if TYPE_CHECKING:
    from homeport.api.fleet.v1 import fleet_pb2 as fleet

_COLOURS = {
    "serving": "green", "no agent": "yellow", "cordoned": "yellow", "draining": "yellow",
    "drained": "dim", "silent": "red", "not serving": "red", "lost": "red",
}  # fmt: skip
TAKING = frozenset({"serving", "no agent"})  # statuses of units that take new clients


def document_of(unit: fleet.Unit) -> dict[str, Any]:
    """A unit for programs: the keys of the fleet file, then what the service knows of it."""
    from homeport.api.fleet.v1 import fleet_pb2 as fleet

    health = None
    if unit.HasField("status"):
        health = _word(fleet.UnitHealth.Name(unit.status.health), "UNIT_HEALTH_")
    return {
        **spec_document(unit.spec),
        "serving_endpoint": unit.endpoint or None,  # where clients are sent
        "reported_endpoint": unit.status.endpoint or None,  # by the agent that is live
        "clients": unit.clients,
        "granted": unit.granted,
        "load": load_of(unit),
        "status": status_word(unit),
        "health": health,  # null: no agent is live
        "version": unit.status.version if health else None,
        "admitted_clients": unit.status.admitted_clients if health else None,
        "refused_full": unit.status.refused_full if health else None,
        "state": _word(fleet.UnitState.Name(unit.state), "UNIT_STATE_"),
        "state_reason": unit.state_reason or None,
        "state_since": unit.state_time.seconds if unit.HasField("state_time") else None,
        "job": unit.job.job_id if unit.HasField("job") else None,
        "revision": unit.revision,
    }


def spec_document(spec: fleet.UnitSpec) -> dict[str, Any]:
    """What an operator says of a unit, with the keys of the fleet file."""
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
    }


def over_capacity(units: Iterable[fleet.Unit]) -> Iterator[str]:
    """A sentence for each unit that has more clients than it may."""
    for unit in units:
        if unit.clients > unit.spec.capacity:
            yield (
                f"unit {unit.spec.unit_id} has {number_of(unit.clients, 'client')} and a capacity "
                f"of {unit.spec.capacity:,}: nobody is moved, and it takes no new ones until it "
                "has room again"
            )


def load_of(unit: fleet.Unit) -> float:
    """Share of the capacity in use; may pass 1.0 after the capacity was lowered."""
    return round(unit.clients / unit.spec.capacity, 6) if unit.spec.capacity else 0.0


def fleet_table(units: list[fleet.Unit]) -> Table:
    """The fleet, with its sums where there are several units."""
    clients = sum(unit.clients for unit in units)
    capacity = sum(unit.spec.capacity for unit in units)
    table = Table(
        whole("unit", footer=number_of(len(units), "unit")),
        optional(whole("country")),
        whole("status"),
        number("clients", footer=f"{clients:,}"),
        number("capacity", footer=f"{capacity:,}"),
        optional(whole("load")),
        optional(whole("endpoint")),
        footers=len(units) > 1,
    )
    for unit in units:
        load = load_of(unit)
        table.add_row(
            escape(unit.spec.unit_id),
            escape(unit.spec.country),
            status_of(unit),
            f"{unit.clients:,}",
            f"{unit.spec.capacity:,}",
            f"{load_bar(load)} {load:>6.1%}",
            escape(unit.endpoint) or "–",
        )
    return table


def unit_table(unit: fleet.Unit) -> Table:
    """One unit for people."""
    spec, load = unit.spec, load_of(unit)
    places = [*spec.serves.continents, *spec.serves.countries]
    position = f"{spec.position.latitude:.2f}, {spec.position.longitude:.2f}"
    labels = ", ".join(f"{name}={value}" for name, value in sorted(spec.labels.items()))
    agent = escape(unit.status.version) if unit.HasField("status") else "none is live"
    return facts(
        ("unit", f"[bold]{escape(spec.unit_id)}[/]"),
        ("endpoint", escape(_endpoint(unit))),
        ("where", escape(f"{spec.country} ({position})")),
        ("status", status_of(unit)),
        ("state", escape(_state(unit))),
        ("clients", f"{unit.clients:,} of {spec.capacity:,}"),
        ("load", f"{load_bar(load, width=24)} {load:.1%}"),
        ("reserved", f"{unit.granted:,} slots are held by provisioners"),
        ("weight", exact(spec.weight)),
        ("serves", escape(", ".join(places)) or "everywhere"),
        ("tenants", escape(", ".join(spec.tenants)) or "all"),
        ("labels", escape(labels) or "–"),
        ("agent", agent),
        ("let in", _let_in(unit)),
        ("revision", str(unit.revision)),
    )


def _let_in(unit: fleet.Unit) -> str:
    """How many clients the agent let in, and how many it turned away."""
    if not unit.HasField("status"):
        return "–"
    told = f"{number_of(unit.status.admitted_clients, 'client')} whose tickets stand"
    refused = unit.status.refused_full
    return f"{told}; {refused:,} turned away, because it was full" if refused else told


def _endpoint(unit: fleet.Unit) -> str:
    """Where clients are sent, and who says so."""
    declared = unit.spec.endpoint
    if not unit.endpoint or unit.endpoint == declared:
        return f"{declared} (as declared)"
    return f"{unit.endpoint} (as its agent reported; declared: {declared})"


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
    """Its status in rich's markup; see `status_word`."""
    word = status_word(unit)
    return f"[{_COLOURS[word]}]{word}[/]"


def status_word(unit: fleet.Unit) -> str:
    """Whether it takes clients now, in a word: its state where that keeps clients away, else
    what is known of its agent."""
    from homeport.api.fleet.v1 import fleet_pb2 as fleet

    outside = {
        fleet.UNIT_STATE_CORDONED: "cordoned",
        fleet.UNIT_STATE_DRAINING: "draining",
        fleet.UNIT_STATE_DRAINED: "drained",
        fleet.UNIT_STATE_LOST: "lost",
    }.get(unit.state)
    if outside is not None:
        return outside
    if not unit.HasField("status"):
        return "silent" if unit.state == fleet.UNIT_STATE_ACTIVE else "no agent"
    if unit.status.health == fleet.UNIT_HEALTH_NOT_SERVING:
        return "not serving"
    return "serving"


def _word(enum_name: str, prefix: str) -> str:
    return enum_name.removeprefix(prefix).lower().replace("_", "-")
