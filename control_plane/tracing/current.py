"""The trace that the code at hand works for, for whoever writes of it: in logs, for one.

Set where a span is entered and taken back where it is left; in a task of its own it is that task's
(contextvars). It stands on no library, and where nothing is traced there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TraceIds:
    """As W3C Trace Context writes them: 32 and 16 lower-case hexadecimal digits."""

    trace_id: str
    span_id: str


_CURRENT: ContextVar[TraceIds | None] = ContextVar("homeport_trace", default=None)


def current_trace() -> TraceIds | None:
    """None: nothing is traced here."""
    return _CURRENT.get()


def set_current_trace(ids: TraceIds | None) -> None:
    """From now on, for the rest of the task."""
    _CURRENT.set(ids)


@contextmanager
def tracing(ids: TraceIds) -> Iterator[None]:
    """Within it, this is the trace."""
    token = _CURRENT.set(ids)
    try:
        yield
    finally:
        _CURRENT.reset(token)
