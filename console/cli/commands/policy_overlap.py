"""`homeport policy overlap`: how many units tenants share, where each has a few of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.cli.commands.policy_simulation import UnitsFile
from console.cli.failure import CommandFailed, ExitCode
from console.cli.options import Ca, Output, Profile, Server, Tenant, Token, target_of
from console.cli.output import Format, show

MOST_TENANTS = 1_999  # beside the target's own


def overlap(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="The policy, YAML or JSON; - reads stdin. Default: the one in force.",
            metavar="[FILE|-]",
        ),
    ] = None,
    tenants: Annotated[
        int | None,
        typer.Option(
            "--tenants",
            help="So many made-up tenants in place of those that the server has.",
            metavar="N",
            min=1,
            max=MOST_TENANTS,
        ),
    ] = None,
    units: UnitsFile = None,
    server: Server = None,
    tenant: Tenant = None,
    token: Token = None,
    profile: Profile = None,
    ca: Ca = None,
    output: Output = Format.TABLE,
) -> None:
    """Says how many units tenants share by the shuffle sharding of a policy, had all of them it.

    Nothing is changed, and with FILE, --units and --tenants no server is asked.
    """
    from console.cli.calls.fleet import FleetCalls
    from console.cli.calls.policies import PolicyCalls
    from console.cli.fleet_units import units_of
    from console.cli.input.text_file import read_text
    from console.cli.views.policy_overlap import overlap_view
    from provisioner.policy.reading import read_policy
    from simulation.policy.shard_overlap import overlap_of
    from simulation.policy.simulated_fleet import simulated_fleet

    target = target_of(server, tenant, token, profile, ca)
    if file is not None:
        text = read_text(file)
    else:
        with PolicyCalls(target) as service:
            text = service.get().document
    sharding = read_policy(text).shuffle_sharding if text else None
    if sharding is None:
        raise CommandFailed(
            f"the policy of tenant {target.tenant} has no shuffle_sharding; name one that has",
            ExitCode.USAGE if file is not None else ExitCode.NOT_FOUND,
        )
    if tenants is not None:
        others = [f"tenant-{number}" for number in range(1, tenants + 1)]
    else:
        with FleetCalls(target) as fleet_service:
            others = [one.tenant for one in fleet_service.list_tenants()]
    fleet = simulated_fleet(units_of(units, target)).fleet
    document = overlap_of(sharding, fleet, target.tenant, others)
    if not document["among"]:
        raise CommandFailed(
            "no unit of the fleet is one of those that shuffle_sharding.among says, so nobody "
            "would have a home; name labels, countries or units that the fleet has",
            ExitCode.USAGE,
        )
    show(document, output, lambda: overlap_view(document))
