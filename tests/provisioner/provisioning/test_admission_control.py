"""Load shedding: how many may wait, and that those who may not come back spread out."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.store.port import StoreUnavailable
from provisioner.provisioning.admission_control import (
    BACKLOG,
    MAX_RETRY_S,
    MAX_WAIT_S,
    MAX_WAITING,
    MIN_RATE_PER_S,
    MIN_RETRY_S,
    MIN_WAITING,
    TURNED_AWAY,
    AdmissionController,
    Overloaded,
    next_rate_per_s,
    retry_delay_s,
    waiting_limit,
)

rates = st.floats(MIN_RATE_PER_S, MAX_WAITING / MAX_WAIT_S)


@given(rate=rates)
def test_nobody_waits_longer_than_is_bearable_but_in_a_short_queue(rate: float) -> None:
    limit = waiting_limit(rate)
    assert MIN_WAITING <= limit <= MAX_WAITING
    assert limit <= MIN_WAITING or limit / rate <= MAX_WAIT_S + 1e-6


@given(ahead=st.floats(0, 1e7), rate=rates, chance=st.floats(0, 1))
def test_a_delay_is_half_to_half_again_of_the_wait_for_ones_turn(
    ahead: float, rate: float, chance: float
) -> None:
    delay_s = retry_delay_s(ahead, rate, chance, min_s=MIN_RETRY_S)
    turn_s = max(MIN_RETRY_S, min(MAX_RETRY_S, ahead / rate))
    assert turn_s / 2 <= delay_s <= turn_s * 1.5


@given(rate=rates, chance=st.floats(0, 1), ahead=st.floats(0, 1e6), more=st.floats(0, 1e6))
def test_the_longer_the_queue_the_longer_the_delay(
    rate: float, chance: float, ahead: float, more: float
) -> None:
    assert retry_delay_s(ahead, rate, chance, min_s=1.0) <= retry_delay_s(
        ahead + more, rate, chance, min_s=1.0
    )


@pytest.mark.parametrize("storm", [2_000, 20_000, 50_000])
def test_a_storm_comes_back_as_fast_as_it_can_be_served(storm: int) -> None:
    rate = 2_000.0
    rng = random.Random(7)
    admission = AdmissionController(jitter=rng.random)
    admission.rate_per_s = rate
    delays = [admission.refusal().retry_after_s or 0.0 for _ in range(storm)]
    assert admission.turned_away == storm
    assert min(delays) >= MIN_RETRY_S / 2, "nobody at once"
    queue = max(came - rate * delay_s for came, delay_s in enumerate(sorted(delays), 1))
    assert queue < waiting_limit(rate) / 2, "and nobody is turned away again"
    per_second = Counter(int(delay) for delay in delays)
    assert max(per_second.values()) <= 1.5 * rate
    spread_s = max(delays) - min(delays)
    assert spread_s >= min(MAX_RETRY_S, storm / rate) * 0.9
    assert len({round(delay, 6) for delay in delays}) > 0.95 * storm


@pytest.mark.parametrize("away", [False, True])
def test_only_who_is_not_begun_counts_as_turned_away(away: bool) -> None:
    """A client that was begun and failed is a failure, however it is told to come back."""
    admission = AdmissionController(jitter=lambda: 0.5)
    admission.with_retry_delay(StoreUnavailable("the store was too slow"))
    assert admission.turned_away == 0
    admission.store_away = away
    assert isinstance(admission.refusal(), TURNED_AWAY)
    assert admission.turned_away == 1


def test_those_who_are_told_later_are_told_later() -> None:
    admission = AdmissionController(jitter=lambda: 0.5)
    admission.rate_per_s = 1_000.0
    first = admission.refusal().retry_after_s
    for _ in range(10_000):
        admission.refusal()
    assert first == pytest.approx(MIN_RETRY_S)
    assert admission.refusal().retry_after_s == pytest.approx(10.0, rel=0.01)
    for _ in range(100):  # ten seconds at that rate, and all of them were back
        admission.update(
            waiting=BACKLOG * 2, served=admission._served + 100, seconds=0.1, may_write=True,
            connected=True,
        )  # fmt: skip
    assert admission.refusal().retry_after_s == pytest.approx(MIN_RETRY_S)


@given(rate=rates, served=st.integers(0, 10_000), waiting=st.integers(BACKLOG, MAX_WAITING))
def test_the_estimate_moves_towards_what_is_seen(rate: float, served: int, waiting: int) -> None:
    seen = served / 0.1
    after = next_rate_per_s(rate, served, 0.1, waiting)
    assert min(rate, max(seen, MIN_RATE_PER_S)) - 1e-6 <= after <= max(rate, seen) + 1e-6


@given(rate=rates, served=st.integers(0, 10_000), waiting=st.integers(0, BACKLOG - 1))
def test_an_idle_server_is_not_taken_for_a_slow_one(rate: float, served: int, waiting: int) -> None:
    assert next_rate_per_s(rate, served, 0.1, waiting) >= rate - 1e-6


def samples(admission: AdmissionController, count: int, *, per_sample: int, waiting: int) -> None:
    for _ in range(count):
        admission.update(
            waiting=waiting, served=admission._served + per_sample, seconds=0.1, may_write=True,
            connected=True,
        )  # fmt: skip


def test_a_store_that_stands_still_for_an_election_turns_hardly_anybody_away() -> None:
    admission = AdmissionController(jitter=lambda: 0.5)
    samples(admission, 20, per_sample=500, waiting=2 * BACKLOG)
    samples(admission, 14, per_sample=0, waiting=2_000)
    assert admission.limit > 2_000


def test_a_store_that_stays_still_lets_few_wait_and_a_fast_one_many_again() -> None:
    admission = AdmissionController(jitter=lambda: 0.5)
    samples(admission, 100, per_sample=0, waiting=2_000)
    assert admission.limit == MIN_WAITING
    samples(admission, 100, per_sample=900, waiting=2_000)
    assert admission.limit > 15_000


def test_without_a_session_no_new_client_may_wait_and_the_reason_is_the_store() -> None:
    admission = AdmissionController(jitter=lambda: 0.5)
    admission.update(waiting=0, served=0, seconds=0.1, may_write=False, connected=True)
    assert (admission.limit, admission.store_away) == (0, False)
    refused = admission.refusal()
    assert isinstance(refused, Overloaded)
    assert "new session" in refused.message
    assert "waiting" not in refused.message
    admission.update(waiting=0, served=0, seconds=0.1, may_write=False, connected=False)
    assert admission.store_away
    assert isinstance(admission.refusal(), StoreUnavailable)


def test_a_longer_delay_that_was_asked_for_is_kept() -> None:
    admission = AdmissionController(jitter=lambda: 0.5)
    error = admission.with_retry_delay(StoreUnavailable("over quota", retry_after_s=30.0))
    assert (type(error), error.message, error.retry_after_s) == (
        StoreUnavailable, "over quota", 30.0
    )  # fmt: skip
