"""`python -m data_sharing.platforms`: one platform, until a signal."""

from __future__ import annotations

import asyncio
import signal
import sys
import tomllib

import grpc
from pydantic import ValidationError

from control_plane.errors import HomeportError
from control_plane.telemetry.logs import log_as_json
from data_sharing.platforms.settings import PlatformSettings, read_settings
from data_sharing.platforms.wire import run_platform, write_ready_file

NAME = "homeport platforms run"


async def run(settings: PlatformSettings) -> None:
    """Until a signal, then as long as what was taken takes."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)

    def ready(applications: dict[str, str]) -> None:
        listed = ", ".join(f"{name} {version}" for name, version in applications.items())
        print(f"platform {settings.name} hosts {listed}", file=sys.stderr, flush=True)
        if settings.ready_file:
            write_ready_file(settings.ready_file, applications)

    await run_platform(settings, stop=stop, on_ready=ready)


def main() -> int:
    """Exit codes: 0 stopped as told, 1 failed, 2 wrong settings."""
    try:
        settings = read_settings(sys.argv[1:])
    except ValidationError as error:
        for problem in error.errors():
            where = ".".join(str(part) for part in problem["loc"]) or "settings"
            print(f"{NAME}: {where}: {problem['msg']}", file=sys.stderr)
        return 2
    except (FileNotFoundError, tomllib.TOMLDecodeError) as error:
        print(f"{NAME}: settings file: {error}", file=sys.stderr)
        return 2
    log_as_json(settings.log_level)
    failed = False
    try:
        asyncio.run(run(settings))
    except* HomeportError as refused:
        print(f"{NAME}: {refused.exceptions[0]}", file=sys.stderr)
        failed = True
    except* grpc.aio.AioRpcError as rejected:
        first = rejected.exceptions[0]
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        said = first.details() if isinstance(first, grpc.aio.AioRpcError) else first
        print(f"{NAME}: the service will not have this platform: {said}", file=sys.stderr)
        failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
