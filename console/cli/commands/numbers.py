"""`homeport numbers`: the telephone numbers of a tenant, which operators add and assign."""

from __future__ import annotations

from typing import Annotated

import typer

from console.cli.failure import nothing_removed
from console.cli.options import Ca, ClientId, Output, Profile, Server, Tenant, Token, target_of
from console.cli.output import Format, note, show

app = typer.Typer(
    help="Telephone numbers: pools, and which account is shown as which.", no_args_is_help=True
)

Pool = Annotated[str, typer.Argument(help="The pool.", metavar="POOL")]
Number = Annotated[str, typer.Argument(help="As +442079460001.", metavar="NUMBER")]


@app.command("add")
def add(
    pool: Pool,
    numbers: Annotated[
        list[str], typer.Argument(help="As +442079460001.", metavar="NUMBER…", show_default=False)
    ],
    technical: Annotated[
        bool,
        typer.Option("--technical", help="They stand for contacts, towards every account."),
    ] = False,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Adds numbers to a pool: virtual ones, which are assigned, or technical ones."""
    from console.cli.calls.numbers import NumberCalls
    from console.cli.views.telephone_numbers import added_view
    from homeport.api.directory.v1 import number_pb2 as pb

    kind = pb.NUMBER_KIND_TECHNICAL if technical else pb.NUMBER_KIND_VIRTUAL
    with NumberCalls(target_of(server, tenant, token, profile, ca)) as service:
        added = service.add(pool, kind, numbers)
    document = {"added": added, "there": len(numbers) - added}
    show(document, output, lambda: added_view(document))


@app.command("assign")
def assign(
    client: ClientId,
    pool: Pool,
    number: Annotated[
        str, typer.Option("--number", help="This one; else any.", metavar="NUMBER")
    ] = "",
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Gives an account a virtual number of a pool, by which others see and reach it."""
    from console.cli.calls.numbers import NumberCalls
    from console.cli.views.telephone_numbers import number_document, numbers_table

    with NumberCalls(target_of(server, tenant, token, profile, ca)) as service:
        document = number_document(service.assign(client, pool, number))
    show(document, output, lambda: numbers_table([document]))


@app.command("release")
def release(
    number: Number,
    remove: Annotated[
        bool, typer.Option("--remove", help="Takes one that is nobody's out of its pool.")
    ] = False,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Takes a number from its account; for 90 days it is nobody else's."""
    from console.cli.calls.numbers import NumberCalls
    from console.cli.views.telephone_numbers import released_view

    with NumberCalls(target_of(server, tenant, token, profile, ca)) as service:
        released: bool | None = service.release(number, remove=remove)
        repeated = service.repeated
    if not released:
        so = f"{number} is nobody's" if not remove else f"there is no {number}"
        if not repeated:
            raise nothing_removed(so)
        released = None
        note(f"{so}; a server that did not answer may have done that just now, or it was so before")
    document = {"number": number, "released": released}
    show(document, output, lambda: released_view(document))


@app.command("list")
def list_numbers(
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists the numbers of a tenant."""
    from console.cli.calls.numbers import NumberCalls
    from console.cli.views.telephone_numbers import number_document, numbers_table

    with NumberCalls(target_of(server, tenant, token, profile, ca)) as service:
        documents = [number_document(one) for one in service.all()]
    show(documents, output, lambda: numbers_table(documents))
