"""What follows from one attempt: its evidence, and whether and when it is made again. Pure.

Only what was surely not taken is tried again, and what may have been taken where the channel
knows duplicates. Pauses double, from half a minute to half an hour, and are spread by a random
number that is an argument; none goes past the step's deadline, when the next channel is due.
"""

from __future__ import annotations

from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.port import SendOutcome, SendResult
from deployment_units.services.gateway.states import (
    MOST_ATTEMPTS,
    AttemptEvidence,
    AttemptState,
)

FIRST_PAUSE_MS = 30_000
LONGEST_PAUSE_MS = 30 * 60_000
_STATES = {
    SendOutcome.HANDED_OVER: AttemptState.HANDED_OVER,
    SendOutcome.DELIVERED: AttemptState.DELIVERED,
    SendOutcome.REFUSED: AttemptState.FAILED,
    SendOutcome.NOT_NOW: AttemptState.FAILED,  # this attempt; there may be another
    SendOutcome.UNKNOWN: AttemptState.UNKNOWN,
}


def evidence_of_sending(
    number: int, channel: Channel, result: SendResult, at_ms: int, lost: tuple[str, ...] = ()
) -> AttemptEvidence:
    """number: of the attempt, from 1; lost: see AttemptEvidence."""
    return AttemptEvidence(
        number=number,
        channel=channel,
        state=_STATES[result.outcome],
        at_ms=at_ms,
        words=result.words,
        lost=lost,
    )


def next_attempt_ms(
    number: int,
    result: SendResult,
    *,
    knows_duplicates: bool,
    now_ms: int,
    deadline_ms: int,
    spread: float,
) -> int | None:
    """When the attempt after this one is made over the same channel; None: not at all. number: of
    this one, from 1 since the delivery is driven, over all channels; spread: random, 0 to 1."""
    again = result.outcome is SendOutcome.NOT_NOW or (
        result.outcome is SendOutcome.UNKNOWN and knows_duplicates
    )
    if not again or number >= MOST_ATTEMPTS:
        return None
    pause_ms = min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS << min(number - 1, 10))
    at_ms = now_ms + round(pause_ms * (0.75 + 0.5 * spread))
    return at_ms if at_ms < deadline_ms else None
