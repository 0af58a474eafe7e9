"""OtherPartitions: what comes to this server and is of a partition of another one is done there.

Events are passed on with the credential of whoever published them, so that the other server judges
the caller itself, one call after another for each partition, in the order in which they came here:
what keys promise is order. A call that cannot be passed on takes those that wait behind it along,
or a later event would be kept before an earlier one that is sent again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple, TypeVar

from grpc import StatusCode, aio

from control_plane.errors import Exhausted, ServiceError, Unavailable
from control_plane.serving.calls import Metadata
from control_plane.serving.received_status import error_of
from control_plane.serving.server import MAX_MESSAGE_BYTES
from data_sharing.api.callers import Party
from data_sharing.api.cloudevent_message import envelope_to_proto, result_from_proto
from data_sharing.feeds.intake import Envelope
from data_sharing.feeds.publisher import Answer, Forward
from data_sharing.replication.partition_map import PartitionMap
from homeport.api.datasharing.v1 import feed_pb2 as pb
from homeport.api.datasharing.v1 import feed_pb2_grpc as pb_grpc

T = TypeVar("T")

CALL_S = 10.0
MOST_REQUEST = MAX_MESSAGE_BYTES - 1_024  # bytes of events: beside them is whose they are
PASSED_ON = ("authorization", "traceparent", "tracestate")
_AWAY = (StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED, StatusCode.CANCELLED)


class PassingBounds(NamedTuple):
    """Of what is passed on. events, size: that wait, of a tenant for one partition, size in bytes;
    size_in_all: of all tenants for all partitions. in_all_s: for how long it is tried, pause_s:
    between two times."""

    events: int = 10_000
    size: int = 16 << 20
    size_in_all: int = 64 << 20
    in_all_s: float = 25.0
    pause_s: float = 0.2


USUAL = PassingBounds()


class _Line:
    """Events of one tenant for one partition, in their order. failed: calls that could not be
    passed on while others waited."""

    __slots__ = ("failed", "size", "turn", "waiting")

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.failed = self.waiting = self.size = 0  # size: bytes of those that wait


class OtherPartitions:
    """One per server. connect: opens a channel to host:port. is_open: no credentials are asked for.
    clock: monotonic s."""

    def __init__(
        self,
        partitions: PartitionMap,
        connect: Callable[[str], aio.Channel],
        *,
        is_open: bool,
        bounds: PassingBounds = USUAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.map = partitions
        self._bounds = bounds
        self._connect = connect
        self._is_open = is_open
        self._clock = clock
        self._channels: dict[str, aio.Channel] = {}
        self._lines: dict[tuple[int, str], _Line] = {}  # of those that wait, by tenant
        self._under_way: set[asyncio.Task[Any]] = set()
        self._size = 0  # bytes of all events that wait

    async def close(self) -> None:
        """Ends what is under way."""
        for task in list(self._under_way):
            task.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way)
        for channel in self._channels.values():
            await channel.close()

    def credential(self, metadata: Metadata) -> Metadata | None:
        """What a call is passed on with; None: its caller has shown nothing that another server
        would take, as who is known by a certificate alone."""
        found = tuple((name, value) for name, value in metadata if name in PASSED_ON)
        if self._is_open or any(name == "authorization" for name, _ in found):
            return found
        return None

    def forward_of(self, whose: Party, metadata: Metadata) -> Forward | None:
        """How this caller's events are passed on; None: they are not."""
        credential = self.credential(metadata)
        if credential is None:
            return None

        def forward(
            partition: int, envelopes: Sequence[Envelope]
        ) -> asyncio.Future[Sequence[Answer]]:
            requests = _requests(whose.tenant, envelopes)
            return self.begun(self._publish(partition, requests, credential))

        return forward

    async def channel_to(self, partition: int) -> aio.Channel:
        """To whoever has it now. Raises Unavailable."""
        server = self.map.server_of(partition)
        if not server:
            raise Unavailable(f"nobody has partition {partition} now; try again", retry_after_s=0.5)
        if server not in self._channels:
            self._channels[server] = self._connect(server)
        return self._channels[server]

    def begun(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task that ends with its work, or with this server."""
        task = asyncio.create_task(work, name="other partitions")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _publish(
        self, partition: int, requests: Sequence[pb.PublishBatchRequest], credential: Metadata
    ) -> Sequence[Answer]:
        count, ends = (
            sum(len(one.events) for one in requests),
            self._clock() + self._bounds.in_all_s,
        )
        size, whose = sum(one.ByteSize() for one in requests), (partition, requests[0].tenant)
        line = self._lines.get(whose) or _Line()
        if self._is_too_much(line, count, size):
            raise Exhausted(
                f"too many events wait for partition {partition}; publish more slowly",
                retry_after_s=1.0,
            )
        self._lines[whose] = line
        line.waiting += count
        line.size += size
        self._size += size
        failed = line.failed
        try:
            async with line.turn:
                if failed != line.failed:
                    raise Unavailable(f"events before these did not reach partition {partition}")
                try:
                    answers = list[Answer]()
                    for request in requests:
                        answers += await self._until_kept(partition, request, credential, ends)
                    return answers
                except ServiceError:
                    line.failed += 1
                    raise
        finally:
            line.waiting -= count
            line.size -= size
            self._size -= size
            if not line.waiting:
                self._lines.pop(whose, None)

    def _is_too_much(self, line: _Line, count: int, size: int) -> bool:
        """Beside what waits; what comes while nothing does has room."""
        if self._size and self._size + size > self._bounds.size_in_all:
            return True
        return line.waiting > 0 and (
            line.waiting + count > self._bounds.events or line.size + size > self._bounds.size
        )

    async def _until_kept(
        self, partition: int, request: pb.PublishBatchRequest, credential: Metadata, ends: float
    ) -> Sequence[Answer]:
        """Tries again while the partition goes from one server to another: what is there already
        is a duplicate."""
        while True:
            try:
                return await self._once(partition, request, credential)
            except Unavailable:
                if self._clock() + self._bounds.pause_s >= ends:
                    raise
            await asyncio.sleep(self._bounds.pause_s)
            await self.map.look()

    async def _once(
        self, partition: int, request: pb.PublishBatchRequest, credential: Metadata
    ) -> Sequence[Answer]:
        stub = pb_grpc.FeedServiceStub(await self.channel_to(partition))
        try:
            response = await stub.PublishBatch(request, timeout=CALL_S, metadata=credential)
        except aio.AioRpcError as error:
            raise failure_of(error, partition) from error
        if any(one.HasField("error") and one.error.HasField("moved") for one in response.results):
            raise Unavailable(f"partition {partition} is on its way to another server")
        return [result_from_proto(one) for one in response.results]


def _requests(tenant: str, envelopes: Sequence[Envelope]) -> list[pb.PublishBatchRequest]:
    """In order, none larger than a server takes: what is passed on says more than what came."""
    requests: list[pb.PublishBatchRequest] = []
    size = 0
    for event in map(envelope_to_proto, envelopes):
        more = event.ByteSize() + 8  # and how large it is
        if not requests or size + more > MOST_REQUEST:
            requests.append(pb.PublishBatchRequest(tenant=tenant, direct=True))
            size = 0
        requests[-1].events.append(event)
        size += more
    return requests


def failure_of(error: aio.AioRpcError, partition: int) -> ServiceError:
    """What became of a call that was passed on."""
    said = error_of(error)
    if said is not None:
        return said
    if error.code() in _AWAY:
        return Unavailable(f"partition {partition} is not reached: {error.details()}")
    return ServiceError(f"partition {partition} answers {error.code().name}: {error.details()}")
