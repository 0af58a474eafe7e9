"""`homeport provision`, `get`, `release` and `explain`: one client at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.options import (
    Address,
    At,
    Ca,
    ClientId,
    Output,
    Profile,
    Server,
    Tenant,
    Token,
    target_of,
)
from console.cli.output import Format, busy, kilometres, load_bar, show

# Less than a server's "try again in 5 s" when its units are full: whoever types a command wants
# to hear that at once. (A bulk run is more patient; its deadline is for each batch.)
ANSWER_WITHIN_S = 4.0
ROUNDS = 5  # over the servers; a typed command is not left waiting for one to come up

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from console.cli.profile import Target
    from homeport import Assignment, Client, Explanation


def provision(
    client: ClientId,
    ip: Address = None,
    at: At = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Gives a client its home, or shows the one it has.

    Without --ip and --at the client is where this command runs.
    """
    from console.cli.input.client_location import parse_location

    address, position = parse_location(ip, at)
    with connect(target_of(server, tenant, token, profile, ca)) as service, busy("provisioning"):
        assignment = service.provision(client, address=address, position=position)
    show(document_of(assignment), output, lambda: _assignment_table(assignment))


def get(
    client: ClientId,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows the home a client has, with a fresh ticket."""
    with connect(target_of(server, tenant, token, profile, ca)) as service, busy("looking"):
        assignment = service.get(client)
    show(document_of(assignment), output, lambda: _assignment_table(assignment))


def release(
    client: ClientId,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Ends a client's assignment and gives its place back."""
    from rich.text import Text

    with connect(target_of(server, tenant, token, profile, ca)) as service, busy("releasing"):
        released = service.release(client)
    said = f"{client} is released" if released else f"{client} had no assignment"
    show({"client_id": client, "released": released}, output, lambda: Text(said))


def explain(
    client: ClientId,
    ip: Address = None,
    at: At = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Says where a client would go, and why.

    Shows every unit with the reason it was taken or passed over. Changes nothing.
    """
    from console.cli.input.client_location import parse_location

    address, position = parse_location(ip, at)
    with connect(target_of(server, tenant, token, profile, ca)) as service, busy("asking"):
        explanation = service.explain(client, address=address, position=position)
    show(
        explanation_document(client, explanation),
        output,
        lambda: explanation_view(client, explanation),
    )


def connect(target: Target) -> Client:
    """The client library, without its cache: an operator wants to know what is true now."""
    from homeport import Client, RetryPolicy, Tls

    return Client(
        target.servers,
        tenant=target.tenant,
        token=target.token or None,
        timeout_s=ANSWER_WITHIN_S,
        retry=RetryPolicy(max_rounds=ROUNDS),
        tls=Tls(root_certificates=target.root_certificates()) if target.ca else False,
    )


def document_of(assignment: Assignment) -> dict[str, Any]:
    """An assignment for programs. The ticket is a credential; whoever prints it, asked for it."""
    return {
        "tenant": assignment.tenant,
        "client_id": assignment.client_id,
        "unit": assignment.unit_id,
        "endpoint": assignment.endpoint,
        "epoch": assignment.epoch,
        "existing": assignment.existing,
        "stale": assignment.stale,
        "source": assignment.source.value or None,
        "country": assignment.country or None,
        "distance_km": rounded_km(assignment.distance_km),
        "rule": assignment.rule or None,
        "ticket": assignment.ticket or None,
        "ticket_expires_at": assignment.ticket_expires_at,
    }


def rounded_km(distance_km: float | None) -> float | None:
    """To a tenth, which is more than anybody knows."""
    return None if distance_km is None else round(distance_km, 1)


def explanation_document(client: str, explanation: Explanation) -> dict[str, Any]:
    """An explanation for programs."""
    where, current = explanation.location, explanation.current
    return {
        "client_id": client,
        "location": {
            "source": where.source.value,
            "country": where.country or None,
            "subdivision": where.subdivision or None,
            "continent": where.continent or None,
            "latitude": where.latitude,
            "longitude": where.longitude,
            "uncertainty_km": where.uncertainty_km,
            "reason": explanation.location_reason,
        },
        "rule": explanation.rule,
        "current": None if current is None else {"unit": current.unit_id, "epoch": current.epoch},
        "stale": explanation.stale,
        "units": [
            {
                "unit": unit.unit_id,
                "verdict": unit.verdict.value,
                "rank": unit.rank or None,
                "distance_km": rounded_km(unit.distance_km),
                "load": unit.load,
                "reason": unit.reason,
            }
            for unit in explanation.units
        ],
    }


def explanation_view(client: str, explanation: Explanation) -> RenderableType:
    """The location in a sentence, then the units, best first."""
    from rich import box
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("unit", overflow="fold")
    table.add_column("distance", justify="right", no_wrap=True)
    table.add_column("load", no_wrap=True)
    table.add_column("why", overflow="fold")
    for unit in explanation.units:
        excluded = not unit.rank
        chosen = unit.rank == 1
        table.add_row(
            "[red]✗[/]" if excluded else "[bold green]✓[/]" if chosen else str(unit.rank),
            f"[bold green]{unit.unit_id}[/]" if chosen else unit.unit_id,
            kilometres(unit.distance_km),
            f"{load_bar(unit.load, width=6)} {unit.load:>4.0%}",
            escape(unit.reason),
            style="dim" if excluded else None,
        )
    where, current = explanation.location, explanation.current
    named = ", ".join(part for part in (where.subdivision, where.country) if part)
    place = f"in {named} " if named else ""
    if where.latitude is not None and where.longitude is not None:
        place += f"at {where.latitude:.2f}, {where.longitude:.2f}"
    lines = [
        f"[bold]{escape(client)}[/] is {escape(place.strip())}"
        if place
        else f"nobody knows where [bold]{escape(client)}[/] is",
        f"[dim]{escape(explanation.location_reason)}[/]",
    ]
    if current is not None:
        lines.append(f"it has a home: [bold]{current.unit_id}[/], epoch {current.epoch}")
    if explanation.stale:
        lines.append("[yellow]stale: answered without the store, its home is not known[/]")
    if explanation.rule:
        lines.append(f"rule: {escape(explanation.rule)}")
    return Group(Text.from_markup("\n".join(lines)), table)


def _assignment_table(assignment: Assignment) -> Table:
    import time

    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    had = " [dim](it had this home already)[/]" if assignment.existing else ""
    table.add_row("client", escape(assignment.client_id))
    table.add_row("unit", f"[bold green]{assignment.unit_id}[/], epoch {assignment.epoch}{had}")
    table.add_row("endpoint", escape(assignment.endpoint))
    if assignment.source:
        country = f", {assignment.country}" if assignment.country else ""
        table.add_row("located by", f"{assignment.source}{country}")
        table.add_row("distance", kilometres(assignment.distance_km))
    if assignment.rule:
        table.add_row("rule", escape(assignment.rule))
    if assignment.stale:
        table.add_row("", "[yellow]stale: answered without the store[/]")
    if assignment.ticket and assignment.ticket_expires_at is not None:
        left_s = assignment.ticket_expires_at - time.time()
        table.add_row("ticket", f"{assignment.ticket}\n[dim]good for {left_s:,.0f} s[/]")
    return table
