"""Which device a browser is on: the same address and the same boot, or nobody."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.device_graph.evidence import (
    WRAP_MS,
    BootInstant,
    BootSource,
    NoBoot,
)
from deployment_units.services.device_graph.matching import (
    DRIFT_PPM,
    LEAST_GUARD_MS,
    MOST_TOLERANCE_MS,
    SESSION_MS,
    Ambiguous,
    Linked,
    NoMatch,
    Observation,
    Session,
    match,
)

NOW_MS = 1_800_000_000_000
BOOT_MS = NOW_MS - 50_000_000
HOME, SERVER = "198.51.100.7", "192.0.2.1:443"


def boot(ms: int = BOOT_MS, *, source: BootSource = BootSource.TCP, seen: int = 0) -> BootInstant:
    return BootInstant(ms=ms % WRAP_MS, plus_minus_ms=5, source=source, seen_ms=NOW_MS + seen)


def session(
    device: str = "phone", ms: int = BOOT_MS, *, block: str = HOME, server: str = SERVER,
    source: BootSource = BootSource.TCP, seen: int = 0,
) -> Session:  # fmt: skip
    return Session(
        device=device, block=block, server=server, boot=boot(ms, source=source, seen=seen)
    )


def observation(
    ms: int = BOOT_MS, *, server: str = SERVER, source: BootSource = BootSource.TCP
) -> Observation:
    return Observation(
        browser="b", block=HOME, server=server, boot=boot(ms, source=source), seen_ms=NOW_MS
    )


def test_the_same_address_and_the_same_boot_link() -> None:
    found = match(observation(), [session(), session("tablet", BOOT_MS - 10_000)])
    assert isinstance(found, Linked)
    assert found.device == "phone"
    assert found.evidence.apart_ms == 0 < found.evidence.tolerance_ms


def test_whatever_else_links_nothing() -> None:
    assert match(observation(), []) is NoMatch.NOT_HERE
    assert match(observation(), [session(block="203.0.113.9")]) is NoMatch.NOT_HERE
    assert match(observation(), [session(seen=-SESSION_MS - 1)]) is NoMatch.NOT_HERE
    assert match(observation(BOOT_MS + 5_000), [session()]) is NoMatch.NONE_AGREES
    unsaid = Observation(
        browser="b", block=HOME, server=SERVER, boot=NoBoot.DISAGREE, seen_ms=NOW_MS
    )
    assert match(unsaid, [session()]) is NoMatch.NO_BOOT


def test_what_was_read_long_before_is_not_compared() -> None:
    gap_ms = MOST_TOLERANCE_MS * 1_000_000 // DRIFT_PPM
    assert gap_ms < SESSION_MS
    assert match(observation(), [session(seen=-gap_ms)]) is NoMatch.TOO_LONG_AGO


def test_lines_of_tcp_count_for_one_address_of_ours_alone() -> None:
    other = observation(server="192.0.2.2:443")
    assert match(other, [session()]) is NoMatch.NONE_AGREES
    # An uptime is the same for whoever it is told.
    assert isinstance(match(other, [session(source=BootSource.UPTIME)]), Linked)


def test_uptimes_do_not_wrap() -> None:
    def known(ms: int) -> BootInstant:
        return BootInstant(ms=ms, plus_minus_ms=5, source=BootSource.UPTIME, seen_ms=NOW_MS)

    seen = Observation(browser="b", block=HOME, server="", boot=known(BOOT_MS), seen_ms=NOW_MS)
    for apart, found in ((0, Linked), (WRAP_MS, NoMatch)):
        there = Session(device="phone", block=HOME, server="", boot=known(BOOT_MS - apart))
        assert isinstance(match(seen, [there]), found)


def test_sessions_of_one_device_are_no_second_device() -> None:
    again = [session(seen=-1_000), session(seen=-2_000), session(source=BootSource.UPTIME)]
    assert isinstance(match(observation(), again), Linked)


@given(st.integers(0, 10 * LEAST_GUARD_MS), st.integers(-30, 30))
def test_a_second_device_that_booted_about_then_leaves_it_open(apart: int, off: int) -> None:
    """As after a power cut: nobody is linked to what may be somebody else's."""
    found = match(observation(BOOT_MS + off), [session("a"), session("b", BOOT_MS + apart)])
    if isinstance(found, Linked):
        wrong = "b" if found.device == "a" else "a"
        distance = {"a": abs(off), "b": abs(off - apart)}
        assert distance[found.device] <= found.evidence.tolerance_ms
        assert distance[wrong] > LEAST_GUARD_MS
    else:
        assert found == Ambiguous(devices=("a", "b"))


@given(st.permutations([session("a"), session("b", BOOT_MS + 900), session("c", BOOT_MS + 100)]))
def test_the_order_of_what_is_known_does_not_matter(sessions: list[Session]) -> None:
    assert match(observation(), sessions) == Ambiguous(devices=("a", "c"))
