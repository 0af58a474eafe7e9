"""`homeport push`: where notices of an account's messages are sent, by services that its unit's
operator lets. Each command acts for the client, with its ticket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from console.cli.commands.at_home import calls_at_home
from console.cli.failure import nothing_removed
from console.cli.name_options import Code
from console.cli.options import Ca, ClientId, Output, Profile, Server, Tenant, Token, target_of
from console.cli.output import Format, show

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from console.cli.calls.push import PushCalls
    from console.cli.profile import Target

app = typer.Typer(
    help="Push: where notices are sent when no client has a message.", no_args_is_help=True
)

MOST_BYTES = 4_096  # of a file with an address
AddressId: TypeAlias = Annotated[str, typer.Argument(help="As the list has it.", metavar="ID")]


@app.command("list")
def list_addresses(
    client: ClientId,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists an account's push addresses, without what of them is secret."""
    with push_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        _show_all(calls, output)


@app.command("add")
def add_address(
    client: ClientId,
    file: Annotated[
        Path,
        typer.Argument(
            help="Holds the address and nothing else: ntfys://ntfy.talk.example/TOPIC. It is as "
            "good as a password, and so is not written on the command line.",
            metavar="FILE|-",
        ),
    ],
    label: Annotated[
        str, typer.Option("--label", help="Its owner's word for it.", metavar="LABEL")
    ] = "",
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Adds a push address, and has a code sent to it. A repeat sends another code."""
    from console.cli.input.text_file import read_text
    from console.cli.views.push import added_document, added_view

    address = read_text(file, most_bytes=MOST_BYTES).strip()
    with push_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        document = added_document(calls.add(address, label))
    show(document, output, lambda: added_view(document))


@app.command("confirm")
def confirm_address(
    client: ClientId,
    address_id: AddressId,
    code: Code,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Proves a push address with the code that was sent to it; notices go there from then on."""
    with push_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        calls.confirm(address_id, code)
        _show_all(calls, output)


@app.command("remove")
def remove_address(
    client: ClientId,
    address_id: AddressId,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Removes a push address."""
    with push_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        there = any(one.id == address_id for one in calls.addresses())
        calls.remove(address_id)
        if not there:
            raise nothing_removed(f"{client} has no push address {address_id}")
        _show_all(calls, output)


def push_calls(target: Target, client: str) -> AbstractContextManager[PushCalls]:
    """Calls for the client's account, at its home."""
    from console.cli.calls.push import PushCalls

    return calls_at_home(PushCalls, target, client)


def _show_all(calls: PushCalls, output: Format) -> None:
    from console.cli.views.push import addresses_document, addresses_view

    document = addresses_document(calls.addresses())
    show(document, output, lambda: addresses_view(document))
