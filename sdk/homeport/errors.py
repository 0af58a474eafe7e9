"""What can go wrong for a caller, named by what the caller can do about it.

Every call raises one of these and nothing of gRPC's. The message is one sentence for people
with the next step in it; `code` and `reason` are for machines. Denials that are normal, a
unit that does not admit a ticket or one client of a batch that found no room, are results.
"""

from __future__ import annotations

from collections.abc import Sequence

from homeport.failure import Code, Failure, Violation


class HomeportError(Exception):
    """Base of all. `attempts` counts the tries, `server` is the one that was asked last; 0
    and empty when nothing was sent. `detail` is what gRPC said, where the words are gRPC's;
    empty where they are a Homeport server's or the library's own."""

    def __init__(
        self,
        message: str,
        *,
        code: Code = Code.UNKNOWN,
        reason: str = "",
        retry_after_s: float | None = None,
        violations: tuple[Violation, ...] = (),
        attempts: int = 0,
        server: str = "",
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.retry_after_s = retry_after_s  # None: repeating the same call cannot help
        self.violations = violations
        self.attempts = attempts
        self.server = server
        self.detail = detail


class InvalidRequest(HomeportError):
    """The request itself is wrong; `violations` names each field at fault. Change it."""


class NotFound(HomeportError):
    """The tenant, or the client's assignment, does not exist."""


class PermissionDenied(HomeportError):
    """The server knows the caller, who may not do this. Use another token or ask for less."""


class Unauthenticated(HomeportError):
    """The server wants to know who is calling. Give `token=`."""


class Refused(HomeportError):
    """A policy or the state of the fleet does not allow it; an operator must change that."""


class NoRoom(HomeportError):
    """Every unit that may take the client is full. Try again after `retry_after_s`."""


class WaitingForRoom(NoRoom):
    """No unit within the cap in latency that the client's policy has now has room. It waits since
    it first came: the client library sends along since when, and after a time a wider cap holds.
    waited_s: so far; within_ms: the cap, None: any; relaxes_after_s: of waiting in all a wider one
    holds, None: none does, or it is not known; waiting_token: says since when, for another
    process."""

    waited_s: float | None = None
    within_ms: float | None = None
    relaxes_after_s: float | None = None
    waiting_token: str = ""


class Conflict(HomeportError):
    """Somebody else changed it first. Read again, then decide again."""


class Unavailable(HomeportError):
    """No server could answer, now. Trying later can help; the call may have had its effect."""


class DeadlineExceeded(HomeportError):
    """No answer in time. Repeating is safe; the call may have had its effect."""


class Unsupported(HomeportError):
    """The server does not know this method: something else listens there, or it is older."""


class ServerFault(HomeportError):
    """The server failed in a way that nobody foresaw; its log says how."""


_ERROR_BY_CODE: dict[Code, type[HomeportError]] = {
    Code.INVALID_ARGUMENT: InvalidRequest,
    Code.OUT_OF_RANGE: InvalidRequest,
    Code.NOT_FOUND: NotFound,
    Code.PERMISSION_DENIED: PermissionDenied,
    Code.UNAUTHENTICATED: Unauthenticated,
    Code.FAILED_PRECONDITION: Refused,
    Code.ALREADY_EXISTS: Refused,
    Code.RESOURCE_EXHAUSTED: NoRoom,
    Code.ABORTED: Conflict,
    Code.UNAVAILABLE: Unavailable,
    Code.CANCELLED: Unavailable,
    Code.DEADLINE_EXCEEDED: DeadlineExceeded,
    Code.UNIMPLEMENTED: Unsupported,
    Code.INTERNAL: ServerFault,
    Code.DATA_LOSS: ServerFault,
    Code.UNKNOWN: ServerFault,
}

# What to do, where the words are gRPC's and do not say it.
_ADVICE: dict[type[HomeportError], str] = {
    InvalidRequest: "change the request",
    NotFound: "check the tenant and the client id",
    PermissionDenied: "use a token that has the right",
    Unauthenticated: "give the client token=",
    Refused: "an operator has to change the fleet or the policy",
    NoRoom: "try again later",
    Conflict: "read again and decide again",
    Unavailable: "check that a Homeport server runs there, that it can be reached, and that "
    "both sides use TLS or neither does",
    DeadlineExceeded: "repeating is safe; give a longer timeout_s, or look at the servers' load",
    Unsupported: "check that a Homeport server of at least this version listens there",
    ServerFault: "the server's log says more",
}


def error_of(failure: Failure, *, servers: Sequence[str] = (), attempts: int = 0) -> HomeportError:
    """The error for a failure that was the last word; `servers`: those asked, newest last."""
    kind = _ERROR_BY_CODE[failure.code]
    message = failure.message
    if not failure.from_homeport:
        if failure.code is Code.RESOURCE_EXHAUSTED and failure.retry_after_s is None:
            kind = InvalidRequest  # gRPC's own limit on the size of a message
        where = ", ".join(dict.fromkeys(servers)) or "the server"
        what = message or failure.code.replace("_", " ").lower()
        message = f"{where}: {what}; {_ADVICE[kind]}"
    waiting = failure.waiting
    if waiting is not None and kind is NoRoom:
        kind = WaitingForRoom
    error = kind(
        message,
        code=failure.code,
        reason=failure.reason,
        retry_after_s=failure.retry_after_s,
        violations=failure.violations,
        attempts=attempts,
        server=servers[-1] if servers else "",
        detail="" if failure.from_homeport else failure.message,
    )
    if waiting is not None and isinstance(error, WaitingForRoom):
        error.waiting_token, error.waited_s = waiting.token, waiting.waited_s
        error.within_ms, error.relaxes_after_s = waiting.within_ms, waiting.relaxes_after_s
    return error


def invalid(field: str, message: str) -> InvalidRequest:
    """The error for a request that is not worth sending."""
    return InvalidRequest(
        message, code=Code.INVALID_ARGUMENT, violations=(Violation(field, message),)
    )
