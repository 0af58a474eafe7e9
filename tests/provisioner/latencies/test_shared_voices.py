"""Servers that share believe what one with all reports would; asking many of them gains nothing."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.latencies.estimates import LatencyEstimates
from provisioner.latencies.shared_voices import (
    MOST_BYTES,
    OthersVoices,
    decode_chunk,
    digest_of,
    encode_chunk,
)
from provisioner.latencies.voices import FORGOTTEN_S, HALF_LIFE_S, Estimate, Voice, joined

CELL, UNIT = "DE:50.1,8.7~20", "frankfurt"
PAIR = (CELL, UNIT)
NOW, WALL = 100_000.0, 1_800_000_000.0
ROUNDED = 0.011  # ms that figures of others are told within

Told = tuple[str, str, float, int]  # network, client, ms, seconds ago

ms = st.floats(1.0, 500.0)
forged_ms = st.floats(0.05, 10_000.0)
ago = st.integers(0, int(2 * HALF_LIFE_S))


def server(reports: Iterable[Told]) -> LatencyEstimates:
    found = LatencyEstimates()
    for network, client, took, since in sorted(reports, key=lambda one: -one[3]):
        found.record(CELL, UNIT, digest_of(network), client, took, NOW - since)
    return found


def believed(servers: list[LatencyEstimates], at: int = 0) -> Estimate | None:
    """By one of them, which knows its own reports and what the others wrote."""
    others = OthersVoices()
    for number, one in enumerate(servers):
        if number != at:
            value = encode_chunk({PAIR: one.voices(CELL, UNIT, NOW)}, now=NOW, wall=WALL)
            told = decode_chunk(value, now=NOW, wall=WALL) if value else {}
            others.put(f"s{number}/00", told)
    return joined([*servers[at].voices(CELL, UNIT, NOW), *others.of(PAIR)], NOW)


def split(reports: list[Told], where: Iterable[bool]) -> list[LatencyEstimates]:
    halves: tuple[list[Told], list[Told]] = [], []
    for report, second in zip(reports, where, strict=True):
        halves[second].append(report)
    return [server(half) for half in halves]


@settings(max_examples=150)
@given(st.lists(st.tuples(ms, st.booleans()), min_size=1, max_size=20))
def test_networks_halved_between_two_servers_come_to_what_one_server_believes(
    networks: list[tuple[float, bool]],
) -> None:
    """Also where there are more networks than count: those heard last do, wherever they are."""
    reports = [(f"n{at}", "a", took, 60 * at) for at, (took, _) in enumerate(networks)]
    one = believed([server(reports)])
    for at in (0, 1):
        two = believed(split(reports, [second for _, second in networks]), at)
        if one is None or two is None:
            assert one is two is None
            continue
        assert abs(one.ms - two.ms) <= ROUNDED
        assert (one.reports, one.networks, one.age_s) == (two.reports, two.networks, two.age_s)


@settings(max_examples=150)
@given(
    st.lists(
        st.lists(st.tuples(ms, ago, st.booleans()), min_size=1, max_size=6),
        min_size=3,
        max_size=10,
    )
)
def test_clients_of_a_network_at_both_servers_move_the_figure_no_farther_than_they_differ(
    networks: list[list[tuple[float, int, bool]]],
) -> None:
    """Between what it is if each network says its lowest figure, and its highest."""
    told = [
        ((f"n{at}", f"c{client}", took, since), second)
        for at, clients in enumerate(networks)
        for client, (took, since, second) in enumerate(clients)
    ]
    bounds = []
    for pick in (min, max):
        voices = [
            Voice(
                str(at),
                pick(took for took, _, _ in clients),
                1,
                NOW - min(since for _, since, _ in clients),
            )
            for at, clients in enumerate(networks)
        ]
        bound = joined(voices, NOW)
        assert bound is not None
        bounds.append(bound.ms)
    one = believed([server(report for report, _ in told)])
    both = [
        believed(split([report for report, _ in told], [second for _, second in told]), at)
        for at in (0, 1)
    ]
    for found in (one, *both):
        assert found is not None
        assert bounds[0] - ROUNDED <= found.ms <= bounds[1] + ROUNDED


@settings(max_examples=200)
@given(
    st.lists(st.tuples(ms, st.integers(0, 3)), min_size=2, max_size=11),
    st.lists(st.tuples(forged_ms, st.integers(0, 3)), min_size=1, max_size=24),
)
def test_one_network_that_reports_through_all_servers_moves_nothing_beyond_the_bound(
    honest: list[tuple[float, int]], forged: list[tuple[float, int]]
) -> None:
    """As if it had asked one of them: the figure stays between the quartiles of the others."""
    reports: list[list[Told]] = [[] for _ in range(4)]
    for at, (took, where) in enumerate(honest):
        reports[where].append((f"n{at}", "a", took, 0))
    for at, (took, where) in enumerate(forged):
        reports[where].append(("liar", f"c{at}", took, 0))
    figures = [took for took, _ in honest]
    for at in range(4):
        found = believed([server(one) for one in reports], at)
        assert found is not None
        assert min(figures) - ROUNDED <= found.ms <= max(figures) + ROUNDED
        if len(figures) >= 4:
            low, _, high = statistics.quantiles(figures, n=4, method="inclusive")
            below = max(one for one in figures if one <= low)
            above = min(one for one in figures if one >= high)
            assert below - ROUNDED <= found.ms <= above + ROUNDED


def test_a_chunk_has_the_pairs_told_last_as_many_as_fit() -> None:
    pairs = {
        (CELL, f"unit-{at:04}"): [
            Voice(digest_of(str(network)), 12.3456, 6, NOW - at) for network in range(12)
        ]
        for at in range(500)
    }
    value = encode_chunk(pairs, now=NOW, wall=WALL)
    assert len(value) <= MOST_BYTES
    found = decode_chunk(value, now=NOW, wall=WALL)
    assert list(found) == list(pairs)[: len(found)]
    assert 50 < len(found) < 500
    assert encode_chunk({}, now=NOW, wall=WALL) == b""


def test_what_others_told_ages_and_a_clock_that_is_ahead_gains_nothing() -> None:
    voices = [Voice(digest_of("n"), 20.0, 1, NOW - 60.0)]
    value = encode_chunk({PAIR: voices}, now=NOW, wall=WALL)
    (later,) = decode_chunk(value, now=5_000.0, wall=WALL + 40.0)[PAIR]
    assert later.at == 5_000.0 - 100.0
    (earlier,) = decode_chunk(value, now=5_000.0, wall=WALL - 4_000.0)[PAIR]
    assert earlier.at == 5_000.0 - 60.0
    assert decode_chunk(value, now=NOW, wall=WALL + FORGOTTEN_S) == {}


NETWORK = digest_of("n")


@pytest.mark.parametrize(
    "pairs",
    [
        pytest.param([[CELL, UNIT, [[NETWORK, 1e6, 1, 0]]]], id="longer-than-any-round-trip"),
        pytest.param([[CELL, UNIT, [[NETWORK, 0.0, 1, 0]]]], id="no-time-at-all"),
        pytest.param([[CELL, UNIT, [[NETWORK, 20.0, 7, 0]]]], id="more-clients-than-count"),
        pytest.param([[CELL, UNIT, [[NETWORK, 20.0, 1, -5]]]], id="from-the-future"),
        pytest.param([[CELL, UNIT, [["192.0.2.0/24", 20.0, 1, 0]]]], id="no-digest"),
        pytest.param([[CELL, UNIT, [[NETWORK, 20.0, 1, 0]] * 13]], id="more-networks-than-count"),
        pytest.param([[CELL, UNIT, []]] * 3_000, id="too-long"),
    ],
)
def test_a_record_that_says_more_than_a_server_may_is_refused(pairs: object) -> None:
    value = json.dumps({"format": 1, "at": int(WALL), "pairs": pairs}).encode()
    with pytest.raises(msgspec.DecodeError):
        decode_chunk(value, now=NOW, wall=WALL)


def test_a_record_of_a_later_format_is_not_guessed_at() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_chunk(b'{"format":2,"at":1,"pairs":[]}', now=NOW, wall=WALL)


def test_a_record_that_changes_or_goes_takes_what_it_said_along() -> None:
    others = OthersVoices()
    voices = [Voice(NETWORK, 20.0, 1, NOW)]
    others.put("s/00", {PAIR: voices, (CELL, "dublin"): voices})
    others.put("r/00", {PAIR: voices})
    assert len(list(others.of(PAIR))) == 2
    others.put("s/00", {(CELL, "oregon"): voices})
    assert set(others.pairs()) == {PAIR, (CELL, "oregon")}
    others.put("s/00", {})
    others.put("r/00", {})
    assert list(others.pairs()) == []
