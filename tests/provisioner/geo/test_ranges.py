"""Ranges find what bisecting finds, one key at a time and many at once."""

from bisect import bisect_right

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.geo.ranges import NO_RECORD, cleared, ranges


def made(bits, pieces):
    """Ranges from (start, value) pairs, of which the first starts at 0."""
    starts = np.array([start for start, _ in pieces], dtype=np.uint64)
    return ranges(bits, starts, np.array([value for _, value in pieces], dtype=np.int64))


def pieces_of(bits):
    """Sorted pieces of a key space; some are clustered, so that entries of tables are shared."""
    top = (1 << bits) - 1
    near = st.integers(0, 2000).map(lambda low: min(top, (3 << (bits - 8)) + low))
    starts = st.sets(st.integers(1, top) | near, max_size=40)
    return starts.flatmap(
        lambda found: st.lists(
            st.integers(-3, 5), min_size=len(found) + 1, max_size=len(found) + 1
        ).map(lambda values: list(zip([0, *sorted(found)], values, strict=True)))
    )


@pytest.mark.parametrize("bits", [32, 64])
@given(data=st.data())
def test_any_key_has_the_value_of_its_piece(bits, data):
    pieces = data.draw(pieces_of(bits))
    starts, values = zip(*pieces, strict=True)
    table = made(bits, pieces)
    keys = data.draw(st.lists(st.integers(0, (1 << bits) - 1), max_size=20))
    keys += list(starts) + [start - 1 for start in starts if start]
    expected = [values[bisect_right(starts, key) - 1] for key in keys]
    assert [table.find(key) for key in keys] == expected
    assert table.find_many(np.array(keys, dtype=np.uint64)).tolist() == expected


def test_neighbours_that_are_alike_become_one():
    assert len(made(32, [(0, 1), (5, 1), (9, 2)])) == 2


@pytest.mark.parametrize("bits", [32, 64])
def test_cleared_stretches_have_no_record_and_their_neighbours_keep_theirs(bits):
    top = (1 << bits) - 1
    table = ranges(
        bits,
        *cleared(
            bits,
            np.array([0, 100], dtype=np.uint64),
            np.array([7, 8], dtype=np.int64),
            np.array([50, top - 1], dtype=np.uint64),
            np.array([120, top], dtype=np.uint64),
        ),
    )
    found = {key: table.find(key) for key in (0, 49, 50, 120, 121, top - 2, top - 1, top)}
    assert found == {
        0: 7, 49: 7, 50: NO_RECORD, 120: NO_RECORD, 121: 8, top - 2: 8, top - 1: NO_RECORD,
        top: NO_RECORD,
    }  # fmt: skip
