"""What became of a change, by what its server says and by its marks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control_plane.audit.chain import extend
from control_plane.audit.entry import START, AuditPhase, Transactions
from control_plane.audit.outcomes import abandoned, decided
from tests.support.audit_chains import asked

DONE, FAILED, UNKNOWN = AuditPhase.DONE, AuditPhase.FAILED, AuditPhase.UNKNOWN
ONE, SEVERAL, UNMARKED = Transactions.ONE, Transactions.SEVERAL, Transactions.UNMARKED


@pytest.mark.parametrize(
    ("said", "transactions", "made", "phase"),
    [
        pytest.param(DONE, ONE, 1, DONE, id="made"),
        pytest.param(DONE, ONE, 0, DONE, id="as-it-was-already"),
        pytest.param(DONE, UNMARKED, 0, DONE, id="nobody-marks-it"),
        pytest.param(FAILED, ONE, 0, FAILED, id="refused"),
        pytest.param(FAILED, ONE, 1, DONE, id="failed-behind-its-change"),
        pytest.param(FAILED, SEVERAL, 2, FAILED, id="refused-and-taken-back"),
        pytest.param(FAILED, UNMARKED, 0, FAILED, id="refused-and-nobody-marks-it"),
        pytest.param(UNKNOWN, ONE, 0, FAILED, id="in-doubt-and-not-made"),
        pytest.param(UNKNOWN, ONE, 1, DONE, id="in-doubt-and-made"),
        pytest.param(UNKNOWN, ONE, 2, DONE, id="in-doubt-and-made-twice"),
        pytest.param(UNKNOWN, SEVERAL, 0, FAILED, id="none-of-several"),
        pytest.param(UNKNOWN, SEVERAL, 1, UNKNOWN, id="some-of-several"),
        pytest.param(UNKNOWN, UNMARKED, 0, UNKNOWN, id="in-doubt-and-nobody-marks-it"),
    ],
)
def test_each_kind_of_outcome(
    said: AuditPhase, transactions: Transactions, made: int, phase: AuditPhase
) -> None:
    outcome = replace(asked(2, transactions=transactions, message="said"), phase=said)
    told = decided(outcome, made)
    assert told.phase is phase
    assert told.message.startswith("said")
    if said is UNKNOWN:  # a server that has gone says no more
        left = abandoned(extend(START, asked(1, transactions=transactions), 0), "x", made)
        assert left.phase is phase
        assert left.message.startswith("the server ended before it could tell")
