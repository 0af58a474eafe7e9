"""FairQueue: turns by tenant, bounds for each and for all."""

from __future__ import annotations

import pytest

from control_plane.errors import Exhausted
from control_plane.offloading.fair_queue import FairQueue


def queue(**bounds: int) -> FairQueue[int]:
    return FairQueue(**{"at_once": 10, "of_tenant": 10, "of_all": 100, **bounds})


def test_tenants_take_turns_and_each_keeps_its_order() -> None:
    waiting = queue()
    for tenant, entry in (("a", 1), ("a", 2), ("a", 3), ("b", 4), ("c", 5), ("b", 6)):
        waiting.add(tenant, entry)
    taken = [waiting.take() for _ in range(7)]
    assert taken == [("a", 1), ("b", 4), ("c", 5), ("a", 2), ("b", 6), ("a", 3), None]


def test_of_one_tenant_only_so_many_are_taken_until_they_are_done() -> None:
    waiting = queue(at_once=1)
    for tenant, entry in (("a", 1), ("a", 2), ("b", 3)):
        waiting.add(tenant, entry)
    assert [waiting.take() for _ in range(3)] == [("a", 1), ("b", 3), None]
    waiting.done("b")
    assert waiting.take() is None
    waiting.done("a")
    assert waiting.take() == ("a", 2)
    assert len(waiting) == 0


def test_what_waits_is_bounded_for_a_tenant_and_for_all() -> None:
    waiting = queue(of_tenant=2, of_all=3)
    waiting.add("a", 1)
    waiting.add("a", 2)
    with pytest.raises(Exhausted, match="tenant a has 2 submissions"):
        waiting.add("a", 3)
    waiting.add("b", 4)
    with pytest.raises(Exhausted, match="too many submissions"):
        waiting.add("c", 5)
    assert waiting.take() == ("a", 1)
    waiting.add("c", 5)


def test_what_nobody_wants_any_more_leaves_room() -> None:
    waiting = queue(of_tenant=2, at_once=1)
    for entry in (1, 2):
        waiting.add("a", entry)
    waiting.discard("a", 2)
    waiting.add("a", 3)
    assert waiting.take() == ("a", 1)
    waiting.discard("a", 1)  # it is being done
    waiting.discard("a", 3)
    waiting.discard("b", 4)
    assert len(waiting) == 0
    waiting.done("a")
    assert waiting.take() is None
