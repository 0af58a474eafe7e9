"""`python -m data_sharing`: one data-sharing server."""

from __future__ import annotations

import os
import sys

from control_plane.uncollected_imports import uncollected_imports

with uncollected_imports():
    from control_plane.config_check import check_config
    from control_plane.process import run_on_uvloop, run_program, stop_on_signals
    from control_plane.ready_file import write_ready_file
    from control_plane.serving.gc_freeze import freeze_gc
    from data_sharing.settings import Settings, read_settings
    from data_sharing.wiring.config_checks import checks
    from data_sharing.wiring.server import Serving, serve


async def run(settings: Settings) -> None:
    """One server in this process, until a signal."""

    def ready(serving: Serving) -> None:
        print(
            f"homeport shares data on {serving.grpc} ({serving.transport}), "
            f"CloudEvents over HTTP on {serving.http or 'no port'}, "
            f"metrics on {serving.metrics or 'no port'}",
            file=sys.stderr,
            flush=True,
        )
        freeze_gc()
        content = {
            "grpc": serving.grpc,
            "http": serving.http,
            "metrics": serving.metrics,
            "transport": serving.transport,
            "pid": os.getpid(),
        }
        write_ready_file(settings.ready_file, content)

    await serve(settings, stop=stop_on_signals(), on_ready=ready)


def main() -> int:
    """See control_plane.process for the exit codes."""
    return run_program(
        "homeport share",
        read_settings,
        lambda settings: run_on_uvloop(run(settings)),
        lambda arguments: check_config(Settings, arguments, checks),
    )


if __name__ == "__main__":
    raise SystemExit(main())
