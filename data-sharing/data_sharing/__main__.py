"""`python -m data_sharing`: one data-sharing server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from pydantic import ValidationError

from control_plane.errors import HomeportError
from control_plane.serving.gc_freeze import freeze_gc
from control_plane.telemetry.logs import log_as_json
from data_sharing.settings import Settings, read_settings
from data_sharing.wire import Serving, serve, stop_on_signals, write_ready_file


async def run(settings: Settings) -> None:
    """One server in this process, until a signal."""
    stop = asyncio.Event()
    stop_on_signals(stop)

    def ready(serving: Serving) -> None:
        print(
            f"homeport shares data on {serving.grpc} ({serving.transport}), "
            f"CloudEvents over HTTP on {serving.http or 'no port'}, "
            f"metrics on {serving.metrics or 'no port'}",
            file=sys.stderr,
            flush=True,
        )
        freeze_gc()
        if settings.ready_file:
            write_ready_file(settings.ready_file, serving)

    await serve(settings, stop=stop, on_ready=ready)


def main() -> int:
    """Exit codes: 0 stopped as told, 1 failed, 2 wrong settings."""
    try:
        settings = read_settings(sys.argv[1:])
    except ValidationError as error:
        for problem in error.errors():
            where = ".".join(str(part) for part in problem["loc"])
            print(f"homeport share: {where}: {problem['msg']}", file=sys.stderr)
        return 2
    except FileNotFoundError as error:
        print(f"homeport share: {error}", file=sys.stderr)
        return 2
    log_as_json(settings.log_level)
    try:
        with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
            runner.run(run(settings))
    except HomeportError as error:
        print(f"homeport share: {error}", file=sys.stderr)
        return 1
    return 0


def event_loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop's loop where there is one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


if __name__ == "__main__":
    raise SystemExit(main())
