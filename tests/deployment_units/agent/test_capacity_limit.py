"""A unit lets in as many clients as it has places, and a margin, whoever comes in what order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deployment_units.agent.capacity_limit import BUCKET_S, CapacityLimit

NOW = 1_000_000.0
HOUR = 3600.0


def come(limit: CapacityLimit, *clients: str, now: float = NOW, lasts: float = HOUR) -> list[bool]:
    return [limit.admit("t", client, now + lasts, now) for client in clients]


def test_capacity_and_margin_and_no_more():
    limit = CapacityLimit(10, margin=0.15)
    assert limit.most == 12
    assert all(come(limit, *(f"c{n}" for n in range(12))))
    assert come(limit, "late") == [False]
    assert (len(limit), limit.refused) == (12, 1)


def test_who_is_in_comes_in_again_and_counts_once():
    limit = CapacityLimit(1, margin=0)
    assert come(limit, "a", "a", "b", "a") == [True, True, False, True]
    assert len(limit) == 1


def test_the_same_name_in_two_tenants_is_two_clients():
    limit = CapacityLimit(1, margin=0)
    assert limit.admit("t", "a", NOW + HOUR, NOW)
    assert not limit.admit("u", "a", NOW + HOUR, NOW)


def test_a_client_that_left_makes_room_and_one_that_never_came_does_not():
    limit = CapacityLimit(1, margin=0)
    come(limit, "a")
    limit.leave("t", "nobody")
    assert come(limit, "b") == [False]
    limit.leave("t", "a")
    assert come(limit, "b") == [True]


def test_a_ticket_that_has_ended_makes_room():
    limit = CapacityLimit(1, margin=0)
    come(limit, "a", lasts=60)
    assert come(limit, "b", now=NOW + 59) == [False]
    assert come(limit, "b", now=NOW + 60 + BUCKET_S) == [True]


def test_a_later_ticket_counts_longer_and_an_earlier_one_not_shorter():
    limit = CapacityLimit(1, margin=0)
    come(limit, "a", lasts=60)
    come(limit, "a", lasts=600)
    come(limit, "a", lasts=30)
    assert come(limit, "b", now=NOW + 599) == [False]
    assert come(limit, "b", now=NOW + 600 + BUCKET_S) == [True]


def test_an_unknown_capacity_refuses_nobody_until_it_is_known():
    limit = CapacityLimit(None)
    assert limit.most is None
    assert all(come(limit, *(f"c{n}" for n in range(100))))
    limit.use_capacity(50)
    assert come(limit, "late", "c3") == [False, True]
    limit.use_capacity(200)
    assert come(limit, "late") == [True]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["come", "leave"]),
        st.integers(0, 12),
        st.integers(1, 200),
        st.integers(0, 60),
    ),
    max_size=60,
)


@given(STEPS)
def test_it_counts_those_whose_tickets_stand(steps):
    """Held to a plain list of clients and the ends of their tickets, in whole buckets."""
    limit = CapacityLimit(5, margin=0.2)
    ends: dict[int, int] = {}
    now = 0
    for what, client, lasts, pause in steps:
        now += pause
        ends = {one: end for one, end in ends.items() if end > now // BUCKET_S}
        if what == "leave":
            limit.leave("t", str(client))
            ends.pop(client, None)
            continue
        admitted = limit.admit("t", str(client), now + lasts, now)
        assert admitted is (client in ends or len(ends) < 6)
        if admitted:
            ends[client] = max(ends.get(client, 0), (now + lasts) // BUCKET_S + 1)
        assert len(limit) == len(ends)
