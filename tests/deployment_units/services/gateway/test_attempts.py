"""When an attempt is made again: never where it may have arrived and nobody would know."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.port import SendOutcome, SendResult
from deployment_units.services.gateway.attempts import (
    FIRST_PAUSE_MS,
    LONGEST_PAUSE_MS,
    evidence_of_sending,
    next_attempt_ms,
)
from deployment_units.services.gateway.states import (
    MOST_ATTEMPTS,
    AttemptState,
    DeliveryRecord,
    DeliveryState,
    advance,
)

FAR_MS = 10**12


@pytest.mark.parametrize("outcome", SendOutcome)
@pytest.mark.parametrize("knows_duplicates", [True, False])
def test_what_is_made_again(outcome: SendOutcome, knows_duplicates: bool) -> None:
    at_ms = next_attempt_ms(
        1,
        SendResult(outcome, ""),
        knows_duplicates=knows_duplicates,
        now_ms=0,
        deadline_ms=FAR_MS,
        spread=0.5,
    )
    unknown = outcome is SendOutcome.UNKNOWN and knows_duplicates
    again = outcome is SendOutcome.NOT_NOW or unknown
    assert at_ms == (FIRST_PAUSE_MS if again else None)


@given(
    st.integers(1, MOST_ATTEMPTS + 3), st.integers(0, FAR_MS), st.integers(0, FAR_MS),
    st.floats(0, 1),
)  # fmt: skip
def test_pauses_are_bounded_and_end_before_the_deadline(
    number: int, now_ms: int, deadline_ms: int, spread: float
) -> None:
    at_ms = next_attempt_ms(
        number,
        SendResult(SendOutcome.NOT_NOW, ""),
        knows_duplicates=False,
        now_ms=now_ms,
        deadline_ms=deadline_ms,
        spread=spread,
    )
    if at_ms is not None:
        assert 0.75 * FIRST_PAUSE_MS <= at_ms - now_ms <= 1.25 * LONGEST_PAUSE_MS
        assert at_ms < deadline_ms
        assert number < MOST_ATTEMPTS


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (SendOutcome.HANDED_OVER, DeliveryState.HANDED_OVER),
        (SendOutcome.DELIVERED, DeliveryState.DELIVERED),
        (SendOutcome.REFUSED, DeliveryState.ROUTED),
        (SendOutcome.NOT_NOW, DeliveryState.ROUTED),
        (SendOutcome.UNKNOWN, DeliveryState.UNKNOWN),
    ],
)
def test_what_an_attempt_proves(outcome: SendOutcome, state: DeliveryState) -> None:
    evidence = evidence_of_sending(1, Channel.TEXT, SendResult(outcome, "200 OK"), 7)
    assert (evidence.at_ms, evidence.words) == (7, "200 OK")
    assert advance(DeliveryRecord(), evidence).state is state
    begun = evidence_of_sending(1, Channel.TEXT, SendResult(outcome, ""), 7)
    assert begun.state is not AttemptState.BEGUN
