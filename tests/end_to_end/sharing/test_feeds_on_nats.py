"""A partition on real NATS servers, and workers that are killed, frozen and succeeded: what they
leave is what one worker on its own disk leaves."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from console.local.nats_process import NatsCluster
from homeport.api.datasharing.v1 import feed_pb2 as feeds
from homeport.api.datasharing.v1 import feed_pb2_grpc
from tests.support.data_sharing_server import SharingServer
from tests.support.decision_run import Publishing, reading

SOME = 3_000
WITHIN_S = 120.0
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[NatsCluster]:
    with NatsCluster(tmp_path / "nats") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    publishing = Publishing(tmp_path_factory.mktemp("reference"), SOME)
    publishing.run()
    return publishing.left()


def on(servers: NatsCluster) -> list[str]:
    """Arguments of a worker of the one server."""
    (member,) = servers.members
    return [
        f"--feeds={member.url}", "--feeds-replicas=1", "--feeds-allow-fewer",
        f"--feeds-monitoring={member.monitoring}", "--feeds-lease-s=1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "point", ["decide.events.after", "changelog.append.before", "changelog.append.after"]
)
def test_who_succeeds_a_killed_worker_decides_the_same(
    tmp_path: Path, servers: NatsCluster, reference: dict[str, object], point: str
) -> None:
    """On a folder of its own, so all that the one before had comes from the changelog."""
    publishing = Publishing(
        tmp_path / "first", SOME, {"HOMEPORT_FAULT_POINT": f"{point}:6"},
        arguments=on(servers), successors=[tmp_path / "second"],
    )  # fmt: skip
    publishing.run(kill_at={4})
    assert publishing.deaths >= 2
    assert publishing.left() == reference


def test_a_frozen_worker_that_wakes_after_it_was_succeeded_writes_nothing(
    tmp_path: Path, servers: NatsCluster
) -> None:
    arguments = [*on(servers), "--max-late-s=9e9", "--max-ahead-s=9e9"]
    first, second = tmp_path / "first", tmp_path / "second"
    second.mkdir()
    Publishing(first, 0, arguments=on(servers)).run()  # applications, rules and a plan
    with SharingServer(first, *arguments) as zombie:
        publish(zombie, range(100))
        zombie.process.send_signal(signal.SIGSTOP)
        with SharingServer(second, *arguments) as successor:
            publish(successor, range(100, 200))
            zombie.process.send_signal(signal.SIGCONT)
            with pytest.raises(grpc.RpcError) as refused:
                publish(zombie, range(200, 300))
            assert refused.value.code() in (
                grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED,
            )  # fmt: skip
            zombie.process.wait(WITHIN_S)
            answer = publish(successor, range(200, 300))
            assert [one.position for one in answer.results] == list(range(201, 301))
            assert not any(one.duplicate for one in answer.results)


def test_a_service_moves_to_nats_and_back_with_every_event(
    tmp_path: Path, servers: NatsCluster, reference: dict[str, object]
) -> None:
    half = SOME // 2
    publishing = Publishing(tmp_path / "one", half)
    publishing.run()
    moved = Publishing(tmp_path / "one", SOME, arguments=on(servers))
    moved.go_on(half)
    back = Publishing(tmp_path / "one", SOME, arguments=["--feeds-detach"])
    back.go_on(SOME)  # nothing more to publish: it starts, with what there is
    assert back.left() == reference


def publish(server: SharingServer, numbers: range) -> feeds.PublishBatchResponse:
    with grpc.insecure_channel(server.address) as channel:
        return feed_pb2_grpc.FeedServiceStub(channel).PublishBatch(
            feeds.PublishBatchRequest(events=map(reading, numbers)), timeout=WITHIN_S
        )
