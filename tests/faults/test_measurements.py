"""The measure of how long writes stood still: it must not take a fault that lasts for none."""

from __future__ import annotations

from tests.support.measurements import Measured

FAULT = 100.0


def told(*writes: float, asked_until: float = 110.0) -> Measured:
    calls = [(asked_until, asked_until + 1.0, "new", True)]
    return Measured(writes=list(writes), calls=calls)


def every(step_s: float, begin: float, end: float) -> list[float]:
    return [begin + n * step_s for n in range(int((end - begin) / step_s))]


def test_the_end_of_the_longest_silence_counts() -> None:
    writes = every(0.1, 95.0, 100.05) + every(0.1, 101.5, 110.0)
    assert round(told(*writes).resumed_after(FAULT, within_s=9.0), 6) == 1.5


def test_an_answer_under_way_does_not_hide_that_writes_never_resume() -> None:
    writes = [*every(0.1, 95.0, 100.0), 100.00005]
    assert told(*writes).resumed_after(FAULT, within_s=6.0) == 6.0


def test_nothing_written_after_the_fault_is_no_resumption() -> None:
    assert told(*every(0.1, 95.0, 100.0)).resumed_after(FAULT, within_s=6.0) == 6.0
    assert told().resumed_after(FAULT, within_s=6.0) == 6.0


def test_a_window_longer_than_the_traffic_blames_nobody() -> None:
    writes = every(0.1, 95.0, 100.0) + every(0.1, 101.0, 105.0)
    assert round(told(*writes, asked_until=105.0).resumed_after(FAULT, within_s=15.0), 6) == 1.0
