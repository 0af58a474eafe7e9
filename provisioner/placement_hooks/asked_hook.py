"""AskedHook: one hook with what keeps it from holding clients up.

A question has a deadline, which counts from when it begins to wait; so many are asked at once, and
some times as many wait; a hook that fails again and again is left alone for a while. Whatever goes
wrong, the answer is None, and the policy says what holds then.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

from control_plane.histogram import MillisecondHistogram
from provisioner.placement.hooks import HookAnswer
from provisioner.placement_hooks.circuit_breaker import CircuitBreaker
from provisioner.placement_hooks.port import Hook, HookFailed, HookQuestion

log = logging.getLogger(__name__)

WAITING = 8  # questions that wait, times those that are asked at once
LOG_EVERY_S = 10.0


class QuestionOutcome(StrEnum):
    """Of one question."""

    ANSWERED = "answered"
    LATE = "late"  # no answer within the deadline
    FAILED = "failed"  # it could not be reached, or said that it cannot
    FAULTY = "faulty"  # what it said cannot be meant
    RESTING = "resting"  # not asked: it failed too often
    BUSY = "busy"  # not asked: too many questions wait for it


class AskedHook:
    """tenants: whose policies may name it; empty: all. clock: monotonic seconds."""

    def __init__(
        self,
        name: str,
        hook: Hook,
        *,
        tenants: frozenset[str] = frozenset(),
        at_once: int,
        clock: Callable[[], float],
        breaker: CircuitBreaker | None = None,
    ) -> None:
        self.name = name
        self.breaker = breaker or CircuitBreaker()
        self.outcomes: Counter[QuestionOutcome] = Counter()
        self.times = MillisecondHistogram()
        self._hook = hook
        self._tenants = tenants
        self._most = at_once * (1 + WAITING)
        self._slots = asyncio.Semaphore(at_once)
        self._asking = 0
        self._clock = clock
        self._log_after = 0.0

    def serves(self, tenant: str) -> bool:
        """Whether the policy of a tenant may name it."""
        return not self._tenants or tenant in self._tenants

    async def ask(self, question: HookQuestion, *, timeout_s: float) -> HookAnswer | None:
        """What it says within the time; None: nothing that counts."""
        if self._asking >= self._most:
            self.outcomes[QuestionOutcome.BUSY] += 1
            return None
        began = self._clock()
        if not self.breaker.admit(began):
            self.outcomes[QuestionOutcome.RESTING] += 1
            return None
        self._asking += 1
        outcome: QuestionOutcome | None = None
        why = ""
        answer: HookAnswer | None = None
        try:
            async with asyncio.timeout(timeout_s), self._slots:
                left_s = timeout_s - (self._clock() - began)
                answer = await self._hook.rank(question, timeout_s=max(0.001, left_s))
            why = answer.why_faulty()
            outcome = QuestionOutcome.FAULTY if why else QuestionOutcome.ANSWERED
        except TimeoutError:
            outcome, why = QuestionOutcome.LATE, f"no answer within {timeout_s * 1000:,.0f} ms"
        except HookFailed as error:
            outcome, why = QuestionOutcome.FAILED, str(error)
        finally:
            self._asking -= 1
            self._learn(outcome, began)
        if outcome is not QuestionOutcome.ANSWERED:
            self._tell(why)
            return None
        return answer

    def _learn(self, outcome: QuestionOutcome | None, began: float) -> None:
        """None: whoever asked was cancelled, or something nobody foresaw was raised."""
        now = self._clock()
        if outcome is None:
            self.breaker.gave_up()
            return
        self.outcomes[outcome] += 1
        self.times.observe_ms(round((now - began) * 1000.0))
        if outcome is QuestionOutcome.ANSWERED:
            self.breaker.succeeded()
        else:
            self.breaker.failed(now)

    def _tell(self, why: str) -> None:
        now = self._clock()
        if now >= self._log_after:
            self._log_after = now + LOG_EVERY_S
            log.warning("hook %s gave no answer that counts: %s", self.name, why)

    async def close(self) -> None:
        """Ends its connections."""
        await self._hook.close()
