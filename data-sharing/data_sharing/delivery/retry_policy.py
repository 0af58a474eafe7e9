"""What follows from what a platform said about an instruction. Pure.

An outcome ends it, unless the action failed and performing it again is as good as once: then
it is tried again, a few times, later each time. A refusal is no outcome: nothing ran.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from data_sharing.instruction import Instruction, Performance, Performed
from data_sharing.signing import Flaw, Refusal

MOST_ATTEMPTS = 3
BACKOFF_MS, BACKOFF_MAX_MS = 200, 30_000
# A sandbox does the same with the same input: these would only come again.
_FINAL = frozenset({Performance.OUT_OF_MEMORY, Performance.TRAPPED, Performance.BAD_OUTPUT})


class Step(Enum):
    DONE = "done"
    AGAIN = "again"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What to do; `reason` says why it is not DONE."""

    step: Step
    reason: str = ""


def after_outcome(instruction: Instruction, performed: Performed) -> Next:
    """What an outcome means for the instruction."""
    status = performed.status
    if status is Performance.DONE:
        return Next(step=Step.DONE)
    if status is Performance.UNKNOWN:
        return Next(step=Step.DEAD, reason=f"outcome unknown: {performed.message}")
    said = f"{instruction.application} {status.value}: {performed.message}"
    if status in _FINAL:
        return Next(step=Step.DEAD, reason=said)
    if not instruction.idempotent and status is not Performance.REFUSED:
        return Next(step=Step.DEAD, reason=f"{said}; it is not idempotent, so not tried again")
    if performed.attempt >= MOST_ATTEMPTS:
        return Next(step=Step.DEAD, reason=f"{said}; after {performed.attempt} attempts")
    return Next(step=Step.AGAIN, reason=said)


def after_refusal(refusal: Refusal) -> Next:
    """What a refusal means. AGAIN: by this platform later, or by another."""
    said = f"refused ({refusal.flaw.value}): {refusal.message}"
    if refusal.flaw in (Flaw.EXPIRED, Flaw.REPLAYED, Flaw.WRONG_PLATFORM, Flaw.MALFORMED):
        return Next(step=Step.DEAD, reason=said)
    return Next(step=Step.AGAIN, reason=said)


def backoff_ms(tries: int, jitter: float) -> int:
    """How long to wait before try number `tries` + 1; `jitter` from 0 to 1 keeps many from
    coming back at once."""
    longest = min(BACKOFF_MAX_MS, BACKOFF_MS << min(tries, 16))
    return int(longest * (0.5 + jitter / 2))
