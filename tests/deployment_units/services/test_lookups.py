"""What is looked up of an account costs the same however much the account keeps: no statement goes
through all of its rows, or all of a conversation's, to find a few."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from deployment_units.agent.keeping import PARTS
from deployment_units.services.conversations import kept, places, presses, revisions
from deployment_units.services.conversations.message import KeptMessage, NewMessage
from deployment_units.services.gateway import kept as deliveries
from deployment_units.services.identities import kept as identities
from deployment_units.services.state import owners
from deployment_units.services.state.owners import OwnerState
from deployment_units.services.state.parts import prepare

ID, TALK = b"message-number-1", b"conversation-one"
NOW_MS = 1_000
_WIDE = {
    "owner=?",
    "owner=? AND known_as=?",
    "owner=? AND message=? AND viewer=?",
    "owner=? AND conversation=?",
    "owner=? AND position<?",
}
_WHOLE_KEY = {"used": {"owner=? AND conversation=?"}}
_SEARCH = re.compile(
    r"SEARCH (conversations|messages|presses|deliveries|pairs|used)\b"
    r".*?\((?P<by>[^)]*(?:\([^)]*\))?[^)]*)\)"
)


class Watched:
    """A connection that notes how each statement finds its rows."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.plans: list[str] = []

    def execute(self, statement: str, values: Any = ()) -> sqlite3.Cursor:
        if not statement.startswith("INSERT"):
            plan = self._db.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            self.plans += [row[3] for row in plan]
        return self._db.execute(statement, values)


def message(number: int, *, replaces: bytes = b"", revision: int = 0) -> NewMessage:
    return NewMessage(
        id=b"message-number-%d" % number, conversation=TALK, sender="anna", content=b"x",
        replaces=replaces, revision=revision,
    )  # fmt: skip


def one_of(db: Any) -> KeptMessage:
    found = kept.find(db, 1, ID)
    assert found is not None
    return found


LOOKUPS: dict[str, Callable[[Any], object]] = {
    "a message by its id": lambda db: kept.find(db, 1, ID),
    "a message by its id and bringer": lambda db: kept.find(db, 1, ID, bringer="anna"),
    "all messages of an id": lambda db: kept.of_id(db, 1, ID),
    "what is shown of a message": lambda db: kept.shown(db, 1, ID),
    "its newest revision": lambda db: revisions.shown_instead(db, 1, one_of(db)),
    "one of its revisions": lambda db: revisions.at_revision(db, 1, one_of(db), 2),
    "whether it is superseded": lambda db: revisions.superseded(db, 1, [one_of(db)]),
    "a message once more": lambda db: kept.keep_once(db, 1, message(1), ["ben"], now_ms=NOW_MS),
    "a new message": lambda db: kept.keep_once(db, 1, message(9), ["ben"], now_ms=NOW_MS),
    "a new revision": lambda db: kept.keep_once(
        db, 1, message(8, replaces=ID), ["ben"], now_ms=NOW_MS
    ),
    "an answered press": lambda db: presses.answered(db, 1, ID, "anna"),
    "a press by its id": lambda db: presses.find(db, 1, "anna", ID),
    "presses of a message": lambda db: presses.of_viewer(db, 1, ID, "anna", "ben"),
    "whether anything waits": lambda db: deliveries.anything_waits(db, 1),
    "whether anything waits for one": lambda db: deliveries.anything_waits(db, 1, "ben"),
    "what waits for one": lambda db: deliveries.line(db, 1, "ben", most=9),
    "holding a line": lambda db: deliveries.hold_line(db, 1, "ben", NOW_MS),
    "releasing a line": lambda db: deliveries.release_line(db, 1, "ben", NOW_MS),
    "what is not over yet": lambda db: deliveries.listed(
        db, 1, before=9, most=9, waiting_only=True
    ),
    "by what a member is known": lambda db: identities.known_of(db, 1, ["ben"]),
    "what was before": lambda db: identities.history(db, 1, ["@ben"], TALK),
    "a use of an identity": lambda db: identities.note_use(
        db, 1, TALK, "@anna", [("ben", "@ben")], now_ms=NOW_MS
    ),
    "a conversation by the id that others know": lambda db: places.place_of(
        db, 1, TALK, '["ben"]', taken=False
    ),
    "recipients of a message": lambda db: deliveries.recipients(db, 1, 1),
}


@pytest.fixture
def db() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    prepare(db, [owners.SCHEMA], PARTS)
    owners.add(db, "default", "anna", epoch=1, state=OwnerState.LIVE, now_ms=0)
    kept.keep(db, 1, message(1), ["ben"], now_ms=NOW_MS)
    kept.keep(db, 1, message(2, replaces=ID, revision=2), ["ben"], now_ms=NOW_MS)
    deliveries.add(db, 1, 1, "ben", NOW_MS)
    identities.note_use(db, 1, TALK, "@anna", [("ben", "@ben")], now_ms=NOW_MS)
    return db


@pytest.mark.parametrize("lookup", LOOKUPS.values(), ids=LOOKUPS)
def test_rows_are_found_by_more_than_whose_they_are(
    db: sqlite3.Connection, lookup: Callable[[Any], object]
) -> None:
    watched = Watched(db)
    lookup(watched)
    found = [search for plan in watched.plans if (search := _SEARCH.search(plan))]
    assert found, watched.plans
    assert all(one["by"] not in _WIDE - _WHOLE_KEY.get(one[1], set()) for one in found), (
        watched.plans
    )


def test_the_newest_presses_are_found_without_sorting_all(db: sqlite3.Connection) -> None:
    watched = Watched(db)
    presses.of_viewer(watched, 1, ID, "anna", "ben")
    assert watched.plans
    assert not any("TEMP B-TREE" in plan for plan in watched.plans), watched.plans
