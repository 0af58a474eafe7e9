"""EventPublisher: publishes events to feeds, in order, and keeps them while the service is away.

What is published waits in memory until it is answered, and goes out in batches by a thread of its
own, one after the other. A batch without answer is sent again, to the next server, with the ids it
had: whether it was kept before is the service's to know, so each event is kept once. It is what a
producer needs while a server is replaced, or the feeds' own servers choose a leader. Where keys are
spread over partitions, each event of a batch goes to the server that has its key's.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from random import random
from types import TracebackType
from typing import Any, NamedTuple, Self

import grpc

from homeport.api.cloudevents.v1 import cloudevents_pb2
from homeport.api.datasharing.v1 import feed_pb2, feed_pb2_grpc
from homeport.channels import CLOSED, Tls, channel_options, credentials, metadata_of
from homeport.endpoints import Endpoints
from homeport.errors import HomeportError, NoRoom, error_of
from homeport.event_spool import EventSpool
from homeport.failure import Code, Failure, Violation
from homeport.partition_routes import PartitionRoutes
from homeport.status_details import failure_of

HOLD_S = 60.0
MOST_EVENTS, MOST_BYTES = 20_000, 16 << 20
# A server takes 1 MiB in one message: each event has some bytes around it, and the batch a tenant.
BATCH_EVENTS, BATCH_BYTES = 500, (1 << 20) - (1 << 14)
TRY_S = 10.0  # a service that has no leader for its feeds now answers within it
FIRST_PAUSE_S, MOST_PAUSE_S = 0.1, 2.0
_AWAY = frozenset(
    {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.CANCELLED, Code.ABORTED,
     Code.RESOURCE_EXHAUSTED}
)  # fmt: skip


class Published(NamedTuple):
    """Where an event is."""

    position: int  # in its tenant's log
    duplicate: bool  # it was there before


class _Waiting(NamedTuple):
    event: cloudevents_pb2.CloudEvent
    answer: Future[Published]


class EventPublisher:
    """A context manager, for any number of threads. hold_s: how long an event may wait for its
    answer; most_events, most_bytes: how many may wait. clock: monotonic s; jitter: 0 to 1."""

    def __init__(
        self,
        servers: str | Iterable[str],
        *,
        tenant: str = "",
        token: str | None = None,
        tls: Tls | None = None,
        hold_s: float = HOLD_S,
        most_events: int = MOST_EVENTS,
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random,
    ) -> None:
        """Raises ValueError for servers or a token that cannot be ones."""
        self._servers = Endpoints(servers)
        self._tenant = tenant
        self._metadata = metadata_of(token)
        self._tls = tls
        self._clock = clock
        self._jitter = jitter
        self._spool: EventSpool[_Waiting] = EventSpool(
            most_events=most_events, most_bytes=most_bytes, batch_events=BATCH_EVENTS,
            batch_bytes=BATCH_BYTES, hold_s=hold_s,
        )  # fmt: skip
        self._changed = threading.Condition()
        self._closing = False
        self._ended = threading.Event()  # nothing more is sent
        self._channels: dict[str, grpc.Channel] = {}
        self._routes: PartitionRoutes | None = None  # None: keys are not spread
        self._asks_for_routes = True
        self._thread = threading.Thread(target=self._run, name="homeport events", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def __len__(self) -> int:
        """Events that have no answer yet."""
        with self._changed:
            return len(self._spool)

    def publish(
        self,
        feed: str,
        data: Mapping[str, Any],
        *,
        source: str,
        id: str = "",
        subject: str = "",
        correlation_id: str = "",
        causation_id: str = "",
    ) -> Future[Published]:
        """An event of a feed; id: with the source what it is known by, a new one where it is empty.
        correlation_id: the flow that it is of; causation_id: of the instruction, outcome or event
        of the same source that led to it, whose flow it is then of.
        The future has where it is once that is durable; or InvalidRequest and its like where the
        service refuses it; Unavailable where it had no answer for hold_s, and may have been kept.
        Raises NoRoom where too many wait; RuntimeError once it is closed."""
        event = cloudevents_pb2.CloudEvent(
            id=id or uuid.uuid4().hex, source=source, spec_version="1.0", type=feed,
            text_data=json.dumps(data, separators=(",", ":")),
        )  # fmt: skip
        event.attributes["datacontenttype"].ce_string = "application/json"
        for name, value in (
            ("subject", subject), ("correlationid", correlation_id), ("causationid", causation_id),
        ):  # fmt: skip
            if value:
                event.attributes[name].ce_string = value
        answer: Future[Published] = Future()
        with self._changed:
            if self._closing:
                raise RuntimeError(CLOSED)
            if not self._spool.add(_Waiting(event, answer), event.ByteSize(), self._clock()):
                raise NoRoom(
                    "too many events wait for the service; publish more slowly, or later",
                    code=Code.RESOURCE_EXHAUSTED, retry_after_s=1.0,
                )  # fmt: skip
            self._changed.notify_all()
        return answer

    def close(self, timeout_s: float = HOLD_S) -> None:
        """Takes no more events and waits for answers to those there are; those that have none by
        then fail. Idempotent."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        self._ended.set()
        for channel in list(self._channels.values()):
            channel.close()
        self._thread.join()

    # -- the thread --------------------------------------------------------------------

    def _run(self) -> None:
        tries = 0
        while batch := self._next():
            failure = self._send(batch)
            with self._changed:
                is_over = self._ended.is_set() or self._spool.is_given_up(self._clock())
            if failure is None or failure.code not in _AWAY or is_over:
                if failure is not None:
                    _fail(_unanswered(batch), error_of(failure, servers=[self._servers.current]))
                tries = 0
                with self._changed:
                    self._spool.end()
                continue
            if failure.code is not Code.RESOURCE_EXHAUSTED:
                self._servers.mark_failed(self._servers.current)
            pause_s = min(MOST_PAUSE_S, FIRST_PAUSE_S * 2**tries) * (0.5 + self._jitter() / 2)
            tries = min(tries + 1, 10)
            self._ended.wait(max(pause_s, failure.retry_after_s or 0.0))

    def _next(self) -> list[_Waiting]:
        """The batch to send; empty: there will be none."""
        with self._changed:
            while not (batch := self._spool.begin()) and not self._closing:
                self._changed.wait()
            return batch

    def _send(self, batch: list[_Waiting]) -> Failure | None:
        """None: it is answered. Else some of it may be."""
        failure = self._ask_for_routes() if self._asks_for_routes else None
        if failure is not None:
            return failure
        routes, groups = self._routes, dict[int | None, list[_Waiting]]()
        for one in _unanswered(batch):
            partition = None if routes is None else routes.partition_of(one.event)
            groups.setdefault(partition, []).append(one)
        calls = [(server := self._server_of(one), some, self._begin(server, some, one))
                 for one, some in groups.items()]  # fmt: skip
        for server, some, call in calls:
            failed = self._end(server, some, call)
            if failed is None:
                continue
            if routes is not None and failed.code not in _AWAY:
                _fail(some, error_of(failed, servers=[server]))
                continue
            self._asks_for_routes = routes is not None  # another one may have it now
            failure = failed
        return failure

    def _ask_for_routes(self) -> Failure | None:
        """How keys are spread; services that do not tell find the way of events themselves."""
        request = feed_pb2.ListPartitionsRequest(tenant=self._tenant)
        try:
            stub = feed_pb2_grpc.FeedServiceStub(self._channel(self._servers.current))
            told = stub.ListPartitions(request, timeout=TRY_S, metadata=self._metadata)
        except grpc.RpcError as error:
            failure = failure_of(error)
            if failure.code in _AWAY:
                return failure
        except ValueError:
            return Failure(Code.UNAVAILABLE, CLOSED, from_homeport=True)
        else:
            self._routes = PartitionRoutes.of(told)
        self._asks_for_routes = False
        return None

    def _server_of(self, partition: int | None) -> str:
        """Where nobody has a partition, whoever is asked waits for who takes it over."""
        found = "" if self._routes is None or partition is None else self._routes.servers[partition]
        return found or self._servers.current

    def _begin(self, server: str, some: list[_Waiting], partition: int | None) -> Any:
        """A call under way; None: all of them are closed."""
        routes = self._routes
        known = routes is not None and partition is not None and bool(routes.servers[partition])
        request = feed_pb2.PublishBatchRequest(
            tenant=self._tenant, events=[one.event for one in some], direct=known
        )
        try:
            stub: Any = feed_pb2_grpc.FeedServiceStub(self._channel(server))
            return stub.PublishBatch.future(request, timeout=TRY_S, metadata=self._metadata)
        except ValueError:  # what gRPC raises for a channel that was closed
            return None

    def _end(self, server: str, some: list[_Waiting], call: Any) -> Failure | None:
        """None: all of them are answered."""
        try:
            response = None if call is None else call.result()
        except grpc.RpcError as error:
            return failure_of(error)
        except (ValueError, grpc.FutureCancelledError):
            response = None
        if response is None:
            return Failure(Code.UNAVAILABLE, CLOSED, from_homeport=True)
        if any(result.error.HasField("moved") for result in response.results):
            return Failure(Code.UNAVAILABLE, "a partition has moved", from_homeport=True)
        for one, result in zip(some, response.results, strict=True):
            if result.HasField("error"):
                what = result.error
                failure = Failure(
                    Code(what.code), what.message,
                    violations=(Violation(what.field, what.message),) if what.field else (),
                    from_homeport=True,
                )  # fmt: skip
                _fail([one], error_of(failure, servers=[server]))
            elif one.answer.set_running_or_notify_cancel():
                one.answer.set_result(Published(result.position, result.duplicate))
        return None

    def _channel(self, server: str) -> grpc.Channel:
        found = self._channels.get(server)
        if found is None:
            shown, options = credentials(self._tls), channel_options(self._tls)
            found = (
                grpc.insecure_channel(server, options)
                if shown is None
                else grpc.secure_channel(server, shown, options)
            )
            self._channels[server] = found
        return found


def _unanswered(batch: list[_Waiting]) -> list[_Waiting]:
    return [one for one in batch if not one.answer.done()]


def _fail(batch: list[_Waiting], error: HomeportError) -> None:
    for one in batch:
        if one.answer.set_running_or_notify_cancel():
            one.answer.set_exception(error)
