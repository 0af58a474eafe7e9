"""Which connections have to go: a table, and what holds of any."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.serving.connection_limits import (
    PROXY_SHARE,
    ConnectionLimits,
    OpenConnection,
    Reason,
    group_of,
    to_close,
)

LIMITS = ConnectionLimits(per_address=3, greeting_s=10, idle_s=300)


def connection(key: int, group: str = "192.0.2.1", **more: object) -> OpenConnection:
    usual = {"proxy": False, "age_s": 100.0, "silent_s": 1.0, "received": 5_000}
    return OpenConnection(key=key, group=group, **(usual | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        pytest.param({"received": 0, "age_s": 10.1}, Reason.SILENT, id="said-nothing"),
        pytest.param({"received": 32, "age_s": 10.1}, Reason.SILENT, id="half-a-greeting"),
        pytest.param({"received": 0, "age_s": 9.9}, None, id="has-time-left"),
        pytest.param({"received": 33, "age_s": 10.1}, None, id="has-greeted"),
        pytest.param({"silent_s": 300.1}, Reason.IDLE, id="idle"),
        pytest.param({"silent_s": 299.9}, None, id="not-idle-yet"),
    ],
)
def test_times(one, reason):
    found = [why for _, why in to_close([connection(0, **one)], LIMITS, most=10)]
    assert found == ([] if reason is None else [reason])


def test_of_one_address_those_of_the_least_use_go_first():
    there = [
        connection(0, silent_s=50.0),
        connection(1, received=40, silent_s=2.0),  # never made a call
        connection(2, silent_s=20.0),
        connection(3, silent_s=0.0, age_s=0.1, received=0),  # has only just come
        connection(4, silent_s=30.0),
    ]
    assert [one.key for one, _ in to_close(there, LIMITS, most=10)] == [1, 0]


def test_a_flood_takes_nothing_from_who_calls_from_the_same_address():
    in_use = [connection(n, silent_s=40.0) for n in range(3)]
    flood = [connection(10 + n, age_s=0.1, silent_s=0.1, received=40) for n in range(50)]
    assert {one.key for one, _ in to_close([*in_use, *flood], LIMITS, most=100)} == set(
        range(10, 60)
    )


@pytest.mark.parametrize(
    ("sizes", "most", "left"),
    [
        pytest.param([3, 3, 3], 9, [3, 3, 3], id="as-many-as-there-may-be"),
        pytest.param([9, 2, 1], 6, [3, 2, 1], id="the-largest-pays"),
        pytest.param([9, 9, 1], 7, [3, 3, 1], id="the-largest-are-evened-out"),
        pytest.param([5, 5], 5, [3, 2], id="one-keeps-the-odd-one"),
        pytest.param([4, 4], 0, [0, 0], id="there-is-no-room-at-all"),
    ],
)
def test_beyond_the_limit_overall_whoever_has_most_loses_most(sizes, most, left):
    there = [
        connection(10 * number + n, f"192.0.2.{number}")
        for number, size in enumerate(sizes)
        for n in range(size)
    ]
    limits = ConnectionLimits(per_address=0)
    gone = Counter(one.group for one, _ in to_close(there, limits, most=most))
    assert [size - gone[f"192.0.2.{n}"] for n, size in enumerate(sizes)] == left


@given(
    st.lists(
        st.builds(
            connection,
            st.just(0),
            st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::/64"]),
            age_s=st.floats(0, 400),
            silent_s=st.floats(0, 400),
            received=st.integers(0, 300),
        ),
        max_size=60,
    ),
    st.integers(0, 20),
    st.integers(0, 40),
)
def test_what_is_left_is_within_the_limits_and_no_more_goes_than_has_to(made, per_address, most):
    there = [
        connection(key, one.group, age_s=one.age_s, silent_s=one.silent_s, received=one.received,
                 proxy=one.group == "192.0.2.2")
        for key, one in enumerate(made)
    ]  # fmt: skip
    limits = ConnectionLimits(per_address=per_address)
    gone = dict(to_close(there, limits, most=most))
    left = [one for one in there if one not in gone]
    sizes = Counter(one.group for one in left)
    assert len(left) <= most
    if per_address:
        for group, size in sizes.items():
            assert size <= per_address * (PROXY_SHARE if group == "192.0.2.2" else 1)
    for one in left:
        assert one.silent_s <= limits.idle_s
    if Reason.OVERALL in gone.values():
        assert len(left) == most
        cut = {one.group for one, why in gone.items() if why is Reason.OVERALL}
        assert max(sizes.values(), default=0) - min((sizes[g] for g in cut), default=0) <= 1
    for group in {one.group for one, why in gone.items() if why is Reason.ADDRESS}:
        bound = per_address * (PROXY_SHARE if group == "192.0.2.2" else 1)
        overall = sum(one.group == group for one, why in gone.items() if why is Reason.OVERALL)
        assert sizes[group] + overall == bound


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
    ],
)
def test_whose_addresses_count_as_one(one, other, same):
    assert (group_of(one) == group_of(other)) is same
