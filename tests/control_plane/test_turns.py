"""Turns: nothing is lost or changes its order among its own, and nobody waits for more than one
entry of each of the others."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.turns import Turns

ENTRIES = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3), st.integers()))


def tenant(entry: tuple[str, int, int]) -> str:
    return entry[0]


def connection(entry: tuple[str, int, int]) -> int:
    return entry[1]


def emptied(turns: Turns[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    taken = []
    while turns:
        taken.append(turns.popleft())
    assert len(turns) == 0
    return taken


@given(ENTRIES)
def test_all_come_once_in_their_order_and_in_turn(entries):
    turns = Turns(tenant, entries)
    assert len(turns) == len(entries)
    assert Counter(turns) == Counter(entries)
    taken = emptied(turns)
    for key in "abcd":
        mine = [one for one in entries if tenant(one) == key]
        assert [one for one in taken if tenant(one) == key] == mine
    left = Counter(map(tenant, entries))
    before: list[str] = []
    for entry in taken:
        key = tenant(entry)
        others = {other for other, count in left.items() if count and other != key}
        if others and before and key == before[-1]:
            pytest.fail(f"{key} came twice while {others} waited")
        before.append(key)
        left[key] -= 1


@given(ENTRIES)
def test_within_a_key_others_may_take_turns_as_well(entries):
    taken = [one for one in emptied(Turns(tenant, entries, within=connection)) if one[0] == "a"]
    first = {one[1] for one in entries if one[0] == "a"}
    assert {one[1] for one in taken[: len(first)]} == first, "each has one before any has two"
    for key in first:
        mine = [one for one in entries if one[:2] == ("a", key)]
        assert [one for one in taken if one[1] == key] == mine


@given(ENTRIES, ENTRIES)
def test_what_is_put_back_goes_first_in_its_order(waiting, back):
    turns = Turns(tenant, waiting)
    turns.extendleft(reversed(back))
    taken = emptied(turns)
    for key in "abcd":
        assert [one for one in taken if tenant(one) == key] == [
            one for one in (*back, *waiting) if tenant(one) == key
        ]
    if back:
        assert taken[0] == back[0]


@given(ENTRIES)
def test_some_can_be_taken_out_and_the_rest_stays_as_it_is(entries):
    turns = Turns(tenant, entries)
    odd = turns.take_where(lambda one: one[2] % 2 == 1)
    assert Counter(odd) == Counter(one for one in entries if one[2] % 2 == 1)
    rest = [one for one in entries if one[2] % 2 == 0]
    assert set(turns.keys) == {tenant(one) for one in rest}
    assert Counter(emptied(turns)) == Counter(rest)


def test_an_empty_one_has_nobody_next():
    turns = Turns(tenant)
    with pytest.raises(IndexError):
        turns.popleft()
    turns.append(("a", 0, 1))
    turns.clear()
    assert not turns
    assert list(turns) == []
