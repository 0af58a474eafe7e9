"""`homeport tenants`: organisations that run a service on Homeport."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.markup import escape
from console.cli.options import Ca, Output, Profile, Server, Token, target_of
from console.cli.output import Format, show
from control_plane.printable import number_of

if TYPE_CHECKING:
    from console.cli.calls.fleet import FleetCalls
    from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy

app = typer.Typer(help="The tenants.", no_args_is_help=True)

TenantArgument = Annotated[str, typer.Argument(help="The tenant's id.", metavar="TENANT")]

COUNT_EVERY_S = 0.5  # how often it is asked whether clients are counted
MOST_S = 365 * 86_400  # whatever lasts; the server has limits of its own
_ALGORITHMS = ("HS256", "EdDSA")
_REPROVISION = ("keep", "move", "move-with-state", "reset")
_ENROLMENT = ("open", "token", "x509", "bootstrap", "default")
_FAILOVER = ("by-state", "move", "wait")
_RETURN_HOME = ("never", "next-contact", "gradual")


@app.command("list")
def list_tenants(
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists all tenants and how their clients are treated; those with quotas of their own show
    them."""
    from console.cli.calls.fleet import FleetCalls
    from console.cli.views.tenants import document_of, tenants_table

    with FleetCalls(target_of(server, None, token, profile, ca)) as service:
        found = service.list_tenants()
    show({"tenants": [document_of(one) for one in found]}, output, lambda: tenants_table(found))


@app.command("show")
def show_tenant(
    tenant_id: TenantArgument,
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows one tenant, and the quotas in force for it at the server that answers."""
    from console.cli.calls.fleet import FleetCalls
    from console.cli.views.tenants import document_of, tenant_view

    with FleetCalls(target_of(server, None, token, profile, ca)) as service:
        found = service.get_tenant(tenant_id)
    show(document_of(found), output, lambda: tenant_view(found))


@app.command("remove")
def remove_tenant(
    tenant_id: TenantArgument,
    with_clients: Annotated[
        bool, typer.Option("--with-clients", help="Release its clients first.")
    ] = False,
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Removes a tenant, which takes no new clients while that is under way.

    One that has clients stands. With --with-clients they are released first; a removal that was
    begun so and is broken off goes on by itself after half a minute, unless the tenant is removed
    without it meanwhile: then it stands again, with the clients it has yet.
    """
    from console.cli.calls.fleet import FleetCalls
    from console.cli.progress import counting

    released = 0
    with FleetCalls(target_of(server, None, token, profile, ca)) as service:
        if not with_clients:
            service.remove_tenant(tenant_id)
        else:
            with counting("releasing clients", total=None) as advance:
                while True:
                    step = service.remove_tenant(tenant_id, with_clients=True)
                    released += step.released_clients
                    advance(step.released_clients)
                    if not step.clients_left:
                        break
    document: dict[str, Any] = {"tenant": tenant_id, "removed": True}
    said = f"tenant {tenant_id} is removed"
    if with_clients:
        document["released_clients"] = released
        said += f", and {number_of(released, 'client')} released"
    show(document, output, lambda: escape(said))


@app.command("apply")
def apply_tenant(
    tenant_id: TenantArgument,
    algorithm: Annotated[
        str | None,
        typer.Option(
            "--tickets",
            help="HS256: a key per unit. EdDSA: anyone with the public keys can check. "
            "At first: HS256.",
            metavar="HS256|EdDSA",
        ),
    ] = None,
    ttl_s: Annotated[
        float | None,
        typer.Option(
            "--ticket-ttl", help="How long a ticket holds, seconds. At first: 3600.", metavar="S"
        ),
    ] = None,
    default_at: Annotated[
        str | None,
        typer.Option(
            help="Where clients that nobody can locate are taken to be, degrees; `none`: "
            "nowhere. At first: none.",
            metavar="LAT,LON|none",
        ),
    ] = None,
    hold_s: Annotated[
        float | None,
        typer.Option(
            "--hold",
            help="A client not admitted by its unit within it loses its place; 0: never. "
            "At first: 0.",
            metavar="S",
        ),
    ] = None,
    reprovision: Annotated[
        str | None,
        typer.Option(
            help="What becomes of a client that asks again when another unit suits it clearly "
            "better, and whether its state goes along when it moves. At first: keep.",
            metavar="|".join(_REPROVISION),
        ),
    ] = None,
    return_home: Annotated[
        str | None,
        typer.Option(
            help="When a client goes back to the unit it had to leave. At first: never.",
            metavar="|".join(_RETURN_HOME),
        ),
    ] = None,
    failover: Annotated[
        str | None,
        typer.Option(
            help="What becomes of clients whose unit is lost: they move without their state, wait "
            "for it, or, by-state, wait where they move with it (--reprovision). At first: "
            "by-state.",
            metavar="|".join(_FAILOVER),
        ),
    ] = None,
    enrolment: Annotated[
        str | None,
        typer.Option(
            help="How clients may come in, several with commas; `default`: by token where the "
            "servers ask for credentials. At first: default.",
            metavar="|".join(_ENROLMENT),
        ),
    ] = None,
    issuers: Annotated[
        str | None,
        typer.Option(
            help="Whose JWTs name its clients: a YAML or JSON list of mappings with issuer, "
            "audience, jwks_url or jwks, and client_claim; - is stdin; `none`: nobody's. "
            "At first: none.",
            metavar="FILE|none",
        ),
    ] = None,
    quotas: Annotated[
        list[str] | None,
        typer.Option(
            "--quota",
            help="How much it may ask for in a second, in place of what its servers say and as "
            "far as they allow it; by tenant, client or address. All that it has are given "
            "together; `none`: none of its own. At first: none.",
            metavar="QUOTA[/BY]=RATE[:BURST]|none",
        ),
    ] = None,
    max_clients: Annotated[
        str | None,
        typer.Option(
            help="How many clients it may have at once; `none`: no bound. A first bound comes into "
            "force once its clients are counted, which is waited for. At first: none.",
            metavar="N|none",
        ),
    ] = None,
    accept_excess: Annotated[
        bool,
        typer.Option(
            "--accept-excess",
            help="Set --max-clients though it has more clients: it gets no new ones until it has "
            "fewer.",
        ),
    ] = False,
    memory: Annotated[
        list[str] | None,
        typer.Option(
            "--memory",
            help="How much its rules and forecasts may remember at data-sharing servers that "
            "follow its record, as far as they allow it: rule_keys, rule_bytes, key_bytes, "
            "tenant_keys, tenant_bytes, producer_keys or producer_bytes. All that it has are given "
            "together; `none`: none of its own. At first: none.",
            metavar="BOUND=NUMBER|none",
        ),
    ] = None,
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Creates a tenant, or changes what is given of it.

    What is left out stays as it is; a new tenant gets what it says there.
    """
    from console.cli.calls.fleet import FleetCalls
    from console.cli.input.memory_bounds import parse_memory
    from console.cli.input.quotas import parse_max_clients, parse_quotas
    from console.cli.views.tenants import document_of, is_counting, tenants_table
    from homeport.errors import HomeportError
    from homeport.failure import Code

    given = {
        "ticket_algorithm": _one_of(algorithm, _ALGORITHMS, "--tickets"),
        "ticket_ttl": ttl_s,
        "default_position": default_at,
        "hold_ttl": hold_s,
        "reprovision": _one_of(reprovision, _REPROVISION, "--reprovision"),
        "return_home": _one_of(return_home, _RETURN_HOME, "--return-home"),
        "failover": _one_of(failover, _FAILOVER, "--failover"),
        "enrolment": enrolment,
        "issuers": issuers,
        "quotas": None if not quotas else parse_quotas(quotas),
        "max_clients": None if max_clients is None else parse_max_clients(max_clients),
        "memory": None if not memory else parse_memory(memory),
    }
    if accept_excess and max_clients is None:
        raise typer.BadParameter("it goes with --max-clients", param_hint="--accept-excess")
    fields = [name for name, value in given.items() if value is not None]
    request = _message(tenant_id, given)
    with FleetCalls(target_of(server, None, token, profile, ca)) as service:
        try:
            # A mask of nothing would stand for all fields.
            found = service.get_tenant(tenant_id) if not fields else None
        except HomeportError as error:
            if error.code != Code.NOT_FOUND:
                raise
            found = None
        applied = found or service.apply_tenant(request, fields=fields, accept_excess=accept_excess)
        if max_clients is not None and is_counting(applied):
            applied = _when_counted(service, tenant_id)
    show(document_of(applied), output, lambda: tenants_table([applied]))


def _when_counted(service: FleetCalls, tenant_id: str) -> tenancy.Tenant:
    """The tenant once its clients are counted. Raises CommandFailed where they turned out to be
    more than the bound that was asked for, or it was taken off meanwhile."""
    from console.cli.failure import CommandFailed, ExitCode
    from console.cli.progress import counting
    from console.cli.views.tenants import is_counting, is_unbounded

    told = 0
    with counting("counting clients", total=None) as advance:
        while is_counting(found := service.get_tenant(tenant_id)):
            so_far = found.client_use.counted_clients
            advance(max(0, so_far - told))
            told = max(told, so_far)
            time.sleep(COUNT_EVERY_S)
    if is_unbounded(found):
        raise CommandFailed(
            f"tenant {tenant_id} has {found.client_use.clients:,} clients, more than the bound; "
            "release some, choose a higher one, or accept it (--accept-excess)",
            ExitCode.REFUSED,
        )
    if not found.max_clients:
        raise CommandFailed(
            f"tenant {tenant_id} has no bound on its clients: it was taken off while they were "
            "counted, or cannot be told now; `homeport tenants show` tells what holds"
        )
    return found


def _one_of(given: str | None, known: tuple[str, ...], option: str) -> str | None:
    if given is not None and given.lower() not in (name.lower() for name in known):
        raise typer.BadParameter(f"{given} is none of {', '.join(known)}", param_hint=option)
    return given


def _message(tenant_id: str, given: Mapping[str, Any]) -> tenancy.Tenant:
    """The tenant with what is given; the rest is the server's to fill in."""
    from google.protobuf.duration_pb2 import Duration

    from console.cli.input.client_location import parse_position
    from console.cli.input.issuers import read_issuers
    from homeport.api.geo.v1 import geo_pb2 as geo
    from homeport.api.tenancy.v1 import tenancy_pb2 as tenancy_pb

    def lasting(seconds: float, option: str) -> Duration:
        if not 0 <= seconds <= MOST_S:  # nor is it, where it is no number
            raise typer.BadParameter(f"{seconds:g} is not 0 to {MOST_S:,}", param_hint=option)
        return Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))

    tenant = tenancy_pb.Tenant(tenant=tenant_id)
    if given["ticket_algorithm"]:
        name = f"TICKET_ALGORITHM_{given['ticket_algorithm'].upper()}"
        tenant.ticket_algorithm = tenancy_pb.TicketAlgorithm.Value(name)
    if given["ticket_ttl"] is not None:
        tenant.ticket_ttl.CopyFrom(lasting(given["ticket_ttl"], "--ticket-ttl"))
    if given["hold_ttl"]:
        tenant.hold_ttl.CopyFrom(lasting(given["hold_ttl"], "--hold"))
    if given["reprovision"]:
        name = f"REPROVISION_{_enum_name(given['reprovision'])}"
        tenant.reprovision = tenancy_pb.Reprovision.Value(name)
    if given["return_home"]:
        name = f"RETURN_HOME_{_enum_name(given['return_home'])}"
        tenant.return_home = tenancy_pb.ReturnHome.Value(name)
    if given["failover"]:
        name = f"FAILOVER_{_enum_name(given['failover'])}"
        tenant.failover = tenancy_pb.Failover.Value(name)
    if given["default_position"] not in (None, "none"):
        latitude, longitude = parse_position(given["default_position"], "--default-at")
        tenant.default_position.CopyFrom(geo.Position(latitude=latitude, longitude=longitude))
    if given["enrolment"] not in (None, "default"):
        for word in given["enrolment"].split(","):
            method = _one_of(word.strip(), _ENROLMENT, "--enrolment")
            name = f"ENROLMENT_METHOD_{_enum_name(str(method))}"
            tenant.enrolment.append(tenancy_pb.EnrolmentMethod.Value(name))
    if given["issuers"] not in (None, "none"):
        tenant.issuers.extend(read_issuers(given["issuers"]))
    for one in given["quotas"] or ():
        tenant.quotas.add(
            quota=one.quota, counted_by=one.counted_by, per_s=one.per_s, burst=one.burst
        )
    tenant.max_clients = given["max_clients"] or 0
    for name, most in (given["memory"] or {}).items():
        setattr(tenant.memory, name, most)
    return tenant


def _enum_name(choice: str) -> str:
    return choice.upper().replace("-", "_")
