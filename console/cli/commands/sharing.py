"""`homeport sharing`: who may read which fields of feeds, and the consent of users."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.cli.markup import escape
from console.cli.options import (
    Ca,
    DataServer,
    NamedFile,
    Output,
    Profile,
    Tenant,
    Token,
    data_target_of,
    one_file,
)
from console.cli.output import Format, show

app = typer.Typer(
    help="Sharing: who may read which fields of feeds, and users' consent.", no_args_is_help=True
)

Subject = Annotated[
    str, typer.Argument(help="The user, as the policy's `subject` names one.", metavar="SUBJECT")
]


@app.command("apply")
def apply(
    file: Annotated[
        Path | None,
        typer.Argument(help="Policies of feeds, YAML or JSON; - reads stdin.", metavar="FILE|-"),
    ] = None,
    named: NamedFile = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check it, and change nothing.")
    ] = False,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Puts policies of feeds in force from the next event on: all of them or none.

    A feed that has one is closed to whom it grants nothing, rules and operators included.
    """
    from console.cli.calls.sharing import SharingCalls
    from console.cli.input.text_file import read_text
    from console.cli.views.sharing import policies_table, policy_document

    text = read_text(one_file(file, named))
    target = data_target_of(server, tenant, token, profile, ca)
    with SharingCalls(target) as service:
        found = service.apply(target.tenant, text, dry_run=dry_run)
    document = {"dry_run": dry_run, "policies": [policy_document(one) for one in found]}
    show(document, output, lambda: policies_table(found))


@app.command("show")
def show_policies(
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows the policies that are in force."""
    from console.cli.calls.sharing import SharingCalls
    from console.cli.views.sharing import policies_table, policy_document

    target = data_target_of(server, tenant, token, profile, ca)
    with SharingCalls(target) as service:
        found = service.policies(target.tenant)
    show(
        {"policies": [policy_document(one) for one in found]},
        output,
        lambda: policies_table(found),
    )


@app.command("remove")
def remove(
    feed: Annotated[str, typer.Argument(help="A CloudEvents type.", metavar="FEED")],
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Takes the policy of a feed away: it is as open as its producer's manifest makes it."""
    from console.cli.calls.sharing import SharingCalls
    from console.cli.views.sharing import policy_document

    target = data_target_of(server, tenant, token, profile, ca)
    with SharingCalls(target) as service:
        found = service.remove(target.tenant, feed)
    show(policy_document(found), output, lambda: escape(f"{feed} has no sharing policy any more"))


@app.command("consent")
def consent(
    subject: Subject,
    purpose: Annotated[str, typer.Option(help="What for.", metavar="TEXT")],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="The application that may read. Default: the tenant.",
            metavar="APPLICATION",
        ),
    ] = "",
    feed: Annotated[str, typer.Option(help="Of this feed alone.", metavar="FEED")] = "",
    fields: Annotated[
        list[str] | None,
        typer.Option(
            "--field", help="This field alone; repeatable. Default: all granted.", metavar="FIELD"
        ),
    ] = None,
    evidence: Annotated[str, typer.Option(help="How it was given.", metavar="TEXT")] = "",
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Records that a user consents, from the next event on."""
    from console.cli.calls.sharing import SharingCalls
    from console.cli.views.sharing import consent_document, consents_table
    from homeport.api.datasharing.v1 import sharing_pb2 as pb

    target = data_target_of(server, tenant, token, profile, ca)
    request = pb.GiveConsentRequest(
        tenant=target.tenant, subject=subject, application=to, purpose=purpose, feed=feed,
        fields=fields or [], evidence=evidence,
    )  # fmt: skip
    with SharingCalls(target) as service:
        given = service.give(request)
    show(consent_document(given), output, lambda: consents_table([given]))


@app.command("withdraw")
def withdraw(
    subject: Subject,
    consent_id: Annotated[str, typer.Argument(help="The consent's id.", metavar="CONSENT")],
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Withdraws a consent: nothing is shown by it from the next event on.

    What rules and forecasts remember of the user by it is deleted.
    """
    from console.cli.calls.sharing import SharingCalls
    from console.cli.views.sharing import consent_document, consents_table

    target = data_target_of(server, tenant, token, profile, ca)
    with SharingCalls(target) as service:
        found = service.withdraw(target.tenant, subject, consent_id)
    show(consent_document(found), output, lambda: consents_table([found]))


@app.command("consents")
def consents(
    subject: Annotated[
        str, typer.Option(help="Of this user. Default: of all.", metavar="SUBJECT")
    ] = "",
    withdrawn: Annotated[bool, typer.Option("--withdrawn", help="Also those that are.")] = False,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists consents, newest first."""
    from console.cli.calls.sharing import SharingCalls
    from console.cli.views.sharing import consent_document, consents_table

    target = data_target_of(server, tenant, token, profile, ca)
    with SharingCalls(target) as service:
        found = service.consents(target.tenant, subject, withdrawn=withdrawn)
    show(
        {"consents": [consent_document(one) for one in found]},
        output,
        lambda: consents_table(found),
    )


@app.command("reads")
def reads(
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists who was shown which fields of how many events, by day."""
    from console.cli.calls.sharing import SharingCalls
    from console.cli.views.sharing import read_document, reads_table

    target = data_target_of(server, tenant, token, profile, ca)
    with SharingCalls(target) as service:
        found = service.reads(target.tenant)
    show({"reads": [read_document(one) for one in found]}, output, lambda: reads_table(found))
