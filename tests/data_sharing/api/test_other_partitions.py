"""Events of other partitions are passed on in order, whatever becomes of the servers there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from grpc import aio

from control_plane.errors import Exhausted, PermissionDenied, Unavailable
from control_plane.serving.errors_to_status import ErrorsToStatus
from control_plane.serving.server import MAX_MESSAGE_BYTES
from data_sharing.api.callers import Party
from data_sharing.api.cloudevent_message import envelope_from_proto
from data_sharing.api.other_partitions import OtherPartitions, PassingBounds
from data_sharing.feeds.intake import Envelope
from data_sharing.replication.partition_map import PartitionMap
from homeport.api.cloudevents.v1 import cloudevents_pb2 as ce
from homeport.api.datasharing.v1 import feed_pb2 as pb
from homeport.api.datasharing.v1 import feed_pb2_grpc as pb_grpc

WHOSE = Party(None, "default", "")  # type: ignore[arg-type]
TOKEN = (("authorization", "Bearer x"), ("user-agent", "y"))


class Peer(pb_grpc.FeedServiceServicer):
    """The server of the other partition. held: calls wait until it is set."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.calls = 0
        self.raises: list[Exception] = []
        self.moved = 0
        self.held = asyncio.Event()
        self.held.set()
        self.metadata: dict[str, object] = {}

    async def PublishBatch(self, request, context):
        self.calls += 1
        self.metadata = dict(context.invocation_metadata())
        assert request.direct
        await self.held.wait()
        if self.raises:
            raise self.raises.pop(0)
        response = pb.PublishBatchResponse()
        if self.moved:
            self.moved -= 1
            response.results.add().error.moved.partition = 2
            return response
        for event in request.events:
            self.kept.append(event.id)
            response.results.add(position=len(self.kept))
        return response


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


class Known(PartitionMap):
    """One whose leases are what the test says."""

    async def look(self) -> None:
        """Nothing."""


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
def bounds() -> PassingBounds:
    return PassingBounds()


@pytest.fixture
async def others(peer: Peer, bounds: PassingBounds) -> AsyncIterator[OtherPartitions]:
    limit = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]  # as a real one has it
    server = aio.server(interceptors=[ErrorsToStatus()], options=limit)
    pb_grpc.add_FeedServiceServicer_to_server(peer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    partitions = Known([None, None], 0, lambda tenant, key, count: 1)  # type: ignore[list-item]
    partitions._servers[1] = f"127.0.0.1:{port}"
    made = OtherPartitions(
        partitions, aio.insecure_channel, is_open=False, bounds=bounds, clock=Clock()
    )
    yield made
    await made.close()
    await server.stop(None)


def forward(others: OtherPartitions, *names: str):
    found = others.forward_of(WHOSE, TOKEN)
    assert found is not None
    return found(1, [Envelope(one, "/s", "1.0", "t", b"{}") for one in names])


async def test_calls_are_passed_on_one_after_another_with_the_callers_credential(
    others: OtherPartitions, peer: Peer
) -> None:
    peer.held.clear()
    calls = [forward(others, f"{number}-a", f"{number}-b") for number in range(20)]
    while not peer.calls:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    peer.held.set()
    await asyncio.gather(*calls)
    assert peer.kept == [f"{number}-{part}" for number in range(20) for part in "ab"]
    assert peer.metadata["authorization"] == "Bearer x"
    assert calls[3].result()[0].position == 7


async def test_who_is_known_by_a_certificate_alone_is_not_passed_on(
    others: OtherPartitions,
) -> None:
    assert others.forward_of(WHOSE, ()) is None


@pytest.mark.parametrize("fault", ["away", "moved"])
async def test_a_partition_that_changes_its_server_is_tried_again(
    others: OtherPartitions, peer: Peer, fault: str
) -> None:
    if fault == "away":
        peer.raises = [Unavailable("a leader is chosen")] * 2
    else:
        peer.moved = 2
    calls = [forward(others, "1"), forward(others, "2")]
    await asyncio.gather(*calls)
    assert peer.kept == ["1", "2"]


async def test_what_waits_behind_a_call_that_failed_fails_with_it(
    others: OtherPartitions, peer: Peer
) -> None:
    """Or it would be kept before the other one, which is sent again."""
    peer.raises = [PermissionDenied("no longer")]
    first, second = forward(others, "1"), forward(others, "2")
    done = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(one) for one in done] == [PermissionDenied, Unavailable]
    assert peer.kept == []
    await asyncio.gather(forward(others, "1"), forward(others, "2"))
    assert peer.kept == ["1", "2"]


@pytest.mark.parametrize("bounds", [PassingBounds(pause_s=0.001, in_all_s=0.1)])
async def test_who_has_nobody_is_told_after_a_while(others: OtherPartitions) -> None:
    others.map._servers[1] = ""  # type: ignore[attr-defined]
    with pytest.raises(Unavailable, match="nobody has partition 1"):
        await forward(others, "1")


@pytest.mark.parametrize("bounds", [PassingBounds(events=3)])
async def test_no_more_wait_than_there_is_room_for(others: OtherPartitions, peer: Peer) -> None:
    peer.held.clear()
    waiting = [forward(others, "1"), forward(others, "2", "3")]
    with pytest.raises(Exhausted):
        await forward(others, "4")
    peer.held.set()
    await asyncio.gather(*waiting)
    await forward(others, "4")
    assert peer.kept == ["1", "2", "3", "4"]


async def test_a_batch_that_is_as_large_as_a_server_takes_is_passed_on(
    others: OtherPartitions, peer: Peer
) -> None:
    """Though it says more than what came: whose it is, and that it goes no further."""
    event = ce.CloudEvent(id="00", source="/s", spec_version="1.0", type="t")
    came = pb.PublishBatchRequest()
    event.binary_data = b"x" * 10_000
    while came.ByteSize() + event.ByteSize() + 4 < MAX_MESSAGE_BYTES:
        event.id = str(10 + len(came.events))
        came.events.append(event)
    spare = MAX_MESSAGE_BYTES - came.ByteSize()
    came.events[-1].binary_data += b"x" * spare
    assert came.ByteSize() == MAX_MESSAGE_BYTES
    found = others.forward_of(WHOSE, TOKEN)
    assert found is not None
    answers = await found(1, [envelope_from_proto(one) for one in came.events])
    assert peer.kept == [one.id for one in came.events]
    assert [one.position for one in answers] == list(range(1, len(came.events) + 1))


@pytest.mark.parametrize("bounds", [PassingBounds(size=100), PassingBounds(size_in_all=100)])
async def test_no_more_bytes_wait_than_there_is_room_for(
    others: OtherPartitions, peer: Peer
) -> None:
    peer.held.clear()
    first = forward(others, "1" * 200)
    await asyncio.sleep(0)
    with pytest.raises(Exhausted):
        await forward(others, "2")
    peer.held.set()
    await first
    await forward(others, "2")
    assert peer.kept == ["1" * 200, "2"]


@pytest.mark.parametrize("bounds", [PassingBounds(size_in_all=100)])
async def test_tenants_that_wait_are_bounded_together(others: OtherPartitions, peer: Peer) -> None:
    peer.held.clear()
    first = forward(others, "1" * 90)
    await asyncio.sleep(0)
    of_another = others.forward_of(Party(None, "acme", ""), TOKEN)  # type: ignore[arg-type]
    assert of_another is not None
    with pytest.raises(Exhausted):
        await of_another(1, [Envelope("2", "/s", "1.0", "t", b"{}")])
    peer.held.set()
    await first
