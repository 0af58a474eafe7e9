"""Spans of what follows from an event: each within the trace that the event, or what it led to,
carries along as a text (`TraceParent.text`). Where nothing is traced, the text goes on by itself.

The text comes in with an event, as the extension `traceparent` of CloudEvents, or with the call
that published it: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/distributed-tracing.md
"""

from __future__ import annotations

from collections.abc import Mapping

from control_plane.tracing.current import current_trace
from control_plane.tracing.trace_parent import (
    PARENT_HEADER,
    STATE_HEADER,
    TraceParent,
    read_text,
    read_trace_parent,
)
from control_plane.tracing.tracer import Span, SpanKind, Tracer, Value


def trace_of_extensions(extensions: Mapping[str, str | int | bool]) -> str:
    """Which an event says it is of; empty: none, or none that can be read."""
    parent = extensions.get(PARENT_HEADER)
    if parent is None:
        return ""
    found = read_trace_parent(parent, extensions.get(STATE_HEADER, ""))
    return "" if found is None else found.text()


def extensions_of_trace(trace: str) -> dict[str, str]:
    """The other way round; empty where there is no trace."""
    found = read_text(trace)
    if found is None:
        return {}
    state = {STATE_HEADER: found.state} if found.state else {}
    return {PARENT_HEADER: found.header(), **state}


def trace_at_hand() -> str:
    """Of the call that is answered just now; empty: it is not traced."""
    ids = current_trace()
    return "" if ids is None else TraceParent(ids.trace_id, ids.span_id, True).text()


def begin_span(
    tracer: Tracer | None,
    name: str,
    trace: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    **attributes: Value,
) -> Span | None:
    """Within the trace; None: nothing is recorded. Nothing begins a trace here."""
    if tracer is None or not trace:
        return None
    parent = read_text(trace)
    if parent is None or not parent.sampled:
        return None
    named = {f"homeport.{key}": value for key, value in attributes.items()}
    return tracer.begin(name, parent, kind=kind, attributes=named)


def trace_within(span: Span | None, trace: str) -> str:
    """What is caused by this carries along: the span, or what there was without one."""
    return trace if span is None else span.parent.text()
