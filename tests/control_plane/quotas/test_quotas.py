"""Quotas: what is over is refused with the time when it is not, and nobody pays for another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from control_plane.quotas.limits import USUAL, Counted, Quota, read_limits
from control_plane.quotas.quota_metrics import QuotaMetrics
from control_plane.quotas.quotas import MOST_TENANTS_TOLD, QuotaExceeded, Quotas, address_key
from control_plane.quotas.token_buckets import Rate, TokenBuckets
from control_plane.serving.status import status_of


class Clock:
    """Monotonic seconds that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_full_bucket_gives_its_burst_and_then_its_rate():
    buckets = TokenBuckets(Rate(per_s=10, burst=3))
    assert [buckets.take("a", 0.0) for _ in range(3)] == [0.0] * 3
    wait_s = buckets.take("a", 0.0)
    assert wait_s == pytest.approx(0.1)
    assert buckets.take("a", wait_s) == 0.0
    assert buckets.take("a", wait_s) == pytest.approx(0.1)


@given(
    st.floats(0.1, 1_000), st.floats(1, 100),
    st.lists(st.tuples(st.floats(0, 2), st.floats(0.1, 10)), max_size=60),
)  # fmt: skip
def test_no_more_is_given_than_burst_and_rate_and_what_is_told_is_so(per_s, burst, asked):
    buckets, now, given_ = TokenBuckets(Rate(per_s=per_s, burst=burst)), 0.0, 0.0
    for pause_s, cost in asked:
        now += pause_s
        taken = min(cost, burst)
        wait_s = buckets.take("a", now, cost)
        if wait_s:
            assert buckets.take("a", now + wait_s * 0.9, cost) > 0 or wait_s < 1e-6
            now += wait_s + 1e-6
            assert buckets.take("a", now, cost) == 0.0
        given_ += taken
        assert given_ <= burst + per_s * now * (1 + 1e-6) + 1e-3


def test_what_was_given_back_can_be_taken_again():
    buckets = TokenBuckets(Rate(per_s=1, burst=3))
    assert buckets.take("a", 0.0, 3) == 0.0
    buckets.give_back("a", 2)
    buckets.give_back("b", 2)  # of which nothing is known
    assert [buckets.take("a", 0.0) for _ in range(3)] == [0.0, 0.0, 1.0]


def test_what_costs_more_than_a_full_bucket_takes_a_full_one():
    buckets = TokenBuckets(Rate(per_s=10, burst=5))
    assert buckets.take("a", 0.0, 1_000) == 0.0
    assert buckets.take("a", 0.0) == pytest.approx(0.1)


@given(st.integers(1, 8), st.lists(st.integers(0, 30), max_size=120))
def test_keys_are_bounded_and_those_used_lately_are_not_forgotten(most_keys, asked):
    """Every bucket is empty once it was used, so one that gives something was forgotten."""
    buckets = TokenBuckets(Rate(per_s=1, burst=1), most_keys=most_keys)
    for place, key in enumerate(asked):
        forgotten = buckets.take(key, 0.0) == 0.0
        before = asked[:place]
        if key not in before:
            assert forgotten
            continue
        since = before[len(before) - before[::-1].index(key) :]
        if len(set(since)) < most_keys:
            assert not forgotten
        assert len(buckets) <= 2 * most_keys


def test_forgotten_keys_are_dropped_a_few_at_a_time_and_all_of_them():
    buckets = TokenBuckets(Rate(per_s=1, burst=1), most_keys=1_000)
    most = 0
    for key in range(20_000):
        buckets.take(key, 0.0)
        most = max(most, len(buckets._dropped))
    assert most <= 1_000
    for key in range(20_000, 20_600):
        buckets.take(key, 0.0)
    assert len(buckets) + len(buckets._dropped) <= 2_000


@pytest.mark.parametrize("per_s", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_rate_is_refused(per_s: float):
    with pytest.raises(ValueError, match="no rate"):
        TokenBuckets(Rate(per_s=per_s, burst=1))


def quotas(clock: Clock, **said: float) -> Quotas:
    """Of lookups alone, with these rates and no others."""
    none: dict[str, float] = {one.value: 0.0 for one in USUAL[Quota.LOOKUPS]}
    limits = read_limits({"lookups": {**none, **said}}, [Quota.LOOKUPS])
    return Quotas(limits, clock=clock)


def drain(made: Quotas, tenant: str, most: int = 10_000, **who) -> int:
    """How many are let through."""
    for count in range(most):
        try:
            made.take(Quota.LOOKUPS, tenant, **who)
        except QuotaExceeded:
            return count
    return most


def test_tenants_do_not_pay_for_each_other():
    made = quotas(Clock(), tenant=10)
    assert drain(made, "city") == 50
    assert drain(made, "bank") == 50
    assert drain(made, "city") == 0


def test_a_client_in_a_loop_takes_nothing_of_its_tenants():
    made = quotas(Clock(), client=1, tenant=2)
    assert drain(made, "city", client="c") == 5
    for _ in range(1_000):
        with pytest.raises(QuotaExceeded):
            made.take(Quota.LOOKUPS, "city", client="c")
    assert drain(made, "city", client="d") == 5
    assert drain(made, "bank", client="c") == 5


def test_who_asks_for_anothers_client_uses_up_nothing_of_what_that_one_may_ask():
    made = quotas(Clock(), client=1)
    assert drain(made, "city", client="c", asker="its key") == 5
    assert drain(made, "city", client="c", asker="another's key") == 5
    assert drain(made, "city", client="c", asker="its key") == 0
    assert drain(made, "city", client="d", asker="its key") == 5


def test_names_of_any_length_and_content_are_told_apart():
    made = quotas(Clock(), client=1)
    names = [
        ("a/b", ""),
        ("a", "b"),
        ("a\nb", ""),
        ("x" * 100_000, ""),
        ("x" * 99_999, "x"),
        ("é", ""),
    ]
    for client, asker in names:
        assert drain(made, "city", client=client, asker=asker) == 5


def test_an_address_counts_over_tenants_and_an_ipv6_one_as_its_64():
    made = quotas(Clock(), address=1)
    assert drain(made, "city", address="2001:db8::1") == 5
    assert drain(made, "bank", address="2001:db8::ffff:1") == 0
    assert drain(made, "bank", address="2001:db8:0:1::1") == 5
    assert drain(made, "bank", address="192.0.2.1") == 5
    assert drain(made, "bank", address="::ffff:192.0.2.1") == 0
    assert drain(made, "bank", address=None) == 10_000
    assert address_key("fe80::1%eth0") == "fe80::1%eth0" or "/64" in address_key("fe80::1%eth0")


def test_a_tenant_may_have_a_limit_of_its_own_or_none():
    made = quotas(Clock(), tenant=1, **{"tenant:city": 3.0, "tenant:bank": 0.0})
    assert drain(made, "shop") == 5
    assert drain(made, "city") == 15
    assert drain(made, "bank") == 10_000


def test_a_refusal_says_which_quota_and_when():
    clock = Clock()
    made = quotas(clock, tenant=2)
    drain(made, "city")
    with pytest.raises(QuotaExceeded, match="too many lookups for one tenant") as told:
        made.take(Quota.LOOKUPS, "city")
    assert told.value.retry_after_s == pytest.approx(0.5)
    assert told.value.metadata == {"quota": "lookups", "counted_by": "tenant"}
    status = status_of(told.value)
    assert status.code.name == "RESOURCE_EXHAUSTED"
    details = next(value for key, value in status.trailers if key == "grpc-status-details-bin")
    assert b"QUOTA" in details
    assert b"counted_by" in details
    assert b"RetryInfo" in details
    clock.now += told.value.retry_after_s
    made.take(Quota.LOOKUPS, "city")


def test_refusals_are_counted_by_tenant_and_the_labels_are_bounded():
    made = quotas(Clock(), tenant=0.2)
    for number in range(MOST_TENANTS_TOLD + 50):
        drain(made, f"t{number}")
    assert made.refused["lookups", "tenant", "t0"] == 1
    assert made.refused["lookups", "tenant", "other"] == 50
    assert len(made.refused) == MOST_TENANTS_TOLD + 1
    metric, _ = QuotaMetrics(made).collect()
    assert len(metric.samples) == len(made.refused)


def test_names_that_are_too_long_are_no_longer_keys():
    made = quotas(Clock(), client=1, tenant=100)
    assert drain(made, "x" * 1_000_000, client="y" * 1_000_000) == 5


@pytest.mark.parametrize(
    "said",
    [
        {"lookup": {}},
        {"lookups": {"tenants": 1.0}},
        {"lookups": {"tenant": -1.0}},
        {"lookups": {"tenant": float("nan")}},
        {"lookups": {"tenant": float("inf")}},
        {"lookups": {"tenant:": 1.0}},
        {"lookups": {"tenant:No Such": 1.0}},
        {"events": {"tenant": 1.0}},
    ],
    ids=str,
)
def test_settings_that_mean_nothing_are_refused(said):
    with pytest.raises(InvalidInput):
        read_limits(said, [Quota.LOOKUPS])


def test_what_is_usual_is_far_from_normal_use():
    assert set(USUAL) == set(Quota)
    for rates in USUAL.values():
        assert Counted.TENANT in rates
        assert rates.get(Counted.ADDRESS, 0) >= rates[Counted.TENANT]
