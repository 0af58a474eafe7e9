"""Which platforms are connected, and which of them gets an instruction."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from control_plane.errors import Conflict
from data_sharing.delivery.platform_sessions import PlatformSessions
from tests.support.instructions import RING
from tests.support.platform_sessions import session


def test_a_newer_run_takes_over_and_an_older_one_is_refused() -> None:
    sessions = PlatformSessions()
    first, second = session(incarnation="0001"), session(incarnation="0002")
    assert sessions.join(first) is None
    assert sessions.join(second) is first
    with pytest.raises(Conflict, match="a newer run of platform hub"):
        sessions.join(session(incarnation="0001"))
    assert sessions.get("acme", "hub") is second


def test_leaving_counts_for_the_session_that_is_there_alone() -> None:
    sessions = PlatformSessions()
    first, second = session(incarnation="0001"), session(incarnation="0002")
    sessions.join(first)
    sessions.join(second)
    assert not sessions.leave(first)
    assert sessions.leave(second)
    assert sessions.get("acme", "hub") is None
    assert list(sessions) == []


def test_the_least_busy_platform_gets_it_measured_by_its_capacity() -> None:
    sessions = PlatformSessions()
    small, large = session("small", capacity=2), session("large", capacity=10)
    small.in_flight.add("x")
    large.in_flight |= {"a", "b", "c"}
    for one in (small, large):
        sessions.join(one)
    assert sessions.choose(RING) is large


@pytest.mark.parametrize("state", ["full", "leaving", "gone", "another-artifact", "elsewhere"])
def test_a_platform_that_cannot_take_it_is_not_chosen(state: str) -> None:
    sessions = PlatformSessions()
    hub = session(tenant="other" if state == "elsewhere" else "acme")
    if state == "full":
        hub.in_flight |= {"a", "b"}
    hub.leaving = state == "leaving"
    hub.gone = state == "gone"
    if state == "another-artifact":
        hub.ready[RING.application, RING.version] = "0" * 64
    sessions.join(hub)
    assert sessions.choose(RING) is None
    assert list(sessions.able(RING)) == ([hub] if state in ("full", "leaving", "gone") else [])


def test_an_instruction_for_one_platform_waits_for_that_one() -> None:
    sessions = PlatformSessions()
    hub, car = session("hub", capacity=1), session("car")
    sessions.join(hub)
    sessions.join(car)
    only = replace(RING, platform="hub")
    assert sessions.choose(only) is hub
    hub.in_flight.add("x")
    assert sessions.choose(only) is None
    assert sessions.choose(replace(RING, platform="boat")) is None


def test_whatever_is_to_be_sent_wakes_the_stream() -> None:
    hub = session()
    for act in (lambda: hub.send("token"), lambda: hub.acknowledge("i-1", 2), hub.end):
        hub.output_ready.clear()
        act()
        assert hub.output_ready.is_set()
    assert list(hub.tokens) == ["token"]
    assert list(hub.recorded) == [("i-1", 2)]
    assert hub.gone
