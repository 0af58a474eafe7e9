"""OpenStreams: how many streams of one kind stand at once, of each caller, each tenant and in all.

What begins is counted by `quotas`; this counts what stays. Where there are as many as there may be
a further one is refused, and told when to come back: streams end by themselves at no known time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from control_plane.errors import Exhausted

T = TypeVar("T")

RETRY_S = 1.0  # half as long to one and a half times


class TooManyOpen(Exhausted):
    """As many streams are open as may be. One of them has to end first."""

    reason = "TOO_MANY_OPEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLimits:
    """At once; 0: no such limit."""

    of_caller: int  # in one tenant
    of_tenant: int
    of_all: int


class OpenStreams:
    """One for each kind on each server. what: it, in the plural. jitter: 0.0 to 1.0, new at each
    call."""

    def __init__(self, what: str, limits: OpenLimits, *, jitter: Callable[[], float]) -> None:
        self._what = what
        self._limits = limits
        self._jitter = jitter
        self._of_caller: Counter[tuple[str, str]] = Counter()
        self._of_tenant: Counter[str] = Counter()
        self._open = 0
        self.refused = 0

    def __len__(self) -> int:
        """Those that are open."""
        return self._open

    @contextmanager
    def hold(self, tenant: str, caller: str) -> Iterator[None]:
        """One more, while inside. Raises TooManyOpen."""
        self._check(tenant, caller)
        key = (tenant, caller)
        self._open += 1
        self._of_tenant[tenant] += 1
        self._of_caller[key] += 1
        try:
            yield
        finally:
            self._open -= 1
            _less(self._of_tenant, tenant)
            _less(self._of_caller, key)

    def _check(self, tenant: str, caller: str) -> None:
        limits, what = self._limits, self._what
        if 0 < limits.of_caller <= self._of_caller[tenant, caller]:
            raise self._refusal(
                f"{caller} has {limits.of_caller:,} {what} open for tenant {tenant}, as many as "
                "one caller may; end one first, or read several feeds with one"
            )
        if 0 < limits.of_tenant <= self._of_tenant[tenant]:
            raise self._refusal(
                f"tenant {tenant} has {limits.of_tenant:,} {what} open, as many as one tenant may; "
                "end one first"
            )
        if 0 < limits.of_all <= self._open:
            raise self._refusal(
                f"this server has {limits.of_all:,} {what} open, as many as it takes; try again, "
                "or another one"
            )

    def _refusal(self, message: str) -> TooManyOpen:
        self.refused += 1
        return TooManyOpen(message, retry_after_s=RETRY_S * (0.5 + self._jitter()))


def _less(counts: Counter[T], key: T) -> None:
    """One less; nothing is kept of those who have none."""
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
