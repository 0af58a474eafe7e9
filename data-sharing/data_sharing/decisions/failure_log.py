"""FailureLog: what a server's log says of a failure of our own code at something it decides.

The text of an exception may quote what was read. Where a sharing policy covers that, its kind is
logged and where it came from, and not its text: whoever reads logs is none of the readers.
"""

from __future__ import annotations

import logging
import traceback


def log_failure(log: logging.Logger, what: str, error: Exception, *, hidden: bool) -> None:
    """At level ERROR, with its traceback. hidden: its text is not to be told."""
    if not hidden:
        log.error("%s", what, exc_info=error)
        return
    kinds, one = list[str](), error.__traceback__
    cause: BaseException | None = error
    while cause is not None and len(kinds) < 8:
        kinds.append(type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    where = "".join(traceback.format_tb(one))
    log.error("%s: %s\n%s", what, " because of ".join(kinds), where.rstrip())


def said_of(error: Exception, *, hidden: bool) -> str:
    """In a dead letter."""
    name = type(error).__name__
    return name if hidden else f"{name}: {error}"
