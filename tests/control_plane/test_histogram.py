"""Histograms: whatever is observed is in every bucket it is not larger than, and in the sum."""

from __future__ import annotations

from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.histogram import SECONDS, TOP_MS, Histogram, MillisecondHistogram, together

VALUES = st.lists(st.floats(0.0, 100.0), max_size=50)


@given(VALUES)
def test_each_bucket_has_what_is_not_larger(values: list[float]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    ordered = sorted(values)
    for bound, count in histogram.cumulative():
        assert count == bisect_right(ordered, float(bound))
    assert histogram.total == pytest.approx(sum(values))


@given(st.lists(st.integers(-5, TOP_MS + 5), max_size=50))
def test_milliseconds_count_as_seconds_would(values: list[int]) -> None:
    histogram, expected = MillisecondHistogram(), Histogram()
    for value in values:
        histogram.observe_ms(value)
        expected.observe(max(0, value) / 1000)
    assert histogram.cumulative() == expected.cumulative()


def test_milliseconds_add_up_to_seconds() -> None:
    histogram = MillisecondHistogram()
    for value in (250, 750, -3):
        histogram.observe_ms(value)
    assert histogram.total == 1.0


@given(VALUES, VALUES)
def test_together_they_have_the_observations_of_each(one: list[float], two: list[float]) -> None:
    parts = [Histogram(), Histogram()]
    whole = Histogram()
    for part, values in zip(parts, (one, two), strict=True):
        for value in values:
            part.observe(value)
            whole.observe(value)
    found = together(parts)
    assert found.cumulative() == whole.cumulative()
    assert found.total == pytest.approx(whole.total)


def test_a_bound_belongs_to_its_bucket() -> None:
    histogram = Histogram()
    histogram.observe(0.25)
    assert dict(histogram.cumulative())["0.25"] == 1
    assert dict(histogram.cumulative())["0.1"] == 0
    assert len(histogram.counts) == len(SECONDS) + 1
