"""FeedService: the gRPC methods of feeds, each a map in, a use case, a map out.

Publishing one event or a batch are hot methods: no task and no context for a call.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc
from grpc import aio

from control_plane.auth.interceptor import metadata_of
from control_plane.errors import InvalidInput, NotFound, PermissionDenied, ServiceError
from control_plane.quotas.open_streams import OpenStreams
from control_plane.quotas.quotas import Quotas
from control_plane.serving.calls import HotCall, Metadata
from control_plane.serving.errors_to_status import interrupted
from control_plane.serving.peers import peer_address
from control_plane.serving.server import Service
from control_plane.supervision import is_cancelled
from data_sharing.api.call_quotas import count_events
from data_sharing.api.callers import Callers, Party, party, reader_of
from data_sharing.api.cloudevent_message import (
    record_to_proto,
    results_to_proto,
)
from data_sharing.api.other_partitions import OtherPartitions
from data_sharing.api.published_requests import read_batch, read_event
from data_sharing.api.read_turns import ReadTurns
from data_sharing.api.reading import Tail, read_along
from data_sharing.feeds.intake import Envelope, Refusal
from data_sharing.feeds.port import FeedLog
from data_sharing.feeds.publisher import Answer, Forward, Publisher
from data_sharing.management.shown_records import ShownRecords
from data_sharing.registry.access import readable, readers
from data_sharing.registry.catalogue import Catalogue
from data_sharing.replication.partition_map import OtherPartition
from homeport.api.datasharing.v1 import feed_pb2 as pb
from homeport.api.datasharing.v1 import feed_pb2_grpc as pb_grpc

log = logging.getLogger(__name__)

NAME = "homeport.api.datasharing.v1.FeedService"
PUBLISH_EVENT, PUBLISH_BATCH = f"/{NAME}/PublishEvent", f"/{NAME}/PublishBatch"
MOST_FEEDS = 1_000  # that one reader names
BATCHES_AHEAD = 4  # of one stream, under way at once


class FeedService(pb_grpc.FeedServiceServicer):
    """Servicer of homeport.api.datasharing.v1.FeedService."""

    def __init__(
        self,
        publisher: Publisher,
        log: FeedLog,
        catalogue: Callable[[], Catalogue],
        callers: Callers,
        quotas: Quotas,
        open_tails: OpenStreams,
        shown: ShownRecords,
        turns: ReadTurns,
        partitions: OtherPartitions | None = None,
    ) -> None:
        """partitions: None: keys are not spread."""
        self._partitions = partitions
        self._shown, self._turns = shown, turns
        self._publisher = publisher
        self._log = log
        self._catalogue = catalogue
        self._callers = callers
        self._quotas = quotas
        self._open_tails = open_tails
        self._draining = False

    def service(self) -> Service:
        """What control_plane.serving needs to serve it."""
        return Service(
            add=_add, servicer=self, name=NAME,
            hot={"PublishEvent": self.publish_event, "PublishBatch": self.publish_batch},
        )  # fmt: skip

    def drain(self) -> None:
        """Streams end, so that their readers go on at another server."""
        self._draining = True

    # -- publishing --------------------------------------------------------------------

    def publish_event(self, call: HotCall) -> None:
        """PublishEvent."""
        try:
            caller = self._callers.admit(PUBLISH_EVENT, call.metadata(), call.peer_identity())
            tenant, envelope, direct = read_event(call.payload)
            whose = party(caller, tenant)
            forward = None if direct else self._forward(whose, call.metadata())
            count_events(
                self._quotas, whose.tenant, 1, len(call.payload), peer_address(call.peer())
            )
            answer = self._publish(whose, [envelope], forward)
        except ServiceError as error:
            call.fail(error)
            return

        def tell(done: asyncio.Future[Sequence[Answer]]) -> None:
            failure = _failure(done)
            if failure is not None:
                call.fail(failure)
                return
            (one,) = done.result()
            if isinstance(one, Refusal):
                call.fail(self._error_of(one))
                return
            response = pb.PublishEventResponse(position=one.position, duplicate=one.duplicate)
            call.reply(response.SerializeToString())

        answer.add_done_callback(tell)

    def publish_batch(self, call: HotCall) -> None:
        """PublishBatch."""
        try:
            caller = self._callers.admit(PUBLISH_BATCH, call.metadata(), call.peer_identity())
            tenant, envelopes, direct = read_batch(call.payload)
            whose = party(caller, tenant)
            forward = None if direct else self._forward(whose, call.metadata())
            count_events(
                self._quotas,
                whose.tenant,
                len(envelopes),
                len(call.payload),
                peer_address(call.peer()),
            )
            answers = self._publish(whose, envelopes, forward)
        except ServiceError as error:
            call.fail(error)
            return

        def tell(done: asyncio.Future[Sequence[Answer]]) -> None:
            failure = _failure(done)
            if failure is not None:
                call.fail(failure)
            else:
                call.reply(self._response(done.result()))

        answers.add_done_callback(tell)

    async def PublishEvents(
        self, requests: AsyncIterator[bytes], context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[bytes]:
        """A few batches are under way at once; answers leave in the order of the requests."""
        caller = self._callers.of_context(context, "").caller
        peer, metadata = peer_address(context.peer()), metadata_of(context)
        under_way: asyncio.Queue[asyncio.Future[Sequence[Answer]] | Exception | None]
        under_way = asyncio.Queue(BATCHES_AHEAD)

        async def take_in() -> None:
            try:
                async for payload in requests:
                    tenant, envelopes, direct = read_batch(payload)
                    whose = party(caller, tenant)
                    forward = None if direct else self._forward(whose, metadata)
                    await self._log.room(whose.tenant)
                    count_events(self._quotas, whose.tenant, len(envelopes), len(payload), peer)
                    await under_way.put(self._publish(whose, envelopes, forward))
            except Exception as error:  # noqa: BLE001  # goes to whoever waits for the answers
                await under_way.put(error)
            except asyncio.CancelledError:
                if is_cancelled():
                    raise
                await under_way.put(interrupted())
            else:
                await under_way.put(None)

        intake = asyncio.create_task(take_in(), name="publish events")
        try:
            while (one := await under_way.get()) is not None:
                if isinstance(one, Exception):
                    raise one
                yield self._response(await one)
            await intake
        finally:
            intake.cancel()

    def _publish(
        self, whose: Party, envelopes: Sequence[Envelope | Refusal], forward: Forward | None
    ) -> asyncio.Future[Sequence[Answer]]:
        return self._publisher.publish(
            whose.tenant, envelopes, application=whose.application, forward=forward
        )

    def _forward(self, whose: Party, metadata: Metadata) -> Forward | None:
        """What becomes of events of other partitions; None: they are refused."""
        if self._partitions is None:
            return None
        return self._partitions.forward_of(whose, metadata)

    def _response(self, answers: Sequence[Answer]) -> bytes:
        server_of = None if self._partitions is None else self._partitions.map.server_of
        results = results_to_proto(answers, server_of)
        return pb.PublishBatchResponse(results=results).SerializeToString()

    def _error_of(self, refusal: Refusal) -> ServiceError:
        if self._partitions is not None and refusal.partition >= 0:
            server = self._partitions.map.server_of(refusal.partition)
            return OtherPartition(refusal.message, refusal.partition, server)
        return error_of(refusal)

    # -- reading -----------------------------------------------------------------------

    async def Tail(
        self, request: pb.TailRequest, context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.TailResponse]:
        whose = self._callers.of_context(context, request.tenant)
        if len(request.feeds) > MOST_FEEDS:
            raise InvalidInput(
                "feeds", f"feeds names {len(request.feeds):,}; at most {MOST_FEEDS:,}"
            )
        tail = Tail(
            tenant=whose.tenant,
            application=reader_of(whose, request.application),
            feeds=tuple(dict.fromkeys(request.feeds)),
            key=request.key,
            follow=request.follow,
            purpose=request.purpose,
            by_operator=whose.is_person,
        )
        with self._open_tails.hold(whose.tenant, self._callers.counted_as(whose, context.peer())):
            start = await self._start(request, whose.tenant)
            along = read_along(
                self._log,
                self._catalogue,
                tail,
                start,
                lambda: self._draining,
                self._shown,
                self._turns,
            )
            async for records, position, trimmed in along:
                yield pb.TailResponse(
                    events=[record_to_proto(record) for record in records],
                    position=position,
                    trimmed=trimmed,
                )

    async def _start(self, request: pb.TailRequest, tenant: str) -> int:
        kind = request.WhichOneof("start")
        if kind == "after_position":
            if request.after_position < 0:
                raise InvalidInput("after_position", "after_position is 0 or more")
            return request.after_position
        if kind == "from_accept_time":
            return await self._log.position_before(
                tenant, request.from_accept_time.ToMilliseconds()
            )
        return (await self._log.bounds(tenant)).last

    async def ListFeeds(
        self, request: pb.ListFeedsRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ListFeedsResponse:
        whose = self._callers.of_context(context, request.tenant)
        application = reader_of(whose, request.application)
        async with self._turns.turn(whose.tenant):
            return self._feeds(whose.tenant, application)

    def _feeds(self, tenant: str, application: str) -> pb.ListFeedsResponse:
        """Those that the application may read; empty: all of the tenant."""
        catalogue = self._catalogue()
        if application and catalogue.application(tenant, application) is None:
            raise NotFound(f"tenant {tenant} has no application {application}")
        seen = readable(catalogue, tenant=tenant, application=application)
        feeds = []
        for version in catalogue.applications(tenant):
            for produced in version.manifest.produces:
                own = version.manifest.application == application
                if application and not own and produced.type not in seen:
                    continue
                who = readers(catalogue, tenant=tenant, feed=produced.type)
                feeds.append(
                    pb.Feed(
                        type=produced.type,
                        producer=version.manifest.application,
                        producer_version=version.manifest.version,
                        schema=json.dumps(produced.schema),
                        key=produced.key,
                        # Who else reads is the producer's to know, and the operator's.
                        readers=[one.application for one in who if own or not application],
                    )
                )
        return pb.ListFeedsResponse(feeds=sorted(feeds, key=lambda one: one.type))

    async def ListPartitions(
        self, request: pb.ListPartitionsRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ListPartitionsResponse:
        whose = self._callers.of_context(context, request.tenant)
        response = pb.ListPartitionsResponse(tenant=whose.tenant)
        async with self._turns.turn(whose.tenant):
            found = self._partitions
            if found is None:
                response.partitions.add(number=0)
            else:
                response.number = found.map.number
                for number in range(found.map.count):
                    response.partitions.add(number=number, server=found.map.server_of(number))
            keys = {
                produced.type: produced.key
                for version in self._catalogue().applications(whose.tenant)
                if whose.application in ("", version.manifest.application)
                for produced in version.manifest.produces
            }
            response.feeds.extend(pb.FeedKey(type=type_, key=keys[type_]) for type_ in sorted(keys))
        return response


def error_of(refusal: Refusal) -> ServiceError:
    """A refusal as the error of a whole call."""
    if refusal.code == "NOT_FOUND":
        return NotFound(refusal.message)
    if refusal.code == "PERMISSION_DENIED":
        return PermissionDenied(refusal.message)
    return InvalidInput(refusal.field, refusal.message)


def _failure(done: asyncio.Future[Any]) -> ServiceError | None:
    if done.cancelled():
        return ServiceError("the server stopped before the answer was known; send it again")
    failure = done.exception()
    if failure is None or isinstance(failure, ServiceError):
        return failure
    log.error("publishing failed", exc_info=failure)
    return ServiceError("internal error; see the server's log")


def _add(servicer: FeedService, server: Any) -> None:
    """Like the generated function, with PublishEvents on bytes, because a batch that is not
    UTF-8 everywhere is read event by event."""
    add: Any = pb_grpc.add_FeedServiceServicer_to_server
    add(servicer, server)
    stream: Any = grpc.stream_stream_rpc_method_handler(servicer.PublishEvents)
    server.add_registered_method_handlers(NAME, {"PublishEvents": stream})
