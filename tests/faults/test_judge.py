"""The judge notices: each way to break a promise, written down as a small history, is caught,
and the same history without the break is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.judge.books import Books, Change
from tests.support.judge.journal import Call, Journal
from tests.support.judge.verdict import Verdict


def key(name: str, value: Any = None) -> Change:
    """`name` written with a JSON value, a number or text; None: deleted."""
    if value is None:
        return Change(name, None)
    return Change(name, value.encode() if isinstance(value, str) else json.dumps(value).encode())


def at(unit: str, epoch: int = 1, at_ms: int = 1) -> dict[str, Any]:
    return {"unit": unit, "epoch": epoch, "at_ms": at_ms, "cell": "", "policy": 0}


def ledger(capacity: int, settled: int = 0, *, is_open: bool = True, **grants: int) -> Any:
    return {"capacity": capacity, "settled": settled, "grants": grants, "open": is_open}


def left(unit: str, client: str, to: str, epoch: int) -> Change:
    return key(f"moves/{unit}/t/{client}", {"unit": to, "epoch": epoch, "cause": "x", "at_ms": 2})


BEGIN = [
    [key("capacity/a", ledger(3))],
    [key("capacity/b", ledger(3))],
    [key("sessions/p", " ")],
    [key("sessions/q", " ")],
    [key("capacity/a", ledger(3, p=3))],
    [key("capacity/b", ledger(3, p=2))],
    [key("assignments/t/x", at("a")), key("assignments/t/y", at("a")), key("usage/a/p", 2)],
]
HONEST = {
    "a client more": [[key("assignments/t/z", at("a")), key("usage/a/p", 3)]],
    "a release": [[key("assignments/t/x"), key("usage/a/p", 1)]],
    "a move": [
        [
            key("assignments/t/x", at("b", 2)), left("a", "x", "b", 2),
            key("usage/a/p", 1), key("usage/b/p", 1),
        ]
    ],
    "a settlement": [[key("capacity/a", ledger(3, 2, p=1)), key("usage/a/p", 0)]],
    "a death": [[key("sessions/p")], [key("capacity/a", ledger(3, 2)), key("usage/a/p")]],
    "capacity lowered below what is held": [
        [key("capacity/a", ledger(1, p=3)), key("fence/a", "1")],
        [key("capacity/a", ledger(1, 2)), key("usage/a/p", 0)],
    ],
    "a hold that ran out": [
        [key("assignments/t/x"), left("a", "x", "", 1), key("usage/a/p", 1)]
    ],
}  # fmt: skip
BROKEN = {
    "a dropped compare of absence": (
        "P2: assigned twice",
        [[key("assignments/t/x", at("b", 1, 9)), key("usage/b/p", 1)]],
    ),
    "a dropped compare of absence, same unit": (
        "P2: assigned twice",
        [[key("assignments/t/x", at("a", 1, 9)), key("usage/a/p", 3)]],
    ),
    "a reused epoch": (
        "P2: assigned twice",
        [[key("assignments/t/x", at("b", 1)), left("a", "x", "b", 1),
          key("usage/a/p", 1), key("usage/b/p", 1)]],
    ),
    "a skipped epoch": (
        "P2: not the next epoch",
        [[key("assignments/t/x", at("b", 3)), left("a", "x", "b", 3),
          key("usage/a/p", 1), key("usage/b/p", 1)]],
    ),
    "a move that its old unit never hears of": (
        "P2: its old unit is not told",
        [[key("assignments/t/x", at("b", 2)), key("usage/a/p", 1), key("usage/b/p", 1)]],
    ),
    "a move that takes no slot": (
        "ledger: 1 clients, the books say 0",
        [[key("assignments/t/x", at("b", 2)), left("a", "x", "b", 2), key("usage/a/p", 1)]],
    ),
    "a skipped release of usage": (
        "ledger: 1 clients, the books say 2",
        [[key("assignments/t/x"), key("usage/a/p", 2)]],
    ),
    "a dropped compare of capacity": (
        "ledger: takes a grant beyond",
        [[key("capacity/a", ledger(3, p=3, q=1))]],
    ),
    "more clients than capacity": (
        "P3: 4 clients of 3",
        [[key("assignments/t/z", at("a")), key("assignments/t/w", at("a")), key("usage/a/p", 4)]],
    ),
    "more clients than granted": (
        "ledger: uses 3 of 2 granted",
        [[key(f"assignments/t/{c}", at("b")) for c in "uvw"] + [key("usage/b/p", 3)]],
    ),
    "a dropped compare of the fence": (
        "ledger: under a fence nobody may use",
        [[key("capacity/a", ledger(2, p=3)), key("fence/a", "2")],
         [key("assignments/t/z", at("a")), key("usage/a/p", 3)]],
    ),
    "a closed unit that takes a client": (
        "ledger: under a fence nobody may use",
        [[key("capacity/a", ledger(3, is_open=False, p=3)), key("fence/a", "closed")],
         [key("assignments/t/z", at("a")), key("usage/a/p", 3)]],
    ),
    "capacity lowered without a fence": (
        "ledger: lowered without a new fence",
        [[key("capacity/a", ledger(2, p=3))]],
    ),
    "a unit closed without a fence": (
        "ledger: closed without a new fence",
        [[key("capacity/a", ledger(3, is_open=False, p=3))]],
    ),
    "a dropped compare of the session": (
        "ledger: writes without session",
        [[key("sessions/p")], [key("assignments/t/z", at("a")), key("usage/a/p", 3)]],
    ),
    "a grant without session": (
        "ledger: granted without session",
        [[key("sessions/q")], [key("capacity/b", ledger(3, p=2, q=1))]],
    ),
    "somebody alive is settled": (
        "ledger: lives, is settled",
        [[key("capacity/a", ledger(3, 2)), key("usage/a/p")]],
    ),
    "a provisioner's id used again": (
        "ledger: an id is used again",
        [[key("sessions/q")], [key("sessions/q", " ")]],
    ),
    "a settlement that forgets clients": (
        "ledger: 2 clients, the books say 0",
        [[key("capacity/a", ledger(3, p=1)), key("usage/a/p", 0)]],
    ),
    "a unit removed with its clients": (
        "ledger: 2 clients at no unit",
        [[key("capacity/a"), key("usage/a/p")]],
    ),
}  # fmt: skip


def judged(more: list[list[Change]]) -> Verdict:
    books = Books(Verdict())
    for revision, changes in enumerate([*BEGIN, *more], start=2):
        books.take(revision, changes)
    return books.verdict


@pytest.mark.parametrize("name", HONEST)
def test_what_is_allowed_is_not_accused(name):
    assert judged(HONEST[name]).violations == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_named_with_its_revision(name):
    expected, more = BROKEN[name]
    promise, _, words = expected.partition(": ")
    told = judged(more).violations
    assert [v for v in told if v.promise == promise and words in v.what], told
    assert {v.revision for v in told} == {len(BEGIN) + 1 + len(more)}


def test_a_store_that_shows_something_else_than_its_history_is_accused():
    books = Books(Verdict())
    for revision, changes in enumerate(BEGIN, start=2):
        books.take(revision, changes)
    books.compare(9, [("t/x", json.dumps(at("a")).encode())])
    assert [(v.promise, v.key) for v in books.verdict.violations] == [("P1", "t/y")]


# -- what clients were told ------------------------------------------------------------

LIFE = [  # x: at a from 8, moved to b at 9, gone at 10, at b again from 11
    [key("assignments/t/x", at("a")), key("usage/b/q", 1)],
    [key("assignments/t/x", at("b", 2)), left("a", "x", "b", 2)],
    [key("assignments/t/x")],
    [key("assignments/t/x", at("b"))],
]


def call(number: float, op: str, outcome: str, unit: str = "", epoch: int = 0, **more: Any) -> Call:
    """The n-th call of client x; takes half a second."""
    return Call("t/x", op, number, number + 0.5, outcome, unit, epoch, **more)


TOLD = [
    call(1, "provision", "home", "a", 1),
    call(2, "provision", "home", "b", 2),
    call(3, "release", "released"),
    call(4, "provision", "home", "b", 1),
]


def heard(tmp_path: Any, calls: list[Call]) -> Verdict:
    verdict = Verdict()
    with Journal(tmp_path / "journal.db", verdict) as journal:
        books = Books(Verdict(), on_step=journal.step)
        for revision, changes in enumerate(LIFE, start=8):
            books.take(revision, changes)
        journal.add(calls)
        journal.judge()
    return verdict


@pytest.mark.parametrize(
    "calls",
    [
        pytest.param(TOLD, id="every answer fits"),
        pytest.param([TOLD[0], TOLD[2], TOLD[3]], id="a move it did not hear of"),
        pytest.param([TOLD[0], call(2, "release", "error"), TOLD[3]], id="a release unanswered"),
        pytest.param([*TOLD[:2], call(2.1, "get", "home", "a", 1), *TOLD[2:]],
                     id="an answer of a call that began before"),
        pytest.param([*TOLD, call(5, "get", "home", "a", 1, stale=True)], id="old and says so"),
        pytest.param([*TOLD[:3], call(3.6, "get", "none"), TOLD[3]], id="no home in between"),
    ],
)  # fmt: skip
def test_answers_that_fit_the_history_are_not_accused(tmp_path, calls):
    assert heard(tmp_path, calls).violations == []


@pytest.mark.parametrize(
    ("promise", "words", "calls"),
    [
        pytest.param("P1", "never shows", [*TOLD, call(5, "provision", "home", "c", 1)],
                     id="a lost ack of an assignment"),
        pytest.param("P1", "lost its home 1 times and gave it back 0", [TOLD[0], TOLD[1]],
                     id="an assignment undone"),
        pytest.param("P2", "after it was told", [*TOLD[:2], call(2.7, "get", "home", "a", 1),
                     *TOLD[2:]], id="an epoch that went back"),
        pytest.param("P2", "after it was told", [*TOLD, call(5, "release", "released")],
                     id="a lost ack of a release"),
        pytest.param("P2", "after it was told", [*TOLD, call(5, "get", "none")],
                     id="no home though it has one"),
    ],
)  # fmt: skip
def test_an_answer_that_history_does_not_bear_out_is_accused(tmp_path, promise, words, calls):
    told = heard(tmp_path, calls).violations
    assert [v for v in told if v.promise == promise and words in v.what], told
