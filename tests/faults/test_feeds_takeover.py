"""Servers with feeds on NATS that are killed at each point of their way, frozen until they were
succeeded, and whose clocks are off: what they leave in the end is what one that nothing happened to
leaves, table by table and key by key."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import grpc
import pytest

from console.local.nats_process import NatsCluster
from control_plane import faultpoints
from tests.support.clocks import an_hour
from tests.support.data_sharing_server import SharingServer
from tests.support.decision_run import Publishing
from tests.support.local_stack import wait_until
from tests.support.nats_servers import outcome_of, worker_arguments

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1_800)]

SOME, HALF, BATCH = 1_500, 750, 150
WITHIN_S = 180.0
PASSING = {  # at which passing; those of every transaction are passed while it starts as well
    "changelog.capture.before": 9, "changelog.append.before": 6, "changelog.append.after": 6,
    "changelog.committed": 9, "changelog.batch.part": 3,
}  # fmt: skip
LONG_LEASE_S = 16.0  # looked at every 2.7 s
TIMES = ("--max-late-s=9e9", "--max-ahead-s=9e9")
PUBLISHING = ("decide.events.before", "decide.events.after", *faultpoints.REPLICATING)
SMALL_MESSAGES = "max_payload: 160KB"  # a snapshot's piece fits, and no event of LARGE bytes
LARGE = 200_000  # so one event alone is a commit of several messages, however fast a server decides


def arguments(cluster: NatsCluster, partition: str, lease_s: float = 1.0) -> list[str]:
    return [
        *worker_arguments(cluster, replicas=1, lease_s=lease_s), f"--feeds-partition={partition}",
        f"--max-event-bytes={LARGE + 10_000}",
    ]  # fmt: skip


def publishing(
    folder: Path,
    cluster: NatsCluster,
    partition: str,
    count: int,
    *,
    lease_s: float = 1.0,
    **more,
) -> Publishing:
    return Publishing(
        folder, count, arguments=arguments(cluster, partition, lease_s), within_s=WITHIN_S,
        batch=BATCH, **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What a server on its own disk leaves, to which nothing happens."""
    run = Publishing(tmp_path_factory.mktemp("reference"), SOME, batch=BATCH)
    run.run()
    return run.left()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory):
    with NatsCluster(tmp_path_factory.mktemp("nats"), settings=[SMALL_MESSAGES]) as cluster:
        yield cluster


def killed_while_it_publishes(folder: Path, cluster: NatsCluster, point: str) -> Publishing:
    """Its successor has a folder of its own, so all that it had comes from the changelog."""
    run = publishing(
        folder / "first", cluster, point.replace(".", "-"), SOME,
        environment={faultpoints.VARIABLE: f"{point}:{PASSING.get(point, 3)}"},
        successors=[folder / "second"], filling=LARGE if point == "changelog.batch.part" else 0,
    )  # fmt: skip
    run.run()
    assert run.deaths == 1
    return run


def killed_while_it_takes_over(folder: Path, cluster: NatsCluster, point: str) -> Publishing:
    """Of three servers the second one; it has a snapshot and commits behind it before it."""
    partition = point.replace(".", "-")
    first = publishing(folder / "first", cluster, partition, HALF)
    first.run(kill_at_end=True)
    second = folder / "second"
    second.mkdir()
    died(second, cluster, partition, point)
    if point != "takeover.begun":
        died(second, cluster, partition, point)  # where the file is half there
    third = publishing(second, cluster, partition, SOME)
    third.go_on(HALF)
    assert third.deaths == 0
    third.batches += first.batches
    return third


def died(folder: Path, cluster: NatsCluster, partition: str, point: str) -> None:
    server = SharingServer(
        folder, *arguments(cluster, partition), *TIMES, environment={faultpoints.VARIABLE: point}
    )
    try:
        assert server.process.wait(WITHIN_S) == -signal.SIGKILL, server.log()
    finally:
        server.kill()


def killed_while_it_leaves_a_snapshot(folder: Path, cluster: NatsCluster, point: str) -> Publishing:
    """When it stops in order. Another one goes on, from what is there."""
    partition = point.replace(".", "-")
    first = publishing(
        folder / "first", cluster, partition, HALF, environment={faultpoints.VARIABLE: point}
    )
    first.run()
    assert first.ended == -signal.SIGKILL
    second = publishing(folder / "second", cluster, partition, SOME)
    second.go_on(HALF)
    assert second.deaths == 0
    second.batches += first.batches
    return second


@pytest.mark.parametrize(
    ("points", "run_of", "what"),
    [
        pytest.param(PUBLISHING, killed_while_it_publishes, "decides", id="deciding"),
        pytest.param(
            faultpoints.TAKING_OVER, killed_while_it_takes_over, "takes over", id="taking-over"
        ),
        pytest.param(
            faultpoints.KEEPING_SNAPSHOTS, killed_while_it_leaves_a_snapshot,
            "leaves a snapshot", id="snapshots",
        ),
    ],
)  # fmt: skip
def test_a_server_is_killed_at_each_of_its_points(
    tmp_path: Path, cluster: NatsCluster, reference, record, points, run_of, what
) -> None:
    outcome, differing = None, list[str]()
    for point in points:
        run = run_of(tmp_path / point, cluster, point)
        outcome = outcome_of(run, outcome)
        if run.left() != reference:
            differing.append(point)
            outcome.verdict.accuse("once", 0, point, "what is left differs")
    assert outcome is not None
    record(
        f"feeds on NATS: the server killed (-9) at each of {len(points)} points where it {what};"
        " each event decided once",
        outcome,
    )
    assert differing == []


def test_a_server_that_was_frozen_until_it_was_succeeded_writes_nothing(
    tmp_path: Path, cluster: NatsCluster, reference, record
) -> None:
    """It wakes with a batch under way that its publisher has given to the other one meanwhile."""
    partition = "zombie"
    first = publishing(tmp_path / "first", cluster, partition, HALF)
    first.run(kill_at_end=True)
    with SharingServer(first.folder, *arguments(cluster, partition), *TIMES) as zombie:
        zombie.process.send_signal(signal.SIGSTOP)
        codes = list[grpc.StatusCode | None]()
        thread = threading.Thread(
            target=lambda: codes.append(
                Publishing.send(zombie, range(HALF, HALF + BATCH), within_s=WITHIN_S)
            )
        )
        thread.start()
        second = publishing(tmp_path / "second", cluster, partition, SOME)
        second.go_on(HALF, with_server=lambda _: wake_up(zombie))
        thread.join()
        assert zombie.process.wait(WITHIN_S) != 0
    second.batches += first.batches
    outcome = outcome_of(second)
    if second.left() != reference:
        outcome.verdict.accuse("once", 0, "zombie", "what is left differs")
    record(
        "feeds on NATS: the server stopped (SIGSTOP) until another one had its partition, and"
        " resumed with a batch under way; it wrote nothing, and ended",
        outcome,
    )
    assert outcome.verdict.broken == 0
    assert codes[0] in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def wake_up(zombie: SharingServer) -> None:
    zombie.process.send_signal(signal.SIGCONT)


def test_wall_clocks_that_jump_and_differ_by_two_hours_do_not_matter(
    tmp_path: Path, cluster: NatsCluster, reference, record
) -> None:
    """One that waits has its clock put forward an hour, between two of its looks at which nothing
    new was written, for whoever has the lease is frozen for half of it: it takes nothing over. Then
    it succeeds, an hour ahead, and is succeeded by one that is an hour behind."""
    partition, jumps = "clocks", tmp_path / "clock"
    jumps.write_text("+0")
    ahead = an_hour("+")
    del ahead["FAKETIME"]  # goes before the file
    ahead |= {"FAKETIME_TIMESTAMP_FILE": str(jumps), "FAKETIME_NO_CACHE": "1"}
    waiting_folder = tmp_path / "second"
    waiting_folder.mkdir()
    first = publishing(tmp_path / "first", cluster, partition, HALF // 2, lease_s=LONG_LEASE_S)
    waiting = None
    try:

        def another_waits(server: SharingServer) -> None:
            nonlocal waiting
            waiting = SharingServer(
                waiting_folder, *arguments(cluster, partition, LONG_LEASE_S), *TIMES,
                environment=ahead,
            )  # fmt: skip
            wait_until(
                lambda: "waiting for the lease" in waiting.log(), "the other one waits", WITHIN_S
            )
            server.process.send_signal(signal.SIGSTOP)
            time.sleep(LONG_LEASE_S / 4)  # a look at what it wrote last
            jumps.write_text("+3600")
            time.sleep(LONG_LEASE_S / 4)  # and another one
            server.process.send_signal(signal.SIGCONT)

        first.run(kill_at_end=True, with_server=another_waits)
        assert waiting is not None
        assert first.deaths == 0
        assert not waiting.serves
    finally:
        if waiting is not None:
            waiting.kill()
    second = publishing(waiting_folder, cluster, partition, HALF, environment=ahead)
    second.go_on(HALF // 2, kill_at_end=True)
    third = publishing(tmp_path / "third", cluster, partition, SOME, environment=an_hour("-"))
    third.go_on(HALF)
    third.batches += first.batches + second.batches
    outcome = outcome_of(third)
    if third.left() != reference:
        outcome.verdict.accuse("once", 0, "clocks", "what is left differs")
    record(
        "feeds on NATS: clock of a server that waits put forward an hour, of its successor an hour"
        " back; nobody took anything over, and each event decided once",
        outcome,
    )
    assert outcome.verdict.broken == 0
