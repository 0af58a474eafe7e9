"""Presses: which count, whatever order they come in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.cards.clicks import (
    Accept,
    AlreadyDone,
    CardMessage,
    NotPressable,
    NotYours,
    Press,
    Superseded,
    Verdict,
    judge_click,
)
from tests.support.cards import card_of, submit

CARD = card_of(
    actions=[
        submit(id="order"),
        submit(id="first", once="card"),
        submit(id="more", once="repeat"),
        submit(id="closed", isEnabled=False),
    ]
)
MESSAGE = CardMessage(card=CARD, revision=2, viewers=frozenset({"anna", "ben"}))


def pressed(action: str, viewer: str, number: int = 1, id_: bytes = b"old") -> Press:
    return Press(id=id_, action=action, viewer=viewer, number=number)


@pytest.mark.parametrize(
    ("revision", "action", "viewer", "seen", "expected"),
    [
        pytest.param(2, "order", "anna", [], Accept(1), id="the first press"),
        pytest.param(2, "order", "anna", [pressed("order", "ben")], Accept(1),
                     id="once by everybody: another did"),
        pytest.param(2, "order", "anna", [pressed("order", "anna")],
                     AlreadyDone(pressed("order", "anna")), id="once by everybody: she did"),
        pytest.param(2, "first", "anna", [pressed("first", "ben")],
                     AlreadyDone(pressed("first", "ben")), id="once a card: another did"),
        pytest.param(2, "first", "anna", [pressed("order", "ben")], Accept(1),
                     id="once a card: another button"),
        pytest.param(2, "more", "anna", [pressed("more", "anna", 1), pressed("more", "anna", 2)],
                     Accept(3), id="as often as she likes"),
        pytest.param(1, "order", "anna", [], Superseded(2), id="an old revision"),
        pytest.param(1, "order", "anna", [pressed("order", "anna")],
                     AlreadyDone(pressed("order", "anna")), id="an old revision, by mail after"),
        pytest.param(1, "gone", "anna", [], Superseded(2), id="a button that is gone"),
        pytest.param(1, "gone", "anna", [pressed("gone", "anna")],
                     AlreadyDone(pressed("gone", "anna")), id="a button that is gone, pressed"),
        pytest.param(1, "gone", "anna", [pressed("gone", "ben")], Superseded(2),
                     id="a button that is gone, pressed by another"),
        pytest.param(1, "more", "anna", [pressed("more", "anna")], Superseded(2),
                     id="an old revision, of a button that repeats"),
        pytest.param(2, "order", "mallory", [], NotYours(), id="not hers"),
        pytest.param(2, "order", "mallory", [pressed("order", "mallory")], NotYours(),
                     id="not hers any more"),
    ],
)  # fmt: skip
def test_what_becomes_of_a_press(
    revision: int, action: str, viewer: str, seen: list[Press], expected: Verdict
) -> None:
    assert judge_click(MESSAGE, revision, action, viewer, seen) == expected


@pytest.mark.parametrize(
    ("revision", "action"),
    [
        pytest.param(2, "none", id="no such button"),
        pytest.param(2, "closed", id="a button that is not available"),
        pytest.param(3, "order", id="a revision that is none yet"),
    ],
)
def test_what_cannot_be_pressed(revision: int, action: str) -> None:
    assert isinstance(judge_click(MESSAGE, revision, action, "anna", []), NotPressable)


def test_a_card_that_was_taken_back_takes_no_presses() -> None:
    gone = replace(MESSAGE, withdrawn=True)
    assert judge_click(gone, 2, "order", "anna", []) == Superseded(2, withdrawn=True)
    done = [pressed("order", "anna")]
    assert judge_click(gone, 2, "order", "anna", done) == AlreadyDone(done[0])


def test_the_same_press_again_is_the_same_even_where_it_may_repeat() -> None:
    seen = [pressed("more", "anna", 1, b"a"), pressed("more", "anna", 2, b"b")]
    assert judge_click(MESSAGE, 2, "more", "anna", seen, press=b"a") == AlreadyDone(seen[0])
    assert judge_click(MESSAGE, 2, "more", "anna", seen, press=b"c") == Accept(3)
    assert judge_click(MESSAGE, 2, "more", "ben", seen, press=b"a") == Accept(1)


_presses = st.tuples(
    st.sampled_from(["order", "first", "more"]),
    st.sampled_from(["anna", "ben"]),
    st.integers(0, 3).map(lambda one: bytes([one])),
    st.sampled_from([1, 2]),
)


@given(st.lists(_presses, max_size=30))
def test_presses_in_any_order_count_as_often_as_they_may(
    presses: list[tuple[str, str, bytes, int]],
) -> None:
    kept: list[Press] = []
    for action, viewer, id_, revision in presses:
        verdict = judge_click(MESSAGE, revision, action, viewer, kept, press=id_)
        if isinstance(verdict, Accept):
            assert revision == MESSAGE.revision
            kept.append(Press(id=id_, action=action, viewer=viewer, number=verdict.number))
    current = {(action, viewer, id_) for action, viewer, id_, at in presses if at == 2}
    assert len([one for one in kept if one.action == "first"]) == any(
        action == "first" for action, _, _ in current
    )
    for viewer in ("anna", "ben"):
        orders = [one for one in kept if (one.action, one.viewer) == ("order", viewer)]
        assert len(orders) == any(one[:2] == ("order", viewer) for one in current)
        repeats = [one for one in kept if (one.action, one.viewer) == ("more", viewer)]
        distinct = {one[2] for one in current if one[:2] == ("more", viewer)}
        assert {one.id for one in repeats} == distinct
        assert [one.number for one in repeats] == list(range(1, len(distinct) + 1))
