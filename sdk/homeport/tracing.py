"""What the library tells of a program's traces: OpenTelemetry's, where the program uses it.

A program that traces has imported OpenTelemetry and is within a span of its own; then each call to
a server has a span, and the server is told of it as W3C Trace Context asks. Otherwise nothing is
imported, and a look into a dictionary is all that a call costs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

Metadata: TypeAlias = tuple[tuple[str, str], ...]

_API = "opentelemetry.trace"


def with_trace(metadata: Metadata) -> Metadata:
    """The metadata, and the span that the program is in, if it is in one."""
    api = _api_in_use()
    return metadata if api is None else (*metadata, *_headers())


@contextmanager
def traced_call(metadata: Metadata, stub: object, method: str) -> Iterator[Metadata]:
    """Around one call: its metadata, with a span of its own where the program is in one. The span
    is an error where the call raises."""
    api = _api_in_use()
    if api is None:
        yield metadata
        return
    service = getattr(stub, "__name__", "").removesuffix("Stub")
    tracer = api.get_tracer("homeport")
    attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
    with tracer.start_as_current_span(
        f"{service}/{method}",
        kind=api.SpanKind.CLIENT,
        attributes=attributes,
        record_exception=False,
    ):
        yield (*metadata, *_headers())


def _api_in_use() -> Any:
    """OpenTelemetry, where the program is in a span; else None."""
    api: Any = sys.modules.get(_API)
    if api is None or not api.get_current_span().get_span_context().is_valid:
        return None
    return api


def _headers() -> Iterator[tuple[str, str]]:
    """Of the current span: traceparent, and tracestate if any."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    yield from carrier.items()
