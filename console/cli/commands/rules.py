"""`homeport rules`: what follows from events. Testing needs no server, backtesting only its log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.markup import escape
from console.cli.options import (
    MOST_INT64,
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
from console.cli.output import Format, show, warn

if TYPE_CHECKING:
    pass

app = typer.Typer(
    help="Rules: which events matter, and what follows from them.", no_args_is_help=True
)

DocumentFile = Annotated[
    Path,
    typer.Argument(help="Rules and forecasts, YAML or JSON; - reads stdin.", metavar="FILE|-"),
]
RuleId = Annotated[str, typer.Argument(help="The rule's id.", metavar="RULE")]


@app.command("apply")
def apply(
    file: Annotated[
        Path | None,
        typer.Argument(help="Rules and forecasts, YAML or JSON; - reads stdin.", metavar="FILE|-"),
    ] = None,
    named: NamedFile = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Compile it, and change nothing.")
    ] = False,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Makes a file's rules decide from the next event on: all of them or none.

    Same content again changes nothing. State lives on where its shape is unchanged.
    """
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.input.text_file import read_text
    from console.cli.views.rules import document_of, rules_table

    document_text = read_text(one_file(file, named))
    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        applied = service.apply_rules(target.tenant, document_text, dry_run=dry_run)
    document = {
        "dry_run": dry_run,
        "rules": [document_of(one) for one in applied.rules],
        "forecasts": list(applied.forecasts),
        "warnings": list(applied.warnings),
    }
    warn(applied.warnings)
    show(document, output, lambda: rules_table(list(applied.rules)))


@app.command("list")
def list_rules(
    retired: Annotated[bool, typer.Option("--retired", help="Also those that are.")] = False,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists the rules with how they fare."""
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.views.rules import document_of, rules_table

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        found = service.list_rules(target.tenant, with_retired=retired)
    warn(warning for one in found for warning in one.warnings)
    show({"rules": [document_of(one) for one in found]}, output, lambda: rules_table(found))


@app.command("show")
def show_rule(
    rule: RuleId,
    version: Annotated[
        int,
        typer.Option("--version", help="Default: the newest.", metavar="N", min=0, max=MOST_INT64),
    ] = 0,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.YAML,
) -> None:
    """Shows a rule as it was applied, and each key or producer for which it is parked."""
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.views.rules import document_of, rule_view

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        found = service.get_rule(target.tenant, rule, version)
    warn(found.warnings)
    show(document_of(found, with_spec=True), output, lambda: rule_view(found))


@app.command("memory")
def memory(
    source: Annotated[
        str,
        typer.Option(
            "--source",
            help="Also what events of this producer have made, by the `source` of its events.",
            metavar="S",
        ),
    ] = "",
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows what the tenant's rules and forecasts remember, what they may, and who says so.

    `homeport rules list` shows the keys of each.
    """
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.views.rule_memory import bounds_document, bounds_table

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        found = service.get_memory(target.tenant, source)
    show(bounds_document(found), output, lambda: bounds_table(found))


@app.command("retry")
def retry(
    rule: RuleId,
    key: Annotated[
        str, typer.Option("--key", help="Only what is parked at this key.", metavar="K")
    ] = "",
    source: Annotated[
        str,
        typer.Option(
            "--source",
            help="Only what is parked for this producer, the `source` of its events.",
            metavar="S",
        ),
    ] = "",
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Runs a parked rule again from the next event on, without waiting for its retry.

    Events that came meanwhile stay dead letters: `homeport dlq redrive` decides them anew.
    """
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.views.rules import document_of, retry_view, scopes_of

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        answer = service.retry_rule(target.tenant, rule, key=key, source=source)
    document = {
        **document_of(answer.rule),
        "unparked": answer.unparked,
        "parked_scopes": scopes_of(answer.rule),
    }
    show(document, output, lambda: retry_view(answer))


@app.command("retire")
def retire(
    rule: RuleId,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Has a rule decide no longer, and lets its state go."""
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.views.rules import document_of

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        found = service.retire_rule(target.tenant, rule)
    show(document_of(found), output, lambda: escape(f"{found.rule_id} is retired"))


@app.command("test")
def try_out(
    file: DocumentFile,
    events: Annotated[
        Path,
        typer.Argument(
            help="Sample events, NDJSON, a CloudEvent a line; `key` says what it is about. A line "
            '{"wait": "30m"} lets time pass. - reads stdin, as for every file here.',
            metavar="EVENTS|-",
        ),
    ],
    plans: Annotated[
        list[Path] | None,
        typer.Option("--plan", help="An event plan the rules look at; repeatable.", metavar="FILE"),
    ] = None,
    manifests: Annotated[
        list[Path] | None,
        typer.Option(
            "--manifest",
            help="Of an application whose feeds the rules may read, with their schemas and keys; "
            "repeatable. Without one every feed is taken to exist and nothing is known of it.",
            metavar="FILE",
        ),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Runs rules on sample events, here, and says clause by clause why they fired or not.

    The clock is the events' own: windows end, debounces pass and actions of plans fall due
    between them. Needs no server.
    """
    from console.cli.deciding.dry_run import run
    from console.cli.input.text_file import check_stdin_once
    from console.cli.views.dry_run import document_of, view_of

    check_stdin_once([file, events, *(plans or ()), *(manifests or ())])
    tried, warnings = run(file, events, plans or [], manifests or [])
    warn(warnings)
    show(document_of(tried) | {"warnings": list(warnings)}, output, lambda: view_of(tried))


@app.command("backtest")
def backtest(
    file: DocumentFile,
    since: Annotated[
        str,
        typer.Option(
            help="Begin with what was accepted at this time or later, RFC 3339. Default: the "
            "oldest events that are kept.",
            metavar="TIME",
        ),
    ] = "",
    until: Annotated[
        str, typer.Option(help="End before this time. Default: now.", metavar="TIME")
    ] = "",
    purpose: Annotated[
        str,
        typer.Option(
            help="What for: needed to see feeds with a sharing policy, as operators may and users "
            "consent now.",
            metavar="TEXT",
        ),
    ] = "",
    plans: Annotated[
        list[Path] | None,
        typer.Option(
            "--plan",
            help="An event plan the rules look at; repeatable. Default: the tenant's own, as "
            "they were planned.",
            metavar="FILE",
        ),
    ] = None,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """What a file's rules would have done with the events that a server has kept.

    The same events are decided by the rules in force, with and without the file's in their
    place, and the differences are told. Nothing is changed; the server only reads its log.
    """
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.deciding.backtest import Document, run
    from console.cli.input.text_file import check_stdin_once, name_of, read_text
    from console.cli.input.times import time_ms
    from console.cli.progress import counting
    from console.cli.views.backtest import document_of, view_of
    from data_sharing.plans.spec import parse_plan
    from homeport.api.datasharing.v1 import feed_pb2 as feeds

    target = data_target_of(server, tenant, token, profile, ca)
    request = feeds.TailRequest(tenant=target.tenant, after_position=0, purpose=purpose)
    if since:
        request.from_accept_time.FromMilliseconds(time_ms(since, "--since"))
    until_ms = time_ms(until, "--until") if until else None
    check_stdin_once([file, *(plans or ())])
    document = Document(read_text(file), name_of(file))
    # A mistake in a plan is said before anything is asked.
    planned = None if plans is None else [parse_plan(read_text(path)) for path in plans]
    with DataSharingCalls(target) as service, counting("deciding", total=None) as advance:
        report = run(service, request, document, until_ms=until_ms, plans=planned, advance=advance)
    warn(report.warnings)
    show(document_of(report), output, lambda: view_of(report))
