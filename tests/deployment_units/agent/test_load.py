"""Load as admitted clients: distinct, of late, bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployment_units.agent.load import SAMPLE, AdmittedClients


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def noted(capacity: int, clients: int, clock: Clock | None = None) -> AdmittedClients:
    load = AdmittedClients(capacity, clock=clock or Clock(), window_s=60.0)
    for number in range(clients):
        load.record("default", f"client-{number}")
    return load


def test_a_client_that_comes_often_counts_once() -> None:
    load = noted(100, 25)
    for _ in range(10):
        load.record("default", "client-7")
    assert load.load() == 0.25


def test_the_same_name_in_two_tenants_is_two_clients() -> None:
    load = noted(100, 0)
    load.record("a", "alice")
    load.record("b", "alice")
    assert load.load() == 0.02


def test_more_clients_than_capacity_are_full_load() -> None:
    assert noted(10, 25).load() == 1.0


@pytest.mark.parametrize(
    ("at_s", "expected"),
    [
        pytest.param(59.9, 0.5, id="in the window they came in"),
        pytest.param(60.0, 0.5, id="in the window after it"),
        pytest.param(119.9, 0.5, id="at its end"),
        pytest.param(120.0, 0.0, id="gone with the second turn"),
        pytest.param(100_000.0, 0.0, id="gone after a long rest"),
    ],
)
def test_who_was_not_seen_for_two_windows_is_forgotten(at_s: float, expected: float) -> None:
    clock = Clock()
    load = noted(10, 5, clock)
    clock.now = at_s
    assert load.load() == expected


def test_windows_stay_in_step_after_a_rest() -> None:
    clock = Clock()
    load = noted(10, 5, clock)
    clock.now = 150.0
    load.record("default", "alice")
    clock.now = 239.9
    assert load.load() == 0.1
    clock.now = 240.0
    assert load.load() == 0.0


def test_a_large_unit_is_sampled_within_a_few_percent_and_in_bounded_memory() -> None:
    """Python salts hashes for each process; 10 % is about 20 standard deviations."""
    capacity = 4 * SAMPLE
    load = noted(capacity, capacity // 2)
    assert load.load() == pytest.approx(0.5, rel=0.1)
    assert len(load._now) <= SAMPLE + 1


@given(st.lists(st.tuples(st.floats(0, 200), st.integers(0, 20)), max_size=40))
def test_load_is_the_distinct_clients_of_this_window_and_the_last(
    visits: list[tuple[float, int]],
) -> None:
    """Held to a list of all visits."""
    clock = Clock()
    load = noted(50, 0, clock)
    seen: list[tuple[int, int]] = []
    for pause_s, client in visits:
        clock.now += pause_s
        load.record("default", str(client))
        seen.append((int(clock.now // 60.0), client))
        window = int(clock.now // 60.0)
        lately = {client for when, client in seen if when >= window - 1}
        assert load.load() == len(lately) / 50
