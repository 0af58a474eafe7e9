"""What can go wrong, named by what the caller can do about it.

Every service raises these (or narrower subclasses of its own); control_plane.serving turns
them into gRPC statuses in one place, and the command line turns them into exit codes. A
denial that is normal (a ticket refused, a full unit in a listing) is a result, not an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Self


class ServiceError(Exception):
    """Base of all that a service raises; what a client of it gets is
    homeport.errors.HomeportError. `reason` is a stable UPPER_SNAKE word for machines, the
    message one sentence for people that says what is wrong and what to do, or a line for each of
    several faults; `rest`: how to see those for which there is no room."""

    reason = "INTERNAL"
    retry_after_s: float | None = None  # None: repeating the same call cannot help
    metadata: Mapping[str, str] = MappingProxyType({})  # for machines, beside the reason
    rest = "they are told once these are mended"

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s

    def with_retry_after(self, retry_after_s: float) -> Self:
        """The same error for one of many callers, whatever its class is made from."""
        same = type(self).__new__(type(self), *self.args)
        same.__dict__.update(self.__dict__)
        same.retry_after_s = retry_after_s
        return same


class InvalidInput(ServiceError):
    """The request itself is wrong; `field` names the part at fault."""

    reason = "INVALID_INPUT"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class FaultyFile(InvalidInput):
    """A file that somebody named cannot be read, or is not what it should be; the message names
    it, and everything that is wrong with it."""

    reason = "FAULTY_FILE"


class NotFound(ServiceError):
    """What the request names does not exist."""

    reason = "NOT_FOUND"


class PermissionDenied(ServiceError):
    """The caller is known but may not do this."""

    reason = "PERMISSION_DENIED"


class Unauthenticated(ServiceError):
    """The caller did not say who it is, or could not prove it."""

    reason = "UNAUTHENTICATED"


class Refused(ServiceError):
    """The state of the system, or a policy, does not allow it; somebody must change that."""

    reason = "REFUSED"


class Exhausted(ServiceError):
    """There is no room now. Retrying later can help."""

    reason = "EXHAUSTED"
    retry_after_s = 5.0


class Conflict(ServiceError):
    """Somebody else changed it first. Read again, then decide again."""

    reason = "CONFLICT"


class HistoryGone(ServiceError):
    """What the caller wants to go on from is not kept any more. Begin anew, without it."""

    reason = "HISTORY_GONE"


class AlreadyExists(ServiceError):
    """Something else has that name. Take another one."""

    reason = "ALREADY_EXISTS"


class Unavailable(ServiceError):
    """Something Homeport needs is away. Retrying later can help."""

    reason = "UNAVAILABLE"
    retry_after_s = 1.0


class StoreUnavailable(Unavailable):
    """The store did not answer, and surely did nothing. Safe to repeat."""

    reason = "STORE_UNAVAILABLE"


class OutcomeUnknown(Unavailable):
    """The write may or may not have been applied. Read before writing again."""

    reason = "STORE_OUTCOME_UNKNOWN"


class DataLoss(ServiceError):
    """What arrived is not what was sent: something is missing, altered or out of order.
    Nothing of it was kept. Sending it anew can help."""

    reason = "DATA_LOSS"
