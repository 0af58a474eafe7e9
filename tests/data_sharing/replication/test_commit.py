"""A commit is read back as it was written, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import DataLoss
from data_sharing.replication.commit import TableChange, decode, encode, head_of

VALUES = (
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text()
    | st.binary()
)  # fmt: skip
ROWS = st.lists(st.tuples(VALUES, VALUES), max_size=5)


@given(rows=ROWS, gone=ROWS, piece_bytes=st.integers(1, 200))
def test_what_is_read_is_what_was_written_whatever_the_size_of_messages(rows, gone, piece_bytes):
    changes = [TableChange("notes", ("id", "text"), ("id", "text"), rows, gone)]
    messages = encode(changes, owner="w", id="c", layout=1, piece_bytes=piece_bytes)
    *pieces, head = messages
    assert all(len(one) <= piece_bytes for one in pieces)
    found = decode(7, pieces, head_of(head))
    assert (found.sequence, found.head.id, found.changes) == (7, "c", changes)


def test_a_commit_with_a_part_missing_or_altered_is_data_loss():
    changes = [TableChange("notes", ("id",), ("id",), [(n,) for n in range(100)], [])]
    *pieces, last = encode(changes, owner="w", id="c", layout=1, piece_bytes=20)
    head = head_of(last)
    for broken in (
        pieces[1:],
        [*pieces, b"x"],
        [b"\0" * 20, *pieces[1:]],
        [pieces[1], *pieces[1:]],
    ):
        with pytest.raises(DataLoss):
            decode(1, broken, head)
    with pytest.raises(DataLoss):
        head_of(b"something else")
