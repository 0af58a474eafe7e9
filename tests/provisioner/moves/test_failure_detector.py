"""Who is given up, who is trusted again, and when nobody is."""

from __future__ import annotations

import pytest

from control_plane.fleet.lifecycle import Event, LifecycleRecord, LossPolicy, State
from control_plane.store.port import Health
from provisioner.moves.failure_detector import FailureDetector


class FakeFleetView:
    """As much of FleetView as the detector reads; agents come and go at once."""

    def __init__(self, **heard: bool) -> None:
        self.heard = heard
        self.records = {unit: LifecycleRecord(state=State.ACTIVE) for unit in heard}

    def agents(self):
        return dict(self.heard)

    def lifecycle(self, unit_id):
        return self.records[unit_id]

    def brings_home(self):
        return False


class LossTerms:
    """As much of Transitions as the detector reads."""

    loss_policy = LossPolicy(lost_after_s=30.0, back_after_s=10.0)


class Detection:
    """A failure detector and its clock."""

    def __init__(self, fleet_view: FakeFleetView) -> None:
        self.now = 1_000.0
        self.health = Health(connected=True)
        self.failure_detector = FailureDetector(
            fleet_view, LossTerms(), self.health,
            clock=lambda: self.now, wall=lambda: 5.0, jitter=lambda: 0.5,
        )  # fmt: skip

    def after(self, seconds: float):
        self.now += seconds
        return self.failure_detector.poll()


def test_a_unit_that_stays_silent_is_lost_and_only_that_one():
    fleet_view = FakeFleetView(a=True, b=True)
    detection = Detection(fleet_view)
    assert detection.after(0) == []
    fleet_view.heard["a"] = False
    assert [detection.after(s) for s in (1, 29, 0.9)] == [[], [], []]
    assert detection.after(0.2) == [("a", Event.SILENT)]


def test_a_beat_in_between_begins_the_silence_anew():
    fleet_view = FakeFleetView(a=False, b=True)
    detection = Detection(fleet_view)
    detection.after(0)
    detection.after(29)
    fleet_view.heard["a"] = True
    assert detection.after(0.5) == []
    fleet_view.heard["a"] = False
    assert detection.after(0.5) == []
    assert detection.after(29) == []
    assert detection.after(1) == [("a", Event.SILENT)]


def test_a_lost_unit_is_back_when_it_was_heard_for_a_while():
    fleet_view = FakeFleetView(a=True, b=True)
    fleet_view.records["a"] = LifecycleRecord(state=State.LOST, losses=1)
    detection = Detection(fleet_view)
    assert [detection.after(s) for s in (0, 9)] == [[], []]
    assert detection.after(1) == [("a", Event.HEARD)]


def test_a_joining_unit_is_active_at_once():
    fleet_view = FakeFleetView(a=True)
    fleet_view.records["a"] = LifecycleRecord(state=State.JOINING)
    assert Detection(fleet_view).after(0) == [("a", Event.HEARD)]


def test_while_the_store_is_away_nobody_gets_older():
    fleet_view = FakeFleetView(a=False, b=True)
    detection = Detection(fleet_view)
    detection.after(0)
    detection.after(25)
    detection.health.connected = False
    assert detection.after(100) == []
    detection.health.connected = True
    assert detection.after(0.5) == []
    assert detection.after(29) == []
    assert detection.after(1) == [("a", Event.SILENT)]


@pytest.mark.parametrize("units", [("a",), ("a", "b", "c")])
def test_where_no_agent_at_all_is_heard_nobody_is_given_up(units):
    fleet_view = FakeFleetView(**dict.fromkeys(units, False))
    detection = Detection(fleet_view)
    assert [detection.after(s) for s in (0, 3_600)] == [[], []]


def test_a_removed_unit_is_forgotten():
    fleet_view = FakeFleetView(a=False, b=True)
    detection = Detection(fleet_view)
    detection.after(0)
    del fleet_view.heard["a"]
    detection.after(60)
    fleet_view.heard["a"] = False
    assert detection.after(1) == []


@pytest.mark.parametrize(
    ("state", "heard", "seconds", "expected"),
    [
        pytest.param(State.ACTIVE, True, 1e6, None, id="a-unit-that-is-heard-stays-as-it-is"),
        pytest.param(State.ACTIVE, False, 29.0, None, id="a-short-silence-is-nothing"),
        pytest.param(State.ACTIVE, False, 30.0, Event.SILENT, id="a-long-silence-loses-a-unit"),
        pytest.param(State.CORDONED, False, 30.0, Event.SILENT, id="a-cordoned-one-as-well"),
        pytest.param(State.JOINING, False, 1e6, None, id="a-unit-that-was-never-heard-is-joining"),
        pytest.param(State.DRAINING, False, 1e6, None, id="a-draining-unit-is-emptied-anyway"),
        pytest.param(State.DRAINED, False, 1e6, None, id="a-drained-unit-has-nobody-to-lose"),
        pytest.param(State.LOST, False, 1e6, None, id="a-lost-unit-is-lost-once"),
        pytest.param(State.LOST, True, 9.0, None, id="a-lost-unit-is-not-trusted-at-once"),
        pytest.param(State.LOST, True, 10.0, Event.HEARD, id="a-lost-unit-comes-back"),
        pytest.param(State.JOINING, True, 0.0, Event.HEARD, id="a-joining-unit-is-heard-first"),
        pytest.param(State.DRAINED, True, 1e6, None, id="a-drained-unit-stays-drained"),
    ],
)
def test_what_is_detected_of_a_unit_in_each_state(state, heard, seconds, expected):
    fleet_view = FakeFleetView(a=heard, b=True)
    fleet_view.records["a"] = LifecycleRecord(state=state, losses=int(state is State.LOST))
    detection = Detection(fleet_view)
    first = detection.after(0.0)
    found = detection.after(seconds) if seconds else first
    assert found == ([("a", expected)] if expected else [])
