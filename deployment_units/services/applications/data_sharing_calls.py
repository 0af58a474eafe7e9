"""DataSharingCalls: the DataSharing port over gRPC. Every call has a deadline, and a stream one for
each message; what no server of ours has said is Unavailable."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from grpc import aio

from control_plane.errors import ServiceError, Unavailable
from control_plane.serving.received_status import error_of
from deployment_units.services.applications.port import (
    OUTCOME_FEED,
    SPEAKER,
    FeedEvent,
    InstructionOutcome,
    OutcomePage,
    PublishedCause,
)
from homeport.api.cloudevents.v1 import cloudevents_pb2 as ce
from homeport.api.datasharing.v1 import feed_pb2 as feeds
from homeport.api.datasharing.v1 import feed_pb2_grpc, registry_pb2, registry_pb2_grpc

CAUSATION = "causationid"  # of CloudEvents' extension Correlation
ANSWER_S = 10.0
SILENCE_S = 60.0  # a stream without a sign of life for so long is broken
_FOR_GOOD = frozenset({"INVALID_ARGUMENT"})  # codes of events that no repeat mends


class _Data(msgspec.Struct):
    application: str
    instruction: str
    status: str
    rule: str = ""
    ended_at_ms: int = 0
    output: Any = None
    causes: list[dict[str, str]] = []


_data = msgspec.json.Decoder(_Data).decode


class DataSharingCalls:
    """A DataSharing. servers: host:port; token: read for each call, empty: none."""

    def __init__(
        self,
        servers: Sequence[str],
        connect: Callable[[str], aio.Channel],
        token: Callable[[], str],
    ) -> None:
        self._servers = list(servers)
        self._connect = connect
        self._token = token
        self._channel: aio.Channel | None = None

    async def addresses(self, tenant: str) -> Mapping[str, str]:
        """See DataSharing."""
        stub = registry_pb2_grpc.ApplicationRegistryStub(self._open())
        answer = await self._call(
            stub.ListAddresses, registry_pb2.ListAddressesRequest(tenant=tenant)
        )
        return {one.account: one.application for one in answer.addresses}

    async def publish(self, tenant: str, events: Sequence[FeedEvent]) -> list[str]:
        """See DataSharing."""
        request = feeds.PublishBatchRequest(tenant=tenant, events=map(event_to_proto, events))
        stub = feed_pb2_grpc.FeedServiceStub(self._open())
        answer: feeds.PublishBatchResponse = await self._call(stub.PublishBatch, request)
        for one in answer.results:
            if one.HasField("error") and one.error.code not in _FOR_GOOD:
                raise Unavailable(f"the data-sharing service says: {one.error.message}")
        return [
            one.error.message or one.error.code if one.HasField("error") else ""
            for one in answer.results
        ]

    async def outcomes(
        self, tenant: str, *, after: int | None, from_ms: int
    ) -> AsyncGenerator[OutcomePage]:
        """See DataSharing."""
        request = feeds.TailRequest(
            tenant=tenant, application=SPEAKER, feeds=[OUTCOME_FEED], follow=True
        )
        if after is None:
            request.from_accept_time.FromMilliseconds(from_ms)
        else:
            request.after_position = after
        stub = feed_pb2_grpc.FeedServiceStub(self._open())
        call = stub.Tail(request, metadata=self._metadata())
        try:
            while True:
                try:
                    async with asyncio.timeout(SILENCE_S):
                        response = await call.read()
                except TimeoutError as error:
                    self._move_on()
                    raise Unavailable("the data-sharing service has fallen silent") from error
                except aio.AioRpcError as error:
                    raise self._failed(error) from error
                if response is aio.EOF:
                    return
                yield OutcomePage(
                    outcomes=tuple(_outcomes(response.events)),
                    position=response.position,
                    trimmed=response.trimmed,
                )
        finally:
            call.cancel()

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()

    async def _call(self, method: Any, request: Any) -> Any:
        try:
            return await method(request, timeout=ANSWER_S, metadata=self._metadata())
        except aio.AioRpcError as error:
            raise self._failed(error) from error

    def _failed(self, error: aio.AioRpcError) -> ServiceError:
        said = error_of(error)
        if said is not None:
            return said
        self._move_on()
        return Unavailable(f"the data-sharing service is not reached: {error.details()}")

    def _open(self) -> aio.Channel:
        if self._channel is None:
            self._channel = self._connect(self._servers[0])
        return self._channel

    def _move_on(self) -> None:
        """The next server, where there are several."""
        if len(self._servers) > 1:
            self._servers.append(self._servers.pop(0))
            self._channel = None

    def _metadata(self) -> list[tuple[str, str]]:
        token = self._token()
        return [("authorization", f"Bearer {token}")] if token else []


def event_to_proto(event: FeedEvent) -> ce.CloudEvent:
    """With what caused it, where something did."""
    said = {CAUSATION: event.caused_by} if event.caused_by else {}
    attributes = {name: _text(value) for name, value in said.items()}
    return ce.CloudEvent(
        attributes=attributes,
        id=event.id,
        source=event.source,
        spec_version="1.0",
        type=event.type,
        text_data=json.dumps(event.data, ensure_ascii=False, separators=(",", ":")),
    )


def _text(value: str) -> ce.CloudEvent.CloudEventAttributeValue:
    return ce.CloudEvent.CloudEventAttributeValue(ce_string=value)


def _outcomes(events: Iterable[feeds.FeedEvent]) -> Iterable[InstructionOutcome]:
    for one in events:
        data = _data(one.event.text_data.encode() or one.event.binary_data)
        yield InstructionOutcome(
            application=data.application,
            instruction=data.instruction,
            rule=data.rule,
            status=data.status,
            time_ms=data.ended_at_ms,
            output=data.output,
            causes=tuple(
                PublishedCause(source=cause.get("source", ""), id=cause.get("id", ""))
                for cause in data.causes
            ),
        )
