"""`homeport watch` and `homeport units watch`: what happens, as it happens."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from console.cli.commands.clients import connect
from console.cli.markup import escape
from console.cli.options import Ca, ClientId, Output, Profile, Server, Tenant, Token, target_of
from console.cli.output import Format, load_bar, note, show_event
from control_plane.printable import number_of

if TYPE_CHECKING:
    from console.cli.calls.fleet_watch import FleetChange
    from homeport import AssignmentChange

# Whoever types a command wants to hear within seconds that there is nobody.
NOBODY_FOR_S = 10.0

Count: TypeAlias = Annotated[
    int | None, typer.Option("--count", "-n", help="End after so many events.", min=1)
]


def watch(
    client: ClientId,
    count: Count = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Follows a client's home: where it lives, and each move, until Ctrl-C.

    With -o json each event is one line (NDJSON).
    """
    with (
        connect(target_of(server, tenant, token, profile, ca)) as service,
        service.watch(client, give_up_s=NOBODY_FOR_S) as changes,
    ):
        for told, change in enumerate(changes, start=1):
            show_event(event_of(client, change), output, partial(_line, client, change))
            if told == count:
                break


def watch_units(
    count: Count = None,
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Follows the fleet: all units, then each change, until Ctrl-C.

    With -o json each event is one line (NDJSON).
    """
    import random
    import time

    from console.cli.calls.fleet import FleetCalls
    from console.cli.calls.fleet_watch import fleet_changes

    with (
        FleetCalls(target_of(server, None, token, profile, ca)) as service,
        closing(
            fleet_changes(
                service.watch_fleet,
                wait=time.sleep,
                jitter=random.random,
                lost=lambda why: note(f"{escape(why)}; watching on"),
            )
        ) as changes,
    ):
        for told, change in enumerate(changes, start=1):
            show_event(fleet_event_of(change), output, partial(_fleet_line, change))
            if told == count:
                break


def event_of(client: str, change: AssignmentChange) -> dict[str, Any]:
    """A change of a client's home for programs."""
    from console.cli.views.homes import document_of

    event: dict[str, Any] = {"event": change.kind.value, "cause": change.cause or None}
    if change.assignment is None:
        return {**event, "client_id": client}
    return {**event, **document_of(change.assignment)}


def fleet_event_of(change: FleetChange) -> dict[str, Any]:
    """A change of the fleet for programs."""
    from console.cli.views.units import document_of

    if change.unit is None:
        return {"event": "removed", "id": change.unit_id}
    return {"event": "unit", "unit": document_of(change.unit)}


def _line(client: str, change: AssignmentChange) -> str:
    name, home = f"[bold]{escape(client)}[/]", change.assignment
    cause = f" [dim]({escape(change.cause)})[/]" if change.cause else ""
    if home is None:
        return f"{_now()}  {name} was released{cause}"
    verb = {"home": "lives at", "moved": "moved to", "assigned": "was given"}[change.kind.value]
    return (
        f"{_now()}  {name} {verb} [bold green]{escape(home.unit_id)}[/], {escape(home.endpoint)}, "
        f"epoch {home.epoch}{cause}"
    )


def _fleet_line(change: FleetChange) -> str:
    from console.cli.views.units import load_of, status_of

    unit = change.unit
    if unit is None:
        return f"{_now()}  {escape(f'{change.unit_id:<20}')} [red]removed[/]"
    load = load_of(unit)
    return (
        f"{_now()}  [bold]{escape(f'{unit.spec.unit_id:<20}')}[/] {status_of(unit)}  "
        f"{unit.clients:,} of {number_of(unit.spec.capacity, 'client')}  "
        f"{load_bar(load)} {load:.1%}"
    )


def _now() -> str:
    import time

    return f"[dim]{time.strftime('%H:%M:%S')}[/]"
