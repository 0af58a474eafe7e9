"""TraceCollector: an OTLP collector over gRPC that keeps the spans it is sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as pb_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

WITHIN_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedSpan:
    """One span. ids in hexadecimal; parent_id: empty: it begins its trace; links: span ids."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    state: str
    failed: bool
    links: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)


class TraceCollector(pb_grpc.TraceServiceServicer):
    """A context manager that listens on a port of its own. stuck: it takes calls and never
    answers, until it is released."""

    def __init__(self, *, stuck: bool = False) -> None:
        self._stuck = stuck
        self._left = threading.Event()
        self._arrived = threading.Condition()
        self._spans: list[CollectedSpan] = []
        self.batches: list[int] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        pb_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self._port = self._server.add_insecure_port("127.0.0.1:0")

    @property
    def endpoint(self) -> str:
        """As `--otlp-endpoint` takes it."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def release(self) -> None:
        """From now on it answers."""
        self._left.set()

    def __exit__(self, *exc: object) -> None:
        self.release()
        self._server.stop(grace=None).wait(5.0)

    def Export(self, request: Any, context: Any) -> Any:
        if self._stuck:
            self._left.wait(60.0)
        found = [
            _read(_text(group.resource.attributes, "service.name"), span)
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]
        with self._arrived:
            self._spans += found
            self.batches.append(len(found))
            self._arrived.notify_all()
        return pb.ExportTraceServiceResponse()

    def spans(self, trace_id: str = "") -> list[CollectedSpan]:
        """Of one trace, or all."""
        with self._arrived:
            return [one for one in self._spans if trace_id in ("", one.trace_id)]

    def wait(
        self, enough: Callable[[list[CollectedSpan]], object], trace_id: str = ""
    ) -> list[CollectedSpan]:
        """The spans, as soon as they are enough. Raises AssertionError with what came."""
        end = time.monotonic() + WITHIN_S
        with self._arrived:
            while True:
                found = [one for one in self._spans if trace_id in ("", one.trace_id)]
                if enough(found):
                    return found
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"these spans came: {[one.name for one in found]}")
                self._arrived.wait(left)


def _read(service: str, span: Any) -> CollectedSpan:
    return CollectedSpan(
        service=service,
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        state=span.trace_state,
        failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        links=tuple(one.span_id.hex() for one in span.links),
        attributes={one.key: _value(one.value) for one in span.attributes},
    )


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))


def _text(attributes: Any, name: str) -> str:
    return next((one.value.string_value for one in attributes if one.key == name), "")
