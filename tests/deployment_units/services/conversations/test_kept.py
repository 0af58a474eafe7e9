"""The messages of accounts over any history of sends, repeats and removals: each once, in the order
in which it came first, at positions that only grow."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from control_plane.errors import AlreadyExists
from control_plane.sqlite.schema import Schema, migrate
from deployment_units.services.conversations import kept, places, presses
from deployment_units.services.conversations.message import NewMessage
from deployment_units.services.state import owners
from deployment_units.services.state.owners import OwnerState
from deployment_units.services.state.parts import prepare

OWNER = 1


def database() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    prepare(db, [owners.SCHEMA], [kept.PART, presses.PART])
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


def test_an_id_is_of_whoever_brings_the_message(db: sqlite3.Connection) -> None:
    first = message(1)
    others = replace(message(1, text=b"y"), sender="mallory")
    passed_on = replace(message(1, text=b"z"), sender="mailto:carla@mail.example", via="mallory")
    assert kept.keep(db, OWNER, others, ["ben"], now_ms=0).position == 1
    assert kept.keep(db, OWNER, first, ["ben"], now_ms=0).position == 2
    with pytest.raises(AlreadyExists):  # whose words it brings, does not matter
        kept.keep(db, OWNER, passed_on, ["ben"], now_ms=0)
    for again, position in ((first, 2), (others, 1)):
        assert kept.keep(db, OWNER, again, ["ben"], now_ms=0).position == position
        found = kept.find(db, OWNER, again.id, bringer=again.sender)
        assert found is not None
        assert found.position == position
    assert [one.sender for one in kept.of_id(db, OWNER, first.id)] == ["mallory", "ben"]


def test_a_revision_takes_the_place_of_its_own_senders_message(db: sqlite3.Connection) -> None:
    kept.keep(db, OWNER, replace(message(1), sender="mallory"), ["ben"], now_ms=0)
    kept.keep(db, OWNER, message(1), ["ben"], now_ms=0)
    changed = replace(message(2, text=b"changed"), replaces=message(1).id)
    assert kept.keep(db, OWNER, changed, ["ben"], now_ms=0).revision == 2
    shown = kept.shown(db, OWNER, message(2).id)
    assert shown is not None
    assert (shown.sender, shown.content) == ("ben", b"changed")


def test_messages_of_an_older_homeport_stay_and_ids_are_of_their_senders_from_then_on() -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    older = Schema(part=kept.PART.name, steps=kept.PART.schema.steps[:3])
    migrate(db, [owners.SCHEMA, older])
    owners.add(db, "t", "anna", epoch=1, state=OwnerState.LIVE, now_ms=0)
    talk, one = message(1).conversation, message(1)
    db.execute("INSERT INTO conversations VALUES (?, ?, ?, 1)", (OWNER, talk, '["ben"]'))
    db.execute(
        "INSERT INTO messages VALUES (?, 1, ?, ?, 'ben', ?, 0, x'', 1, '', '')",
        (OWNER, one.id, talk, one.content),
    )
    db.execute("INSERT INTO counters VALUES (?, ?, 1)", (OWNER, kept.LAST))
    prepare(db, [owners.SCHEMA], [kept.PART, presses.PART])
    assert places.known_as(db, OWNER, talk) == talk
    kept.keep(db, OWNER, replace(message(1), sender="mallory"), ["ben"], now_ms=0)
    assert [one.sender for one in kept.of_id(db, OWNER, message(1).id)] == ["ben", "mallory"]
    db.close()


def test_rows_of_an_older_export_are_read() -> None:
    row = [1, b"i", b"c", "ben", b"x", 0]
    upgraded = [kept.PART.upgraded(1, "messages", row)]
    upgraded.append(kept.PART.upgraded(3, "messages", [*row, b"", 1, "", ""]))
    for ((table, values),) in upgraded:
        (messages,) = (one for one in kept.PART.tables if one.name == table)
        assert messages.convert(values)
    ((_, values),) = kept.PART.upgraded(4, "conversations", [b"c", "[]", 1])
    assert values == [b"c", "[]", 1, b"c"]


@given(
    st.lists(st.integers(0, 2), max_size=20),
    st.integers(1, 5),
    st.sampled_from([b"x", b"x" * (kept.PAGE_BYTES // 2 + 1)]),
    st.integers(0, 12),
)
def test_from_the_newest_back_is_the_same_in_pages(
    talks: list[int], most: int, text: bytes, after: int
) -> None:
    db = database()
    for number, talk in enumerate(talks, 1):
        kept.keep(db, OWNER, message(number, talk, text), ["ben"], now_ms=0)
    of = (0).to_bytes(16, "big")
    found: list[int] = []
    before, more = 2**63 - 1, True
    while more:
        page, more = kept.messages(
            db, OWNER, after=after, most=most, conversation=of, before=before
        )
        positions = [one.position for one in page]
        assert positions == sorted(positions)
        assert len(positions) <= most
        assert positions or not more
        found = positions + found
        before = positions[0] if positions else before
    db.close()
    expected = [number for number, talk in enumerate(talks, 1) if talk == 0 and number > after]
    assert found == expected
