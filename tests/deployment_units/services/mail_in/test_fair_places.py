"""FairPlaces: nobody keeps out others, whoever asks how often."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.mail_in.fair_places import FairPlaces

MOST = 32


@pytest.mark.parametrize(("greedy", "each"), [(1, 16), (2, 10), (3, 8), (7, 4), (31, 1)])
def test_of_those_who_want_all_each_has_its_part_and_a_newcomer_has_one(
    greedy: int, each: int
) -> None:
    places = FairPlaces(MOST)
    held = dict.fromkeys(range(greedy), 0)
    for _ in range(MOST):
        for one in held:
            held[one] += places.enter(f"{one}")
    assert min(held.values()) >= each
    assert sum(held.values()) < MOST
    assert places.enter("newcomer")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=200), st.integers(1, 9))
def test_no_more_than_there_are_and_all_are_given_back(
    asked: list[tuple[str, bool]], most: int
) -> None:
    places, held = FairPlaces(most), dict.fromkeys("abc", 0)
    for who, enters in asked:
        if enters:
            held[who] += places.enter(who)
        elif held[who]:
            held[who] -= 1
            places.leave(who)
        assert sum(held.values()) <= most
        assert len(places) == sum(1 for one in held.values() if one)
    for who, number in held.items():
        for _ in range(number):
            places.leave(who)
    assert len(places) == 0
    assert places.enter("a")
