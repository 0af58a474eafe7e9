"""Scores of what was found, against a small truth."""

from __future__ import annotations

import pytest

from bench.load.match_scores import Prediction, Score, best_score, same_work, score

IS_ON = {"a": "phone", "b": "phone", "c": "laptop", "d": "tablet"}
POSSIBLE = {"a", "b", "c"}


def test_f1_is_the_harmonic_mean_of_what_is_right_and_what_is_found() -> None:
    one = score({"a": "phone", "b": "laptop"}, IS_ON, set(IS_ON))
    assert (one.precision, one.recall) == (0.5, 0.25)
    assert one.f1 == pytest.approx(1 / 3)


def test_nothing_found_is_worth_nothing() -> None:
    assert score({}, IS_ON, set(IS_ON)).f1 == 0.0


def test_a_guess_that_is_right_makes_up_for_nothing_that_is_missing() -> None:
    guessed = score({"a": "phone", "b": "phone", "d": "tablet"}, IS_ON, POSSIBLE)
    assert (guessed.precision, guessed.recall) == (1.0, pytest.approx(2 / 3))


def test_the_best_threshold_counts() -> None:
    told = [
        Prediction("a", "phone", 0.9),
        Prediction("b", "phone", 0.6),
        Prediction("c", "phone", 0.2),  # wrong
    ]
    assert best_score(told, IS_ON, POSSIBLE, [0.1, 0.5, 0.8]) == score(
        {"a": "phone", "b": "phone"}, IS_ON, POSSIBLE
    )


@pytest.mark.parametrize(
    ("recall", "same"), [(0.9, True), (0.892, True), (0.88, False), (1.0, True)]
)
def test_what_finds_less_does_not_do_the_same_work(recall: float, same: bool) -> None:
    theirs = Score(precision=1.0, recall=0.9)
    assert same_work(Score(precision=1.0, recall=recall), theirs) is same
