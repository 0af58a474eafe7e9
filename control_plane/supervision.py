"""Supervisor: the background tasks of one process, none of which takes the others along.

A task works until it is cancelled. What it raises besides is a defect, or a state of the world
that nobody foresaw: it goes into the log, with its traceback when it is new; it is counted by the
name of the task; and the task begins anew after a pause that doubles while it keeps failing. Only
what its owner names, because going on would be wrong, ends the process, and then in order. The
idea is that of Erlang's supervisors with `one_for_one` restarts
(https://www.erlang.org/doc/system/sup_princ.html).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from control_plane.backoff import Backoff

log = logging.getLogger(__name__)

RESTART = Backoff(first_s=0.5, most_s=30.0, jittered=0.5)
STEADY_S = 60.0  # after so long without a failure a task counts as well again


@dataclass(slots=True)
class _Record:
    """What is known of the tasks of one name. row: failures in a row; well_at: when the last one
    is forgotten, by the supervisor's clock; logged: the failure whose traceback is in the log."""

    failures: int = 0
    row: int = 0
    well_at: float = 0.0
    logged: str = ""


class Supervisor:
    """One per process. clock: monotonic seconds; jitter: 0 to 1, new at each call; on_end: called
    once, when a task raised what ends the process; `ended_by` has that from then on."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._jitter = jitter
        self._sleep = sleep
        self._on_end = on_end
        self._records: dict[str, _Record] = {}
        self.ended_by: Exception | None = None

    async def keep(
        self,
        name: str,
        work: Callable[[], Coroutine[Any, Any, None]],
        *,
        ends_on: tuple[type[Exception], ...] = (),
    ) -> None:
        """Runs `work()` until it returns or this is cancelled, and anew whenever it fails. ends_on:
        what it raises when there is no going on; then this returns, and `on_end` is called.
        Several may have one name. A CancelledError that came from elsewhere than a cancellation
        of this task is a failure like any other."""
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001  # logged by `note`
                fatal = _first(error, ends_on)
                if fatal is not None:
                    self._end(name, fatal)
                    return
                failure: BaseException = error
            except asyncio.CancelledError as error:
                if is_cancelled():
                    raise
                failure = error
            else:
                return
            await self._sleep(self.note(name, failure))

    async def attempt(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Runs `work` once. What it raises is logged and counted, and goes no further."""
        try:
            await work
        except Exception as error:  # noqa: BLE001  # logged by `note`
            self.note(name, error)
        except asyncio.CancelledError as error:
            if is_cancelled():
                raise
            self.note(name, error)

    def raise_if_ended(self) -> None:
        """Raises `ended_by`, if there is any."""
        if self.ended_by is not None:
            raise self.ended_by

    @property
    def failures(self) -> dict[str, int]:
        """How often tasks have failed since the start, by name; those that never did are not in
        it."""
        return {name: record.failures for name, record in list(self._records.items())}

    @property
    def failing(self) -> tuple[str, ...]:
        """The names of tasks that failed and have not been well for a while since."""
        now = self._clock()
        return tuple(name for name, one in list(self._records.items()) if now < one.well_at)

    def _end(self, name: str, error: Exception) -> None:
        if self.ended_by is None:
            log.error("%s cannot go on, and without it nothing can: %s", name, error)
            self.ended_by = error
            self._on_end()

    def note(self, name: str, error: BaseException) -> float:
        """Logs and counts a failure of the task; how long to wait before it is tried again, in
        seconds."""
        record, now = self._records.setdefault(name, _Record()), self._clock()
        if now >= record.well_at:
            record.row, record.logged = 0, ""
        pause_s = RESTART.pause_s(record.row, self._jitter())
        record.failures += 1
        record.row += 1
        record.well_at = now + pause_s + STEADY_S
        said = f"{type(error).__name__}: {error}"
        if said != record.logged:
            record.logged = said
            log.error("background task %s failed: %s", name, said, exc_info=error)
        else:
            log.error("background task %s failed as before, %d times in a row", name, record.row)
        return pause_s


def log_failure(task: asyncio.Task[Any]) -> None:
    """A done callback of tasks that work until they are cancelled and that nobody waits for before:
    one that failed instead is in the log when it does."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s failed, and is not at work any more", task.get_name(), exc_info=error)


def is_cancelled() -> bool:
    """Of the CancelledError at hand: whether the running task was cancelled, by whoever holds
    it. Otherwise the error comes from something that was waited for and cancelled elsewhere."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _first(error: Exception, kinds: tuple[type[Exception], ...]) -> Exception | None:
    """The first error of these kinds, however deep groups stand in groups."""
    if isinstance(error, ExceptionGroup):
        return next((one for part in error.exceptions if (one := _first(part, kinds))), None)
    return error if isinstance(error, kinds) else None
