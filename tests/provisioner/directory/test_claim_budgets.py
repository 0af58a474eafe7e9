"""Claim budgets: how many handles one account asks for."""

import pytest

from provisioner.directory.claim_budgets import CLAIMS_A_DAY, DAY_S, ClaimBudgets, TooManyClaims


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def taken(budgets: ClaimBudgets, account: str, tries: int) -> int:
    """How many of so many are let through."""
    passed = 0
    for _ in range(tries):
        try:
            budgets.take("talk", account)
        except TooManyClaims:
            continue
        passed += 1
    return passed


def test_an_account_asks_for_so_many_in_a_day_and_others_feel_nothing():
    budgets = ClaimBudgets(clock=Clock())
    assert taken(budgets, "mallory", 1_000) == CLAIMS_A_DAY
    assert taken(budgets, "anna", 1) == 1


def test_who_waits_as_long_as_it_was_told_is_let_through_and_not_before():
    clock = Clock()
    budgets = ClaimBudgets(clock=clock)
    taken(budgets, "mallory", 1_000)
    with pytest.raises(TooManyClaims) as refused:
        budgets.take("talk", "mallory")
    wait_s = refused.value.retry_after_s
    clock.now += wait_s * 0.99
    assert taken(budgets, "mallory", 1) == 0
    clock.now += wait_s * 0.02
    assert taken(budgets, "mallory", 2) == 1


def test_a_bucket_holds_no_more_than_a_day():
    clock = Clock()
    budgets = ClaimBudgets(clock=clock)
    taken(budgets, "mallory", 10)
    clock.now += 30 * DAY_S
    assert taken(budgets, "mallory", 1_000) == CLAIMS_A_DAY


def test_what_is_remembered_is_bounded():
    budgets = ClaimBudgets(clock=Clock(), most=2)
    for account in ("anna", "ben", "carla"):
        budgets.take("talk", account)
    assert taken(budgets, "ben", 1_000) == CLAIMS_A_DAY - 1
    assert taken(budgets, "anna", 1_000) == CLAIMS_A_DAY  # forgotten
