"""KeptSpans: a tracer whose spans stay in the process."""

from __future__ import annotations

import time
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from control_plane.tracing.tracer import Tracer


class KeptSpans:
    """`tracer`, and what has ended of it. Everything with a sampled parent is recorded."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracer = Tracer(provider.get_tracer("test"), wall_ns=time.time_ns)

    def all(self, trace_id: str = "") -> list[Any]:
        """OpenTelemetry's own, in the order of their ends; of one trace or all."""
        return [
            one
            for one in self._kept.get_finished_spans()
            if trace_id in ("", f"{one.context.trace_id:032x}")
        ]

    def one(self, name: str) -> Any:
        """The only one of this name."""
        (found,) = (one for one in self.all() if one.name == name)
        return found

    def path(self, name: str) -> list[str]:
        """The names from the only span of this name up to what is not kept here."""
        of_id = {one.context.span_id: one for one in self.all()}
        found, names = self.one(name), [name]
        while found.parent is not None and found.parent.span_id in of_id:
            found = of_id[found.parent.span_id]
            names.append(found.name)
        return names
