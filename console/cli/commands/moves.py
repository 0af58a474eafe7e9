"""`homeport moves`: the jobs that move clients in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.commands.unit_states import MOST_PER_S
from console.cli.options import MOST_INT64, Ca, Output, Profile, Server, Token, target_of
from console.cli.output import Format, show

if TYPE_CHECKING:
    from console.cli.profile import Target

app = typer.Typer(help="The jobs that move clients.", no_args_is_help=True)

JobArgument = Annotated[
    str, typer.Argument(help="The job's id, such as drain-eu-west.", metavar="JOB")
]


@app.command("list")
def list_jobs(
    all_jobs: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lists the jobs under way, newest first."""
    from console.cli.calls.fleet import FleetCalls
    from console.cli.views.move_jobs import job_document, jobs_table

    with FleetCalls(target_of(server, None, token, profile, ca)) as service:
        jobs = service.list_move_jobs(with_ended=all_jobs)
    show({"jobs": [job_document(job) for job in jobs]}, output, lambda: jobs_table(jobs))


@app.command("pause")
def pause(
    job: JobArgument,
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Stops a job where it is.

    The unit stays as it is, and clients that ask are still moved on the spot.
    """
    _control(target_of(server, None, token, profile, ca), output, job, state="PAUSED")


@app.command("resume")
def resume(
    job: JobArgument,
    policy_version: Annotated[
        int | None,
        typer.Option(
            "--policy-version",
            help="Of a job that moves by a policy which was replaced: the version in force, by "
            "which it is to go on.",
            metavar="N",
            min=1,
            max=MOST_INT64,
        ),
    ] = None,
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Lets a paused job go on."""
    target = target_of(server, None, token, profile, ca)
    _control(target, output, job, state="RUNNING", policy_version=policy_version or 0)


@app.command("cancel")
def cancel(
    job: JobArgument,
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Ends a job for good.

    Clients that moved stay where they are now. The unit of a drain keeps draining, so to say:
    end that with `homeport units undrain` or `cordon`.
    """
    _control(target_of(server, None, token, profile, ca), output, job, state="CANCELLED")


@app.command("rate")
def rate(
    job: JobArgument,
    rate_per_s: Annotated[
        float,
        typer.Argument(
            help="Clients per second, at most.", metavar="RATE", min=0.01, max=MOST_PER_S
        ),
    ],
    server: Server = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Makes a job faster or slower."""
    _control(target_of(server, None, token, profile, ca), output, job, rate_per_s=rate_per_s)


def _control(
    target: Target,
    output: Format,
    job: str,
    *,
    state: str = "",
    rate_per_s: float = 0.0,
    policy_version: int = 0,
) -> None:
    from console.cli.calls.fleet import FleetCalls
    from console.cli.views.move_jobs import job_document, jobs_table
    from homeport.api.fleet.v1 import fleet_pb2 as fleet

    wanted = fleet.MoveJobState.Value(f"MOVE_JOB_STATE_{state or 'UNSPECIFIED'}")
    with FleetCalls(target) as service:
        told = service.control_move_job(
            job, state=wanted, rate_per_s=rate_per_s, policy_version=policy_version
        )
    show(job_document(told), output, lambda: jobs_table([told]))
