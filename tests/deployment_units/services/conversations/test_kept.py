"""The messages of accounts over any history of sends, repeats and removals: each once, in the order
in which it came first, at positions that only grow."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import AlreadyExists
from deployment_units.services.conversations import kept
from deployment_units.services.conversations.message import NewMessage
from deployment_units.services.state import owners
from deployment_units.services.state.owners import OwnerState
from deployment_units.services.state.parts import prepare

OWNER = 1


def database() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    prepare(db, [owners.SCHEMA], [kept.PART])
    owners.add(db, "t", "anna", epoch=1, state=OwnerState.LIVE, now_ms=0)
    return db


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    one = database()
    yield one
    one.close()


def message(number: int, conversation: int = 0, text: bytes = b"x") -> NewMessage:
    return NewMessage(
        id=number.to_bytes(16, "big"),
        conversation=conversation.to_bytes(16, "big"),
        sender="ben",
        content=text,
    )


def ids(db: sqlite3.Connection, conversation: int | None = None) -> list[tuple[int, int]]:
    """Position and id of each message, as pages bring them."""
    of = None if conversation is None else conversation.to_bytes(16, "big")
    found: list[tuple[int, int]] = []
    more = True
    while more:
        after = found[-1][0] if found else 0
        page, more = kept.messages(db, OWNER, after=after, most=3, conversation=of)
        found += [(one.position, int.from_bytes(one.id, "big")) for one in page]
    return found


steps = st.lists(
    st.tuples(st.just("keep"), st.integers(0, 12))
    | st.tuples(st.just("remove"), st.integers(0, 2)),
    max_size=40,
)


@given(steps)
def test_each_is_kept_once_in_the_order_of_its_first_arrival(
    history: list[tuple[str, int]],
) -> None:
    db = database()
    expected: list[int] = []
    highest = 0
    for what, number in history:
        if what == "keep":
            one = kept.keep(db, OWNER, message(number, number % 3), ["ben"], now_ms=0)
            if number not in expected:
                expected.append(number)
                assert one.position > highest
                highest = one.position
        else:
            assert not kept.remove_some(db, OWNER, number.to_bytes(16, "big"))
            expected = [one for one in expected if one % 3 != number]
    found = ids(db)
    assert [number for _, number in found] == expected
    positions = [position for position, _ in found]
    assert positions == sorted(set(positions))
    for conversation in range(3):
        assert [one for _, one in ids(db, conversation)] == [
            one for one in expected if one % 3 == conversation
        ]
    listed, _ = kept.conversations(db, OWNER, before=2**62, most=9)
    assert [one.last for one in listed] == sorted((one.last for one in listed), reverse=True)
    assert {one.id[-1] for one in listed} == {one % 3 for one in expected}
    db.close()


def test_a_page_ends_where_its_bytes_do_and_has_one_message_at_least(
    db: sqlite3.Connection,
) -> None:
    for number in range(5):
        kept.keep(db, OWNER, message(number, 0, b"x" * kept.PAGE_BYTES), ["ben"], now_ms=0)
    page, more = kept.messages(db, OWNER, after=0, most=100)
    assert (len(page), more) == (2, True)
    page, more = kept.messages(db, OWNER, after=4, most=100)
    assert (len(page), more) == (1, False)


def test_a_page_of_conversations_ends_where_its_bytes_do_and_has_one_at_least(
    db: sqlite3.Connection,
) -> None:
    for number in range(1, 4):
        kept.keep(db, OWNER, message(number, number), ["m" * kept.PAGE_BYTES], now_ms=0)
    page, more = kept.conversations(db, OWNER, before=2**62, most=100)
    assert ([one.last for one in page], more) == ([3], True)
    page, more = kept.conversations(db, OWNER, before=2, most=100)
    assert ([one.last for one in page], more) == ([1], False)
    for number in range(1, 4):
        for device in range(kept.MAX_DEVICES):
            kept.mark_seen(db, OWNER, number.to_bytes(16, "big"), f"d{device}", 1)
    page, more = kept.conversations(db, OWNER, before=3, most=1)
    assert ([(one.last, len(one.seen)) for one in page], more) == ([(2, kept.MAX_DEVICES)], True)


def test_removing_is_done_some_at_a_time(db: sqlite3.Connection) -> None:
    for number in range(kept.REMOVED_AT_ONCE + 1):
        kept.keep(db, OWNER, message(number), ["ben"], now_ms=0)
    kept.mark_seen(db, OWNER, bytes(16), "phone", 3)
    assert kept.remove_some(db, OWNER, bytes(16))
    assert ids(db) == [(kept.REMOVED_AT_ONCE + 1, kept.REMOVED_AT_ONCE)]
    assert not kept.remove_some(db, OWNER, bytes(16))
    assert kept.conversations(db, OWNER, before=2**62, most=9) == ([], False)
    assert db.execute("SELECT count(*) FROM seen").fetchone() == (0,)


def test_what_was_seen_only_grows_and_is_no_more_than_there_is(db: sqlite3.Connection) -> None:
    for number in range(5):
        kept.keep(db, OWNER, message(number), ["ben"], now_ms=0)
    seen = [kept.mark_seen(db, OWNER, bytes(16), "phone", at) for at in (2, 1, 99, 3)]
    assert seen == [2, 2, 5, 5]
    for number in range(63):
        kept.mark_seen(db, OWNER, bytes(16), f"device-{number}", 1)
    with pytest.raises(kept.TooManyDevices):
        kept.mark_seen(db, OWNER, bytes(16), "one-more", 1)
    assert kept.mark_seen(db, OWNER, bytes(16), "phone", 1) == 5


@pytest.mark.parametrize(
    ("other", "members"),
    [
        pytest.param(message(1, 0, b"y"), ["ben"], id="another-text"),
        pytest.param(message(1, 9), ["ben"], id="another-conversation"),
        pytest.param(message(2), ["ben", "carla"], id="other-members"),
    ],
)
def test_what_contradicts_what_is_kept_is_refused(
    db: sqlite3.Connection, other: NewMessage, members: list[str]
) -> None:
    kept.keep(db, OWNER, message(1), ["ben"], now_ms=0)
    with pytest.raises(AlreadyExists):
        kept.keep(db, OWNER, other, members, now_ms=0)
    assert ids(db) == [(1, 1)]
