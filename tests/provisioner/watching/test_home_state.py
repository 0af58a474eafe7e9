"""Which of two observations of a home counts, and whether a watcher must be sent it."""

from __future__ import annotations

import itertools

import pytest

from provisioner.watching.home_state import HomeState, is_news, later

AT_A = HomeState(as_of=10, since=10, epoch=1, unit="a", at_ms=5)
AT_B = HomeState(as_of=20, since=20, epoch=2, unit="b", at_ms=6, cause="drained")
GONE = HomeState(as_of=30, since=30)


@pytest.mark.parametrize(
    ("known", "observed", "expected"),
    [
        pytest.param(None, AT_A, AT_A, id="the-first-observation-counts"),
        pytest.param(AT_A, AT_B, AT_B, id="a-later-one-replaces-an-earlier-one"),
        pytest.param(AT_B, AT_A, AT_B, id="an-earlier-one-that-comes-late-does-not-count"),
        pytest.param(
            AT_B,
            AT_B._replace(as_of=25, cause=""),
            AT_B._replace(as_of=25),
            id="a-read-of-the-same-home-keeps-the-cause-and-is-newer",
        ),
        pytest.param(
            AT_B._replace(cause=""),
            AT_B,
            AT_B,
            id="the-feed-adds-the-cause-to-what-a-read-found",
        ),
        pytest.param(
            GONE,
            GONE._replace(as_of=40, since=40),
            GONE._replace(as_of=40),
            id="no-home-is-the-same-no-home-however-often-it-is-read",
        ),
        pytest.param(
            GONE._replace(cause="expired"),
            HomeState(as_of=30, since=29),
            GONE._replace(cause="expired"),
            id="of-two-releases-in-one-transaction-the-cause-stays",
        ),
        pytest.param(
            AT_A._replace(as_of=30),
            GONE,
            AT_A._replace(as_of=30),
            id="at-the-same-revision-what-is-known-stays",
        ),
    ],
)
def test_the_later_revision_counts(known, observed, expected):
    assert later(known, observed) == expected


def test_the_order_of_arrival_does_not_matter():
    observations = [AT_A, AT_B, GONE, HomeState(as_of=50, since=50, epoch=1, unit="c", at_ms=9)]
    for order in itertools.permutations(observations):
        known = None
        for one in order:
            known = later(known, one)
        assert known == observations[-1]


@pytest.mark.parametrize(
    ("home", "known_epoch", "revision", "expected"),
    [
        pytest.param(AT_B, 2, 0, False, id="the-epoch-is-known-and-no-revision-given"),
        pytest.param(AT_B, 2, 20, False, id="the-epoch-is-known-as-of-that-very-revision"),
        pytest.param(AT_B, 2, 19, True, id="the-same-epoch-of-another-life-of-the-client"),
        pytest.param(AT_B, 1, 25, True, id="another-epoch"),
        pytest.param(AT_B, 0, 0, True, id="nothing-is-known"),
        pytest.param(GONE, 2, 40, True, id="a-client-without-a-home-is-always-sent"),
    ],
)
def test_what_a_watcher_has_not_seen_is_news(home, known_epoch, revision, expected):
    assert is_news(home, known_epoch, revision) is expected
