"""FailureLog: what a server's log says of a failure of our own code at something it decides.

The text of an exception may quote what was read. Where a sharing policy covers that, its kind is
logged and where it came from, and not its text: whoever reads logs is none of the readers.
"""

from __future__ import annotations

import logging
import sqlite3
import traceback

from control_plane.printable import quoted
from data_sharing.decisions import dead_letters
from data_sharing.event import Event
from data_sharing.instruction import Cause

log = logging.getLogger(__name__)


def log_failure(to: logging.Logger, what: str, error: Exception, *, hidden: bool) -> None:
    """At level ERROR, with its traceback. hidden: its text is not to be told."""
    if not hidden:
        to.error("%s", what, exc_info=error)
        return
    kinds, one = list[str](), error.__traceback__
    cause: BaseException | None = error
    while cause is not None and len(kinds) < 8:
        kinds.append(type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    where = "".join(traceback.format_tb(one))
    to.error("%s: %s\n%s", what, " because of ".join(kinds), where.rstrip())


def put_undecided(
    db: sqlite3.Connection, event: Event, rule: str, error: Exception, *, hidden: bool, now_ms: int
) -> None:
    """An event that could not be decided at all is a dead letter, of that rule or of none, and is
    logged. hidden: as above."""
    what = f"event {quoted(event.id)} of {quoted(event.source)} cannot be decided"
    log_failure(log, what, error, hidden=hidden)
    name = type(error).__name__
    dead_letters.put_event(
        db,
        event.tenant,
        Cause(event.source, event.id, event.type, event.position),
        rule=rule,
        rule_version=0,
        reason=f"it could not be decided: {name if hidden else f'{name}: {error}'}",
        now_ms=now_ms,
    )
