"""`homeport provision`, `get`, `release` and `explain`: one client at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.failure import nothing_removed
from console.cli.markup import escape
from console.cli.options import (
    Address,
    At,
    Ca,
    ClientAttributes,
    ClientId,
    Output,
    Profile,
    Server,
    Tenant,
    Timeout,
    Token,
    target_of,
)
from console.cli.output import Format, busy, note, show

# Less than a server's "try again in 5 s" when its units are full: whoever types a command wants
# to hear that at once. (A bulk run is more patient; its deadline is for each batch.)
ANSWER_WITHIN_S = 4.0
ROUNDS = 5  # over the servers; a typed command is not left waiting for one to come up

if TYPE_CHECKING:
    from console.cli.profile import Target
    from homeport import Client


def provision(
    client: ClientId,
    ip: Address = None,
    at: At = None,
    attribute: ClientAttributes = None,
    enrolment_token: Annotated[
        str | None,
        typer.Option(
            help="What a new client shows to be let in, in place of --token; better given by "
            "the environment.",
            envvar="HOMEPORT_ENROLMENT_TOKEN",
        ),
    ] = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    timeout: Timeout = None,
    output: Output = Format.TABLE,
) -> None:
    """Gives a client its home, or shows the one it has.

    Without --ip and --at the client is where this command runs. What --attribute tells is kept
    for the tenant's policy (gateways and operators). The client's key, by which
    `get`, `watch`, `release` and `explain` prove to be for it, is kept per profile.

    Where units within the cap in latency of the client's policy are full, and the cap relaxes for
    who waits, it waits for that, and says so; --timeout bounds it.
    """
    import time

    from console.cli.calls.room_wait import with_room
    from console.cli.input.client_attributes import parse_attributes
    from console.cli.input.client_location import parse_location
    from console.cli.views.homes import assignment_table, document_of

    address, position = parse_location(ip, at)
    told = parse_attributes(attribute)
    target = target_of(server, tenant, token, profile, ca)
    connected = connect(target, enrolment=enrolment_token, timeout_s=timeout, wait_for_room=False)
    with connected as service, busy("provisioning"):
        assignment = with_room(
            lambda within_s: service.provision(
                client, address=address, position=position, attributes=told, timeout_s=within_s
            ),
            timeout_s=timeout,
            answer_within_s=ANSWER_WITHIN_S,
            clock=time.monotonic,
            sleep=time.sleep,
            say=lambda words: note(escape(f"{client}: {words}")),
        )
    show(document_of(assignment), output, lambda: assignment_table(assignment))


def get(
    client: ClientId,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    timeout: Timeout = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows the home a client has, how it came to it, and a fresh ticket."""
    from console.cli.views.homes import assignment_table, found_document

    target = target_of(server, tenant, token, profile, ca)
    with connect(target, timeout_s=timeout) as service, busy("looking"):
        assignment = service.get(client)
    show(found_document(assignment), output, lambda: assignment_table(assignment))


def release(
    client: ClientId,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    timeout: Timeout = None,
    output: Output = Format.TABLE,
) -> None:
    """Ends a client's assignment and gives its place back."""
    from rich.text import Text

    target = target_of(server, tenant, token, profile, ca)
    with connect(target, timeout_s=timeout) as service, busy("releasing"):
        released = service.release(client)
    if not released:
        raise nothing_removed(f"{client} has no assignment")
    show({"client_id": client, "released": True}, output, lambda: Text(f"{client} is released"))


def explain(
    client: ClientId,
    ip: Address = None,
    at: At = None,
    attribute: ClientAttributes = None,
    waited: Annotated[
        str | None,
        typer.Option(
            help="As if it had waited so long for room within a cap in latency.",
            metavar="DURATION",
        ),
    ] = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    timeout: Timeout = None,
    output: Output = Format.TABLE,
) -> None:
    """Says how a client came to its home, and where it would go now, and why.

    Shows every unit with the reason it was taken or passed over. Changes nothing. Without --ip
    and --at, a client that has a home is where its record says that it was, and has the attributes
    that its record keeps; --attribute asks as if others were told, --waited as if it had waited.
    """
    from console.cli.failure import CommandFailed, ExitCode
    from console.cli.input.client_attributes import parse_attributes
    from console.cli.input.client_location import parse_location
    from console.cli.input.durations import duration_s
    from console.cli.views.homes import explanation_document, explanation_view

    address, position = parse_location(ip, at)
    told = parse_attributes(attribute)
    target = target_of(server, tenant, token, profile, ca)
    try:
        waited_s = None if waited is None else duration_s(waited)
    except ValueError as error:
        raise CommandFailed(f"--waited: {error}", ExitCode.USAGE) from error
    with connect(target, timeout_s=timeout) as service, busy("asking"):
        explanation = service.explain(
            client, address=address, position=position, attributes=told, waited_s=waited_s
        )
    show(
        explanation_document(client, explanation),
        output,
        lambda: explanation_view(client, explanation),
    )


@contextmanager
def connect(
    target: Target,
    *,
    enrolment: str | None = None,
    timeout_s: float | None = None,
    wait_for_room: bool = True,
) -> Iterator[Client]:
    """The client library, without its cache: an operator wants to know what is true now. The
    keys of clients are kept, so that the next command can prove to be for the same ones.
    enrolment: what a new client shows, in place of the token; timeout_s: how long a call goes on
    trying; None: not for long, and not often; wait_for_room: whether the library does."""
    from console.cli.calls.tls_mismatch import explaining_tls
    from console.cli.failure import CommandFailed, ExitCode
    from homeport import Client, RetryPolicy

    try:
        client = Client(
            target.servers,
            tenant=target.tenant,
            token=None if enrolment else target.token or None,
            enrolment=enrolment or None,
            key_dir=target.keys,
            timeout_s=ANSWER_WITHIN_S if timeout_s is None else timeout_s,
            retry=RetryPolicy(
                max_rounds=ROUNDS if timeout_s is None else None, wait_for_room=wait_for_room
            ),
            tls=target.tls() or False,
        )
    except ValueError as error:  # a token that no header can hold
        raise CommandFailed(str(error), ExitCode.USAGE) from error
    with explaining_tls(target), client:
        yield client
