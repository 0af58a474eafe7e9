"""`homeport policy`: who of a tenant's clients may live where."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.failure import CommandFailed, ExitCode
from console.cli.input.text_file import check_stdin_once, read_text
from console.cli.markup import escape
from console.cli.options import (
    MOST_INT64,
    Ca,
    HookAnswers,
    NamedFile,
    Output,
    Profile,
    Server,
    Tenant,
    Token,
    one_file,
    target_of,
)
from console.cli.output import Format, note, show, warn

if TYPE_CHECKING:
    from console.cli.calls.policies import PolicyCalls
    from console.cli.profile import Target
    from homeport.api.policy.v1 import policy_pb2 as pb

app = typer.Typer(help="Who of a tenant's clients may live where.", no_args_is_help=True)

Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask, whatever it means for clients.")
]
AllowUnmatched = Annotated[
    bool,
    typer.Option(
        "--allow-unmatched", help="Also where rules require units of which the fleet has none."
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Say what is wrong and what it would mean; change nothing."),
]


@app.command("show")
def show_policy(
    version: Annotated[
        int, typer.Option("--version", min=0, max=MOST_INT64, help="An earlier one that is kept.")
    ] = 0,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Shows the policy as it was applied, comments included."""
    from console.cli.calls.policies import PolicyCalls
    from console.cli.views.policies import document_of, policy_view

    with PolicyCalls(target_of(server, tenant, token, profile, ca)) as service:
        found = service.get(version)
    show(document_of(found), output, lambda: policy_view(found))


@app.command("apply")
def apply_policy(
    path: Annotated[
        Path | None, typer.Argument(help="YAML or JSON; - is stdin.", metavar="FILE|-")
    ] = None,
    file: NamedFile = None,
    base: Annotated[
        int | None,
        typer.Option(
            "--base",
            min=0,
            max=MOST_INT64,
            help="The version that the file was made from. Default: the one in force.",
            metavar="VERSION",
        ),
    ] = None,
    cases: Annotated[
        Path | None,
        typer.Option(
            help="Clients and where they have to live, as for `policy test`: a policy that breaks "
            "one is not applied.",
            metavar="FILE",
        ),
    ] = None,
    hook_answers: HookAnswers = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    allow_unmatched: AllowUnmatched = False,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Replaces the policy, if nobody changed it since the version it was made from.

    Says first what it would mean for the clients there are, and asks where some would be nowhere.
    New clients are placed by it at once; those that have a home stay until a move job moves them.
    Exits with 4 where some would be nowhere and nobody can be asked, and where it breaks a case.
    """
    from console.cli.calls.policies import PolicyCalls

    source, target = one_file(path, file), target_of(server, tenant, token, profile, ca)
    document = read_text(source)
    if cases is not None:
        check_stdin_once([source, cases])
        _hold_cases(document, cases, hook_answers, target)
    with PolicyCalls(target) as service:
        version = service.get().version if base is None else base
        _change(
            service, document, version, output,
            dry_run=dry_run, yes=yes, allow_unmatched=allow_unmatched,
        )  # fmt: skip


@app.command("rollback")
def rollback_policy(
    to: Annotated[
        int | None,
        typer.Option(
            "--to",
            min=1,
            max=MOST_INT64,
            help="A version that is kept. Default: the one before.",
            metavar="VERSION",
        ),
    ] = None,
    move_back: Annotated[
        bool,
        typer.Option(
            "--move-back",
            help="Then bring those back whom `policy move` moved by the version that goes.",
        ),
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Applies an earlier version anew, as the next one."""
    from console.cli.calls.policies import PolicyCalls
    from homeport.api.policy.v1 import policy_pb2 as pb

    with PolicyCalls(target_of(server, tenant, token, profile, ca)) as service:
        stands = service.get()
        earlier = [one for one in stands.kept_versions if one < stands.version]
        if to is None and not earlier:
            raise CommandFailed(
                f"the policy of tenant {stands.tenant} has no earlier version that is kept",
                ExitCode.NOT_FOUND,
            )
        wanted = service.get(to or earlier[-1])
        # It was good once: units that are gone since do not keep anybody from going back.
        _change(
            service, wanted.document, stands.version, output,
            dry_run=dry_run, yes=yes, allow_unmatched=True,
        )  # fmt: skip
        if move_back:
            undo = pb.MoveByPolicyRequest(undo_version=stands.version, dry_run=dry_run)
            moved = service.move(undo)
            said = (
                f"{moved.moves:,} clients would move back"
                if dry_run
                else f"job {moved.job.job_id} moves {moved.job.total:,} clients back; "
                "`homeport moves list` says how far it is"
            )
            note(escape(said))


def _hold_cases(document: str, cases: Path, hook_answers: Path | None, target: Target) -> None:
    """Raises CommandFailed where the policy breaks a case, on the units that the server has."""
    from console.cli.fleet_units import units_of
    from console.cli.input.case_file import CaseFile, broken_sentence
    from console.cli.input.hook_file import HookFile
    from console.cli.input.tenant_policy import policy_of

    hooks = HookFile(hook_answers)
    policy = hooks.answer(policy_of(document, target.tenant))
    results = CaseFile(cases).run(policy, units_of(None, target), target.tenant)
    hooks.tell_unknown()
    if broken := broken_sentence(results):
        raise CommandFailed(f"{broken}; nothing was applied", ExitCode.REFUSED)


def _change(
    service: PolicyCalls,
    document: str,
    version: int,
    output: Format,
    *,
    dry_run: bool,
    yes: bool,
    allow_unmatched: bool,
) -> None:
    from console.cli.views.policies import document_of, effect_document, effect_sentences

    asked: dict[str, Any] = {"base_version": version, "allow_unmatched": allow_unmatched}
    would = service.apply(document, dry_run=True, **asked)
    warn(would.warnings)
    for sentence in effect_sentences(would.effect):
        note(escape(sentence))
    answer = would
    if not dry_run:
        _ask(would.effect, yes=yes)
        answer = service.apply(document, dry_run=False, **asked)
    told = f"version {answer.policy.version} of the policy of tenant {answer.policy.tenant}"
    said = f"{told} would be applied" if dry_run else f"{told} is in force"
    shown = {
        **document_of(answer.policy),
        "applied": not dry_run,
        "effect": effect_document(would.effect),
    }
    show(shown, output, lambda: escape(said))


def _ask(effect: pb.PolicyEffect, *, yes: bool) -> None:
    """Raises CommandFailed where nobody agrees that clients would be nowhere."""
    if yes or not effect.nowhere:
        return
    if not (sys.stdin is not None and sys.stdin.isatty()):
        raise CommandFailed(
            f"{effect.nowhere:,} clients would be nowhere, and nobody can be asked; give --yes to "
            "apply it all the same",
            ExitCode.REFUSED,
        )
    typer.confirm("Apply it all the same?", abort=True, err=True)
