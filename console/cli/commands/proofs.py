"""`homeport identifiers add`, `confirm`, `remove` and `list`: which addresses and numbers accounts
have in the directory. What is added is proved, by a code that is sent there."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from console.cli.failure import ExitCode, nothing_removed
from console.cli.markup import escape
from console.cli.name_options import Account, Code, Findable
from console.cli.options import (
    Ca,
    Output,
    Profile,
    RequestId,
    Server,
    Tenant,
    Token,
    target_of,
)
from console.cli.output import Format, note, show

Name: TypeAlias = Annotated[
    str,
    typer.Argument(
        help="mailto:…, tel:+…, sip:… or xmpp:…, or an address or number as people write it.",
        metavar="NAME",
    ),
]


def add(
    name: Name,
    account: Account,
    request_id: RequestId = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Sends a code to an address or number, for `confirm`. Until then the account has nothing."""
    from console.cli.calls.directory import DirectoryCalls
    from console.cli.views.times import time_text

    with DirectoryCalls(target_of(server, tenant, token, profile, ca)) as service:
        begun = service.begin_proof(account, name, request_id=request_id or "")
    document = {
        "account": account,
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
        note("with the code: homeport identifiers confirm NAME CODE --account CLIENT")


def confirm(
    name: Name,
    code: Code,
    account: Account,
    findable: Findable = False,
    request_id: RequestId = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Has an account take an address or number, with the code that was sent there. Exits with 4
    where another account has it and may keep it."""
    from console.cli.calls.directory import DirectoryCalls
    from console.cli.views.times import time_text

    with DirectoryCalls(target_of(server, tenant, token, profile, ca)) as service:
        proved = service.finish_proof(
            account, name, code, findable=findable, request_id=request_id or ""
        )
    contested = proved.HasField("contest_end_time")
    document = {
        "account": account,
        "kind": proved.kind,
        "digest": proved.digest,
        "held": not contested,
        "contest_ends_at": proved.contest_end_time.seconds if contested else None,
        "revision": proved.revision,
    }
    if contested:
        until = time_text(proved.contest_end_time.seconds * 1_000)
        said = (
            f"another account has it, and until {until} to prove it again; after that, add and "
            f"confirm it once more, and it is {account}'s"
        )
    else:
        said = f"it is {account}'s: {proved.kind} {proved.digest}"
    show(document, output, lambda: escape(said))
    if contested:
        raise typer.Exit(ExitCode.REFUSED)


def remove(
    name: Name,
    account: Account,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Has an account give an address or number up. Whoever can read a code there may have it
    then."""
    from console.cli.calls.directory import DirectoryCalls

    with DirectoryCalls(target_of(server, tenant, token, profile, ca)) as service:
        released = service.release_identifier(account, name)
    if not released:
        raise nothing_removed(f"{account} does not have {name}")
    said = f"{account} has given it up"
    show({"account": account, "released": True}, output, lambda: escape(said))


def list_identifiers(
    account: Account,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows what an account has: handles, and digests of its addresses and numbers, whose texts
    the directory does not keep."""
    from console.cli.calls.directory import DirectoryCalls
    from console.cli.views.directory import account_document, account_view

    with DirectoryCalls(target_of(server, tenant, token, profile, ca)) as service:
        found = service.account(account)
    show(account_document(found), output, lambda: account_view(found))
