"""`homeport tenants`: organisations that run a service on Homeport."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.options import Ca, Output, Profile, Server, Token, target_of
from console.cli.output import Format, show

if TYPE_CHECKING:
    pass

app = typer.Typer(help="The tenants.", no_args_is_help=True)

_ALGORITHMS = ("HS256", "EdDSA")
_REPROVISION = ("keep", "move", "move-with-state", "reset")
_RETURN_HOME = ("never", "next-contact", "gradual")


@app.command("list")
def list_tenants(
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists all tenants and how their clients are treated."""
    from console.cli.calls.fleet import FleetCalls
    from console.cli.views.tenants import document_of, tenants_table

    with FleetCalls(target_of(server, None, token, profile, ca)) as service:
        found = service.list_tenants()
    show({"tenants": [document_of(one) for one in found]}, output, lambda: tenants_table(found))


@app.command("apply")
def apply_tenant(
    tenant_id: Annotated[str, typer.Argument(help="The tenant's id.", metavar="TENANT")],
    algorithm: Annotated[
        str,
        typer.Option(
            "--tickets",
            help="HS256: a key per unit. EdDSA: anyone with the public keys can check.",
            metavar="HS256|EdDSA",
        ),
    ] = "HS256",
    ttl_s: Annotated[
        float, typer.Option("--ticket-ttl", help="How long a ticket holds, seconds.", metavar="S")
    ] = 3600.0,
    default_at: Annotated[
        str | None,
        typer.Option(
            help="Where clients that nobody can locate are taken to be, degrees.", metavar="LAT,LON"
        ),
    ] = None,
    hold_s: Annotated[
        float,
        typer.Option(
            "--hold",
            help="A client not admitted by its unit within it loses its place; 0: never.",
            metavar="S",
        ),
    ] = 0.0,
    reprovision: Annotated[
        str,
        typer.Option(
            help="What becomes of a client that asks again when another unit suits it clearly "
            "better, and whether its state goes along when it moves.",
            metavar="|".join(_REPROVISION),
        ),
    ] = "keep",
    return_home: Annotated[
        str,
        typer.Option(
            help="When a client goes back to the unit it had to leave.",
            metavar="|".join(_RETURN_HOME),
        ),
    ] = "never",
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Creates or replaces a tenant.

    What is left out gets its default.
    """
    from google.protobuf.duration_pb2 import Duration

    from console.cli.calls.fleet import FleetCalls
    from console.cli.input.client_location import parse_position
    from console.cli.views.tenants import document_of, tenants_table
    from homeport.api.geo.v1 import geo_pb2 as geo
    from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy

    for given, known, option in (
        (algorithm, _ALGORITHMS, "--tickets"),
        (reprovision, _REPROVISION, "--reprovision"),
        (return_home, _RETURN_HOME, "--return-home"),
    ):
        if given.lower() not in (name.lower() for name in known):
            raise typer.BadParameter(f"{given} is none of {', '.join(known)}", param_hint=option)
    request = tenancy.Tenant(
        tenant=tenant_id,
        ticket_algorithm=tenancy.TicketAlgorithm.Value(f"TICKET_ALGORITHM_{algorithm.upper()}"),
        ticket_ttl=Duration(seconds=int(ttl_s), nanos=int(ttl_s % 1 * 1e9)),
        hold_ttl=Duration(seconds=int(hold_s), nanos=int(hold_s % 1 * 1e9)),
        reprovision=tenancy.Reprovision.Value(f"REPROVISION_{_enum_name(reprovision)}"),
        return_home=tenancy.ReturnHome.Value(f"RETURN_HOME_{_enum_name(return_home)}"),
    )
    if default_at is not None:
        latitude, longitude = parse_position(default_at, "--default-at")
        request.default_position.CopyFrom(geo.Position(latitude=latitude, longitude=longitude))
    with FleetCalls(target_of(server, None, token, profile, ca)) as service:
        applied = service.apply_tenant(request)
    show(document_of(applied), output, lambda: tenants_table([applied]))


def _enum_name(choice: str) -> str:
    return choice.upper().replace("-", "_")
