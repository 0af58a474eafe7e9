"""`homeport apps address`: the account at which an application is written to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.failure import nothing_removed
from console.cli.markup import escape
from console.cli.options import (
    Ca,
    DataServer,
    Output,
    Profile,
    Tenant,
    Token,
    data_target_of,
    target_of,
)
from console.cli.output import Format, busy, show

if TYPE_CHECKING:
    from console.cli.profile import Target

NameArgument = Annotated[str, typer.Argument(help="The application's name.", metavar="NAME")]


def address(
    name: NameArgument,
    account: Annotated[
        str | None,
        typer.Option(
            "--account", help="Its account: a client's id. Default: its name.", metavar="CLIENT"
        ),
    ] = None,
    handle: Annotated[
        str | None,
        typer.Option(
            "--handle",
            help="Gives the account a home, and this handle, as well.",
            metavar="HANDLE",
        ),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Nothing is sent to it any more; the account stays.")
    ] = False,
    provisioner: Annotated[
        str | None,
        typer.Option(
            "--provisioner",
            help="The provisioning service, for --handle. Default: server of the profile.",
            metavar="HOST:PORT",
            rich_help_panel="Service",
        ),
    ] = None,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Says at which account an application is written to.

    What is sent to that account goes to the application, and its replies come from there.
    """
    from console.cli.calls.data_sharing import DataSharingCalls

    if remove and (account is not None or handle is not None):
        raise typer.BadParameter("takes no --account and no --handle", param_hint="--remove")
    wanted = "" if remove else account or name
    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        service.get_application(target.tenant, name, "")  # before anything is made for it
        shown = ""
        if handle is not None:
            shown = _home(target_of(provisioner, tenant, token, profile, ca), wanted, handle)
        there = not remove or any(
            one.application == name for one in service.addresses(target.tenant)
        )
        service.address_application(target.tenant, name, wanted)
    if not there:
        raise nothing_removed(f"{name} has no address")
    document = {"application": name, "account": wanted or None, "handle": shown or None}
    said = f"{name} is written to at {f'@{shown}, ' if shown else ''}the account {wanted}"
    show(document, output, lambda: escape(said if wanted else f"{name} has no address any more"))


def _home(target: Target, account: str, handle: str) -> str:
    """Gives the account its home and the handle; in normal form."""
    from console.cli.calls.directory import DirectoryCalls
    from console.cli.commands.clients import connect

    with connect(target) as service, busy("provisioning"):
        service.provision(account)
    with DirectoryCalls(target) as directory:
        return str(directory.claim_handle(account, handle, rename=False).handle)
