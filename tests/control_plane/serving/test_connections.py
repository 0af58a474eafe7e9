"""Whose connection a call came over, by the key that the listener sends along."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import Unauthenticated
from control_plane.serving.connections import HEADER, Connection, Connections

ALICE, BOB = Connection(peer="ipv4:192.0.2.1:1"), Connection(peer="ipv4:192.0.2.2:2")
NAMES = st.sampled_from(["a", "b", HEADER, "authorization"])
VALUES = st.one_of(st.text(max_size=5), st.binary(max_size=5), st.sampled_from(["key-0", "key-1"]))


def connections() -> Connections:
    numbers = count()
    return Connections(lambda: f"key-{next(numbers)}")


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6), st.booleans())
def test_the_last_key_counts_and_no_key_is_seen_behind(
    sent: list[tuple[str, str | bytes]], grouped: bool
) -> None:
    """A caller may send the header itself, and even know another's key; ours comes after it.
    Transports may put lines of one name together."""
    known = connections()
    known.opened(ALICE)
    key = known.opened(BOB)
    metadata = [*sent, (HEADER, key)]
    if grouped:
        names = list(dict.fromkeys(name for name, _ in metadata))
        metadata.sort(key=lambda entry: names.index(entry[0]))
    connection, rest = known.of(metadata)
    assert connection is BOB
    assert [entry for entry in rest if entry[0] == HEADER] == []
    assert len(rest) == sum(name != HEADER for name, _ in sent)


@pytest.mark.parametrize(
    "metadata",
    [
        [],
        [("a", "b")],
        [(HEADER, "guess")],
        [(HEADER, b"key-0")],
        [(HEADER, "key-0"), (HEADER, "")],
        [(HEADER, "key-0"), (HEADER, "guess")],
    ],
)
def test_a_call_without_a_key_that_is_known_is_refused(
    metadata: list[tuple[str, str | bytes]],
) -> None:
    known = connections()
    known.opened(ALICE)
    with pytest.raises(Unauthenticated, match="did not come over a connection"):
        known.of(metadata)


def test_a_connection_that_has_closed_is_not_known_any_more() -> None:
    known = connections()
    key = known.opened(ALICE)
    assert known.of([(HEADER, key)])[0] is ALICE
    known.closed(key)
    known.closed(key)
    assert known.count == 0
    with pytest.raises(Unauthenticated):
        known.of([(HEADER, key)])
