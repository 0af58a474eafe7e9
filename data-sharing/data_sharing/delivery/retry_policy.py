"""The retry policy of instructions: what follows from what a platform reported. Pure.

An outcome ends it, unless the action failed and performing it again is as good as once: then
it is tried again, a few times, later each time. A refusal is no outcome: nothing ran.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from control_plane.backoff import Backoff
from data_sharing.instruction import Instruction, Performance, Performed
from data_sharing.signing import InstructionRefusal, RefusalReason

MOST_ATTEMPTS = 3
RETRY = Backoff(first_s=0.2, most_s=30.0, jittered=0.5)
# A sandbox does the same with the same input: these would only come again.
_FINAL = frozenset({Performance.OUT_OF_MEMORY, Performance.TRAPPED, Performance.BAD_OUTPUT})


class Step(Enum):
    """What becomes of the instruction."""

    DONE = "done"
    RETRY = "retry"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """What to do; `reason` says why it is not DONE."""

    step: Step
    reason: str = ""


def after_outcome(instruction: Instruction, performed: Performed) -> NextStep:
    """What an outcome means for the instruction."""
    status = performed.status
    if status is Performance.DONE:
        return NextStep(step=Step.DONE)
    if status is Performance.UNKNOWN:
        return NextStep(step=Step.DEAD, reason=f"outcome unknown: {performed.message}")
    reason = f"{instruction.application} {status.value}: {performed.message}"
    if status in _FINAL:
        return NextStep(step=Step.DEAD, reason=reason)
    if not instruction.idempotent and status is not Performance.REFUSED:
        return NextStep(
            step=Step.DEAD, reason=f"{reason}; it is not idempotent, so not tried again"
        )
    if performed.attempt >= MOST_ATTEMPTS:
        return NextStep(step=Step.DEAD, reason=f"{reason}; after {performed.attempt} attempts")
    return NextStep(step=Step.RETRY, reason=reason)


def after_refusal(refusal: InstructionRefusal) -> NextStep:
    """What a refusal means. RETRY: by this platform later, or by another."""
    reason = f"refused ({refusal.reason.value}): {refusal.message}"
    if refusal.reason in (
        RefusalReason.EXPIRED,
        RefusalReason.REPLAYED,
        RefusalReason.WRONG_PLATFORM,
        RefusalReason.MALFORMED,
    ):
        return NextStep(step=Step.DEAD, reason=reason)
    return NextStep(step=Step.RETRY, reason=reason)


def backoff_ms(tries: int, jitter: float) -> int:
    """How long to wait before try number `tries` + 1; `jitter` from 0 to 1 keeps many from
    coming back at once."""
    return int(RETRY.pause_s(tries, jitter) * 1000)
