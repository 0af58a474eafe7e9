"""What is to be done at a time, by a clock that a test moves."""

from __future__ import annotations

from data_sharing.delivery.timer_queue import TimerQueue


def test_what_is_due_is_done_in_order_and_once() -> None:
    timers, done = TimerQueue(), list[str]()
    timers.schedule(30, lambda: done.append("c"))
    timers.schedule(10, lambda: done.append("a"))
    timers.schedule(10, lambda: done.append("b"))
    timers.run_due(9)
    assert done == []
    timers.run_due(29)
    timers.run_due(29)
    assert done == ["a", "b"]
    timers.run_due(30)
    assert done == ["a", "b", "c"]


def test_what_is_scheduled_while_others_run_is_done_too_if_it_is_due() -> None:
    timers, done = TimerQueue(), list[str]()

    def again() -> None:
        done.append("first")
        timers.schedule(10, lambda: done.append("second"))
        timers.schedule(11, lambda: done.append("later"))

    timers.schedule(10, again)
    timers.run_due(10)
    assert done == ["first", "second"]


def test_scheduling_says_whether_it_is_the_next_one() -> None:
    timers = TimerQueue()
    assert timers.schedule(20, lambda: None)
    assert not timers.schedule(30, lambda: None)
    assert timers.schedule(10, lambda: None)


def test_how_long_until_the_next_one_is_bounded_both_ways() -> None:
    timers = TimerQueue()
    assert timers.next_in_s(0, 0.25) == 0.25
    timers.schedule(100, lambda: None)
    assert timers.next_in_s(0, 0.25) == 0.1
    assert timers.next_in_s(0, 0.05) == 0.05
    assert timers.next_in_s(500, 0.25) == 0.0
