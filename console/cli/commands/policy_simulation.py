"""`homeport policy simulate` and `test`: what a policy would do, before it is applied."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from console.cli.failure import CommandFailed, ExitCode
from console.cli.options import (
    Ca,
    GeoFile,
    HookAnswers,
    Output,
    Profile,
    Server,
    Tenant,
    Token,
    target_of,
)
from console.cli.output import Format, note, show

UnitsFile = Annotated[
    Path | None,
    typer.Option(
        "--units",
        help="The fleet file to simulate. Default: the units that the server has, those that "
        "take clients.",
        metavar="FILE",
    ),
]


CurrentFile = Annotated[
    Path | None,
    typer.Option(
        "--current",
        help="The policy in force. Default: the server's, or, with --units, none: proximity and "
        "room alone.",
        metavar="FILE",
    ),
]


OnServer = Annotated[
    bool,
    typer.Option(
        "--on-server",
        help="The server does it, with its units and geo database; this machine needs neither.",
    ),
]
LatencyFile = Annotated[
    Path | None,
    typer.Option(
        "--latencies",
        help="What was measured between places and units, YAML or JSON. Without it distance tells.",
        metavar="FILE",
    ),
]
LIVE = "live"


class EngineName(StrEnum):
    """The words of simulation.policy.simulator.Engine, without what it imports."""

    CLASSES = "classes"
    EXACT = "exact"


def simulate(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="The proposed policy, YAML or JSON; - reads stdin. Default: the one in force.",
            metavar="[FILE|-]",
        ),
    ] = None,
    current: CurrentFile = None,
    population: Annotated[
        str,
        typer.Option(
            help="Who is placed: live, the clients that the server has; or a file of clients, an "
            "object a line. Default: users where people live.",
            metavar="live|FILE|-",
        ),
    ] = "",
    on_server: OnServer = False,
    users: Annotated[
        int,
        typer.Option(
            help="How many users there are, by the population of countries and the networks of "
            "the geo database.",
            min=1,
            max=100_000_000_000,
        ),
    ] = 1_000_000,
    engine: Annotated[
        EngineName,
        typer.Option(
            help="classes: alike clients together, as fast for a billion; exact: one after "
            "another, in order.",
        ),
    ] = EngineName.CLASSES,
    without: Annotated[
        str,
        typer.Option(help="Units that take nobody afterwards.", metavar="UNIT,…"),
    ] = "",
    growth: Annotated[
        float, typer.Option(help="Times as many users afterwards.", min=0.01, max=1_000.0)
    ] = 1.0,
    sun: Annotated[
        bool,
        typer.Option("--sun", help="Users come and are active by the hours of their places."),
    ] = False,
    price_label: Annotated[
        str,
        typer.Option(
            help="The label of units that says what a client costs there; the cost is told then.",
            metavar="LABEL",
        ),
    ] = "",
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            "--attribute",
            help="A share of the users has this attribute. Any number of times.",
            metavar="NAME=VALUE:PERCENT%",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="The same one gives the same users.", min=0, max=2**31)
    ] = 1,
    html: Annotated[
        Path | None,
        typer.Option(help="Write a page with maps there: one HTML file.", metavar="FILE"),
    ] = None,
    svg: Annotated[
        Path | None,
        typer.Option(help="Write the maps and the main figures as a picture.", metavar="FILE"),
    ] = None,
    hook_answers: HookAnswers = None,
    latencies: LatencyFile = None,
    units: UnitsFile = None,
    geo: GeoFile = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Places everybody anew, as things are and as they would be, and says what differs.

    Nothing is changed, and with --units no server is asked. Clients that there are
    (--population live) are counted before where they live.
    """
    from console.cli.fleet_units import units_of
    from console.cli.input.hook_file import HookFile
    from console.cli.input.latency_file import latencies_in
    from console.cli.input.tenant_policy import policy_in
    from console.cli.input.text_file import check_stdin_once
    from console.cli.policy_in_force import policy_in_force
    from console.cli.policy_on_server import LocalOptions, simulate_on_server
    from console.cli.policy_simulation import Told, place_listed, place_modelled
    from console.cli.views.simulation import simulation_tables
    from control_plane.files import replace_file
    from control_plane.written_paths import check_written_file
    from homeport.api.policy.v1 import policy_pb2 as pb
    from simulation.policy.attribute_shares import parse_shares, shares_of
    from simulation.policy.listed import ListedQuestion
    from simulation.policy.simulator import Engine, Question

    if html is not None:
        check_written_file(html, "--html")
    if svg is not None:
        check_written_file(svg, "--svg")
    listed = Path(population) if population not in ("", LIVE) else None
    check_stdin_once(
        [one for one in (file, current, hook_answers, latencies, listed) if one is not None]
    )
    told_shares = parse_shares(attribute or ())
    shares = shares_of(told_shares)
    if population and (growth != 1.0 or sun or shares):
        raise CommandFailed(
            "--growth, --sun and --attribute are for users where people live; leave out "
            "--population",
            ExitCode.USAGE,
        )
    target = target_of(server, tenant, token, profile, ca)
    left_out = tuple(name.strip() for name in without.split(",") if name.strip())

    def tell(told: Told) -> None:
        if html is not None:
            replace_file(html, told.page())
            note(f"the page is in {html}")
        if svg is not None:
            replace_file(svg, told.picture())
            note(f"the picture is in {svg}")
        show(told.document, output, lambda: simulation_tables(told.document))

    if on_server or population == LIVE:
        if listed is not None:
            raise CommandFailed(
                "a file of clients is simulated on this machine; leave out --on-server",
                ExitCode.USAGE,
            )
        LocalOptions(units, geo).refuse()
        request = pb.SimulatePolicyRequest(
            population=pb.POLICY_POPULATION_LIVE if population else pb.POLICY_POPULATION_MODELLED,
            users=users,
            exact=engine is EngineName.EXACT,
            growth=growth,
            without_unit_ids=left_out,
            sun=sun,
            price_label=price_label,
            seed=seed,
            page=html is not None,
            picture=svg is not None,
            attribute_shares=[pb.AttributeShare(**one._asdict()) for one in told_shares],
        )
        document, found = simulate_on_server(
            target,
            request,
            file=file,
            current=current,
            hook_answers=hook_answers,
            latencies=latencies,
        )
        tell(Told(document, lambda: found.page, lambda: found.picture))
        return
    asks_server = current is None and units is None
    hooks = HookFile(hook_answers)
    before = hooks.answer(
        policy_in_force(target) if asks_server else policy_in(current, target.tenant)
    )
    after = before if file is None else hooks.answer(policy_in(file, target.tenant))
    measured, fleet = latencies_in(latencies), units_of(units, target)
    if listed is not None:
        told = place_listed(
            ListedQuestion(
                tenant=target.tenant,
                units=fleet,
                before=before,
                after=after,
                population=f"the clients of {listed.name}",
                without=left_out,
                price_label=price_label,
                latencies=measured,
            ),
            listed,
            geo,
        )
    else:
        told = place_modelled(
            Question(
                tenant=target.tenant,
                units=fleet,
                before=before,
                after=after,
                clients=users,
                engine=Engine(engine.value),
                seed=seed,
                growth=growth,
                without=left_out,
                sun=sun,
                price_label=price_label,
                latencies=measured,
                shares=shares,
            ),
            geo,
        )
    hooks.tell_unknown()
    tell(told)


def try_cases(
    file: Annotated[
        Path,
        typer.Argument(help="The policy, YAML or JSON; - reads stdin.", metavar="FILE|-"),
    ],
    cases: Annotated[
        Path,
        typer.Argument(
            help="Clients and where they have to live; - reads stdin, as for every file here.",
            metavar="CASES|-",
        ),
    ],
    junit: Annotated[
        Path | None,
        typer.Option(help="Write the cases there as JUnit has tests.", metavar="FILE"),
    ] = None,
    hook_answers: HookAnswers = None,
    latencies: LatencyFile = None,
    on_server: OnServer = False,
    units: UnitsFile = None,
    geo: GeoFile = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Places the clients of a file by a policy, and fails where one lives elsewhere than it has to.

    Nothing is changed, and with --units no server is asked: for an operator's own CI.
    """
    from console.cli.fleet_units import units_of
    from console.cli.input.case_file import CaseFile, broken_sentence
    from console.cli.input.hook_file import HookFile
    from console.cli.input.latency_file import latencies_in
    from console.cli.input.tenant_policy import policy_in
    from console.cli.input.text_file import check_stdin_once
    from console.cli.policy_on_server import LocalOptions, test_on_server
    from console.cli.views.policy_cases import cases_table, document_of
    from control_plane.files import replace_file
    from control_plane.written_paths import check_written_file
    from simulation.policy.case_run import junit_text

    given = (file, cases, hook_answers, latencies)
    check_stdin_once([one for one in given if one is not None])
    if junit is not None:
        check_written_file(junit, "--junit")
    target = target_of(server, tenant, token, profile, ca)
    if on_server:
        LocalOptions(units, geo).refuse()
        results = test_on_server(target, file, cases, hook_answers, latencies)
    else:
        hooks = HookFile(hook_answers)
        policy = hooks.answer(policy_in(file, target.tenant))
        measured = latencies_in(latencies)
        results = CaseFile(cases, geo).run(policy, units_of(units, target), target.tenant, measured)
        hooks.tell_unknown()
    if junit is not None:
        replace_file(junit, junit_text(results).encode())
    show(document_of(results), output, lambda: cases_table(results))
    if broken := broken_sentence(results):
        raise CommandFailed(broken)
