"""SendBudget: who sends too much waits, and nobody else does."""

from __future__ import annotations

import pytest

from control_plane.quotas.token_buckets import Rate
from deployment_units.services.conversations.send_budget import SendBudget, TooMuchSent


def test_who_sends_too_much_waits_and_nobody_else() -> None:
    now = [0.0]
    budget = SendBudget(clock=lambda: now[0], rate=Rate(per_s=1.0, burst=10.0))
    budget.take("talk", "anna", 6)
    with pytest.raises(TooMuchSent) as refused:
        budget.take("talk", "anna", 6)
    assert refused.value.retry_after_s == pytest.approx(2.0)
    budget.take("talk", "ben", 6)
    budget.take("other", "anna", 6)
    now[0] = 2.0
    budget.take("talk", "anna", 6)
    with pytest.raises(TooMuchSent):
        budget.take("talk", "anna", 0)  # the least is one
