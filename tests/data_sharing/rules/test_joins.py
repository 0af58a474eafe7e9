"""Joins by themselves: which combinations an event completes, and what a firing uses up."""

from __future__ import annotations

from typing import cast

import pytest

from data_sharing.rules.cell_cache import JoinState, StoredEvent
from data_sharing.rules.joins import Combination, Join
from data_sharing.rules.spec import Consumption

CONTEXTS = ("unrestricted", "recent", "chronicle", "continuous", "cumulative")


def join(consume: str, *, absent: tuple[str, ...] = (), keep: int = 10) -> Join:
    return Join(
        inputs=("a", "b"), absent=absent, within_ms=100, consume=cast("Consumption", consume),
        keep=keep, shape="s",
    )  # fmt: skip


def event(name: str, at_ms: int) -> StoredEvent:
    return StoredEvent("source", name, "type", "key", "", at_ms, at_ms, {})


def ids(combination: Combination) -> dict[str, list[str]]:
    return {name: [one.id for one in events] for name, events in combination.items()}


def completed(joined: Join, *arrivals: tuple[str, StoredEvent]) -> list[dict[str, list[str]]]:
    """The combinations that the last arrival completes."""
    state = JoinState(joined.shape)
    for name, one in arrivals:
        joined.add(state, name, one)
    return [ids(one) for one in joined.combinations(state, *arrivals[-1])]


ARRIVALS = (("a", event("a1", 0)), ("a", event("a2", 50)), ("b", event("b1", 60)))


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ("unrestricted", [{"b": ["b1"], "a": ["a1"]}, {"b": ["b1"], "a": ["a2"]}]),
        ("recent", [{"b": ["b1"], "a": ["a2"]}]),
        ("chronicle", [{"b": ["b1"], "a": ["a1"]}, {"b": ["b1"], "a": ["a2"]}]),
        ("continuous", [{"b": ["b1"], "a": ["a1"]}, {"b": ["b1"], "a": ["a2"]}]),
        ("cumulative", [{"b": ["b1"], "a": ["a1", "a2"]}]),
    ],
)
def test_the_combinations_that_an_event_completes(
    context: str, expected: list[dict[str, list[str]]]
) -> None:
    assert completed(join(context), *ARRIVALS) == expected


@pytest.mark.parametrize(
    ("apart_ms", "meets"), [(100, True), (101, False)], ids=["within-the-time", "just-beyond-it"]
)
@pytest.mark.parametrize("context", CONTEXTS)
def test_events_meet_up_to_the_time_between_them(context: str, apart_ms: int, meets: bool) -> None:
    found = completed(join(context), ("a", event("a1", 0)), ("b", event("b1", apart_ms)))
    assert bool(found) is meets


def test_three_inputs_are_near_each_other_not_only_to_the_newest() -> None:
    joined = Join(inputs=("a", "b", "c"), absent=(), within_ms=100, consume="unrestricted", keep=9,
                  shape="s")  # fmt: skip
    arrivals = (("a", event("a1", 0)), ("b", event("b1", 120)), ("c", event("c1", 60)))
    assert completed(joined, *arrivals) == []


def test_an_event_of_a_feed_that_two_inputs_watch_does_not_meet_itself() -> None:
    same = event("x", 0)
    assert completed(join("unrestricted"), ("a", same), ("b", same)) == []


@pytest.mark.parametrize(
    ("context", "used"),
    [("unrestricted", 0), ("recent", 0), ("chronicle", 2), ("continuous", 2), ("cumulative", 2)],
)
def test_what_a_firing_uses_up(context: str, used: int) -> None:
    combination = {"a": [event("a1", 0)], "b": [event("b1", 1)]}
    assert len(join(context).consumes(combination)) == used


def test_removed_events_leave_their_buffers_and_are_named() -> None:
    joined, state = join("chronicle"), JoinState("s")
    first, second, other = event("a1", 0), event("a2", 1), event("b1", 2)
    for name, one in (("a", first), ("a", second), ("b", other)):
        joined.add(state, name, one)
    assert [ref.id for ref in joined.remove(state, (first, other))] == ["a1", "b1"]
    assert {name: [one.id for one in of] for name, of in state.buffers.items()} == {"a": ["a2"]}


def test_a_full_buffer_drops_its_oldest_and_says_how_many() -> None:
    joined, state = join("unrestricted", keep=2), JoinState("s")
    dropped = [joined.add(state, "a", event(f"a{n}", n)) for n in range(4)]
    assert dropped == [0, 0, 1, 1]
    assert [one.id for one in state.buffers["a"]] == ["a2", "a3"]


def test_an_older_event_does_not_replace_the_newest_in_recent() -> None:
    joined, state = join("recent"), JoinState("s")
    joined.add(state, "a", event("new", 10))
    joined.add(state, "a", event("old", 5))
    assert [one.id for one in state.buffers["a"]] == ["new"]


def test_pruning_keeps_what_a_late_event_could_still_meet() -> None:
    joined, state = join("unrestricted"), JoinState("s")
    for name, one in (("a", event("gone", 99)), ("a", event("kept", 100))):
        joined.add(state, name, one)
    joined.prune(state, newest_ms=250, late_ms=50)
    assert [one.id for one in state.buffers["a"]] == ["kept"]
    joined.prune(state, newest_ms=1_000, late_ms=50)
    assert state.buffers == {}
    assert joined.missing(state) == ["a", "b"]


def test_absence_is_awaited_until_the_time_is_over_and_lateness_besides() -> None:
    joined, state = join("chronicle", absent=("c",)), JoinState("s")
    combination = {"a": [event("a1", 10)], "b": [event("b1", 20)]}
    assert joined.await_absence(state, combination, 5) == 10 + 100 + 5
    assert joined.stop_awaiting(state, event("c1", 111)) == []  # came after the time
    assert len(joined.stop_awaiting(state, event("c2", 110))) == 1
    assert state.awaiting == []


def test_absence_is_not_awaited_where_the_event_has_come_already() -> None:
    joined, state = join("chronicle", absent=("c",)), JoinState("s")
    joined.add(state, "c", event("c1", 15))
    assert joined.await_absence(state, {"a": [event("a1", 10)]}, 0) is None
    assert state.awaiting == []
