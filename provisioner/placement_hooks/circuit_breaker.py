"""CircuitBreaker: whether a service that failed is asked again. Pure; times are seconds.

After some failures in a row nobody waits for it any more (open). When it has rested, one question
goes through (half open): an answer closes the breaker, a failure has it rest twice as long, up to
a bound (Nygard, "Release It!", 2007).
"""

from __future__ import annotations

FAILURES = 5  # in a row
REST_S = 2.0
LONGEST_REST_S = 60.0


class CircuitBreaker:
    """Every question that `admit` lets through ends in `succeeded`, `failed` or `gave_up`."""

    def __init__(
        self,
        *,
        failures: int = FAILURES,
        rest_s: float = REST_S,
        longest_rest_s: float = LONGEST_REST_S,
    ) -> None:
        self._most_failures = failures
        self._rest_s = rest_s
        self._longest_rest_s = longest_rest_s
        self._failures = 0
        self._next_rest_s = rest_s
        self._open_until: float | None = None
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether it stands open, or one question finds out whether it has to."""
        return self._open_until is not None

    def admit(self, now_s: float) -> bool:
        """Whether a question may go through now."""
        if self._open_until is None:
            return True
        if self._probing or now_s < self._open_until:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """An answer came."""
        self._failures = 0
        self._next_rest_s = self._rest_s
        self._open_until = None
        self._probing = False

    def failed(self, now_s: float) -> None:
        """None came, or one that does not count."""
        self._failures += 1
        if self._open_until is not None and not self._probing:
            return  # asked before it opened: its failure is told already
        if self._probing or self._failures >= self._most_failures:
            self._open_until = now_s + self._next_rest_s
            self._next_rest_s = min(self._longest_rest_s, 2 * self._next_rest_s)
        self._probing = False

    def gave_up(self) -> None:
        """Whoever asked is gone: nothing was learnt."""
        self._probing = False
