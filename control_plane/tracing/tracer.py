"""Tracer and Span: what is told of a call, without a word of OpenTelemetry around them.

A span is there only where it is recorded: `begin` gives None for what is not sampled, and whoever
gets none does nothing further. Times are Unix nanoseconds of the tracer's clock. From any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from control_plane.tracing.current import TraceIds
from control_plane.tracing.trace_parent import TraceParent

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span as SdkSpan
    from opentelemetry.trace import SpanContext
    from opentelemetry.trace import Tracer as SdkTracer

Value: TypeAlias = str | int | float | bool


class SpanKind(StrEnum):
    """Which side of a call or message a span is on; by the names of OpenTelemetry."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


class Span:
    """One that is recorded. `end` it, once; what comes later is nothing."""

    __slots__ = ("_span", "_tracer", "began_ns", "ids", "now_ns", "parent")

    def __init__(self, tracer: Tracer, span: SdkSpan, began_ns: int) -> None:
        self._tracer = tracer
        self.began_ns = began_ns
        self.now_ns = tracer.now_ns
        self._span = span
        context = span.get_span_context()
        self.ids = TraceIds(f"{context.trace_id:032x}", f"{context.span_id:016x}")
        self.parent = TraceParent(
            self.ids.trace_id, self.ids.span_id, True, context.trace_state.to_header()
        )  # for what it causes

    def child(self, name: str, *, at_ns: int | None = None) -> Span | None:
        """A span within this one. at_ns: its beginning; None: now."""
        return self._tracer.begin(name, self.parent, at_ns=at_ns)

    def step(self, name: str, since_ns: int, until_ns: int, **attributes: Value) -> None:
        """A span within this one that is over."""
        step = self.child(name, at_ns=since_ns)
        if step is not None:
            for key, value in attributes.items():
                step.set(key, value)
            step.end(at_ns=until_ns)

    def set(self, key: str, value: Value) -> None:
        """An attribute."""
        self._span.set_attribute(key, value)

    def link(self, other: TraceParent) -> None:
        """To what belongs to it in another trace."""
        self._span.add_link(self._tracer.context_of(other))

    def end(self, error: str = "", *, at_ns: int | None = None) -> None:
        """error: why it failed, in a word of the code, never of a caller; empty: it did not."""
        if error:
            self._tracer.mark_failed(self._span, error)
        self._span.end(self._tracer.now_ns() if at_ns is None else at_ns)


class Tracer:
    """One per process, as `control_plane.tracing.otlp` builds it. wall_ns: Unix ns; ratio: share of
    traces that begin here and are recorded; random: 0 to 1, new at each call. What is not sampled
    never comes to OpenTelemetry, to which a span that it does not record costs some 40 us."""

    def __init__(
        self,
        tracer: SdkTracer,
        *,
        wall_ns: Callable[[], int],
        ratio: float = 1.0,
        random: Callable[[], float] = lambda: 0.0,
    ) -> None:
        from opentelemetry import trace

        self._api = trace
        self._tracer = tracer
        self.now_ns = wall_ns
        self._ratio = ratio
        self._random = random
        self._kinds = {kind: trace.SpanKind[kind.value] for kind in SpanKind}

    def begin(
        self,
        name: str,
        parent: TraceParent | None = None,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        links: Iterable[TraceParent] = (),
        attributes: Mapping[str, Value] | None = None,
        at_ns: int | None = None,
    ) -> Span | None:
        """parent None: a trace begins, if it is sampled. None: this is not recorded."""
        if not (parent.sampled if parent is not None else self._random() < self._ratio):
            return None
        began_ns = self.now_ns() if at_ns is None else at_ns
        span = self._tracer.start_span(
            name,
            self._context(parent),
            kind=self._kinds[kind],
            attributes=attributes,
            links=[self._api.Link(self.context_of(one)) for one in links],
            start_time=began_ns,
        )
        return Span(self, span, began_ns) if span.is_recording() else None

    def context_of(self, parent: TraceParent) -> SpanContext:
        """As OpenTelemetry has it."""
        from opentelemetry.trace import SpanContext, TraceFlags, TraceState

        members = [one.partition("=") for one in parent.state.split(",") if one]
        return SpanContext(
            int(parent.trace_id, 16),
            int(parent.span_id, 16),
            is_remote=True,
            trace_flags=TraceFlags(int(parent.sampled)),
            trace_state=TraceState([(key, value) for key, _, value in members]),
        )

    def mark_failed(self, span: SdkSpan, error: str) -> None:
        """Gives a span the status of an error."""
        span.set_status(self._api.StatusCode.ERROR, error)

    def _context(self, parent: TraceParent | None) -> Context:
        from opentelemetry.context import Context

        if parent is None:
            return Context()
        remote = self._api.NonRecordingSpan(self.context_of(parent))
        return self._api.set_span_in_context(remote, Context())
