"""Weighted turns: nothing is lost or changes its order among its own, shares follow the weights
within the bound that the module states, nobody waits for more than one entry of each other, and
what one leaves the others have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.weighted_turns import WeightedTurns

KEYS = "abcd"
COSTS = st.floats(0.001, 1.0)
WEIGHTS = st.fixed_dictionaries({key: st.sampled_from([0.25, 1.0, 3.0]) for key in KEYS})


def served(turns: WeightedTurns[tuple[str, float]]) -> tuple[str, float]:
    """The next entry, charged with its cost."""
    key = turns.next_key()
    entry = turns.take(key)
    assert entry is not None
    turns.charge(key, entry[1])
    return entry


@given(st.lists(st.tuples(st.sampled_from(KEYS), COSTS)), WEIGHTS)
def test_all_come_once_and_in_the_order_of_their_key(entries, weights):
    turns = WeightedTurns[tuple[str, float]](weights.__getitem__)
    for entry in entries:
        turns.append(entry[0], entry)
    assert sorted(turns) == sorted(entries)
    found = [served(turns) for _ in range(len(turns))]
    for key in KEYS:
        mine = [one for one in entries if one[0] == key]
        assert [one for one in found if one[0] == key] == mine
    assert len(turns) == turns.keys == 0
    with pytest.raises(IndexError):
        turns.next_key()


@given(st.lists(COSTS, min_size=8, max_size=8), WEIGHTS, st.integers(1, 200))
def test_who_waits_all_the_time_gets_a_share_by_its_weight(costs, weights, rounds):
    """Cost / weight of any two differs by no more than one entry of each."""
    turns = WeightedTurns[tuple[str, float]](weights.__getitem__)
    of_key = {key: (costs[2 * n], costs[2 * n + 1]) for n, key in enumerate(KEYS)}
    for key in KEYS:
        for n in range(rounds):
            turns.append(key, (key, of_key[key][n % 2]))
    given_to = dict.fromkeys(KEYS, 0.0)
    largest = {key: max(of_key[key]) / weights[key] for key in KEYS}
    while turns.keys == len(KEYS):
        key, cost = served(turns)
        given_to[key] += cost / weights[key]
        for one in KEYS:
            for other in KEYS:
                apart = given_to[one] - given_to[other]
                assert apart <= largest[one] + largest[other] + 1e-9


@given(
    st.lists(st.tuples(st.sampled_from("abc"), COSTS), min_size=1, max_size=60),
    st.integers(0, 60),
    WEIGHTS,
)
def test_who_comes_anew_waits_for_one_entry_of_each_other(entries, before, weights):
    turns = WeightedTurns[tuple[str, float]](weights.__getitem__)
    for entry in entries:
        turns.append(entry[0], entry)
    for _ in range(min(before, len(entries))):
        served(turns)
    turns.append("d", ("d", 0.5))
    ahead = []
    while (key := served(turns)[0]) != "d":
        ahead.append(key)
    assert len(ahead) == len(set(ahead))


def test_what_one_leaves_the_others_have():
    turns = WeightedTurns[tuple[str, float]]()
    for n in range(100):
        turns.append("a", ("a", 1.0))
        if n < 3:
            turns.append("b", ("b", 1.0))
    first = [served(turns)[0] for _ in range(6)]
    assert sorted(first) == ["a", "a", "a", "b", "b", "b"]
    assert [served(turns)[0] for _ in range(97)] == ["a"] * 97


def test_nobody_saves_up_turns_while_nothing_of_it_waits():
    turns = WeightedTurns[tuple[str, float]]()
    turns.append("b", ("b", 1.0))
    for _ in range(200):
        turns.append("a", ("a", 1.0))
    for _ in range(101):
        served(turns)
    for _ in range(50):
        turns.append("b", ("b", 1.0))
    assert [served(turns)[0] for _ in range(10)].count("a") == 5


def test_who_leaves_and_comes_back_at_once_has_the_charge_still():
    """Otherwise who hands in one entry at a time would have each turn."""
    turns = WeightedTurns[tuple[str, float]]()
    for _ in range(50):
        turns.append("a", ("a", 1.0))
    turns.append("b", ("b", 5.0))
    found = []
    for _ in range(24):
        key, _ = served(turns)
        found.append(key)
        if key == "b":
            turns.append("b", ("b", 5.0))
    assert found.count("b") == 4


def test_what_was_not_served_goes_first_of_its_own():
    turns = WeightedTurns[tuple[str, float]]()
    turns.append("a", ("a", 1.0))
    turns.append("a", ("a", 2.0))
    first = turns.take(turns.next_key())
    assert first is not None
    turns.charge("a", 0.5)
    turns.appendleft("a", first)
    assert [served(turns)[1] for _ in range(2)] == [1.0, 2.0]
    assert turns.take("a") is None


def test_tags_of_those_that_are_gone_are_dropped():
    turns = WeightedTurns[tuple[str, float]]()
    for _ in range(20_000):
        turns.append("a", ("a", 0.001))
    for n in range(20_000):
        key = f"b{n}"
        turns.append(key, (key, 0.001))
        served(turns)
        served(turns)
    assert len(turns._tags) < 2_000
    assert len(turns._order) < 2_000


def test_who_comes_after_it_was_only_asked_whose_turn_it_is_comes_first() -> None:
    turns = WeightedTurns[str]()
    for n in range(3):
        turns.append("greedy", f"g{n}")
    assert turns.take(turns.next_key()) == "g0"
    turns.charge("greedy", 1.0)
    assert turns.next_key() == "greedy"
    turns.append("other", "o")
    assert turns.next_key() == "other"
