"""When a unit matters: at each step of load, and when it is full."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from provisioner.placement.choice import load_step
from provisioner.placement.fleet import PlacementFleet
from simulation.policy.simulated_fleet import SimulatedFleet


@given(st.integers(1, 100_000), st.data())
def test_the_next_change_is_the_first_client_with_another_step_or_no_room(
    capacity: int, data: st.DataObject
) -> None:
    fleet = SimulatedFleet(PlacementFleet(units=(), revision=1), [capacity])
    clients = data.draw(st.integers(0, capacity))
    then = fleet.next_change(0, clients)
    if clients == capacity:
        assert then is None
        return
    assert then is not None
    before, step = load_step((then - 1) / capacity), load_step(clients / capacity)
    assert before == step or then - 1 == clients
    assert load_step(then / capacity) > step or then == capacity
