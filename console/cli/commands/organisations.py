"""`homeport organisations`: accounts under one policy, their members and groups."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from console.cli.failure import nothing_removed
from console.cli.markup import escape
from console.cli.options import Ca, Output, Profile, Server, Tenant, Token, target_of
from console.cli.output import Format, show

app = typer.Typer(help="Organisations: accounts under one policy.", no_args_is_help=True)

Organisation = Annotated[str, typer.Argument(help="The organisation's id.", metavar="ORGANISATION")]
Account = Annotated[str, typer.Argument(help="An account: a client's id.", metavar="CLIENT")]


class Joins(StrEnum):
    """Who joins an organisation by themselves."""

    OWNER = "owner"
    DOMAIN = "domain"


class Open(StrEnum):
    """To whom something is open."""

    ANYBODY = "anybody"
    LISTED = "listed"
    NOBODY = "nobody"


@app.command("apply")
def apply(
    organisation: Organisation,
    name: Annotated[
        str | None, typer.Option("--name", help="For people. Default: as it is, or the id.")
    ] = None,
    owners: Annotated[
        list[str] | None,
        typer.Option(
            "--owner", help="An account that may change it; several times.", metavar="CLIENT"
        ),
    ] = None,
    joining: Annotated[
        Joins | None,
        typer.Option(
            "--joining",
            help="Whether people with an address at its domains join: owner or domain.",
            metavar="WHO",
        ),
    ] = None,
    guests: Annotated[
        Open | None,
        typer.Option(
            "--guests",
            help="Who else may be in its groups: anybody, listed or nobody.",
            metavar="WHO",
        ),
    ] = None,
    guests_of: Annotated[
        list[str] | None,
        typer.Option(
            "--guests-of", help="An organisation that is listed; several times.", metavar="ID"
        ),
    ] = None,
    visits: Annotated[
        Open | None,
        typer.Option(
            "--visits", help="In whose groups its members may be, likewise.", metavar="WHO"
        ),
    ] = None,
    visits_to: Annotated[
        list[str] | None,
        typer.Option(
            "--visits-to", help="An organisation that is listed; several times.", metavar="ID"
        ),
    ] = None,
    two_factors: Annotated[
        bool | None,
        typer.Option("--two-factors/--no-two-factors", help="Members have to show two factors."),
    ] = None,
    single_sign_on: Annotated[
        bool | None,
        typer.Option("--single-sign-on/--no-single-sign-on", help="Members have to sign on by it."),
    ] = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Makes an organisation, or changes what is named of one that is there. An owner has to be a
    member as well: see `member`."""
    from console.cli.calls.organisations import OrganisationCalls
    from console.cli.views.organisations import organisation_document, organisations_table
    from homeport.api.directory.v1 import organisation_pb2 as pb
    from homeport.errors import NotFound

    with OrganisationCalls(target_of(server, tenant, token, profile, ca)) as service:
        try:
            wanted = service.get(organisation)
        except NotFound:
            wanted = pb.Organisation(organisation=organisation, name=organisation)
        policy = wanted.policy
        if name is not None:
            wanted.name = name
        if joining is not None:
            policy.joining = pb.Joining.Value(f"JOINING_{joining.name}")
        if guests is not None:
            policy.guests = pb.Openness.Value(f"OPENNESS_{guests.name}")
        if visits is not None:
            policy.visits = pb.Openness.Value(f"OPENNESS_{visits.name}")
        if two_factors is not None:
            policy.two_factors = two_factors
        if single_sign_on is not None:
            policy.single_sign_on = single_sign_on
        for given, field in (
            (owners, wanted.owners), (guests_of, policy.guests_of), (visits_to, policy.visits_to),
        ):  # fmt: skip
            if given:
                del field[:]
                field.extend(given)
        document = organisation_document(service.apply(wanted))
    show(document, output, lambda: organisations_table([document]))


@app.command("show")
def show_organisation(
    organisation: Organisation,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows an organisation and its policy."""
    from console.cli.calls.organisations import OrganisationCalls
    from console.cli.views.organisations import organisation_document, organisations_table

    with OrganisationCalls(target_of(server, tenant, token, profile, ca)) as service:
        document = organisation_document(service.get(organisation))
    show(document, output, lambda: organisations_table([document]))


@app.command("list")
def list_organisations(
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists the tenant's organisations."""
    from console.cli.calls.organisations import OrganisationCalls
    from console.cli.views.organisations import organisation_document, organisations_table

    with OrganisationCalls(target_of(server, tenant, token, profile, ca)) as service:
        documents = [organisation_document(one) for one in service.all()]
    show({"organisations": documents}, output, lambda: organisations_table(documents))


@app.command("member")
def member(
    organisation: Organisation,
    account: Account,
    suspended: Annotated[
        bool, typer.Option("--suspended", help="It is invited to nothing, and owns nothing.")
    ] = False,
    two_factors: Annotated[
        bool, typer.Option("--two-factors", help="It has shown two factors.")
    ] = False,
    single_sign_on: Annotated[
        bool, typer.Option("--single-sign-on", help="It has signed on by it.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="It is a member no more.")] = False,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Makes an account a member, says what it has shown, or lets it go."""
    from console.cli.calls.organisations import OrganisationCalls
    from homeport.api.directory.v1 import organisation_pb2 as pb

    with OrganisationCalls(target_of(server, tenant, token, profile, ca)) as service:
        if remove:
            removed = service.remove_member(organisation, account)
            if not removed:
                raise nothing_removed(f"{account} is no member of {organisation}")
            said = f"{account} is a member no more"
            show({"account": account, "removed": True}, output, lambda: escape(said))
            return
        found = service.set_member(
            pb.Member(
                account=account,
                organisation=organisation,
                active=not suspended,
                single_sign_on=single_sign_on,
                two_factors=two_factors,
            )
        )
    document = {
        "account": account, "organisation": found.organisation, "active": found.active,
        "single_sign_on": found.single_sign_on, "two_factors": found.two_factors,
    }  # fmt: skip
    said = f"{account} is a member of {organisation}" + ("" if found.active else ", suspended")
    show(document, output, lambda: escape(said))


@app.command("group")
def group(
    organisation: Organisation,
    name: Annotated[str, typer.Argument(help="The group's id.", metavar="GROUP")],
    guests: Annotated[
        bool, typer.Option("--guests/--no-guests", help="Whether accounts of others may be in it.")
    ] = True,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Makes a group that people are invited to, or changes it."""
    from console.cli.calls.organisations import OrganisationCalls

    with OrganisationCalls(target_of(server, tenant, token, profile, ca)) as service:
        found = service.apply_group(organisation, name, guests=guests)
    document = {
        "organisation": organisation, "group": name, "guests": found.guests,
        "revision": found.revision,
    }  # fmt: skip
    said = f"group {name} of {organisation}, " + ("with guests" if guests else "without guests")
    show(document, output, lambda: escape(said))
