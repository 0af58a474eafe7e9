"""ProcessorClock: arrivals by the processor time that a process uses."""

from __future__ import annotations

import os

import pytest

from simulation.load.processor_clock import LEAST, ProcessorClock, used_s


def test_it_goes_as_fast_as_the_process_computes_and_a_little_where_it_does_not() -> None:
    used = 7.0
    clock = ProcessorClock(lambda: used)
    assert clock(0.0) == 0.0
    assert clock(10.0) == pytest.approx(10 * LEAST)
    used = 9.0
    assert clock(10.0) == pytest.approx(2.0 + 10 * LEAST)


def test_what_a_process_has_used_is_read_of_the_system() -> None:
    ours = used_s(os.getpid())
    times = os.times()
    assert ours == pytest.approx(times.user + times.system, abs=0.5)
    assert used_s(0) == 0.0
