"""`python -m deployment_units.agent`: what runs inside a deployment unit."""

from __future__ import annotations

import asyncio
import signal
import sys
import tomllib

import grpc
from pydantic import ValidationError

from control_plane.errors import HomeportError
from control_plane.telemetry.logs import log_as_json
from deployment_units.agent.settings import AgentSettings, read_settings
from deployment_units.agent.wiring import run_agents, write_ready_file


async def run(settings: AgentSettings) -> None:
    """Until a signal."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)

    def ready(endpoints: dict[str, str]) -> None:
        print(f"homeport agents serve {len(endpoints)} unit(s)", file=sys.stderr, flush=True)
        if settings.ready_file:
            write_ready_file(settings.ready_file, endpoints)

    await run_agents(settings, stop=stop, on_ready=ready)


def main() -> int:
    """Exit codes: 0 stopped as told, 1 failed, 2 wrong settings."""
    try:
        settings = read_settings(sys.argv[1:])
    except ValidationError as error:
        for problem in error.errors():
            where = ".".join(str(part) for part in problem["loc"]) or "settings"
            print(f"homeport agent: {where}: {problem['msg']}", file=sys.stderr)
        return 2
    except (FileNotFoundError, tomllib.TOMLDecodeError) as error:
        print(f"homeport agent: settings file: {error}", file=sys.stderr)
        return 2
    log_as_json(settings.log_level)
    failed = False
    try:
        asyncio.run(run(settings))
    except* HomeportError as refused:
        print(f"homeport agent: {refused.exceptions[0]}", file=sys.stderr)
        failed = True
    except* grpc.aio.AioRpcError as rejected:
        first = rejected.exceptions[0]
        said = first.details() if isinstance(first, grpc.aio.AioRpcError) else first
        who = " ".join(getattr(first, "__notes__", ["this unit"]))
        print(f"homeport agent: the control plane refused {who}: {said}", file=sys.stderr)
        failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
