"""Feeds on NATS whose storage fails: a member's disk is full, commits are purged. What was answered
is decided once, or whoever cannot have all of it refuses to begin."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from pathlib import Path

import grpc
import nats
import pytest

from console.local.nats_process import NatsCluster
from tests.support.data_sharing_server import SharingServer
from tests.support.decision_run import Publishing
from tests.support.local_stack import wait_until
from tests.support.nats_servers import beside, leader_of, outcome_of, worker_arguments
from tests.support.small_disk import fill, small_disk

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

SOME, HALF, BATCH = 1_500, 750, 50
DISK_BYTES = 48 << 20
FULL_S = 10.0
WITHIN_S = 180.0
TIMES = ("--max-late-s=9e9", "--max-ahead-s=9e9")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What a server on its own disk leaves, to which nothing happens."""
    run = Publishing(tmp_path_factory.mktemp("reference"), SOME, batch=BATCH)
    run.run()
    return run.left()


def test_the_disk_of_the_leader_is_full(tmp_path: Path, reference, record) -> None:
    """Its JetStream stops, the two others go on; with room and a restart it is back."""
    (tmp_path / "nats").mkdir()
    full = list[float]()
    with (
        small_disk(tmp_path / "nats" / "n1", DISK_BYTES),
        small_disk(tmp_path / "nats" / "n2", DISK_BYTES),
        small_disk(tmp_path / "nats" / "n3", DISK_BYTES),
        NatsCluster(tmp_path / "nats", members=3) as cluster,
    ):
        run = Publishing(
            tmp_path / "first", SOME, arguments=worker_arguments(cluster, replicas=3),
            within_s=WITHIN_S, pause_s=1.0, batch=BATCH,
        )  # fmt: skip

        def fill_its_disk(over: threading.Event) -> None:
            while len(run.answered) < 3 and not over.wait(0.1):
                pass
            leader = leader_of(cluster, "homeport-0")
            ballast = leader.folder / "ballast"
            full.append(time.monotonic())
            fill(ballast)
            over.wait(FULL_S)
            leader.kill()
            ballast.unlink()
            cluster.restart(leader)
            full.append(time.monotonic())

        with beside(fill_its_disk):
            run.run()
        outcome = outcome_of(run)
        if run.left() != reference:
            outcome.verdict.accuse("once", 0, "disk full", "what is left differs")
        resumed = round(outcome.measured.resumed_after(full[0], within_s=WITHIN_S), 2)
        record(
            "NATS: the leader's disk full (a tmpfs of 48 MiB) for 10 s, three replicas; each event"
            " decided once",
            outcome,
            resumed_s=[resumed],
        )
    assert len(full) == 2
    assert run.deaths == run.turned_away == 0  # who called has waited
    assert outcome.verdict.broken == 0


def test_commits_are_purged(tmp_path: Path, reference, record) -> None:
    """Twice: those before the last one, which the server makes up for within seconds; and all of
    them, after which it ends, nobody begins with less, and its file goes on elsewhere."""
    with NatsCluster(tmp_path / "nats") as cluster:
        (member,) = cluster.members
        on = worker_arguments(cluster, replicas=1, lease_s=1.0)
        first = Publishing(tmp_path / "first", HALF, arguments=on, within_s=WITHIN_S, batch=BATCH)

        def purge_and_wait(_: SharingServer) -> None:
            before = asyncio.run(purged(member.url, keep=1))
            wait_until(
                lambda: asyncio.run(last_of(member.url)) > before,
                "a new snapshot is named",
                WITHIN_S,
            )

        first.run(kill_at_end=True, before_end=purge_and_wait)
        second = Publishing(tmp_path / "second", SOME, arguments=on, within_s=WITHIN_S, batch=BATCH)
        refused = list[str]()

        def purge_all(server: SharingServer) -> None:
            asyncio.run(purged(member.url, keep=0))
            answer = Publishing.send(server, range(SOME, SOME + BATCH), within_s=WITHIN_S)
            assert answer is grpc.StatusCode.UNAVAILABLE
            assert server.process.wait(WITHIN_S) != 0
            refused.append(server.log())
            refused.append(what_it_says(tmp_path / "third", on))

        second.go_on(HALF, before_end=purge_all)
        assert second.deaths == 0
        detach = Publishing(second.folder, SOME, arguments=["--feeds-detach"], batch=BATCH)
        detach.go_on(SOME)
        elsewhere = Publishing(
            second.folder, SOME, arguments=[*on, "--feeds-prefix=again"], batch=BATCH
        )
        elsewhere.go_on(SOME)
    second.batches += first.batches
    outcome = outcome_of(second)
    if elsewhere.left() != reference:
        outcome.verdict.accuse("once", 0, "purged", "what is left differs")
    record(
        "NATS: commits purged under the server, once all but the last one, once all; made up for,"
        " then refused and gone on with elsewhere",
        outcome,
    )
    assert outcome.verdict.broken == 0
    assert "purged from the changelog" in refused[0]
    assert "the changelog is not whole: all commits are gone" in refused[1]


def what_it_says(folder: Path, arguments: list[str]) -> str:
    """A server without a file, which does not come to serve."""
    folder.mkdir()
    server = SharingServer(folder, *arguments, *TIMES)
    try:
        server.process.wait(WITHIN_S)
        return server.log()
    finally:
        server.kill()


async def purged(url: str, *, keep: int) -> int:
    """Purges the commits as somebody does who knows nothing of them; the last sequence."""
    client = await nats.connect(url)
    try:
        await client.request(
            "$JS.API.STREAM.PURGE.homeport-0", json.dumps({"keep": keep}).encode(), timeout=30
        )
        return await _last(client)
    finally:
        await client.close()


async def last_of(url: str) -> int:
    """The last sequence."""
    client = await nats.connect(url)
    try:
        return await _last(client)
    finally:
        await client.close()


async def _last(client: nats.NATS) -> int:
    answer = await client.request("$JS.API.STREAM.INFO.homeport-0", b"", timeout=30)
    return int(json.loads(answer.data)["state"]["last_seq"])
