"""The retry policy: whether, where and when a failed try is repeated.

Every call of this API is idempotent, so a try whose outcome is unknown may be repeated. What
cannot help is never repeated. The back-off is "full jitter" (M. Brooker, "Exponential Backoff
And Jitter", AWS Architecture Blog, 2015); a server's RetryInfo is a lower bound on it.

Decisions here are plain functions and counters; clock and jitter are arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from homeport.endpoints import Endpoints
from homeport.errors import error_of
from homeport.failure import Code, Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How hard a client tries. A call ends when its `timeout_s` is over, whatever this says.

    max_rounds: how often a call goes round the servers; None: for as long as its deadline
    lasts. initial_backoff_s, the longest wait after the first round, doubles with each up to
    max_backoff_s. attempt_timeout_s: the
    longest that one try of a single call waits, so that a server that does not answer
    leaves time for the next; batch_timeout_s: the same for one batch of provision_many.
    watch_silence_s: a watch without a message for so long goes to the next server; servers
    send a keep-alive every 15 s.
    wait_for_room: whether to retry for a client for whom there is no room now, when the
    server says that waiting can help.
    """

    max_rounds: int | None = None
    initial_backoff_s: float = 0.2
    max_backoff_s: float = 5.0
    attempt_timeout_s: float = 3.0
    batch_timeout_s: float = 15.0
    watch_silence_s: float = 40.0
    wait_for_room: bool = True

    def __post_init__(self) -> None:
        for name in (
            "max_rounds",
            "max_backoff_s",
            "attempt_timeout_s",
            "batch_timeout_s",
            "watch_silence_s",
        ):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value}; it must be greater than 0")
        if not self.initial_backoff_s >= 0:
            raise ValueError(f"initial_backoff_s is {self.initial_backoff_s}; it must not be < 0")


class Remedy(Enum):
    """What can help after a failure."""

    NOTHING = "nothing"
    WAITING = "waiting"  # the same server, but only when it promised so with RetryInfo
    ANOTHER_SERVER = "another server"


REMEDIES: dict[Code, Remedy] = {
    Code.UNAVAILABLE: Remedy.ANOTHER_SERVER,
    # The try's own, shorter deadline: the server may be stuck while others are not.
    Code.DEADLINE_EXCEEDED: Remedy.ANOTHER_SERVER,
    # We cancel by raising, so this one is a server's: it was stopped in the middle of a call.
    Code.CANCELLED: Remedy.ANOTHER_SERVER,
    Code.RESOURCE_EXHAUSTED: Remedy.WAITING,
    Code.UNKNOWN: Remedy.NOTHING,
    Code.INVALID_ARGUMENT: Remedy.NOTHING,
    Code.NOT_FOUND: Remedy.NOTHING,
    Code.ALREADY_EXISTS: Remedy.NOTHING,
    Code.PERMISSION_DENIED: Remedy.NOTHING,
    Code.FAILED_PRECONDITION: Remedy.NOTHING,
    Code.ABORTED: Remedy.NOTHING,
    Code.OUT_OF_RANGE: Remedy.NOTHING,
    Code.UNIMPLEMENTED: Remedy.NOTHING,
    Code.INTERNAL: Remedy.NOTHING,
    Code.DATA_LOSS: Remedy.NOTHING,
    Code.UNAUTHENTICATED: Remedy.NOTHING,
}

LAST_TRY_S = 0.2  # with less left before the deadline no other try is begun
RETRY_JITTER = 0.2  # a server's delay is stretched by up to this share, never shortened


def backoff_s(policy: RetryPolicy, rounds: int, jitter: float) -> float:
    """The wait after so many rounds over the servers (1 or more); chance: 0.0 to 1.0."""
    # 2**60 initial back-offs are over any cap; a larger power would only overflow.
    ceiling = policy.initial_backoff_s * 2.0 ** min(rounds - 1, 60)
    return jitter * min(policy.max_backoff_s, ceiling)


def wait_s(
    failure: Failure, policy: RetryPolicy, *, rounds: int, untried: bool, jitter: float
) -> float | None:
    """Seconds until the next try; None: it cannot help. `untried`: the next server has not
    been asked since the last wait, and may be asked at once unless this one said when."""
    remedy = REMEDIES[failure.code]
    asked_s = failure.retry_after_s  # by the server
    if remedy is Remedy.NOTHING:
        return None
    if remedy is Remedy.WAITING and (asked_s is None or not policy.wait_for_room):
        return None
    if asked_s is not None and failure.waiting is not None:
        # The server reckons with the time at which the client may have more units.
        return asked_s * (1.0 + RETRY_JITTER * jitter)
    if asked_s is not None:
        return max(asked_s * (1.0 + RETRY_JITTER * jitter), backoff_s(policy, rounds, jitter))
    return 0.0 if untried else backoff_s(policy, rounds, jitter)


def fit_before_deadline(wait: float, left_s: float, *, by_server: bool) -> float | None:
    """The wait as it fits before a deadline `left_s` away; None: it does not. A wait of our own
    is cut to half of what is left, so that the last tries come closer together instead of not
    at all; one that a server asked for is not shortened."""
    if wait < left_s:
        return wait
    return None if by_server or left_s < LAST_TRY_S else left_s / 2


class Attempts:
    """The tries of one call: counts them, keeps to the deadline, moves between servers."""

    __slots__ = ("_asked", "_clock", "_deadline", "_endpoints", "_jitter", "_policy", "_since_wait")

    def __init__(
        self,
        policy: RetryPolicy,
        endpoints: Endpoints,
        *,
        timeout_s: float,
        clock: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        """clock: monotonic seconds; jitter: 0.0 to 1.0, new at each call."""
        self._policy = policy
        self._endpoints = endpoints
        self._clock = clock
        self._jitter = jitter
        self._deadline = clock() + timeout_s
        self._asked: list[str] = []
        self._since_wait = 0

    def try_timeout_s(self, longest_s: float) -> float:
        """How long the next try may take."""
        return max(0.001, min(longest_s, self._deadline - self._clock()))

    def wait_after(self, failure: Failure, server: str) -> float:
        """Seconds to wait before the next try. Raises the HomeportError that ends the call
        when another try cannot help or does not fit before the deadline."""
        asked, several = self._asked, len(self._endpoints)
        asked.append(server)
        self._since_wait += 1
        if REMEDIES[failure.code] is Remedy.ANOTHER_SERVER:
            self._endpoints.mark_failed(server)
        wait = wait_s(
            failure,
            self._policy,
            rounds=max(1, len(asked) // several),
            untried=self._since_wait < several,
            jitter=self._jitter(),
        )
        rounds = self._policy.max_rounds
        if rounds is not None and len(asked) >= rounds * several:
            wait = None
        if wait is not None:
            by_server = failure.retry_after_s is not None
            wait = fit_before_deadline(wait, self._deadline - self._clock(), by_server=by_server)
        if wait is None:
            raise error_of(failure, servers=asked, attempts=len(asked))
        if wait > 0.0:
            self._since_wait = 0
        return wait
