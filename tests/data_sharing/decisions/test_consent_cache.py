"""Consents at hand: as the transaction has them, of many users at once as of each alone."""

from __future__ import annotations

import sqlite3

import pytest

from data_sharing.decisions import sharing_tables
from data_sharing.decisions.consent_cache import MOST_SUBJECTS, MOST_TERMS, ConsentCache
from data_sharing.decisions.sharing_tables import SUBJECTS_AT_ONCE
from data_sharing.sharing.consent import Consent, HeldConsents
from tests.support.decisions_harness import tables

USERS = [f"user-{number}" for number in range(SUBJECTS_AT_ONCE * 2 + 7)]


def consent(subject: str, consumer: str, **more: object) -> Consent:
    return Consent(
        id=f"{subject}/{consumer}", tenant="home", subject=subject, consumer=consumer,
        purpose="Be on time.", **more,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.fixture
def db():
    with tables(sharing_tables.SCHEMA) as made:
        for number, user in enumerate(USERS):
            for consumer in ("", "lamp", "heating")[: number % 4]:
                withdrawn = {"withdrawn_ms": 5} if number % 5 == 0 else {}
                sharing_tables.put_consent(made, consent(user, consumer, **withdrawn))
        yield made


def cache(db: sqlite3.Connection) -> ConsentCache:
    made = ConsentCache()
    made.join_transaction(db)
    return made


def test_all_at_once_are_those_of_each(db: sqlite3.Connection) -> None:
    together = cache(db)
    together.load("home", [*USERS, "nobody"])
    for user in (*USERS, "nobody"):
        expected = tuple(sharing_tables.consents_of(db, "home", user))
        assert together.of("home", user) == cache(db).of("home", user) == expected
        assert together.of("other", user) == ()


def test_who_consents_to_the_same_has_the_same_terms(db: sqlite3.Connection) -> None:
    made = cache(db)
    one, same, other, none = (made.of("home", USERS[number]) for number in (1, 9, 2, 4))
    assert isinstance(one, HeldConsents)
    assert isinstance(same, HeldConsents)
    assert isinstance(other, HeldConsents)
    assert one.terms is same.terms
    assert one.terms is not other.terms
    assert none == ()


def test_what_changes_is_read_again(db: sqlite3.Connection) -> None:
    made = cache(db)
    made.load("home", USERS)
    sharing_tables.put_consent(db, consent(USERS[1], "coffee"))
    assert len(made.of("home", USERS[1])) == 1
    made.drop("home", USERS[1])
    assert len(made.of("home", USERS[1])) == 2
    sharing_tables.put_consent(db, consent(USERS[1], "tea"))
    made.forget()
    assert len(made.of("home", USERS[1])) == 3


def test_what_it_keeps_is_bounded(db: sqlite3.Connection) -> None:
    made = cache(db)
    made.load("home", [f"n{number}" for number in range(MOST_SUBJECTS + 5)])
    assert len(made._of) == MOST_SUBJECTS
    for number in range(MOST_TERMS + 5):
        sharing_tables.put_consent(db, consent("anna", f"a-{number}"))
        made.drop("home", "anna")
        made.of("home", "anna")
    assert len(made._terms) == MOST_TERMS
