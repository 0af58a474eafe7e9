"""What a ticket says of the account that a unit keeps: every case of epoch, life and state."""

from __future__ import annotations

import pytest

from deployment_units.services.accounts.entry import Entry, Resident, judge
from deployment_units.services.state.owners import Owner, OwnerState

EARLY, LATE = 1_000, 2_000  # Unix ms


def kept(epoch: int, state: OwnerState = OwnerState.LIVE, first_ms: int = EARLY) -> Owner:
    return Owner(
        number=1, tenant="t", account="a", epoch=epoch, first_ms=first_ms,
        state=state, since_ms=1_500, bytes=0,
    )  # fmt: skip


def ticket(epoch: int, first_ms: int = EARLY) -> Resident:
    return Resident(tenant="t", account="a", epoch=epoch, first_ms=first_ms)


LEAVING = OwnerState.LEAVING


@pytest.mark.parametrize(
    ("owner", "resident", "expected"),
    [
        pytest.param(None, ticket(1), Entry.ANEW, id="nothing-is-kept"),
        pytest.param(kept(3), ticket(3), Entry.SAME, id="it-lives-here"),
        pytest.param(kept(3), ticket(2), Entry.STALE, id="an-earlier-ticket"),
        pytest.param(kept(3), ticket(5), Entry.LATER, id="it-went-and-came-back-without-its-state"),
        pytest.param(kept(3, LEAVING), ticket(3), Entry.LEAVING, id="it-is-leaving"),
        pytest.param(kept(3, LEAVING), ticket(2), Entry.STALE, id="earlier-and-leaving"),
        pytest.param(kept(3, LEAVING), ticket(5), Entry.LATER, id="it-left-and-is-back"),
        pytest.param(kept(0, LEAVING, 0), ticket(3), Entry.LEAVING, id="leaving-without-state"),
        pytest.param(kept(3), ticket(1, LATE), Entry.ANEW, id="another-life"),
        pytest.param(
            kept(3, LEAVING), ticket(1, LATE), Entry.ANEW, id="another-life-after-it-left"
        ),
        pytest.param(
            kept(1, first_ms=LATE), ticket(9), Entry.STALE, id="a-ticket-of-a-life-before"
        ),
        pytest.param(kept(3, first_ms=0), ticket(3), Entry.SAME, id="its-life-was-not-known"),
        pytest.param(kept(3, first_ms=0), ticket(1, LATE), Entry.ANEW, id="it-began-after-that"),
        pytest.param(kept(3), ticket(3, 0), Entry.SAME, id="the-ticket-does-not-say"),
        pytest.param(kept(3), ticket(2, 0), Entry.STALE, id="nor-does-an-earlier-one"),
    ],
)
def test_a_change_finds(owner: Owner | None, resident: Resident, expected: Entry) -> None:
    assert judge(owner, resident) is expected
