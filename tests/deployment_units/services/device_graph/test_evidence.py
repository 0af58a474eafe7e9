"""When a device booted: lines of TCP timestamps, and what is no evidence."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment_units.services.device_graph.evidence import (
    AGREE_MS,
    WRAP_MS,
    BootInstant,
    BootSource,
    NoBoot,
    TcpStamp,
    Uptime,
    apart_ms,
    boot_of,
    stretch,
)

NOW_MS = 1_800_000_000_000
SHIFTS = st.integers(0, WRAP_MS - 1)
DELAYS = st.integers(0, AGREE_MS // 2)


def stamp(connection: int, at_ms: int, *, shift: int, delay: int = 0) -> TcpStamp:
    return TcpStamp(connection=connection, value=(at_ms + shift) % WRAP_MS, seen_ms=at_ms + delay)


@given(shift=SHIFTS, first=DELAYS, second=DELAYS, later=st.integers(0, 600_000))
def test_two_connections_of_one_kernel_are_on_one_line(
    shift: int, first: int, second: int, later: int
) -> None:
    found = boot_of(
        [
            stamp(1, NOW_MS, shift=shift, delay=first),
            stamp(2, NOW_MS + later, shift=shift, delay=second),
        ]
    )
    assert isinstance(found, BootInstant)
    assert found.source is BootSource.TCP
    assert apart_ms(found.ms, -shift) <= min(first, second) + found.plus_minus_ms
    assert found.plus_minus_ms == abs(first - second) + 1


@given(one=SHIFTS, other=SHIFTS)
def test_connections_that_are_each_shifted_say_nothing(one: int, other: int) -> None:
    found = boot_of([stamp(1, NOW_MS, shift=one), stamp(2, NOW_MS + 50, shift=other)])
    if apart_ms(one, other) > AGREE_MS:
        assert found is NoBoot.DISAGREE
    else:
        assert isinstance(found, BootInstant)


@pytest.mark.parametrize(
    ("stamps", "why"),
    [
        ([], NoBoot.NOTHING),
        ([stamp(1, NOW_MS, shift=7)], NoBoot.ONE_CONNECTION),
        ([stamp(1, NOW_MS, shift=7), stamp(1, NOW_MS + 900, shift=7)], NoBoot.ONE_CONNECTION),
        # A clock of 250 ticks a second.
        (
            [
                TcpStamp(connection=1, value=0, seen_ms=NOW_MS),
                TcpStamp(connection=1, value=250, seen_ms=NOW_MS + 1_000),
                TcpStamp(connection=2, value=250, seen_ms=NOW_MS + 1_000),
            ],
            NoBoot.NO_LINE,
        ),
    ],
    ids=["nothing", "one", "one twice", "other ticks"],
)
def test_what_is_no_evidence(stamps: list[TcpStamp], why: NoBoot) -> None:
    assert boot_of(stamps) is why


def test_an_uptime_is_taken_from_when_it_came() -> None:
    found = boot_of(Uptime(uptime_ms=3_600_000, seen_ms=NOW_MS))
    assert isinstance(found, BootInstant)
    assert (found.ms, found.source) == (NOW_MS - 3_600_000, BootSource.UPTIME)


@given(begin=SHIFTS, within=st.lists(st.integers(0, WRAP_MS // 4), min_size=1, max_size=6))
def test_the_stretch_that_holds_all_of_them_wherever_it_wraps(
    begin: int, within: list[int]
) -> None:
    instants = [(begin + one) % WRAP_MS for one in within]
    random.Random(begin).shuffle(instants)
    first = (begin + min(within)) % WRAP_MS
    assert stretch(instants) == (first, max(within) - min(within))


@given(one=SHIFTS, other=SHIFTS)
def test_apart_is_the_shorter_way_round(one: int, other: int) -> None:
    assert apart_ms(one, other) == apart_ms(other, one) <= WRAP_MS // 2
    assert (one + apart_ms(one, other)) % WRAP_MS == other or (
        other + apart_ms(one, other)
    ) % WRAP_MS == one
