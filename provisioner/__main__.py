"""`python -m provisioner`: one provisioning server, or several that share a port."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable

from pydantic import ValidationError

from control_plane.errors import HomeportError
from control_plane.serving import gc_freeze
from control_plane.telemetry.logs import log_as_json
from provisioner.settings import Settings, read_settings
from provisioner.wiring.server import Serving, serve, stop_on_signals, write_ready_file
from provisioner.wiring.workers import SHARE_PORT, run_workers


async def run(settings: Settings) -> None:
    """One server in this process, until a signal."""
    stop = asyncio.Event()
    stop_on_signals(stop)

    def ready(serving: Serving) -> None:
        gc_freeze.freeze_gc()
        print(
            f"homeport serves gRPC on {serving.grpc} ({serving.transport}), "
            f"metrics on {serving.metrics or 'no port'}",
            file=sys.stderr,
            flush=True,
        )
        if settings.ready_file:
            write_ready_file(settings.ready_file, serving)

    await serve(settings, stop=stop, on_ready=ready, share_port=SHARE_PORT in os.environ)


def main() -> int:
    """Exit codes: 0 stopped as told, 1 failed, 2 wrong settings."""
    try:
        settings = read_settings(sys.argv[1:])
    except ValidationError as error:
        for problem in error.errors():
            where = ".".join(str(part) for part in problem["loc"])
            print(f"homeport serve: {where}: {problem['msg']}", file=sys.stderr)
        return 2
    except FileNotFoundError as error:
        print(f"homeport serve: {error}", file=sys.stderr)
        return 2
    log_as_json(settings.log_level)
    try:
        if settings.workers > 1:
            return run_workers(settings)
        with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
            runner.run(run(settings))
    except HomeportError as error:
        print(f"homeport serve: {error}", file=sys.stderr)
        return 1
    return 0


def event_loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop's loop where there is one: a third more calls per second than asyncio's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


if __name__ == "__main__":
    raise SystemExit(main())
