"""AuditedChange: what one call is at, for the transactions that it makes, so that they say
themselves that they were made.

Only what a call's own task writes is the call's: a task that it has started, or that others share,
goes on after its outcome. Stores look here (`marked_store`, `sqlite_log`); nothing else does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from control_plane.errors import Unavailable


class AuditedChange:
    """sequence: of the entry that says what was asked; 0 as long as there is none. marked: whether
    its transactions say that they were made."""

    __slots__ = ("_task", "marked", "sequence")

    def __init__(self, *, marked: bool) -> None:
        self._task = asyncio.current_task()
        self.marked = marked
        self.sequence = 0

    def is_here(self) -> bool:
        """Whether it is this very task that makes it, and that is to be marked."""
        return self.marked and self.sequence > 0 and asyncio.current_task() is self._task


_current: ContextVar[AuditedChange | None] = ContextVar("change", default=None)


@contextmanager
def changing(change: AuditedChange) -> Iterator[None]:
    """What the caller's task writes inside is of this change."""
    token = _current.set(change)
    try:
        yield
    finally:
        _current.reset(token)


def change_here() -> int:
    """The entry whose change this task makes; 0: none that is to be marked."""
    change = _current.get()
    return change.sequence if change is not None and change.is_here() else 0


def told_already(sequence: int) -> Unavailable:
    """For a transaction that comes after the outcome of its call."""
    return Unavailable(
        f"audit entry {sequence} of this call has its outcome already: another server took this "
        "one for gone; nothing was changed by this transaction, try again"
    )
