"""`homeport policy move`: brings clients who are there already where the policy places them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.commands.unit_states import DryRun, Rate, Wait
from console.cli.failure import CommandFailed, ExitCode
from console.cli.options import MOST_INT64, Ca, Output, Profile, Server, Tenant, Token, target_of
from console.cli.output import Format, busy, show

if TYPE_CHECKING:
    from console.cli.profile import Target
    from homeport.api.policy.v1 import policy_pb2 as pb


def move(
    version: Annotated[
        int | None,
        typer.Option(
            "--version",
            help="The version that the plan was made for: nothing begins where another one is in "
            "force.",
            metavar="N",
            min=1,
            max=MOST_INT64,
        ),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            help="The plan to keep to, as `policy simulate --population live -o json` or --dry-run "
            "-o json wrote it; - is stdin. Default: what --dry-run says now.",
            metavar="FILE|-",
        ),
    ] = None,
    back: Annotated[
        int | None,
        typer.Option(
            "--back",
            help="Bring those back whom the job for this version moved, if nothing has since.",
            metavar="VERSION",
            min=1,
            max=MOST_INT64,
        ),
    ] = None,
    dry_run: DryRun = False,
    rate: Rate = None,
    wait: Wait = False,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Moves clients where the policy in force places them, by a plan and no further.

    A job, which pauses itself once the policy is replaced: `homeport moves list` says so.
    """
    from console.cli.input.move_plan import plan_in
    from homeport.api.policy.v1 import policy_pb2 as pb

    if back is not None and (plan is not None or version is not None):
        raise CommandFailed(
            "--back has no plan and no version: those move back who were moved", ExitCode.USAGE
        )
    if dry_run and plan is not None:
        raise CommandFailed("--dry-run makes a plan; leave out --plan", ExitCode.USAGE)
    request = pb.MoveByPolicyRequest(
        policy_version=version or 0,
        plan=plan_in(plan) if plan is not None else [],
        rate_per_s=rate or 0.0,
        dry_run=dry_run,
        undo_version=back or 0,
    )
    begin(target_of(server, tenant, token, profile, ca), request, wait=wait, output=output)


def begin(target: Target, request: pb.MoveByPolicyRequest, *, wait: bool, output: Format) -> None:
    """Shows the plan, or the job that began, to its end with `wait`."""
    from console.cli.calls.fleet import FleetCalls
    from console.cli.calls.policies import PolicyCalls
    from console.cli.commands.job_wait import wait_for
    from console.cli.views.move_jobs import job_document, jobs_table
    from console.cli.views.policy_moves import ways_document, ways_view

    with PolicyCalls(target) as service, busy("planning"):
        answer = service.move(request)
    if request.dry_run:
        show(ways_document(answer), output, lambda: ways_view(answer))
        return
    job = answer.job
    if wait:
        with FleetCalls(target) as fleet:
            job = wait_for(fleet, job)
    show(job_document(job), output, lambda: jobs_table([job]))
