"""`homeport enrolment`: what lets new clients of a tenant in: groups, and tokens for one use."""

from __future__ import annotations

from typing import Annotated

import typer

from console.cli.failure import nothing_removed
from console.cli.markup import escape
from console.cli.options import Ca, Output, Profile, Server, Tenant, Token, target_of
from console.cli.output import Format, show, warn

app = typer.Typer(help="What lets new clients in.", no_args_is_help=True)
groups = typer.Typer(help="Keys with which tokens for clients are made.", no_args_is_help=True)
bootstrap = typer.Typer(help="Tokens that each let one client in.", no_args_is_help=True)
app.add_typer(groups, name="groups")
app.add_typer(bootstrap, name="bootstrap")

GroupArgument = Annotated[str, typer.Argument(help="The group's name.", metavar="GROUP")]

EnrolledAttributes = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        help="Clients that it lets in are made with this attribute. Any number of times.",
        metavar="NAME=VALUE",
    ),
]

MOST_TOKENS = 1_000
LEAST_S, MOST_S = 60, 90 * 86_400


@groups.command("add")
def add_group(
    group: GroupArgument,
    attribute: EnrolledAttributes = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Makes a group and prints its key, this once.

    With the key, `homeport.hmac_token` makes a token for each client.
    """
    from console.cli.calls.fleet import FleetCalls
    from console.cli.input.client_attributes import parse_attributes
    from console.cli.views.enrolment import way_warnings

    attributes = parse_attributes(attribute)
    target = target_of(server, tenant, token, profile, ca)
    with FleetCalls(target) as service:
        # Before the key is made: whatever fails then has no key to lose.
        warnings = way_warnings(service.get_tenant(target.tenant), "token", "tokens of groups")
        key = service.add_enrolment_group(target.tenant, group, attributes)
    warn(warnings)
    document = {
        "tenant": target.tenant,
        "group": group,
        "key": key,
        "attributes": attributes,
        "warnings": warnings,
    }
    show(document, output, lambda: escape(key))


@groups.command("list")
def list_groups(
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists a tenant's groups. Their keys are never shown."""
    from console.cli.calls.fleet import FleetCalls
    from console.cli.views.enrolment import document_of, groups_table

    target = target_of(server, tenant, token, profile, ca)
    with FleetCalls(target) as service:
        found = service.list_enrolment_groups(target.tenant)
    show({"groups": [document_of(one) for one in found]}, output, lambda: groups_table(found))


@groups.command("remove")
def remove_group(
    group: GroupArgument,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Removes a group: its tokens let nobody in any more; clients that are there stay."""
    from console.cli.calls.fleet import FleetCalls

    target = target_of(server, tenant, token, profile, ca)
    with FleetCalls(target) as service:
        removed = service.remove_enrolment_group(target.tenant, group)
    if not removed:
        raise nothing_removed(f"the tenant {target.tenant} has no group {group}")
    document = {"tenant": target.tenant, "group": group, "removed": True}
    show(document, output, lambda: escape(f"group {group} is removed"))


@bootstrap.command("issue")
def issue_tokens(
    count: Annotated[
        int, typer.Option("--count", "-n", help="How many.", min=1, max=MOST_TOKENS)
    ] = 1,
    ttl_s: Annotated[
        float,
        typer.Option("--ttl", help="How long they can be used, seconds.", metavar="S"),
    ] = 86_400.0,
    attribute: EnrolledAttributes = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Issues tokens and prints them, one a line, this once. Each lets one client in."""
    from rich.text import Text

    from console.cli.calls.fleet import FleetCalls
    from console.cli.input.client_attributes import parse_attributes
    from console.cli.views.enrolment import way_warnings

    attributes = parse_attributes(attribute)
    if not LEAST_S <= ttl_s <= MOST_S:
        raise typer.BadParameter(f"{ttl_s:g} is not {LEAST_S} to {MOST_S:,}", param_hint="--ttl")
    target = target_of(server, tenant, token, profile, ca)
    with FleetCalls(target) as service:
        warnings = way_warnings(service.get_tenant(target.tenant), "bootstrap", "bootstrap tokens")
        issued = service.issue_bootstrap_tokens(target.tenant, count, ttl_s, attributes)
    warn(warnings)
    document = {
        "tenant": target.tenant,
        "tokens": issued,
        "attributes": attributes,
        "warnings": warnings,
    }
    show(document, output, lambda: Text("\n".join(issued), overflow="ignore", no_wrap=True))


@bootstrap.command("revoke")
def revoke_tokens(
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Revokes all of a tenant's tokens that were not used."""
    from console.cli.calls.fleet import FleetCalls

    target = target_of(server, tenant, token, profile, ca)
    with FleetCalls(target) as service:
        service.revoke_bootstrap_tokens(target.tenant)
    document = {"tenant": target.tenant, "revoked": True}
    show(document, output, lambda: escape("tokens that were not used are revoked"))
