"""The lifecycle of a unit: its table, and how patient it is with agents that flap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.fleet.lifecycle import (
    LEAVING,
    TABLE,
    TAKING,
    Event,
    LifecycleRecord,
    LossPolicy,
    State,
    advance,
    detected_event,
)

POLICY = LossPolicy(lost_after_s=30, back_after_s=10, calm_s=900)
MINUTE_MS = 60_000


def record(state, **more):
    return LifecycleRecord(state=state, **more)


def after(state, *events, now_ms=1):
    unit = record(state) if isinstance(state, State) else state
    for event in events:
        unit = advance(unit, event, now_ms=now_ms, policy=POLICY)
    return unit


@pytest.mark.parametrize(
    ("state", "events", "expected"),
    [
        pytest.param("joining", ["heard"], "active", id="a-unit-is-active-once-it-is-heard"),
        pytest.param("joining", ["silent"], "joining", id="who-was-never-heard-is-not-lost"),
        pytest.param("active", ["cordon"], "cordoned", id="cordon"),
        pytest.param("active", ["drain", "emptied"], "drained", id="drain-to-the-end"),
        pytest.param("active", ["drain", "cordon"], "cordoned", id="cordon-ends-a-drain"),
        pytest.param("drained", ["cordon"], "drained", id="a-drained-unit-takes-none-anyway"),
        pytest.param("drained", ["drain"], "drained", id="drained-is-drained"),
        pytest.param("drained", ["undrain"], "active", id="back-in-service"),
        pytest.param("cordoned", ["emptied"], "cordoned", id="cordon-outlives-the-last-client"),
        pytest.param("active", ["silent"], "lost", id="lost"),
        pytest.param("active", ["silent", "heard"], "active", id="lost-and-found"),
        pytest.param("cordoned", ["silent", "heard"], "cordoned", id="cordon-outlives-a-loss"),
        pytest.param("active", ["silent", "cordon", "heard"], "cordoned", id="cordoned-while-lost"),
        pytest.param("cordoned", ["silent", "undrain", "heard"], "active", id="wanted-while-lost"),
        pytest.param("active", ["silent", "undrain"], "lost", id="nobody-can-wish-an-agent-back"),
        pytest.param("active", ["silent", "drain"], "draining", id="a-lost-unit-is-drained"),
        pytest.param("draining", ["silent"], "draining", id="a-drain-goes-on-without-agent"),
        pytest.param("draining", ["undrain"], "active", id="undrain"),
        pytest.param("lost", ["emptied"], "lost", id="lost-without-clients-is-lost"),
        pytest.param("active", ["applied"], "active", id="an-edit-changes-no-state"),
        pytest.param("drained", ["remove"], "removed", id="removed"),
        pytest.param("removed", ["heard"], "removed", id="who-is-gone-does-not-come-back"),
        pytest.param("removed", ["applied"], "joining", id="unless-it-is-applied-again"),
    ],
)
def test_what_becomes_of_a_unit(state, events, expected):
    assert after(State(state), *map(Event, events)).state == expected


states = st.sampled_from(list(State))
events = st.sampled_from(list(Event))


@given(states, st.lists(events, max_size=12))
def test_every_event_can_happen_in_every_state_and_twice_is_once(state, happened):
    unit = record(state)
    for event in happened:
        once = after(unit, event)
        # Draining, cordoning and the like are idempotent, whoever else says it again.
        assert after(once, event) is once
        unit = once
    assert unit.state in State


@given(st.lists(events, max_size=15))
def test_only_what_an_operator_or_a_loss_did_takes_clients_away(happened):
    unit = record(State.ACTIVE)
    for event in happened:
        was, unit = unit, after(unit, event)
        if was.state in TAKING and unit.state in LEAVING:
            assert event in (Event.DRAIN, Event.SILENT)
        if was.state not in TAKING and unit.state in TAKING and was.state is not State.REMOVED:
            assert event in (Event.UNDRAIN, Event.HEARD)
            # A unit that an operator closed is not opened by its agent.
            assert event is Event.UNDRAIN or was.returns_to is State.ACTIVE


def test_the_table_names_only_states_that_are_reached_by_somebody():
    reached = {state for row in TABLE.values() for state in row.values()}
    assert reached == set(State)


def test_a_silent_agent_is_given_up_after_a_while_and_not_before():
    unit = record(State.ACTIVE)
    told = [
        detected_event(unit, heard=False, for_s=s, now_ms=0, policy=POLICY) for s in (0, 29.9, 30)
    ]
    assert told == [None, None, Event.SILENT]


def test_a_lost_unit_is_trusted_after_a_while_and_not_before():
    unit = after(State.ACTIVE, Event.SILENT)
    told = [
        detected_event(unit, heard=True, for_s=s, now_ms=1, policy=POLICY) for s in (0, 9.9, 10)
    ]
    assert told == [None, None, Event.HEARD]


@pytest.mark.parametrize("state", [State.JOINING, State.DRAINING, State.DRAINED, State.LOST])
def test_silence_changes_nothing_where_no_clients_are_at_stake(state):
    unit = record(state)
    assert detected_event(unit, heard=False, for_s=1e9, now_ms=0, policy=POLICY) is None


def test_a_unit_that_flaps_is_given_up_later_and_trusted_later_each_time():
    unit, now_ms = record(State.ACTIVE), MINUTE_MS
    lost_after, back_after = [], []
    for _ in range(4):
        lost_after.append(POLICY.before_lost_s(unit, now_ms))
        unit = after(unit, Event.SILENT, now_ms=now_ms)
        back_after.append(POLICY.before_back_s(unit, now_ms))
        unit = after(unit, Event.HEARD, now_ms=now_ms)
        now_ms += 2 * MINUTE_MS
    assert lost_after == [30, 60, 120, 240]
    assert back_after == [10, 20, 40, 80]


def test_a_quiet_time_forgives_and_waiting_has_an_end():
    unit = record(State.ACTIVE, losses=50, lost_ms=MINUTE_MS)
    assert POLICY.before_lost_s(unit, 2 * MINUTE_MS) == 30 * 2**5
    assert POLICY.before_lost_s(unit, 60 * MINUTE_MS) == 30
    assert after(unit, Event.SILENT, now_ms=60 * MINUTE_MS).losses == 1


@given(st.lists(st.floats(0.1, 25.0), min_size=1, max_size=40))
def test_flapping_faster_than_the_limit_moves_nobody(silences):
    unit = record(State.ACTIVE)
    for silence_s in silences:
        assert detected_event(unit, heard=False, for_s=silence_s, now_ms=0, policy=POLICY) is None
        assert detected_event(unit, heard=True, for_s=0.0, now_ms=0, policy=POLICY) is None
