"""`python -m deployment_units.agent`: what runs inside a deployment unit."""

from __future__ import annotations

import sys

from control_plane.uncollected_imports import uncollected_imports

with uncollected_imports():
    import grpc

    from control_plane.config_check import check_config
    from control_plane.errors import Refused
    from control_plane.process import first_of, run_on_uvloop, run_program, stop_on_signals
    from control_plane.ready_file import write_ready_file
    from control_plane.serving.gc_freeze import freeze_gc
    from deployment_units.agent.config_checks import checks
    from deployment_units.agent.settings import AgentSettings, read_settings
    from deployment_units.agent.wiring import ServingUnits, run_agents


async def run(settings: AgentSettings) -> None:
    """Until a signal. Raises ServiceError, in a group: Refused where the control plane does not
    have a unit of it."""

    def ready(units: ServingUnits) -> None:
        freeze_gc()
        print(f"homeport agents serve {len(units.endpoints)} unit(s)", file=sys.stderr, flush=True)
        document = {
            "units": units.endpoints, "web": units.web, "mail": units.mail,
            "sip": units.sip, "metrics": units.metrics,
        }  # fmt: skip
        write_ready_file(settings.ready_file, document)

    try:
        await run_agents(settings, stop=stop_on_signals(), on_ready=ready)
    except* grpc.aio.AioRpcError as rejected:
        first = first_of(rejected)
        said = first.details() if isinstance(first, grpc.aio.AioRpcError) else first
        who = " ".join(getattr(first, "__notes__", ["this unit"]))
        raise Refused(f"the control plane refused {who}: {said}") from first


def main() -> int:
    """See control_plane.process for the exit codes."""
    return run_program(
        "homeport agent",
        read_settings,
        lambda settings: run_on_uvloop(run(settings)),
        lambda arguments: check_config(AgentSettings, arguments, checks),
    )


if __name__ == "__main__":
    raise SystemExit(main())
