"""A hook that fails is left alone, and tried again by one question at a time."""

from __future__ import annotations

from provisioner.placement_hooks.circuit_breaker import CircuitBreaker


def opened(failures=3):
    breaker = CircuitBreaker(failures=failures, rest_s=2.0, longest_rest_s=5.0)
    for _ in range(failures):
        assert breaker.admit(0.0)
        breaker.failed(0.0)
    return breaker


def test_it_opens_after_failures_in_a_row_and_not_before():
    breaker = CircuitBreaker(failures=2)
    breaker.failed(0.0)
    breaker.succeeded()
    breaker.failed(0.0)
    assert breaker.admit(0.0)
    breaker.failed(0.0)
    assert not breaker.admit(0.0)
    assert breaker.is_open


def test_once_it_has_rested_one_question_goes_through_and_no_other():
    breaker = opened()
    assert not breaker.admit(1.9)
    assert breaker.admit(2.0)
    assert not breaker.admit(2.0)
    breaker.succeeded()
    assert breaker.admit(2.1)
    assert not breaker.is_open


def test_a_failure_of_that_question_has_it_rest_longer_up_to_a_bound():
    breaker, now_s, rests = opened(), 0.0, []
    for _ in range(4):
        began = now_s
        while not breaker.admit(now_s):
            now_s += 0.5
        rests.append(now_s - began)
        breaker.failed(now_s)
    assert rests == [2.0, 4.0, 5.0, 5.0]


def test_who_gave_up_leaves_the_next_question_to_another():
    breaker = opened()
    assert breaker.admit(2.0)
    breaker.gave_up()
    assert breaker.admit(2.0)


def test_failures_of_questions_from_before_do_not_have_it_rest_longer():
    breaker = opened()
    for _ in range(9):
        breaker.failed(1.0)
    assert breaker.admit(2.0)
