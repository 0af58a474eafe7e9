"""Who is given up, who is trusted again, and when nobody is."""

from __future__ import annotations

import pytest

from control_plane.fleet.lifecycle import Event, LifecycleRecord, LossPolicy, State
from control_plane.store.port import Health
from provisioner.moves.failure_detector import FailureDetector


class Sky:
    """A fleet whose agents come and go at once."""

    def __init__(self, **heard: bool) -> None:
        self.heard = heard
        self.records = {unit: LifecycleRecord(state=State.ACTIVE) for unit in heard}

    def agents(self):
        return dict(self.heard)

    def lifecycle(self, unit_id):
        return self.records[unit_id]

    def brings_home(self):
        return False


class Patient:
    """As much of Transitions as looking needs."""

    loss_policy = LossPolicy(lost_after_s=30.0, back_after_s=10.0)


class Watch:
    """A lookout and its clock."""

    def __init__(self, sky: Sky) -> None:
        self.now = 1_000.0
        self.health = Health(connected=True)
        self.failure_detector = FailureDetector(
            sky, Patient(), self.health,
            clock=lambda: self.now, wall=lambda: 5.0, jitter=lambda: 0.5,
        )  # fmt: skip

    def after(self, seconds: float):
        self.now += seconds
        return self.failure_detector.look()


def test_a_unit_that_stays_silent_is_lost_and_only_that_one():
    sky = Sky(a=True, b=True)
    watch = Watch(sky)
    assert watch.after(0) == []
    sky.heard["a"] = False
    assert [watch.after(s) for s in (1, 29, 0.9)] == [[], [], []]
    assert watch.after(0.2) == [("a", Event.SILENT)]


def test_a_beat_in_between_begins_the_silence_anew():
    sky = Sky(a=False, b=True)
    watch = Watch(sky)
    watch.after(0)
    watch.after(29)
    sky.heard["a"] = True
    assert watch.after(0.5) == []
    sky.heard["a"] = False
    assert watch.after(0.5) == []
    assert watch.after(29) == []
    assert watch.after(1) == [("a", Event.SILENT)]


def test_a_lost_unit_is_back_when_it_was_heard_for_a_while():
    sky = Sky(a=True, b=True)
    sky.records["a"] = LifecycleRecord(state=State.LOST, losses=1)
    watch = Watch(sky)
    assert [watch.after(s) for s in (0, 9)] == [[], []]
    assert watch.after(1) == [("a", Event.HEARD)]


def test_a_joining_unit_is_active_at_once():
    sky = Sky(a=True)
    sky.records["a"] = LifecycleRecord(state=State.JOINING)
    assert Watch(sky).after(0) == [("a", Event.HEARD)]


def test_while_the_store_is_away_nobody_gets_older():
    sky = Sky(a=False, b=True)
    watch = Watch(sky)
    watch.after(0)
    watch.after(25)
    watch.health.connected = False
    assert watch.after(100) == []
    watch.health.connected = True
    assert watch.after(0.5) == []
    assert watch.after(29) == []
    assert watch.after(1) == [("a", Event.SILENT)]


@pytest.mark.parametrize("units", [("a",), ("a", "b", "c")])
def test_where_no_agent_at_all_is_heard_nobody_is_given_up(units):
    sky = Sky(**dict.fromkeys(units, False))
    watch = Watch(sky)
    assert [watch.after(s) for s in (0, 3_600)] == [[], []]


def test_a_removed_unit_is_forgotten():
    sky = Sky(a=False, b=True)
    watch = Watch(sky)
    watch.after(0)
    del sky.heard["a"]
    watch.after(60)
    sky.heard["a"] = False
    assert watch.after(1) == []
