"""`homeport accounts`: what the unit of a client keeps as its account: by what it is known, who
sees it, how it is reached. Each command acts for the client, with its ticket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from console.cli.commands.at_home import calls_at_home
from console.cli.failure import ExitCode, nothing_removed
from console.cli.name_options import Uri
from console.cli.options import (
    Ca,
    ClientId,
    Output,
    Profile,
    RequestId,
    Server,
    Tenant,
    Token,
    target_of,
)
from console.cli.output import Format, show

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from console.cli.calls.accounts import AccountCalls
    from console.cli.profile import Target

app = typer.Typer(
    help="Accounts: by what a client is known, who sees it, how it is reached.",
    no_args_is_help=True,
)

Viewer: TypeAlias = Annotated[
    str | None, typer.Option("--as", help="As this account sees it.", metavar="ACCOUNT")
]
AsStranger: TypeAlias = Annotated[
    bool, typer.Option("--as-stranger", help="As nobody in particular sees it.")
]
To: TypeAlias = Annotated[
    list[str],
    typer.Option(
        "--to",
        help="everyone, contacts, nobody or account:ID; may be repeated.",
        metavar="AUDIENCE",
    ),
]
ModeArgument: TypeAlias = Annotated[
    str, typer.Argument(help="in-app, mail, text or telephone.", metavar="MODE")
]
Prefer: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--prefer", help="A mode, the best first; may be repeated.", metavar="MODE"),
]


@app.command("show")
def show_profile(
    client: ClientId,
    viewer: Viewer = None,
    as_stranger: AsStranger = False,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows an account as its owner sees it, or somebody else does; with -o json, the vCard too."""
    from console.cli.views.accounts import profile_document, profile_view
    from homeport.api.communication.v1 import profile_pb2 as pb

    request = pb.GetProfileRequest(viewer=viewer or "", as_stranger=as_stranger)
    with account_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        document = profile_document(calls.profile(request))
    show(document, output, lambda: profile_view(document))


@app.command("reach")
def reach(
    client: ClientId,
    by: Annotated[
        str | None, typer.Option("--by", help="The mode that is asked for.", metavar="MODE")
    ] = None,
    prefer: Prefer = None,
    viewer: Viewer = None,
    as_stranger: AsStranger = False,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Says by which mode somebody reaches an account, and why. Exits with 4 where by none."""
    from console.cli.views.accounts import reach_document, reach_view
    from homeport.api.communication.v1 import profile_pb2 as pb

    request = pb.ReachRequest(
        asked=pb.MODE_UNSPECIFIED if by is None else _mode(by, "--by"),
        preferred=[_mode(one, "--prefer") for one in prefer or []],
        viewer=viewer or "",
        as_stranger=as_stranger,
    )
    with account_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        document = reach_document(calls.reach(request))
    show(document, output, lambda: reach_view(document))
    if document["mode"] is None:
        raise typer.Exit(ExitCode.REFUSED)


@app.command("settings")
def settings(
    client: ClientId,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows everything that an account says of itself, and to whom."""
    with account_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        show_settings(calls.settings(), output)


@app.command("set")
def set_profile(
    client: ClientId,
    name: Annotated[
        str | None, typer.Option("--name", help="What people call it.", metavar="NAME")
    ] = None,
    prefer: Prefer = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Sets the name of an account, and the modes by which its owner prefers to be reached."""
    from homeport.api.communication.v1 import profile_pb2 as pb

    if name is None and prefer is None:
        raise typer.BadParameter("set what? --name, --prefer", param_hint="--name")
    request = pb.UpdateProfileRequest(name=name)
    if prefer is not None:
        request.preferred.modes.extend(_mode(one, "--prefer") for one in prefer)
    with account_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        show_settings(calls.change("UpdateProfile", request), output)


@app.command("add")
def add_identifier(
    client: ClientId,
    uri: Uri,
    label: Annotated[
        str | None,
        typer.Option("--label", help="The owner's word for it, such as work.", metavar="LABEL"),
    ] = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Adds an identifier, which nobody else sees yet, or gives it another label."""
    from homeport.api.communication.v1 import profile_pb2 as pb

    request = pb.AddIdentifierRequest(uri=uri, label=label or "")
    with account_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        show_settings(calls.change("AddIdentifier", request), output)


@app.command("remove")
def remove_identifier(
    client: ClientId,
    uri: Uri,
    request_id: RequestId = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Removes an identifier, and who may see it. One that was proved is given up: whoever can read
    a code there may have it then."""
    from homeport.api.communication.v1 import profile_pb2 as pb

    request = pb.RemoveIdentifierRequest(uri=uri, request_id=request_id or "")
    with account_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        # Under an id it may be a repeat.
        before = calls.settings() if request_id is None else None
        after = calls.change("RemoveIdentifier", request)
        if after == before:
            raise nothing_removed(f"{client} has no identifier {uri}")
        show_settings(after, output)


@app.command("disclose")
def disclose(
    client: ClientId,
    uri: Uri,
    to: To,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Sets who sees an identifier, instead of who did before."""
    from console.cli.input.audiences import audience_of
    from homeport.api.communication.v1 import profile_pb2 as pb

    request = pb.SetDisclosureRequest(uri=uri, audience=audience_of(to))
    with account_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        show_settings(calls.change("SetDisclosure", request), output)


@app.command("open")
def open_mode(
    client: ClientId,
    mode: ModeArgument,
    to: To,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Sets who may reach an account by a mode, instead of who might before."""
    from console.cli.input.audiences import audience_of
    from homeport.api.communication.v1 import profile_pb2 as pb

    request = pb.SetReachabilityRequest(mode=_mode(mode, "MODE"), audience=audience_of(to))
    with account_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        show_settings(calls.change("SetReachability", request), output)


@app.command("contacts")
def contacts(
    client: ClientId,
    add: Annotated[
        list[str] | None,
        typer.Option("--add", help="An account to know; may be repeated.", metavar="ACCOUNT"),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option("--remove", help="One to know no more; may be repeated.", metavar="ACCOUNT"),
    ] = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists whom an account knows, after what is to be changed."""
    from console.cli.views.accounts import contacts_view

    with account_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        known = set(calls.contacts()) if remove and not add else set()
        if add or remove:
            calls.change_contacts(add or [], remove or [])
        found = calls.contacts()
    if remove and not add and known.isdisjoint(remove):
        raise nothing_removed(f"{client} does not know {', '.join(remove)}")
    show({"contacts": found}, output, lambda: contacts_view(found))


def account_calls(target: Target, client: str) -> AbstractContextManager[AccountCalls]:
    """Calls for the client's account, at its home."""
    from console.cli.calls.accounts import AccountCalls

    return calls_at_home(AccountCalls, target, client)


def show_settings(found: Any, output: Format) -> None:
    from console.cli.views.accounts import settings_document, settings_view

    document = settings_document(found)
    show(document, output, lambda: settings_view(document))


def _mode(word: str, option: str) -> Any:
    """Raises typer.BadParameter."""
    from console.cli.input.audiences import MODES, ModeName
    from control_plane.printable import quoted

    try:
        return MODES[ModeName(word)]
    except ValueError:
        why = f"{quoted(word)} is no mode; use in-app, mail, text or telephone"
        raise typer.BadParameter(why, param_hint=option) from None
