"""EventPublisher: publishes events to feeds, in order, and keeps them while the service is away.

What is published waits in memory until it is answered, and goes out in batches by a thread of its
own, one after the other. A batch without answer is sent again, to the next server, with the ids it
had: whether it was kept before is the service's to know, so each event is kept once. It is what a
producer needs while a server is replaced, or the feeds' own servers choose a leader.
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
from homeport.status_details import failure_of

HOLD_S = 60.0
MOST_EVENTS, MOST_BYTES = 20_000, 16 << 20
BATCH_EVENTS, BATCH_BYTES = 500, 1 << 20
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
                    _fail(batch, error_of(failure, servers=[self._servers.current]))
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
        """None: it is answered."""
        request = feed_pb2.PublishBatchRequest(
            tenant=self._tenant, events=[one.event for one in batch]
        )
        server = self._servers.current
        try:
            stub = feed_pb2_grpc.FeedServiceStub(self._channel(server))
            response = stub.PublishBatch(request, timeout=TRY_S, metadata=self._metadata)
        except grpc.RpcError as error:
            return failure_of(error)
        except ValueError:  # what gRPC raises for a channel that was closed
            return Failure(Code.UNAVAILABLE, CLOSED, from_homeport=True)
        for one, result in zip(batch, response.results, strict=True):
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


def _fail(batch: list[_Waiting], error: HomeportError) -> None:
    for one in batch:
        if one.answer.set_running_or_notify_cancel():
            one.answer.set_exception(error)
