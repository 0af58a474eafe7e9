"""How a command fails: one sentence on stderr that says what to do, and an exit code.

The one place that knows which error means which code. Errors nobody expected are defects and
keep their traceback.
"""

from __future__ import annotations

import sys
from enum import IntEnum

from control_plane.errors import (
    AlreadyExists,
    Exhausted,
    InvalidInput,
    NotFound,
    Refused,
    ServiceError,
    Unavailable,
)
from control_plane.printable import printable_lines, quoted


class ExitCode(IntEnum):
    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4  # by policy or capacity, or because somebody else has it
    UNAVAILABLE = 5
    INTERRUPTED = 130  # by Ctrl-C, as shells have it


class CommandFailed(Exception):
    """A command's own failure: the sentence to print, and the code."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


def nothing_removed(why: str) -> CommandFailed:
    """Of commands that remove something: it is not there. All of them end so; what was asked for is
    the case, and whoever repeats a command may take this for done."""
    return CommandFailed(f"{why}; nothing was removed", ExitCode.NOT_FOUND)


_BY_STATUS = {
    "INVALID_ARGUMENT": ExitCode.USAGE,
    "NOT_FOUND": ExitCode.NOT_FOUND,
    "FAILED_PRECONDITION": ExitCode.REFUSED,
    "ALREADY_EXISTS": ExitCode.REFUSED,
    "RESOURCE_EXHAUSTED": ExitCode.REFUSED,
    "UNAVAILABLE": ExitCode.UNAVAILABLE,
    "DEADLINE_EXCEEDED": ExitCode.UNAVAILABLE,
}

_BY_ERROR: tuple[tuple[type[ServiceError], ExitCode], ...] = (
    (InvalidInput, ExitCode.USAGE),
    (NotFound, ExitCode.NOT_FOUND),
    (Refused, ExitCode.REFUSED),
    (AlreadyExists, ExitCode.REFUSED),
    (Exhausted, ExitCode.REFUSED),
    (Unavailable, ExitCode.UNAVAILABLE),
)


def code_of_status(name: str) -> ExitCode:
    """The exit code for a canonical gRPC status name."""
    return _BY_STATUS.get(name, ExitCode.FAILED)


def failure_of(error: BaseException) -> CommandFailed | None:
    """What to say about an error and how to exit; None for an error nobody expected."""
    if isinstance(error, CommandFailed):
        return error
    if isinstance(error, ServiceError):
        codes = (code for kind, code in _BY_ERROR if isinstance(error, kind))
        return CommandFailed(error.message, next(codes, ExitCode.FAILED))
    if isinstance(error, UnicodeEncodeError):  # a word of the command line, or its environment
        return CommandFailed(f"{quoted(error.object)} is not UTF-8", ExitCode.USAGE)
    if isinstance(error, KeyboardInterrupt):
        return CommandFailed("interrupted", ExitCode.INTERRUPTED)
    return _failure_of_call(error)


def _failure_of_call(error: BaseException) -> CommandFailed | None:
    """The same for what the client library raises."""
    from homeport import errors

    if not isinstance(error, errors.HomeportError):
        return None
    message = error.message
    if isinstance(error, errors.Unavailable) and not error.reason:
        # The words are gRPC's, a chain of causes with the library's advice behind it.
        cause = message.rpartition("; ")[0].rpartition(": ")[2]
        message = (
            f"no Homeport server answers at {error.server} ({cause}); start one with "
            "`homeport up` (a data-sharing server: `homeport share`), or name another with "
            "--server"
        )
    if error.code == "UNAUTHENTICATED":
        message += " (commands take one by --token-file FILE or HOMEPORT_TOKEN)"
    return CommandFailed(message, code_of_status(error.code))


def report(failure: CommandFailed) -> None:
    """Prints it, without the control characters that came with what failed."""
    print(f"homeport: {printable_lines(failure.message)}", file=sys.stderr)
