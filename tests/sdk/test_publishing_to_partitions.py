"""A producer sends each event to the server that has the partition of its key, in order, and finds
the one that has taken it over."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from contextlib import ExitStack

import grpc
import pytest

import homeport
from homeport.api.datasharing.v1 import feed_pb2, feed_pb2_grpc
from homeport.partitions import partition_of

WITHIN_S = 60.0
COUNT = 2
KEYS = [f"key-{number}" for number in range(20)]


class Partitioned:
    """The service: who has which partition, and what each has kept."""

    def __init__(self) -> None:
        self.servers = [""] * COUNT
        self.kept: list[list[str]] = [[] for _ in range(COUNT)]
        self.asked = 0
        self.passed_on = 0
        self.refuse = ""


class Worker(feed_pb2_grpc.FeedServiceServicer):
    """One server. number: of its partition; None: it has none any more."""

    def __init__(self, spread: Partitioned, number: int | None) -> None:
        self.spread, self.number = spread, number

    def ListPartitions(self, request, context):
        self.spread.asked += 1
        response = feed_pb2.ListPartitionsResponse(tenant="home", number=self.number or 0)
        for number, server in enumerate(self.spread.servers):
            response.partitions.add(number=number, server=server)
        response.feeds.add(type="road.speed", key="/data/road")
        return response

    def PublishBatch(self, request, context):
        if self.number is None:
            context.abort(grpc.StatusCode.UNAVAILABLE, "it is shutting down")
        if self.spread.refuse and not request.direct:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, self.spread.refuse)
        response = feed_pb2.PublishBatchResponse()
        for event in request.events:
            result = response.results.add()
            key = event.text_data.partition('"road":"')[2].partition('"')[0]
            place = partition_of("home", key, COUNT)
            if place != self.number and request.direct:
                result.error.moved.partition = place
                continue
            self.spread.passed_on += place != self.number
            kept = self.spread.kept[place]
            result.duplicate = event.id in kept
            if not result.duplicate:
                kept.append(event.id)
            result.position = kept.index(event.id) + 1
        return response


@pytest.fixture
def workers() -> Iterator[list[tuple[Worker, str]]]:
    """Two that have a partition each, and one that has none."""
    spread, made = Partitioned(), []
    with ExitStack() as stack:
        for number in (0, 1, None):
            server = grpc.server(futures.ThreadPoolExecutor(4))
            worker = Worker(spread, number)
            feed_pb2_grpc.add_FeedServiceServicer_to_server(worker, server)
            address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
            server.start()
            stack.callback(lambda one=server: one.stop(None).wait())
            if number is not None:
                spread.servers[number] = address
            made.append((worker, address))
        yield made


def publish(to: homeport.EventPublisher, number: int, feed: str = "road.speed"):
    data = {"road": KEYS[number % len(KEYS)]}
    return to.publish(feed, data, source="/road", id=f"e{number}")


def expected(numbers: range) -> list[list[str]]:
    found: list[list[str]] = [[] for _ in range(COUNT)]
    for number in numbers:
        found[partition_of("home", KEYS[number % len(KEYS)], COUNT)].append(f"e{number}")
    return found


def test_each_event_goes_straight_to_its_partition_in_order(workers):
    spread = workers[0][0].spread
    with homeport.EventPublisher(workers[1][1], jitter=lambda: 0.0) as to:
        answers = [publish(to, number) for number in range(1_200)]
    assert spread.kept == expected(range(1_200))
    assert spread.passed_on == 0
    assert all(one.result(0).position for one in answers)


def test_a_partition_that_another_server_has_now_is_found(workers):
    (zero, _), (one, address), (spare, there) = workers
    spread = zero.spread
    with homeport.EventPublisher(f"{address},{workers[0][1]}", jitter=lambda: 0.0) as to:
        for number in range(100):
            publish(to, number).result(WITHIN_S)
        one.number, spare.number, spread.servers[1] = None, 1, there
        answers = [publish(to, number) for number in range(100, 300)]
        assert all(one.result(WITHIN_S).position for one in answers)
    assert spread.kept == expected(range(300))


def test_a_server_that_has_another_partition_by_now_names_none_of_its_events_kept(workers):
    (zero, first), (one, second), _ = workers
    spread = zero.spread
    with homeport.EventPublisher(first, jitter=lambda: 0.0) as to:
        publish(to, 0).result(WITHIN_S)
        zero.number, one.number = 1, 0
        spread.servers = [second, first]
        answers = [publish(to, number) for number in range(1, 100)]
        assert all(one.result(WITHIN_S).position for one in answers)
    assert spread.kept == expected(range(100))


def test_a_feed_that_the_service_did_not_tell_of_is_left_to_it(workers):
    spread = workers[0][0].spread
    with homeport.EventPublisher(workers[0][1], jitter=lambda: 0.0) as to:
        for number in range(20):
            publish(to, number, "other.feed").result(WITHIN_S)
    assert spread.kept == expected(range(20))
    assert spread.passed_on == len(expected(range(20))[1])


def test_what_one_server_refuses_leaves_the_others_alone(workers):
    spread = workers[0][0].spread
    spread.refuse = "not yours"
    with homeport.EventPublisher(workers[0][1], jitter=lambda: 0.0) as to:
        good, bad = publish(to, 0), publish(to, 1, "other.feed")
        assert good.result(WITHIN_S).position == 1
        with pytest.raises(homeport.PermissionDenied, match="not yours"):
            bad.result(WITHIN_S)
