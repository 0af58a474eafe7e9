"""Keys of one tenant over two partitions on a real NATS server: whoever is asked, an event is
decided once, where its key is, and documents, plans and lists are those of one service."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest

from console.local.nats_process import NatsCluster
from homeport.api.datasharing.v1 import (
    decision_pb2,
    decision_pb2_grpc,
    feed_pb2,
    feed_pb2_grpc,
    plan_pb2,
    plan_pb2_grpc,
    platform_pb2,
    platform_pb2_grpc,
    registry_pb2_grpc,
    rule_pb2,
    rule_pb2_grpc,
    sharing_pb2,
    sharing_pb2_grpc,
)
from homeport.partitions import partition_of
from tests.support.data_sharing_server import SharingServer, submission
from tests.support.decision_run import PLAN, RULES, SENSOR, reading
from tests.support.nats_servers import worker_arguments

PARTITIONS, WITHIN_S = 2, 120.0
KEYS = [f"key-{number}" for number in range(50)]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Partitioned(NamedTuple):
    """The servers, by partition, and channels to them."""

    servers: list[SharingServer]
    channels: list[grpc.Channel]
    arguments: list[str]
    folder: Path


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Partitioned]:
    folder = tmp_path_factory.mktemp("partitions")
    with ExitStack() as stack:
        cluster = stack.enter_context(NatsCluster(folder / "nats"))
        arguments = [
            *worker_arguments(cluster, replicas=1), f"--feeds-partitions={PARTITIONS}",
            "--max-late-s=9e9", "--max-ahead-s=9e9",
        ]  # fmt: skip
        servers: dict[int, SharingServer] = {}
        for name in ("one", "two"):
            (folder / name).mkdir()
            server = stack.enter_context(SharingServer(folder / name, *arguments))
            servers[number_of(server)] = server
        assert sorted(servers) == list(range(PARTITIONS))  # each took one, and no second one
        ordered = [servers[number] for number in range(PARTITIONS)]
        channels = [stack.enter_context(grpc.insecure_channel(one.address)) for one in ordered]
        wait_until_known(channels, [one.address for one in ordered])
        verdict = registry_pb2_grpc.ApplicationRegistryStub(channels[1]).SubmitApplication(
            submission(SENSOR), timeout=WITHIN_S
        )
        assert verdict.WhichOneof("result") == "accepted"
        rule_pb2_grpc.RuleServiceStub(channels[1]).ApplyRules(
            rule_pb2.ApplyRulesRequest(document=RULES), timeout=WITHIN_S
        )
        yield Partitioned(ordered, channels, arguments, folder)


def partitions(channel: grpc.Channel) -> feed_pb2.ListPartitionsResponse:
    return feed_pb2_grpc.FeedServiceStub(channel).ListPartitions(
        feed_pb2.ListPartitionsRequest(), timeout=WITHIN_S
    )


def number_of(server: SharingServer) -> int:
    with grpc.insecure_channel(server.address) as channel:
        return int(partitions(channel).number)


def wait_until_known(channels: list[grpc.Channel], servers: list[str]) -> None:
    end = time.monotonic() + WITHIN_S
    while any([one.server for one in partitions(each).partitions] != servers for each in channels):
        assert time.monotonic() < end
        time.sleep(0.2)


def publish(channel: grpc.Channel, numbers: range, *, direct: bool = False) -> list:
    request = feed_pb2.PublishBatchRequest(events=map(reading, numbers), direct=direct)
    stub = feed_pb2_grpc.FeedServiceStub(channel)
    return list(stub.PublishBatch(request, timeout=WITHIN_S).results)


def key_of(number: int) -> str:
    return f"key-{number % 50}"


@pytest.mark.parametrize("door", range(PARTITIONS))
def test_events_come_to_the_partition_of_their_key_through_either_server(
    service: Partitioned, door: int
) -> None:
    numbers = range(1_000 * (door + 1), 1_000 * (door + 1) + 200)
    results = publish(service.channels[door], numbers)
    assert not any(one.duplicate or one.HasField("error") for one in results)
    for partition, channel in enumerate(service.channels):
        own = [
            number for number in numbers
            if partition_of("default", key_of(number), PARTITIONS) == partition
        ]  # fmt: skip
        positions = [results[number - numbers[0]].position for number in own]
        assert positions == sorted(positions)  # in the order in which they were published
        tail = feed_pb2_grpc.FeedServiceStub(channel).Tail(
            feed_pb2.TailRequest(after_position=positions[0] - 1), timeout=WITHIN_S
        )
        kept = [event.event.id for answer in tail for event in answer.events]
        assert kept[: len(own)] == [f"e-{number}" for number in own]
    again = publish(service.channels[1 - door], numbers)
    assert [one.position for one in again] == [one.position for one in results]
    assert all(one.duplicate for one in again)


def test_who_publishes_directly_is_told_which_server_has_it(
    service: Partitioned,
) -> None:
    results = publish(service.channels[0], range(5_000, 5_050), direct=True)
    for number, one in zip(range(5_000, 5_050), results, strict=True):
        partition = partition_of("default", key_of(number), PARTITIONS)
        assert one.error.HasField("moved") == (partition != 0)
        if partition != 0:
            assert one.error.code == "FAILED_PRECONDITION"
            assert one.error.moved.server == service.servers[partition].address
    stub = feed_pb2_grpc.FeedServiceStub(service.channels[0])
    moved = next(n for n in range(50) if partition_of("default", key_of(n), PARTITIONS) == 1)
    request = feed_pb2.PublishEventRequest(event=reading(moved), direct=True)
    with pytest.raises(grpc.RpcError) as refused:
        stub.PublishEvent(request, timeout=WITHIN_S)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert service.servers[1].address in refused.value.details()


def test_an_event_over_http_comes_to_its_partition(service: Partitioned) -> None:
    for server in service.servers:
        for number in range(4):
            event = {
                "specversion": "1.0", "id": f"h-{number}", "source": "/h", "subject": KEYS[number],
                "type": "sensor.reading", "data": {"value": 1},
            }  # fmt: skip
            request = urllib.request.Request(
                f"http://{server.http}/v1/tenants/default/events",
                json.dumps(event).encode(), {"content-type": "application/cloudevents+json"},
            )  # fmt: skip
            with urllib.request.urlopen(request, timeout=WITHIN_S) as answer:
                assert json.load(answer)["duplicate"] == (server is service.servers[1])


def test_documents_reach_all_partitions_through_either_server(service: Partitioned) -> None:
    listed = [
        rule_pb2_grpc.RuleServiceStub(channel).ListRules(
            rule_pb2.ListRulesRequest(), timeout=WITHIN_S
        )
        for channel in service.channels
    ]
    assert len(listed[0].rules) == 4
    told = [[(one.rule_id, one.version, one.spec) for one in each.rules] for each in listed]
    assert told[0] == told[1]
    for channel in service.channels:
        given = sharing_pb2_grpc.SharingServiceStub(channel).GiveConsent(
            sharing_pb2.GiveConsentRequest(subject="anna", purpose="heating"), timeout=WITHIN_S
        )
        for each in service.channels:
            consents = sharing_pb2_grpc.SharingServiceStub(each).ListConsents(
                sharing_pb2.ListConsentsRequest(subject="anna"), timeout=WITHIN_S
            )
            assert [one.consent_id for one in consents.consents] == [given.consent_id]


def test_a_plan_is_with_its_owner_and_its_name_is_taken_everywhere(service: Partitioned) -> None:
    homes = [next(k for k in KEYS if partition_of("default", k, 2) == n) for n in range(2)]
    for door, channel in enumerate(service.channels):
        stub = plan_pb2_grpc.PlanServiceStub(channel)
        for home in homes:
            spec = json.loads(PLAN) | {"plan": f"plan-{door}-{home}", "owner": home}
            made = stub.CreatePlan(
                plan_pb2.CreatePlanRequest(spec=json.dumps(spec)), timeout=WITHIN_S
            )
            for each in service.channels:
                found = plan_pb2_grpc.PlanServiceStub(each).GetPlan(
                    plan_pb2.GetPlanRequest(plan_id=made.plan_id), timeout=WITHIN_S
                )
                assert found.plan_id == made.plan_id
            other = homes[1 - homes.index(home)]
            for taken, code in (
                ({"owner": other}, grpc.StatusCode.ALREADY_EXISTS),
                ({"plan": "follower", "follows": [other]}, grpc.StatusCode.INVALID_ARGUMENT),
            ):
                with pytest.raises(grpc.RpcError) as refused:
                    stub.CreatePlan(
                        plan_pb2.CreatePlanRequest(spec=json.dumps(spec | taken)), timeout=WITHIN_S
                    )
                assert refused.value.code() is code
        listed = stub.ListPlans(plan_pb2.ListPlansRequest(), timeout=WITHIN_S)
        assert len(listed.plans) == 2 * (door + 1)


def test_decisions_of_all_are_one_list_and_each_is_explained(
    service: Partitioned,
) -> None:
    publish(service.channels[0], range(300))
    lists = []
    for channel in service.channels:
        stub = decision_pb2_grpc.DecisionServiceStub(channel)
        found, token = [], ""
        while True:
            page = stub.ListDecisions(
                decision_pb2.ListDecisionsRequest(page_size=30, page_token=token), timeout=WITHIN_S
            )
            found += [one.decision_id for one in page.decisions]
            token = page.next_page_token
            if not token:
                break
        assert len(found) == len(set(found)) > 0
        lists.append(sorted(found))
        for name in (found[0], found[len(found) // 2], found[-1]):
            told = stub.ExplainDecision(
                decision_pb2.ExplainDecisionRequest(decision_id=name), timeout=WITHIN_S
            )
            assert name in [one.decision_id for one in told.decisions]
    assert lists[0] == lists[1]


def test_a_rule_that_reaches_over_keys_is_refused_and_named(service: Partitioned) -> None:
    document = RULES.replace("plan: {}", "plan: {of: r.source}").replace(
        "watch: {r: {feed: sensor.reading}}", "watch: {r: {feed: sensor.reading, key: event.id}}"
    )
    with pytest.raises(grpc.RpcError) as refused:
        rule_pb2_grpc.RuleServiceStub(service.channels[1]).ApplyRules(
            rule_pb2.ApplyRulesRequest(document=document), timeout=WITHIN_S
        )
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "rules.shift.plan.of" in refused.value.details()
    assert "rules.shift.watch.r.key" in refused.value.details()


@pytest.mark.parametrize("count", [1, 3])
def test_another_number_of_partitions_is_refused(service: Partitioned, count: int) -> None:
    folder = service.folder / f"other-{count}"
    folder.mkdir()
    server = SharingServer(folder, *service.arguments, f"--feeds-partitions={count}")
    with pytest.raises(AssertionError), server:
        pass
    assert "have 2 partitions, not" in server.log()


@pytest.mark.parametrize(
    ("partition", "code", "said"),
    [
        pytest.param(None, grpc.StatusCode.INVALID_ARGUMENT, "--partition 0 to 1", id="of-none"),
        pytest.param(2, grpc.StatusCode.INVALID_ARGUMENT, "no partition 2", id="of-one-too-many"),
        pytest.param(
            1, grpc.StatusCode.FAILED_PRECONDITION, "another server has partition 1",
            id="of-another",
        ),
        pytest.param(0, None, "", id="of-this-one"),
    ],
)  # fmt: skip
def test_a_platform_is_of_one_partition(
    service: Partitioned, partition: int | None, code: grpc.StatusCode | None, said: str
) -> None:
    hello = platform_pb2.Hello(
        platform=f"p-{partition}", incarnation="1", capacity=1, partition=partition,
        wanted=[platform_pb2.Wanted(application="sensor")],
    )  # fmt: skip
    hello.ttl.seconds = 60
    stream = platform_pb2_grpc.PlatformServiceStub(service.channels[0]).Connect(
        iter([platform_pb2.ConnectRequest(hello=hello)]), timeout=WITHIN_S
    )
    if code is None:
        assert next(stream).HasField("welcome")
        stream.cancel()
        return
    with pytest.raises(grpc.RpcError) as refused:
        next(stream)
    assert refused.value.code() is code
    assert said in refused.value.details()


def test_versions_that_differ_are_said(service: Partitioned) -> None:
    """As where one partition had missed a document."""
    missed = rule_pb2.ApplyRulesRequest(document=RULES.replace("50.0", "51.0"))
    rule_pb2_grpc.RuleServiceStub(service.channels[1]).ApplyRules(
        missed, timeout=WITHIN_S, metadata=[("homeport-partition", "alone")]
    )
    applied = rule_pb2_grpc.RuleServiceStub(service.channels[0]).ApplyRules(
        rule_pb2.ApplyRulesRequest(document=RULES.replace("50.0", "52.0")), timeout=WITHIN_S
    )
    (warning,) = [one for one in applied.warnings if "is version" in one]
    assert warning.startswith("rules.shift: is version 2 in partition 0 and 3 in 1")
