"""`homeport domains`: domains that organisations ask for, prove, hand over and give up."""

from __future__ import annotations

from typing import Annotated

import typer

from console.cli.failure import nothing_removed
from console.cli.input.organisations import (
    OrganisationArgument,
    OrganisationOption,
    organisation_of,
)
from console.cli.options import Ca, Output, Profile, Server, Tenant, Token, target_of
from console.cli.output import Format, show

app = typer.Typer(help="Domains that organisations have proved.", no_args_is_help=True)

Domain = Annotated[str, typer.Argument(help="The domain.", metavar="DOMAIN")]
Organisation = Annotated[
    str,
    typer.Option("--organisation", help="For which organisation.", metavar="ORGANISATION"),
]


@app.command("claim")
def claim(
    domain: Domain,
    organisation: Organisation,
    only_itself: Annotated[
        bool, typer.Option("--only-itself", help="It does not speak for its sub-domains.")
    ] = False,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Asks for a domain: says which record to publish."""
    from console.cli.calls.organisations import OrganisationCalls
    from console.cli.views.organisations import domain_document, domains_table

    with OrganisationCalls(target_of(server, tenant, token, profile, ca)) as service:
        found = service.domain("ClaimDomain", organisation, domain, only_itself=only_itself)
        document = domain_document(found)
    show(document, output, lambda: domains_table([document]))


@app.command("verify")
def verify(
    domain: Domain,
    organisation: Organisation,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Looks for its record now."""
    from console.cli.calls.organisations import OrganisationCalls
    from console.cli.views.organisations import domain_document, domains_table

    with OrganisationCalls(target_of(server, tenant, token, profile, ca)) as service:
        found = service.domain("VerifyDomain", organisation, domain)
        document = domain_document(found)
    show(document, output, lambda: domains_table([document]))


@app.command("show")
def show_domain(
    domain: Domain,
    organisation: Organisation,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows how a domain stands."""
    from console.cli.calls.organisations import OrganisationCalls
    from console.cli.views.organisations import domain_document, domains_table

    with OrganisationCalls(target_of(server, tenant, token, profile, ca)) as service:
        found = service.domain("GetDomain", organisation, domain)
        document = domain_document(found)
    show(document, output, lambda: domains_table([document]))


@app.command("primary")
def set_primary(
    domain: Domain,
    organisation: Organisation,
    nobody: Annotated[bool, typer.Option("--nobody", help="They are nobody's.")] = False,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Says that invitations to its addresses are the organisation's, or nobody's."""
    from console.cli.calls.organisations import OrganisationCalls
    from console.cli.views.organisations import domain_document, domains_table

    with OrganisationCalls(target_of(server, tenant, token, profile, ca)) as service:
        found = service.domain(
            "SetPrimaryOrganisation", organisation, domain, primary="" if nobody else organisation
        )
        document = domain_document(found)
    show(document, output, lambda: domains_table([document]))


@app.command("transfer")
def transfer(
    domain: Domain,
    organisation: Organisation,
    to: Annotated[
        str,
        typer.Option("--to", help="The organisation that may accept it.", metavar="ORGANISATION"),
    ],
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Offers it to another organisation, for seven days."""
    from console.cli.calls.organisations import OrganisationCalls
    from console.cli.views.organisations import domain_document, domains_table

    with OrganisationCalls(target_of(server, tenant, token, profile, ca)) as service:
        found = service.domain("OfferDomain", organisation, domain, to=to)
        document = domain_document(found)
    show(document, output, lambda: domains_table([document]))


@app.command("accept")
def accept(
    domain: Domain,
    organisation: Organisation,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Takes a domain that the organisation was offered."""
    from console.cli.calls.organisations import OrganisationCalls
    from console.cli.views.organisations import domain_document, domains_table

    with OrganisationCalls(target_of(server, tenant, token, profile, ca)) as service:
        found = service.domain("AcceptDomain", organisation, domain)
        document = domain_document(found)
    show(document, output, lambda: domains_table([document]))


@app.command("list")
def list_domains(
    named: OrganisationArgument = None,
    organisation: OrganisationOption = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists an organisation's domains, with those that it is to prove."""
    from console.cli.calls.organisations import OrganisationCalls
    from console.cli.views.organisations import domain_document, domains_table

    with OrganisationCalls(target_of(server, tenant, token, profile, ca)) as service:
        whose = organisation_of(named, organisation)
        documents = [domain_document(one) for one in service.domains(whose)]
    show({"domains": documents}, output, lambda: domains_table(documents))


@app.command("release")
def release(
    domain: Domain,
    organisation: Organisation,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Gives a domain up, or does not ask for it any more."""
    from console.cli.calls.organisations import OrganisationCalls

    with OrganisationCalls(target_of(server, tenant, token, profile, ca)) as service:
        released = service.domain("ReleaseDomain", organisation, domain).released
    if not released:
        raise nothing_removed(f"{organisation} does not have {domain}, and does not ask for it")
    show({"domain": domain, "released": True}, output, lambda: "it is given up")
