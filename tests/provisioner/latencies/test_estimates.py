"""What is believed of reported latencies: bounded influence, decay, bounded memory."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.latencies.estimates import (
    MOST_CLIENTS,
    LatencyEstimates,
    MeasuredCells,
)
from provisioner.latencies.voices import (
    FORGOTTEN_S,
    HALF_LIFE_S,
    LEAST_NETWORKS,
    MOST_NETWORKS,
    capped,
)

CELL, UNIT = "DE:50.1,8.7~20", "frankfurt"
honest_ms = st.floats(1.0, 500.0)
forged_ms = st.floats(0.001, 10_000.0)


def told(reports: list[tuple[str, str, float, float]], now: float = 0.0) -> float | None:
    """reports: (network, client, ms, at)."""
    estimates = LatencyEstimates()
    for network, client, ms, at in reports:
        estimates.record(CELL, UNIT, network, client, ms, at)
    found = estimates.of(CELL, UNIT, now)
    return None if found is None else found.ms


@settings(max_examples=200)
@given(
    st.lists(honest_ms, min_size=2, max_size=MOST_NETWORKS - 1),
    st.lists(
        st.tuples(st.integers(0, 30), forged_ms, st.floats(0.0, 100.0)), min_size=1, max_size=60
    ),
    st.integers(0, 60),
)
def test_whatever_one_network_reports_the_figure_stays_among_what_others_do(
    honest: list[float], forged: list[tuple[int, float, float]], at: int
) -> None:
    """Between their quartiles, the nearest values that are theirs."""
    reports = [(f"n{number}", "a", ms, 100.0) for number, ms in enumerate(honest)]
    lies = [("liar", f"c{client}", ms, when) for client, ms, when in forged]
    reports[at % len(reports) : at % len(reports)] = lies
    found = told(reports, now=100.0)
    assert found is not None
    ordered = sorted(honest)
    low = ordered[(len(ordered) - 1) // 4]
    high = ordered[-1 - (len(ordered) - 1) // 4]
    assert low <= found <= high or min(honest) <= found <= max(honest)
    if len(honest) >= 4:
        quartiles = statistics.quantiles(honest, n=4, method="inclusive")
        below = [one for one in ordered if one <= quartiles[0]]
        above = [one for one in ordered if one >= quartiles[2]]
        assert below[-1] <= found <= above[0]


@given(st.lists(st.floats(0.001, 1.0), min_size=3, max_size=20))
def test_no_network_has_more_than_a_third_of_all_weight(weights: list[float]) -> None:
    found = capped(weights, 1 / 3)
    assert all(one <= sum(found) / 3 + 1e-9 for one in found)
    assert all(one <= before for one, before in zip(found, weights, strict=True))


def test_few_networks_are_not_enough_however_many_clients_they_have() -> None:
    reports = [(f"n{at % (LEAST_NETWORKS - 1)}", f"c{at}", 20.0, 0.0) for at in range(50)]
    assert told(reports) is None
    assert told([*reports, ("another", "c", 20.0, 0.0)]) == 20.0


def test_the_last_report_of_a_client_counts() -> None:
    reports = [(f"n{at}", "a", 200.0, 0.0) for at in range(3)]
    assert told([*reports, *((f"n{at}", "a", 30.0, 1.0) for at in range(3))], now=1.0) == 30.0


def test_reports_lose_weight_and_are_forgotten() -> None:
    old = [(f"old{at}", "a", 200.0, 0.0) for at in range(5)]
    new = [(f"new{at}", "a", 30.0, 4 * HALF_LIFE_S) for at in range(3)]
    assert told(old + new, now=4 * HALF_LIFE_S) == 30.0
    assert told(old, now=FORGOTTEN_S - 1.0) == 200.0
    assert told(old, now=FORGOTTEN_S) is None


def test_what_is_kept_is_bounded() -> None:
    estimates = LatencyEstimates(most_pairs=10)
    for at in range(1_000):
        estimates.record(f"cell{at % 20}", UNIT, f"n{at}", f"c{at}", 5.0, float(at))
    assert len(estimates) == 10
    for at in range(1_000):
        estimates.record(CELL, UNIT, f"n{at % 40}", f"c{at}", 5.0, 0.0)
    found = estimates.of(CELL, UNIT, 0.0)
    assert found is not None
    assert found.networks == MOST_NETWORKS
    assert found.reports <= MOST_NETWORKS * MOST_CLIENTS


def test_all_that_is_known_is_told_and_the_rest_dropped() -> None:
    estimates = LatencyEstimates()
    for at in range(4):
        estimates.record(CELL, UNIT, f"n{at}", "a", 20.0 + at, 10.0)
    estimates.record(CELL, "dublin", "n0", "a", 30.0, 10.0)
    found = estimates.all(now=40.0)
    assert found == {CELL: {UNIT: estimates.of(CELL, UNIT, 40.0)}}
    one = found[CELL][UNIT]
    assert (one.ms, one.reports, one.networks, one.age_s) == (21.0, 4, 4, 30.0)
    assert estimates.all(now=10.0 + FORGOTTEN_S) == {}
    assert len(estimates) == 0


@pytest.mark.parametrize(("ms", "differs"), [(20.0, False), (20.9, False), (25.0, True)])
def test_small_changes_are_none(ms: float, differs: bool) -> None:
    def cells(value: float) -> MeasuredCells:
        estimates = LatencyEstimates()
        for at in range(3):
            estimates.record(CELL, UNIT, f"n{at}", "a", value, 0.0)
        return MeasuredCells(estimates.all(0.0))

    assert cells(ms).differs_from(cells(20.0), by=0.1) is differs
    assert cells(ms).differs_from(MeasuredCells({}), by=0.1)
    assert cells(ms).of(CELL, "DE", "EU") == {UNIT: ms}
    assert cells(ms).of("DE:1.0,1.0~20", "DE", "EU") == {}
