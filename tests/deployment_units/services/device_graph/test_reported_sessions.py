"""What is kept of reports of devices, against a list that is gone through; what the rows of an
account take stays counted."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deployment_units.services.device_graph import kept
from deployment_units.services.device_graph.evidence import BootInstant, BootSource
from deployment_units.services.device_graph.graph import EDGE_MS, DeviceGraph, Edge
from deployment_units.services.device_graph.matching import SESSION_MS, Evidence, Session
from deployment_units.services.device_graph.reported_sessions import (
    SAME_BOOT_MS,
    SESSIONS_EACH,
    keep_session,
)
from deployment_units.services.state import owners
from deployment_units.services.state.owners import OwnerState
from deployment_units.services.state.parts import prepare

HOUR_MS = 3_600_000
TCP = BootSource.TCP
EMPTY = DeviceGraph()
HERE, THERE = "198.51.100.7", "203.0.113.9"


def opened() -> tuple[sqlite3.Connection, int]:
    """A database, and the number of an account in it."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    prepare(db, [owners.SCHEMA], [kept.PART])
    return db, owners.add(db, "talk", "anna", epoch=1, state=OwnerState.LIVE, now_ms=0)


def session(device: str, source: BootSource, ms: int, block: str, seen_ms: int) -> Session:
    boot = BootInstant(ms=ms, plus_minus_ms=5, source=source, seen_ms=seen_ms)
    return Session(device=device, block=block, server="192.0.2.1:443", boot=boot)


def kept_then(before: list[Session], new: Session, now_ms: int) -> list[Session]:
    """The newest of each device that are of the last day; of one boot at one place the last."""

    def gives_way(one: Session) -> bool:
        if (one.device, one.boot.source) != (new.device, new.boot.source):
            return False
        apart = abs(one.boot.ms - new.boot.ms)
        return apart == 0 or (one.block == new.block and apart <= SAME_BOOT_MS)

    left = [one for one in before if one.boot.seen_ms > now_ms - SESSION_MS and not gives_way(one)]
    mine = sorted((one for one in left if one.device == new.device), key=lambda s: s.boot.seen_ms)
    over = mine[: max(0, len(mine) + 1 - SESSIONS_EACH)]
    return [one for one in left if one not in over] + [new]


reports = st.tuples(
    st.sampled_from(["phone", "laptop"]),
    st.sampled_from(list(BootSource)),
    st.sampled_from([0, 400, 1_000, 1_001, 5_000, 60_000]),
    st.sampled_from([HERE, THERE]),
    st.integers(1, 8 * HOUR_MS),
)


# Read at one place, at another, and at the first again, just as at the other.
@example([("phone", TCP, ms, at, 1) for ms, at in ((0, HERE), (400, THERE), (400, HERE))])
@given(st.lists(reports, max_size=25))
def test_what_is_kept_of_reports_is_what_a_list_would_keep(
    told: list[tuple[str, BootSource, int, str, int]],
) -> None:
    db, owner = opened()
    with closing(db):
        expected: list[Session] = []
        now_ms = 0
        for device, source, ms, block, later_ms in told:
            now_ms += later_ms
            new = session(device, source, ms, block, now_ms)
            expected = kept_then(expected, new, now_ms)
            keep_session(db, owner, new, now_ms)
            rows = db.execute(
                "SELECT device, source, boot_ms, block, seen_ms FROM device_sessions"
            ).fetchall()
            assert sorted(rows) == sorted(
                (one.device, one.boot.source, one.boot.ms, one.block, one.boot.seen_ms)
                for one in expected
            )
        kept.erase(db, owner)
        assert owners.bytes_of(db, owner) == 0


@pytest.mark.parametrize(("ms", "new"), [(1_000, False), (1_001, True)])
def test_a_boot_that_is_not_known_is_told(ms: int, new: bool) -> None:
    db, owner = opened()
    with closing(db):
        keep_session(db, owner, session("phone", BootSource.UPTIME, 0, "198.51.100.7", 1), 1)
        told: list[bool] = []
        again = session("phone", BootSource.UPTIME, ms, "203.0.113.9", 2)
        keep_session(db, owner, again, 2, on_boot=lambda: told.append(True))
        assert bool(told) is new


def edge(
    browser: str, at_ms: int, times: int = 1, by: BootSource = BootSource.UPTIME
) -> dict[str, Edge]:
    seen = Evidence(
        apart_ms=times, tolerance_ms=60 + times, browser_source=by,
        device_source=BootSource.UPTIME, gap_ms=10 * times,
    )  # fmt: skip
    made = Edge(
        browser=browser, device="phone", evidence=seen,
        since_ms=1, confirmed_ms=at_ms, times=times,
    )  # fmt: skip
    return {browser: made}


@pytest.mark.parametrize("source", list(BootSource))
def test_an_edge_that_is_confirmed_is_kept_as_it_is_then(source: BootSource) -> None:
    db, owner = opened()
    with closing(db):
        first = DeviceGraph(edges=edge("b", 1))
        then = DeviceGraph(edges=edge("b", 9, 2, source))
        kept.keep_graph(db, owner, EMPTY, first, now_ms=1)
        kept.keep_graph(db, owner, first, then, now_ms=9)
        assert kept.graph_of(db, owner) == then
        assert kept.graph_with(db, owner, "b", then.edges["b"]) == then
        kept.erase(db, owner)
        assert owners.bytes_of(db, owner) == 0


def test_an_edge_whose_time_is_over_goes_when_another_is_confirmed() -> None:
    db, owner = opened()
    with closing(db):
        first = DeviceGraph(edges=edge("b", 2))
        kept.keep_graph(db, owner, EMPTY, DeviceGraph(edges=edge("a", 1)), now_ms=1)
        kept.keep_graph(db, owner, EMPTY, first, now_ms=2)
        then = DeviceGraph(edges=edge("b", EDGE_MS + 1, 2))
        kept.keep_graph(db, owner, first, then, now_ms=EDGE_MS + 1)
        assert kept.graph_of(db, owner) == then


def test_of_too_many_edges_those_go_that_were_confirmed_longest_ago() -> None:
    db, owner = opened()
    with closing(db):
        for at in range(kept.MAX_EDGES + 2):
            kept.keep_graph(db, owner, EMPTY, DeviceGraph(edges=edge(f"b{at}", at)), now_ms=at)
        left = kept.graph_of(db, owner).edges
        assert len(left) == kept.MAX_EDGES
        assert not {"b0", "b1"} & left.keys()


def test_of_too_many_that_were_taken_back_the_oldest_go() -> None:
    db, owner = opened()
    with closing(db):
        for at in range(kept.MAX_TAKEN_BACK + 1):
            after = DeviceGraph(taken_back=frozenset({(f"b{at}", "phone")}))
            kept.keep_graph(db, owner, EMPTY, after, now_ms=at)
        left = kept.graph_of(db, owner).taken_back
        assert len(left) == kept.MAX_TAKEN_BACK
        assert ("b0", "phone") not in left
