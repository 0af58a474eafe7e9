"""Reply addresses as an account keeps them: found by their token, and moved with the account."""

from __future__ import annotations

import sqlite3

import pytest

from deployment_units.services.accounts.entry import Resident
from deployment_units.services.channels import mail_kept
from deployment_units.services.channels.mail_kept import ReplyPlace
from deployment_units.services.channels.reply_tokens import ReplyOwner, token_of
from deployment_units.services.state import owners
from deployment_units.services.state.owners import OwnerState
from deployment_units.services.state.parts import prepare

CARLA = ReplyOwner(
    conversation=b"c" * 16, participant="mailto:carla@mail.example", address="carla@mail.example"
)


@pytest.fixture
def db() -> sqlite3.Connection:
    made = sqlite3.connect(":memory:", isolation_level=None)
    prepare(made, [owners.SCHEMA], [mail_kept.PART])
    return made


def owner(
    db: sqlite3.Connection, state: OwnerState = OwnerState.LIVE, account: str = "anna"
) -> int:
    return owners.add(db, "talk", account, epoch=1, state=state, now_ms=0)


def address(db: sqlite3.Connection, number: int, whose: ReplyOwner = CARLA) -> str:
    return mail_kept.address_for_replies(
        db, number, whose, account="anna", host="talk.example", new_key=lambda: bytes(32)
    )


def places(db: sqlite3.Connection, of: str) -> list[ReplyPlace]:
    token = token_of(of)
    assert token is not None
    return mail_kept.reply_places(db, token)


def test_answers_of_a_participant_come_to_one_address(db: sqlite3.Connection) -> None:
    number = owner(db)
    first = address(db, number)
    assert address(db, number) == first
    anna = Resident(tenant="talk", account="anna", epoch=1)
    assert places(db, first) == [ReplyPlace(number, anna, CARLA)]
    other = ReplyOwner(conversation=b"d" * 16, participant=CARLA.participant, address=CARLA.address)
    assert address(db, number, other) != first


@pytest.mark.parametrize(
    ("state", "there"),
    [
        (OwnerState.LIVE, True),
        (OwnerState.LEAVING, True),
        (OwnerState.ARRIVING, False),
        (OwnerState.GONE, False),
    ],
)
def test_they_are_found_where_the_account_lives(
    db: sqlite3.Connection, state: OwnerState, there: bool
) -> None:
    number = owner(db)
    made = address(db, number)
    owners.become(db, number, state, now_ms=1)
    assert bool(places(db, made)) is there


def test_a_token_of_another_key_is_none(db: sqlite3.Connection) -> None:
    """A row that somebody wrote without the key proves nothing."""
    number = owner(db)
    made = address(db, number)
    db.execute("UPDATE mail_keys SET key = ?", (bytes(range(32)),))
    assert places(db, made) == []


def test_each_account_has_a_key_of_its_own(db: sqlite3.Connection) -> None:
    keys = iter((b"a" * 32, b"b" * 32))
    made = [
        mail_kept.address_for_replies(
            db, owner(db, account=one), CARLA, account="x", host="talk.example",
            new_key=lambda: next(keys),
        )
        for one in ("anna", "ben")
    ]  # fmt: skip
    assert made[0] != made[1]


def test_a_mail_is_kept_as_it_came_and_once(db: sqlite3.Connection) -> None:
    number = owner(db)
    kept = [mail_kept.keep_received(db, number, b"m" * 16, one) for one in (b"first", b"again")]
    assert kept == [True, False]
    assert mail_kept.received(db, number, b"m" * 16) == b"first"
    assert mail_kept.received(db, number, b"x" * 16) is None
