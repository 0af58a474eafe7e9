"""`python -m data_sharing.platforms`: one platform, until a signal."""

from __future__ import annotations

import os
import sys

import grpc

from control_plane.config_check import check_config
from control_plane.errors import Refused
from control_plane.process import first_of, run_on_uvloop, run_program, stop_on_signals
from control_plane.ready_file import write_ready_file
from control_plane.serving.gc_freeze import freeze_gc
from data_sharing.platforms.config_checks import checks
from data_sharing.platforms.settings import PlatformSettings, read_settings
from data_sharing.platforms.wiring import run_platform


async def run(settings: PlatformSettings) -> None:
    """Until a signal, then until what was accepted has ended. Raises ServiceError, in a group:
    Refused where the service does not have this platform."""

    def ready(applications: dict[str, str]) -> None:
        freeze_gc()
        listed = ", ".join(f"{name} {version}" for name, version in applications.items())
        print(f"platform {settings.name} hosts {listed}", file=sys.stderr, flush=True)
        write_ready_file(settings.ready_file, {"applications": applications, "pid": os.getpid()})

    try:
        await run_platform(settings, stop=stop_on_signals(), on_ready=ready)
    except* grpc.aio.AioRpcError as rejected:
        first = first_of(rejected)
        said = first.details() if isinstance(first, grpc.aio.AioRpcError) else first
        raise Refused(f"the service will not have this platform: {said}") from first


def main() -> int:
    """See control_plane.process for the exit codes."""
    return run_program(
        "homeport platforms run",
        read_settings,
        lambda settings: run_on_uvloop(run(settings)),
        lambda arguments: check_config(PlatformSettings, arguments, checks),
    )


if __name__ == "__main__":
    raise SystemExit(main())
