"""A supervisor for tests: it restarts nothing, so that a background task that fails fails the
test that has it running."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

from control_plane.supervision import Supervisor


class FailFast(Supervisor):
    """Whatever a task raises goes on upwards."""

    def __init__(self) -> None:
        super().__init__(clock=time.monotonic, jitter=lambda: 0.0)

    async def keep(
        self,
        name: str,
        work: Callable[[], Coroutine[Any, Any, None]],
        *,
        ends_on: tuple[type[Exception], ...] = (),
    ) -> None:
        await work()

    async def attempt(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        await work
