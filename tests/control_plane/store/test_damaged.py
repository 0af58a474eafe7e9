"""What cannot be read is told once, named for as long as it stands, and never too much of it."""

from __future__ import annotations

import logging

import pytest

from control_plane import keys
from control_plane.store.damaged import MOST, DamagedKeys, name_in, shown_key
from tests.support.odd_keys import NAMES

log = logging.getLogger("tests.damaged")


@pytest.mark.parametrize(
    ("name", "expected"),
    [(name.encode(), name) for name in ("a", "a/b", "ü")]
    + [(NAMES[one], None) for one in ("no-utf-8", "no-utf-8-behind-a-name", "nothing")],
)
def test_a_name_is_what_stands_behind_the_prefix_if_it_is_text(name, expected):
    assert name_in(keys.UNITS + name, keys.UNITS) == expected


def test_two_keys_that_differ_are_shown_differently_and_fit_one_line():
    shown = {shown_key(keys.UNITS + name) for name in NAMES.values()}
    assert len(shown) == len(NAMES)
    assert all(one.isprintable() for one in shown)


def test_it_is_logged_once_and_named_until_it_is_gone(caplog):
    damaged = DamagedKeys(log)
    for _ in range(3):
        damaged.pass_over(b"a", "why")
        damaged.pass_over(b"a", "why")
        damaged.end_look()
    assert [one.message for one in caplog.records] == ['leaving out the damaged record "a": why']
    assert list(damaged) == ["a"]
    damaged.end_look()
    assert list(damaged) == []
    damaged.pass_over(b"a")
    assert len(caplog.records) == 2


def test_a_look_that_was_broken_off_forgets_nothing():
    damaged = DamagedKeys(log)
    damaged.pass_over(b"a")
    damaged.end_look()
    damaged.pass_over(b"b")
    assert list(damaged) == ["a", "b"]


def test_a_store_full_of_them_is_named_by_a_few(caplog):
    damaged = DamagedKeys(log)
    for number in range(3 * MOST):
        damaged.pass_over(b"%d" % number)
    damaged.end_look()
    assert len(list(damaged)) == len(caplog.records) == MOST


def test_names_leaves_out_what_is_no_name():
    damaged = DamagedKeys(log)
    asked = [keys.SESSIONS + b"p", keys.SESSIONS + b"\xff", keys.SESSIONS]
    assert list(damaged.names(asked, keys.SESSIONS)) == [(asked[0], "p")]
    assert list(damaged) == [shown_key(one) for one in asked[1:]]
