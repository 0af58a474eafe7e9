"""StoreStatus: how old what is known is, and a store that comes back as another one."""

from __future__ import annotations

import logging

import pytest

from control_plane.store.port import Health
from control_plane.store.status import SHORT_WAIT_S, WAIT_S, StoreStatus


class Scene:
    def __init__(self, **more: object) -> None:
        self.health = Health(connected=True, cluster="one")
        self.wall = 1_000.0
        self.confirmed = True
        self.foreign = 0
        self.store_status = StoreStatus(
            self.health, wall=lambda: self.wall, confirmed=lambda: self.confirmed,
            on_foreign=self._foreign, **more,
        )  # fmt: skip

    def _foreign(self) -> None:
        self.foreign += 1


def test_while_the_store_answers_all_is_of_now() -> None:
    scene = Scene()
    scene.store_status.poll()
    scene.wall += 50.0
    assert (scene.store_status.age_s, scene.store_status.as_of) == (0.0, 1_050.0)
    assert scene.store_status.wait_s == WAIT_S


def test_when_it_goes_the_age_counts_from_the_last_look() -> None:
    scene = Scene()
    scene.store_status.poll()
    scene.health.connected = False
    scene.wall += 50.0
    scene.store_status.poll()
    assert (scene.store_status.age_s, scene.store_status.as_of) == (50.0, 1_000.0)
    assert scene.store_status.wait_s == SHORT_WAIT_S


def test_a_server_that_started_from_a_snapshot_is_as_old_as_that_until_all_was_read() -> None:
    scene = Scene(as_of=400.0, cluster="one")
    scene.confirmed = False
    scene.store_status.poll()
    assert (scene.store_status.current, scene.store_status.age_s) == (False, 600.0)
    scene.confirmed = True
    scene.store_status.poll()
    assert (scene.store_status.current, scene.store_status.age_s, scene.foreign) == (True, 0.0, 0)


def test_another_store_is_told() -> None:
    scene = Scene(cluster="two")
    scene.store_status.poll()
    assert (scene.foreign, scene.store_status.foreign) == (1, True)


def test_one_that_says_nothing_of_itself_is_no_other() -> None:
    scene = Scene(cluster="one")
    scene.health.cluster = ""
    scene.store_status.poll()
    assert not scene.store_status.foreign


def test_the_log_tells_when_it_goes_and_when_it_is_back_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene()
    with caplog.at_level(logging.WARNING):
        for connected in (True, False, False, True, True):
            scene.health.connected = connected
            scene.store_status.poll()
    assert [r.message.split(";")[0] for r in caplog.records] == [
        "the store does not answer", "the store answers again"
    ]  # fmt: skip
