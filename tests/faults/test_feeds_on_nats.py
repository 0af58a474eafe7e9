"""Feeds and decisions on NATS, whose servers are killed under load: who calls waits for them, every
event that was answered is decided once, in order, and what is left is what one worker on its own
disk leaves."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from console.local.nats_process import NatsCluster
from tests.support.decision_run import BATCH, Publishing
from tests.support.nats_servers import beside, leader_of, outcome_of, worker_arguments

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

KILLS, EVERY_S, DOWN_S = 3, 20.0, 10.0
AWAY_S = 60.0
PAUSE_S = 0.5  # between two batches


def begun(over: threading.Event, run: Publishing) -> None:
    """Waits until some batches were answered."""
    while len(run.answered) < 5 and not over.wait(0.1):
        pass


def reference(folder: Path, count: int) -> dict[str, object]:
    run = Publishing(folder, count)
    run.run()
    return run.left()


def test_the_leader_is_killed_every_20_s(tmp_path: Path, record) -> None:
    count = int((KILLS + 1) * EVERY_S / PAUSE_S) * BATCH // 10
    kills: list[float] = []

    def kill_leaders(over: threading.Event, cluster: NatsCluster, run: Publishing) -> None:
        begun(over, run)
        while len(kills) < KILLS and not over.wait(EVERY_S):
            leader = leader_of(cluster, "homeport-0")
            leader.kill()
            kills.append(time.monotonic())
            over.wait(DOWN_S)
            cluster.restart(leader)

    with NatsCluster(tmp_path / "nats", members=3) as cluster:
        run = Publishing(
            tmp_path / "first", count, arguments=worker_arguments(cluster, replicas=3),
            within_s=120.0,
            pause_s=PAUSE_S, batch=BATCH // 10,
        )  # fmt: skip
        with beside(lambda over: kill_leaders(over, cluster, run)):
            run.run()
    outcome = outcome_of(run)
    resumed = [round(outcome.measured.resumed_after(at, within_s=EVERY_S), 2) for at in kills]
    record(
        f"NATS: leader of the feeds killed (-9) every 20 s, three replicas; {count:,} events, each"
        " decided once",
        outcome,
        resumed_s=resumed,
    )
    assert len(kills) >= KILLS - 1
    assert run.deaths == run.turned_away == 0  # who called has waited
    assert max(resumed) < EVERY_S
    assert run.left() == reference(tmp_path / "reference", count)


def test_nats_is_away_for_60_s(tmp_path: Path, record) -> None:
    count = 40 * BATCH // 10
    away: list[float] = []

    def be_away(over: threading.Event, cluster: NatsCluster, run: Publishing) -> None:
        begun(over, run)
        (member,) = cluster.members
        away.append(time.monotonic())
        member.kill()
        over.wait(AWAY_S)
        cluster.restart(member)
        away.append(time.monotonic())

    with NatsCluster(tmp_path / "nats") as cluster:
        run = Publishing(
            tmp_path / "first", count, arguments=worker_arguments(cluster, replicas=1),
            within_s=180.0,
            pause_s=PAUSE_S, batch=BATCH // 10,
        )  # fmt: skip
        with beside(lambda over: be_away(over, cluster, run)):
            run.run()
    outcome = outcome_of(run)
    resumed = round(outcome.measured.resumed_after(away[0], within_s=120.0) - AWAY_S, 2)
    record(
        f"NATS away for 60 s, one replica; what waited was decided in order, {count:,} events,"
        " each once",
        outcome,
        resumed_s=[max(0.0, resumed)],
    )
    assert len(away) == 2
    assert run.deaths == run.turned_away == 0  # who called has waited
    assert run.left() == reference(tmp_path / "reference", count)
