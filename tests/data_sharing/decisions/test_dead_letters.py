"""Dead letters: one for each thing that failed, until it is redriven."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from data_sharing.decisions import dead_letters
from data_sharing.decisions.dead_letters import DeadLetter, DeadLetterKind
from data_sharing.instruction import Cause
from tests.support.decisions_harness import ALL, tables

EVENT = Cause("/road", "e1", "traffic", 7)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with tables(dead_letters.SCHEMA) as made:
        yield made


def put(db: sqlite3.Connection, *, version: int = 1, reason: str = "error", now_ms: int = 10):
    dead_letters.put_event(
        db, "acme", EVENT, rule="r", rule_version=version, reason=reason, now_ms=now_ms
    )


def letters(db: sqlite3.Connection, *, with_redriven: bool = True) -> list[DeadLetter]:
    return dead_letters.page(db, "acme", ALL, 100, with_redriven=with_redriven)


def test_a_letter_of_an_event_says_which_rule_failed_on_which_event(db) -> None:
    put(db)
    (letter,) = letters(db)
    assert letter == DeadLetter(
        id="d-1", tenant="acme", kind=DeadLetterKind.EVENT, time_ms=10, reason="error", rule="r",
        rule_version=1, event=EVENT,
    )  # fmt: skip


def test_a_letter_of_an_instruction_names_it_and_no_event(db) -> None:
    dead_letters.put_instruction(db, "acme", "i-1", reason="late", now_ms=10)
    (letter,) = letters(db)
    assert (letter.kind, letter.instruction) == (DeadLetterKind.INSTRUCTION, "i-1")
    assert (letter.event, letter.rule) == (None, "")


def test_an_event_that_fails_once_more_renews_its_letter(db) -> None:
    put(db)
    assert dead_letters.mark_redriven(db, letters(db)[0], 20)
    put(db, reason="error again", now_ms=30)
    (letter,) = letters(db)
    assert (letter.id, letter.reason, letter.time_ms) == ("d-1", "error again", 30)
    assert letter.redriven_ms is None


def test_another_version_of_the_rule_has_a_letter_of_its_own(db) -> None:
    put(db)
    put(db, version=2)
    assert [one.rule_version for one in letters(db)] == [2, 1]


def test_a_letter_is_redriven_once_and_then_left_out_of_what_waits(db) -> None:
    put(db)
    (letter,) = letters(db)
    assert dead_letters.mark_redriven(db, letter, 20)
    assert not dead_letters.mark_redriven(db, letter, 30)
    assert letters(db, with_redriven=False) == []
    assert letters(db)[0].redriven_ms == 20


def test_a_late_outcome_resolves_the_letters_of_its_instruction(db) -> None:
    dead_letters.put_instruction(db, "acme", "i-1", reason="late", now_ms=10)
    dead_letters.put_instruction(db, "acme", "i-2", reason="late", now_ms=10)
    dead_letters.resolve(db, "i-1", 20)
    assert [one.instruction for one in letters(db, with_redriven=False)] == ["i-2"]
    resolved = letters(db)[1]
    assert (resolved.redriven_ms, resolved.reason) == (20, "late; its outcome came late")


@pytest.mark.parametrize(
    "letter_id", ["", "d-", "d-2", "1x", "d-" + "9" * 19, "d--1", "i-1"], ids=str
)
def test_an_id_that_is_none_finds_nothing(db, letter_id: str) -> None:
    put(db)
    assert dead_letters.get(db, "acme", letter_id) is None


def test_a_letter_is_found_by_its_tenant_alone(db) -> None:
    put(db)
    found = dead_letters.get(db, "acme", "d-1")
    assert found is not None
    assert found.event == EVENT
    assert dead_letters.get(db, "other", "d-1") is None
