"""Where spans go: in batches to an OpenTelemetry collector, from a thread of its own.

Nothing here waits on an event loop. What has ended goes into a queue of fixed length; where the
collector is away or slow the newest push the oldest out, and calls know nothing of it.
OpenTelemetry is an extra of the distribution (`homeport-server[tracing]`), and looked for only
where it is asked for.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from control_plane.errors import InvalidInput
from control_plane.tracing.settings import TracingSettings
from control_plane.tracing.tracer import Tracer

if TYPE_CHECKING:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider

QUEUE: Final = 4_096  # spans that wait for the next batch
BATCH: Final = 512
EVERY_MS: Final = 1_000
EXPORT_S: Final = 5.0  # for one batch, repeats included
LAST_S: Final = 2.0  # for what is left when a process ends
ATTRIBUTES: Final = 32  # of a span; more are left out
LINKS: Final = 128  # as many clients as one transaction has


@asynccontextmanager
async def opened_tracer(
    settings: TracingSettings, service: str, *, wall_ns: Callable[[], int]
) -> AsyncIterator[Tracer | None]:
    """None: nothing is traced. What has not been sent at the end gets LAST_S. service: what the
    collector is told as `service.name`. Raises InvalidInput where OpenTelemetry is not there."""
    if not settings.otlp_endpoint:
        yield None
        return
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import SpanLimits, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON
    except ImportError as error:
        raise InvalidInput(
            "otlp_endpoint",
            f"tracing needs OpenTelemetry ({error}); install homeport-server[tracing]",
        ) from error
    # A line for each span that found the queue full would be work on the event loop.
    logging.getLogger("opentelemetry.sdk._shared_internal").setLevel(logging.ERROR)
    exporter = OTLPSpanExporter(endpoint=settings.otlp_endpoint, timeout=EXPORT_S)
    provider = TracerProvider(
        sampler=ALWAYS_ON,  # the tracer has chosen
        resource=Resource.create(
            {"service.name": service, "service.version": version("homeport-server")}
        ),
        span_limits=SpanLimits(max_span_attributes=ATTRIBUTES, max_links=LINKS),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter,
            max_queue_size=QUEUE,
            schedule_delay_millis=EVERY_MS,
            max_export_batch_size=BATCH,
        )
    )
    try:
        yield Tracer(
            provider.get_tracer("homeport"),
            wall_ns=wall_ns,
            ratio=settings.trace_ratio,
            random=random.random,
        )
    finally:
        # Neither has a deadline of its own: https://github.com/open-telemetry/opentelemetry-python/issues/4568
        # A thread that nobody waits for at the interpreter's end, as those of executors are.
        last = threading.Thread(target=_end, args=(provider, exporter), daemon=True)
        last.start()
        await asyncio.to_thread(last.join, 2 * LAST_S)


def _end(provider: TracerProvider, exporter: OTLPSpanExporter) -> None:
    """Sends what is left, within LAST_S."""
    flush = threading.Thread(target=provider.force_flush, name="last spans", daemon=True)
    flush.start()
    flush.join(LAST_S)
    if flush.is_alive():
        exporter.shutdown()  # ends what it is at, so that the rest ends at once
    provider.shutdown()
