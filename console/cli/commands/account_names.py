"""`homeport accounts prove`, `confirm`, `claim`, `release`, `offer` and `accept`: what an account
does about its own names, at its unit and with its ticket. What operators do for any account are
`homeport handles` and `homeport identifiers`."""

from __future__ import annotations

import typer

from console.cli.commands.accounts import account_calls, show_settings
from console.cli.failure import ExitCode, nothing_removed
from console.cli.markup import escape
from console.cli.name_options import Code, Findable, Handle, Offered, OfferedTo, Rename, Uri
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
from console.cli.output import Format, note, show

SEND_S = 30.0  # a code is handed to a relay within the call


def prove(
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
    """Adds an identifier, and has a code sent to it, for `confirm`."""
    from console.cli.views.times import time_text
    from homeport.api.communication.v1 import profile_pb2 as pb

    request = pb.BeginProofRequest(uri=uri, request_id=request_id or "")
    with account_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        begun = calls.name("BeginProof", request, SEND_S)
    document = {
        "channel": begun.channel,
        "expires_at": begun.expire_time.seconds,
        "tries_left": begun.tries_left,
    }
    until = time_text(begun.expire_time.seconds * 1_000)
    said = (
        f"a code is on its way by {begun.channel}, good until {until}; it can be tried "
        f"{begun.tries_left} times today"
    )
    show(document, output, lambda: escape(said))
    if output is Format.TABLE:
        note("with the code: homeport accounts confirm CLIENT URI CODE")


def confirm(
    client: ClientId,
    uri: Uri,
    code: Code,
    findable: Findable = False,
    request_id: RequestId = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Proves an identifier with the code that was sent to it. Exits with 4 where another account
    has it and may keep it."""
    from console.cli.views.times import time_text
    from homeport.api.communication.v1 import profile_pb2 as pb

    request = pb.ConfirmIdentifierRequest(
        uri=uri, code=code, findable=findable, request_id=request_id or ""
    )
    with account_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        proved = calls.name("ConfirmIdentifier", request)
    show_settings(proved.settings, output)
    if proved.HasField("contest_end_time"):
        until = time_text(proved.contest_end_time.seconds * 1_000)
        note(f"another account has it, and until {until} to prove it again")
        raise typer.Exit(ExitCode.REFUSED)


def claim(
    client: ClientId,
    handle: Handle,
    rename: Rename = False,
    request_id: RequestId = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Takes a handle. Nothing changes where the account has it already."""
    from homeport.api.communication.v1 import profile_pb2 as pb

    request = pb.ClaimHandleRequest(handle=handle, rename=rename, request_id=request_id or "")
    with account_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        show_settings(calls.name("ClaimHandle", request).settings, output)


def release(
    client: ClientId,
    handle: Handle,
    request_id: RequestId = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Gives a handle back. For 90 days nobody else may have it."""
    from homeport.api.communication.v1 import profile_pb2 as pb

    request = pb.ReleaseHandleRequest(handle=handle, request_id=request_id or "")
    with account_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        done = calls.name("ReleaseHandle", request)
        if not done.released:
            raise nothing_removed(f"{client} does not have {handle}")
        show_settings(done.settings, output)


def offer(
    client: ClientId,
    handle: Handle,
    to: OfferedTo,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Makes an offer of the account's handle to another account, good for seven days."""
    from console.cli.views.times import time_text
    from homeport.api.communication.v1 import profile_pb2 as pb

    request = pb.OfferHandleRequest(handle=handle, to_account=to)
    with account_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        offered = calls.name("OfferHandle", request)
    document = {"offer": offered.offer, "expires_at": offered.expire_time.seconds}
    if output is Format.TABLE:
        note(f"{to} may accept this until {time_text(offered.expire_time.seconds * 1_000)}:")
    show(document, output, lambda: escape(offered.offer))


def accept(
    client: ClientId,
    offered: Offered,
    rename: Rename = False,
    request_id: RequestId = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Takes a handle that the account was offered."""
    from homeport.api.communication.v1 import profile_pb2 as pb

    request = pb.AcceptHandleRequest(offer=offered, rename=rename, request_id=request_id or "")
    with account_calls(target_of(server, tenant, token, profile, ca), client) as calls:
        show_settings(calls.name("AcceptHandle", request).settings, output)


def add_to(app: typer.Typer) -> None:
    """As commands beside the others of an account."""
    for name, command in (
        ("prove", prove), ("confirm", confirm), ("claim", claim), ("release", release),
        ("offer", offer), ("accept", accept),
    ):  # fmt: skip
        app.command(name)(command)
