"""`homeport apps`: applications that run in sandboxes. Building needs no server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.cli.commands.app_addresses import NameArgument, address
from console.cli.markup import escape
from console.cli.options import (
    Ca,
    DataServer,
    Output,
    Profile,
    Tenant,
    Token,
    data_target_of,
)
from console.cli.output import Format, busy, show, warn

app = typer.Typer(help="Applications: build them, submit them, see them.", no_args_is_help=True)
app.command("address")(address)


@app.command("build")
def build(
    folder: Annotated[Path, typer.Argument(help="Holds application.py, .js, .rs or .go.")],
    into: Annotated[
        Path | None, typer.Option("--into", help="Default: build/application.wasm in the folder.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Builds an application's .wasm from its folder, with the language's own toolchain."""
    import hashlib

    from control_plane.written_paths import check_written_file
    from data_sharing.runtimes.builder import build as build_it

    if into is not None:
        check_written_file(into, "--into")
    with busy(f"building {folder}"):
        built = build_it(folder, into)
    content = built.path.read_bytes()
    document = {
        "path": str(built.path),
        "kind": str(built.kind),
        "language": built.language,
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "fresh": built.fresh,
    }
    said = "built" if built.fresh else "nothing changed since"
    line = f"{said}: {built.path} ({built.kind}, {built.language}, {len(content):,} bytes)"
    show(document, output, lambda: escape(line))


@app.command("submit")
def submit(
    manifest: Annotated[
        Path, typer.Argument(help="The manifest, YAML or JSON.", metavar="MANIFEST")
    ],
    artifact: Annotated[
        Path | None,
        typer.Option(help="The artifact. Default: runtime.artifact, beside the manifest."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Be judged, and change nothing.")
    ] = False,
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Submits a version of an application.

    Its schemas, samples and actions are checked, the actions in the sandbox, and what would
    break others is refused. Every fault is told. Exits with 2 when the manifest is at fault,
    with 4 when it would break a consumer.
    """
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.failure import ExitCode
    from console.cli.input.submission import read_submission
    from console.cli.views.applications import document_of, faults_table

    text, content = read_submission(manifest, artifact)
    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service, busy(f"submitting {manifest}"):
        verdict = service.submit_application(target.tenant, text, content, dry_run=dry_run)
    if verdict.WhichOneof("result") == "accepted":
        found = verdict.accepted
        document = {
            **document_of(found),
            "accepted": True,
            "existing": verdict.existing,
            "dry_run": dry_run,
            "warnings": list(verdict.warnings),
        }
        warn(verdict.warnings)
        said = "was there already" if verdict.existing else "is accepted and current"
        if dry_run and not verdict.existing:
            said = "would be accepted"
        show(document, output, lambda: escape(f"{found.application} {found.version} {said}"))
        return
    faults = list(verdict.refused.faults)
    document = {
        "accepted": False,
        "faults": [
            {"path": one.path, "message": one.message, "consumer": one.consumer or None,
             "field": one.field or None}
            for one in faults
        ],
    }  # fmt: skip
    show(document, output, lambda: faults_table(faults))
    breaks = any(one.consumer for one in faults)
    raise typer.Exit(ExitCode.REFUSED if breaks else ExitCode.USAGE)


@app.command("answers")
def answers(
    manifest: Annotated[
        Path,
        typer.Argument(help="The manifest, YAML or JSON; - reads stdin.", metavar="MANIFEST|-"),
    ],
    output: Output = Format.YAML,
) -> None:
    """Writes the rules by which an application answers messages and presses, for `rules apply -`.

    They come of `answers` in its manifest, and read the feeds of `apps message-feeds`.
    """
    from rich.text import Text

    from console.cli.failure import CommandFailed, ExitCode
    from console.cli.input.text_file import name_of, read_text
    from console.cli.output import yaml_text
    from data_sharing.registry.answers import answering_rules
    from data_sharing.registry.manifest_reader import manifest_value, read_manifest

    text = read_text(manifest)
    value = manifest_value(text)
    declared = value.get("tenant") if isinstance(value, dict) else None
    found, faults = read_manifest(text, tenant=declared if isinstance(declared, str) else "")
    if found is None:
        said = "; ".join(f"{one.path or '/'} {one.message}" for one in faults)
        raise CommandFailed(f"{name_of(manifest)}: {said}", ExitCode.USAGE)
    document = answering_rules(found)
    if not document["rules"]:
        raise CommandFailed(
            f"{name_of(manifest)}: {found.application} answers nothing; name its actions in "
            "`answers: {message: ACTION, click: ACTION}`",
            ExitCode.USAGE,
        )
    show(document, output, lambda: Text(yaml_text(document).rstrip()))


@app.command("message-feeds")
def message_feeds(output: Output = Format.YAML) -> None:
    """Writes the manifest of the feeds through which messages and presses reach applications, for
    `apps submit -`; once a tenant."""
    import yaml
    from rich.text import Text

    from console.cli.output import yaml_text
    from data_sharing.registry.answers import message_feeds as manifest_of_feeds

    document = yaml.safe_load(manifest_of_feeds())
    show(document, output, lambda: Text(yaml_text(document).rstrip()))


@app.command("list")
def list_applications(
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists the applications of a tenant in their current versions."""
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.views.applications import applications_table, document_of

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        found = service.list_applications(target.tenant)
        accounts = {one.application: one.account for one in service.addresses(target.tenant)}
    document = {
        "applications": [
            {**document_of(one), "account": accounts.get(one.application)} for one in found
        ]
    }
    show(document, output, lambda: applications_table(found, accounts))


@app.command("show")
def show_application(
    name: NameArgument,
    version: Annotated[
        str, typer.Option("--version", help="Default: the current one.", metavar="VERSION")
    ] = "",
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows an application: its manifest, and all its versions."""
    import json

    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.views.applications import application_view, document_of

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        found = service.get_application(target.tenant, name, version)
    document = {
        **document_of(found.application),
        "manifest": json.loads(found.manifest),
        "versions": [document_of(one) for one in found.versions],
    }
    show(document, output, lambda: application_view(found))


@app.command("rollback")
def rollback(
    name: NameArgument,
    to: Annotated[
        str, typer.Option(help="Default: what was current before.", metavar="VERSION")
    ] = "",
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Makes an earlier version of an application current again."""
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.views.applications import document_of

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        done = service.rollback_application(target.tenant, name, to)
    warn(done.warnings)
    document = {**document_of(done), "warnings": list(done.warnings)}
    show(document, output, lambda: escape(f"{done.application} {done.version} is current"))


@app.command("deprecate")
def deprecate(
    name: NameArgument,
    version: Annotated[str, typer.Argument(help="Which one.", metavar="VERSION")],
    reason: Annotated[
        str, typer.Option(help="Why, and what to use instead; empty: it may be used again.")
    ],
    server: DataServer = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Marks a version of an application as not to be used any more.

    Who reads its feeds goes on; nobody new may.
    """
    from console.cli.calls.data_sharing import DataSharingCalls
    from console.cli.views.applications import document_of

    target = data_target_of(server, tenant, token, profile, ca)
    with DataSharingCalls(target) as service:
        done = service.deprecate_application(target.tenant, name, version, reason)
    said = "is deprecated" if done.deprecation else "may be used again"
    show(document_of(done), output, lambda: escape(f"{done.application} {done.version} {said}"))
