"""Waiting for a stack of `homeport up` that is still starting: who types the next command at once
is answered a little later, and not told of TLS and tokens that the stack has ready in a moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from console.cli.failure import CommandFailed, ExitCode

LIMIT_S = 60.0
POLL_S = 0.1


def wait_for_start(
    servers: Sequence[str],
    folder: Path | None = None,
    *,
    limit_s: float = LIMIT_S,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Returns once the stack on this machine that has all these servers does not start any more, at
    once where there is none. folder: of records; None: this user's. Raises CommandFailed where it
    takes longer than limit_s."""
    from console.cli.output import busy
    from homeport.local_stack import local_stack

    def starts() -> bool:
        found = local_stack(servers, folder)
        return found is not None and found.is_starting

    if not starts():
        return
    until = clock() + limit_s
    with busy("waiting for homeport up"):
        while starts():
            if clock() >= until:
                raise CommandFailed(
                    "`homeport up` is still starting; look at what it says, and try again",
                    ExitCode.UNAVAILABLE,
                )
            sleep(POLL_S)
