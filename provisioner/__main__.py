"""`python -m provisioner`: one provisioning server, or several that share a port."""

from __future__ import annotations

import os
import sys

from control_plane.uncollected_imports import uncollected_imports

with uncollected_imports():
    from control_plane.config_check import check_config
    from control_plane.process import run_on_uvloop, run_program, stop_on_signals
    from control_plane.ready_file import write_ready_file
    from control_plane.serving import gc_freeze
    from provisioner.settings import Settings, read_settings
    from provisioner.wiring.config_checks import checks
    from provisioner.wiring.server import Serving, serve
    from provisioner.wiring.workers import SHARE_PORT, run_workers


async def run(settings: Settings) -> None:
    """One server in this process, until a signal."""

    def ready(serving: Serving) -> None:
        gc_freeze.freeze_gc()
        print(
            f"homeport serves gRPC on {serving.grpc} ({serving.transport}), "
            f"HTTP on {serving.http or 'no port'}, metrics on {serving.metrics or 'no port'}",
            file=sys.stderr,
            flush=True,
        )
        content = {
            "grpc": serving.grpc,
            "http": serving.http,
            "pages": serving.pages,
            "metrics": serving.metrics,
            "transport": serving.transport,
            "pid": os.getpid(),
        }
        write_ready_file(settings.ready_file, content)

    await serve(
        settings, stop=stop_on_signals(), on_ready=ready, share_port=SHARE_PORT in os.environ
    )


def _body(settings: Settings) -> None:
    if settings.workers > 1:
        run_workers(settings)
    else:
        run_on_uvloop(run(settings))


def main() -> int:
    """See control_plane.process for the exit codes."""
    return run_program(
        "homeport serve",
        read_settings,
        _body,
        lambda arguments: check_config(Settings, arguments, checks),
    )


if __name__ == "__main__":
    raise SystemExit(main())
