"""The network between a platform and the server that decides is cut after actions ran and before
anybody heard of it; the server is killed meanwhile, and another one has its partition. No action
takes effect twice, and each outcome is told."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import urllib.request
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from console.local.etcd_process import free_ports
from console.local.nats_process import NatsCluster
from data_sharing.decisions.outbox import InstructionState
from data_sharing.signing_key_file import key_of_file
from homeport.api.datasharing.v1 import (
    feed_pb2,
    feed_pb2_grpc,
    registry_pb2_grpc,
    rule_pb2,
    rule_pb2_grpc,
)
from tests.support.data_sharing_server import SharingServer, submission
from tests.support.fault_harness import Outcome
from tests.support.judge.verdict import Verdict
from tests.support.measurements import Measured
from tests.support.nats_servers import worker_arguments
from tests.support.platforms import PlatformProcess
from tests.support.submissions import COFFEE, SPEED, coffee, event, text, traffic
from tests.support.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

WITHIN_S = 180.0
COUNT = 8
RULES = f"""
rules:
  - rule: brew
    watch: {{t: {{feed: {SPEED}}}}}
    when: t.data.speed_kmh >= 0
    do: [{{invoke: {{application: coffee, action: brew, config: {{cups: "2"}}, deadline: 1h}}}}]
"""


@pytest.mark.parametrize("idempotent", [False, True], ids=["once-at-most", "idempotent"])
async def test_the_way_to_a_platform_is_cut_after_the_actions_ran(
    tmp_path: Path, record, idempotent: bool
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    (metrics,) = free_ports(1)
    with NatsCluster(tmp_path / "nats") as cluster:
        key = tmp_path / "signing.key"
        key_of_file(key, random=secrets.token_bytes)
        arguments = [*worker_arguments(cluster, replicas=1, lease_s=1.0), f"--signing-key={key}"]
        with SharingServer(first, *arguments) as worker:
            await asyncio.to_thread(set_up, worker, idempotent)
            async with TcpProxy(port_of(worker)) as way:
                platform = PlatformProcess(
                    tmp_path, way.port, f"--metrics-listen=127.0.0.1:{metrics}", "--capacity=2"
                )
                try:
                    await platform.ready()
                    await asyncio.to_thread(publish, worker, 0)
                    await until(lambda: states(first) == [InstructionState.DONE])
                    way.answers_lost = True
                    await asyncio.to_thread(publish, worker, 1)
                    await until(lambda: ran(metrics) >= 2)  # it ran, and nobody heard of it
                    await until(lambda: way.lost_bytes > 0)
                    way.cut()
                    await asyncio.to_thread(worker.kill)
                    with SharingServer(second, *arguments) as successor:
                        way.mend(port_of(successor))
                        for number in range(2, COUNT):
                            await asyncio.to_thread(publish, successor, number)
                        done = [InstructionState.DONE] * COUNT
                        await until(lambda: states(second) == done)
                        count = ran(metrics)
                finally:
                    platform.kill()
    verdict = Verdict(answers=COUNT)
    if count != COUNT:
        verdict.accuse("once", 0, "brew", f"{count:g} runs of {COUNT} instructions")
    kind = "idempotent actions" if idempotent else "actions that are not idempotent"
    record(
        f"feeds on NATS: the way to a platform cut after {kind} ran, and the server killed (-9)"
        f" meanwhile; {COUNT} instructions, each performed once and told",
        Outcome(verdict=verdict, measured=Measured(requests=COUNT, failed=0)),
    )
    assert verdict.broken == 0, verdict


def port_of(server: SharingServer) -> int:
    return int(server.address.rpartition(":")[2])


def set_up(server: SharingServer, idempotent: bool) -> None:
    with grpc.insecure_channel(server.address) as channel:
        registry = registry_pb2_grpc.ApplicationRegistryStub(channel)
        for manifest, artifact in (
            (traffic(), b""), (coffee(action_idempotent=idempotent), COFFEE),
        ):  # fmt: skip
            answer = registry.SubmitApplication(
                submission(text(manifest), artifact), timeout=WITHIN_S
            )
            assert answer.WhichOneof("result") == "accepted", answer
        rule_pb2_grpc.RuleServiceStub(channel).ApplyRules(
            rule_pb2.ApplyRulesRequest(document=RULES), timeout=WITHIN_S
        )


def publish(server: SharingServer, number: int) -> None:
    request = feed_pb2.PublishBatchRequest(events=[event(f"e{number}")])
    with grpc.insecure_channel(server.address) as channel:
        answer = feed_pb2_grpc.FeedServiceStub(channel).PublishBatch(request, timeout=WITHIN_S)
    assert not any(one.HasField("error") for one in answer.results)


def states(folder: Path) -> list[InstructionState]:
    with sqlite3.connect(f"file:{folder / 'data' / 'sharing.db'}?mode=ro", uri=True) as db:
        rows = db.execute("SELECT state FROM instructions ORDER BY row").fetchall()
    return [InstructionState(state) for (state,) in rows]


def ran(port: int) -> float:
    """How often the application ran to its end on the platform."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as page:
        families = text_string_to_metric_families(page.read().decode())
    return sum(
        sample.value
        for family in families
        if family.name == "homeport_sandbox_ended"
        for sample in family.samples
        if sample.labels.get("end") == "done"
    )


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - a process
            await asyncio.sleep(0.1)
