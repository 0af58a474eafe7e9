"""`homeport load`: users that arrive, as many and as fast as asked for."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from console.cli.failure import CommandFailed, ExitCode
from console.cli.options import (
    Ca,
    GeoFile,
    Output,
    Profile,
    Server,
    Tenant,
    Token,
    data_target_of,
    target_of,
)
from console.cli.output import Format


class Scenario(StrEnum):
    """The words of simulation.load.settings.Scenario, without what it imports."""

    CONSTANT = "constant"
    RAMP = "ramp"
    HERD = "herd"
    DAY = "day"


def load(
    scenario: Annotated[
        Scenario | None,
        typer.Option(
            help="How users arrive: evenly; more and more; all at once after an outage; as a day "
            "goes round the world. Default: constant.",
            show_default=False,
        ),
    ] = None,
    users: Annotated[
        int | None,
        typer.Option(help="Distinct users. Default: 10,000.", min=1, max=50_000_000),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            help="Arrivals a second; of a ramp at its end, of a day on average, of a herd in "
            "quiet times. Default: 100.",
            min=0.01,
            max=1_000_000.0,
        ),
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option(help="How long they arrive: 90s, 10m. Default: 60s.", metavar="DURATION"),
    ] = None,
    mix: Annotated[
        str | None,
        typer.Option(
            help="What users do, by weight. Default: "
            "new=30, known=50, roaming=10, moving=5, released=5; of a herd known=95, roaming=5; "
            "of events quiet=80, invoking=10, changing=10.",
            metavar="KIND=WEIGHT,…",
        ),
    ] = None,
    herd_within: Annotated[
        str | None,
        typer.Option(
            help="In which all users of a herd come back. Default: 5s.", metavar="DURATION"
        ),
    ] = None,
    retries: Annotated[
        int | None,
        typer.Option(
            help="How often a user who is refused comes back when it is told to. Default: 0; "
            "of a herd 8.",
            min=0,
            max=100,
        ),
    ] = None,
    give_up_after: Annotated[
        str | None,
        typer.Option(help="How long a user waits for an answer. Default: 5s.", metavar="DURATION"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="The same one gives the same users and arrivals. Default: 1.", min=0),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(help="Processes that make calls. Default: 1.", min=1, max=64),
    ] = None,
    connections: Annotated[
        int | None,
        typer.Option(help="Connections of each. Default: 16.", min=1, max=1_000),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            help="What must hold, else the exit code is 1: p99<50ms, p99{known}<20ms, errors<1%, "
            "goodput>=95. Can be repeated.",
            metavar="METRIC<LIMIT",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write a page with charts there: one HTML file.", metavar="FILE"),
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option(help="Write the thresholds there as JUnit has tests.", metavar="FILE"),
    ] = None,
    from_report: Annotated[
        Path | None,
        typer.Option(
            help="The same users and arrivals as in that report; options beside it take the "
            "place of its own.",
            metavar="FILE",
        ),
    ] = None,
    export_ghz: Annotated[
        Path | None,
        typer.Option(
            help="Run nothing; write the calls there as a configuration of ghz.", metavar="FILE"
        ),
    ] = None,
    export_locust: Annotated[
        Path | None,
        typer.Option(
            help="Run nothing; write a locustfile of the same users there.", metavar="FILE"
        ),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            help="A server's metrics port: says how much of a processor it uses. Can be repeated.",
            metavar="HOST:PORT",
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            help="Users are clients of this enrolment group, and not spoken for by a gateway.",
            metavar="GROUP",
        ),
    ] = None,
    group_key_file: Annotated[
        Path | None,
        typer.Option(help="File with the key of --group, closed to others.", metavar="FILE"),
    ] = None,
    forwarded: Annotated[
        bool,
        typer.Option(
            "--forwarded",
            help="Users of --group say by x-forwarded-for where they are: the server trusts this "
            "machine as a proxy.",
        ),
    ] = False,
    events: Annotated[
        bool,
        typer.Option(
            "--events",
            help="Users publish events in place of calling for a home: --server is a data-sharing "
            "service, and how long events take to their outcomes is measured.",
        ),
    ] = False,
    http_server: Annotated[
        str | None,
        typer.Option(help="With --events: publish there over HTTP, too.", metavar="HOST:PORT"),
    ] = None,
    http_share: Annotated[
        float | None,
        typer.Option(
            help="Per cent of events that go to --http-server. Default: 50.", min=0.0, max=100.0
        ),
    ] = None,
    rules: Annotated[
        int | None,
        typer.Option(help="With --events: rules that invoke. Default: 100.", min=1, max=10_000),
    ] = None,
    plans: Annotated[
        int | None,
        typer.Option(
            help="With --events: event plans that are changed. Default: 100.", min=1, max=10_000
        ),
    ] = None,
    geo: GeoFile = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Has users arrive at the provisioning service, and says how they were served.

    With --events they publish to the data-sharing service, where rules, plans and platforms follow.

    Users arrive when the scenario says, whether or not those before them were answered, and are
    as many and from where people live. Latency counts from when a user was due. Changes what is
    there: users get homes, under ids of their own that begin with load-.
    """
    try:
        from console.cli.load_run import LoadOptions, run
    except ModuleNotFoundError as error:
        if error.name not in ("hdrh", "hpack"):
            raise
        raise CommandFailed(
            "homeport load needs more than is installed: pip install 'homeport-server[load]'",
            ExitCode.USAGE,
        ) from error

    options = LoadOptions(
        scenario=None if scenario is None else scenario.value,
        users=users,
        rate_per_s=rate,
        duration=duration,
        mix=mix,
        herd_within=herd_within,
        retries=retries,
        give_up_after=give_up_after,
        seed=seed,
        processes=processes,
        connections=connections,
        thresholds=tuple(threshold or ()),
        report=report,
        junit=junit,
        from_report=from_report,
        metrics=tuple(metrics or ()),
        group=group,
        group_key_file=group_key_file,
        forwarded=forwarded,
        geo=geo,
        events=events,
        http_server=http_server,
        http_share=http_share,
        rules=rules,
        plans=plans,
    )
    prepared = options.read()
    if prepared.events is not None:
        from console.cli import load_events

        if export_ghz is not None or export_locust is not None:
            raise typer.BadParameter("exports are of calls for a home, not of --events")
        load_events.run(prepared, data_target_of(server, tenant, token, profile, ca), output)
        return
    if export_ghz is not None or export_locust is not None:
        from console.cli.load_export import export

        target = target_of(server, tenant, token, profile, ca)
        export(prepared.settings, geo, target, ghz=export_ghz, locust=export_locust)
        return
    run(prepared, target_of(server, tenant, token, profile, ca), output)
