"""ProcessorClock: arrivals by the processor time that a process uses."""

from __future__ import annotations

import os

import pytest

from simulation.load.processor_clock import ProcessorClock, used_s


def test_it_goes_as_fast_as_the_process_computes() -> None:
    used = 7.0
    clock = ProcessorClock(lambda: used)
    assert clock(0.0) == 0.0
    assert clock(10.0) == 0.0
    used = 9.0
    assert clock(10.0) == pytest.approx(2.0)


def test_what_a_main_thread_has_used_is_read_of_the_system() -> None:
    times = os.times()
    assert 0.0 < used_s(os.getpid()) <= times.user + times.system + 0.5
    assert used_s(0) == 0.0
