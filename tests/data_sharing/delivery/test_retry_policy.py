"""The retry policy, as a table: what an outcome or a refusal means for the instruction."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from data_sharing.delivery.retry_policy import (
    MOST_ATTEMPTS,
    Step,
    after_outcome,
    after_refusal,
    backoff_ms,
)
from data_sharing.instruction import Performance, Performed
from data_sharing.signing import InstructionRefusal, RefusalReason
from tests.support.instructions import RING


@pytest.mark.parametrize(
    ("status", "idempotent", "attempt", "expected"),
    [
        pytest.param(Performance.DONE, False, 1, Step.DONE, id="done"),
        pytest.param(Performance.UNKNOWN, True, 1, Step.DEAD, id="unknown-even-if-idempotent"),
        pytest.param(Performance.OUT_OF_MEMORY, True, 1, Step.DEAD, id="out-of-memory-comes-again"),
        pytest.param(Performance.TRAPPED, True, 1, Step.DEAD, id="a-trap-comes-again"),
        pytest.param(Performance.BAD_OUTPUT, True, 1, Step.DEAD, id="bad-output-comes-again"),
        pytest.param(Performance.FAILED, False, 1, Step.DEAD, id="failed-and-not-idempotent"),
        pytest.param(Performance.TIMED_OUT, False, 1, Step.DEAD, id="late-and-not-idempotent"),
        pytest.param(Performance.FAILED, True, 1, Step.RETRY, id="failed-and-idempotent"),
        pytest.param(Performance.TIMED_OUT, True, 1, Step.RETRY, id="timed-out-and-idempotent"),
        pytest.param(Performance.REFUSED, False, 1, Step.RETRY, id="refused-so-nothing-ran"),
        pytest.param(
            Performance.FAILED, True, MOST_ATTEMPTS - 1, Step.RETRY, id="last-but-one-attempt"
        ),
        pytest.param(Performance.FAILED, True, MOST_ATTEMPTS, Step.DEAD, id="the-last-attempt"),
    ],
)
def test_after_an_outcome(
    status: Performance, idempotent: bool, attempt: int, expected: Step
) -> None:
    performed = Performed(
        instruction="i-1", attempt=attempt, status=status, platform="hub", message="no water"
    )
    next_step = after_outcome(replace(RING, idempotent=idempotent), performed)
    assert next_step.step is expected
    assert ("no water" in next_step.reason) is (expected is not Step.DONE)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (RefusalReason.MALFORMED, Step.DEAD),
        (RefusalReason.FORGED, Step.RETRY),
        (RefusalReason.WRONG_PLATFORM, Step.DEAD),
        (RefusalReason.EXPIRED, Step.DEAD),
        (RefusalReason.NOT_YET_VALID, Step.RETRY),
        (RefusalReason.STALE_FENCE, Step.RETRY),
        (RefusalReason.REPLAYED, Step.DEAD),
        (RefusalReason.NOT_HOSTED, Step.RETRY),
        (RefusalReason.BUSY, Step.RETRY),
    ],
    ids=lambda value: value.value,
)
def test_after_a_refusal(reason: RefusalReason, expected: Step) -> None:
    next_step = after_refusal(InstructionRefusal(reason=reason, message="so it is"))
    assert next_step.step is expected
    assert next_step.reason == f"refused ({reason.value}): so it is"


def test_every_reason_is_in_the_table_above() -> None:
    assert len(RefusalReason) == 9


@pytest.mark.parametrize(
    ("retries", "jitter", "expected_ms"),
    [
        pytest.param(0, 0.0, 100, id="shortest"),
        pytest.param(0, 1.0, 200, id="jitter-at-most-doubles"),
        pytest.param(3, 1.0, 1_600, id="doubles-with-each-retry"),
        pytest.param(100, 1.0, 30_000, id="bounded"),
    ],
)
def test_back_off(retries: int, jitter: float, expected_ms: int) -> None:
    assert backoff_ms(retries, jitter) == expected_ms
