"""EventLoopLag: how late an event loop is, by how late it wakes who asked for a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from control_plane.histogram import Histogram
from control_plane.monitoring.families import histogram_family

EVERY_S = 0.25


class EventLoopLag(Collector):
    """`run` is a task of the owner's; clock: monotonic seconds. A loop that stands still shows in
    the gauge while it does: whoever scrapes is on a thread of its own."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due = 0.0  # when the loop should have come by; 0: it was never asked
        self._lags = Histogram()

    async def run(self) -> None:
        """Measures for ever."""
        while True:
            self._due = self._clock() + EVERY_S
            await asyncio.sleep(EVERY_S)
            self.woke(self._clock())

    def woke(self, now: float) -> None:
        """The loop came by."""
        self._lags.observe(max(0.0, now - self._due))

    def collect(self) -> Iterator[Metric]:
        """For Prometheus, when somebody scrapes."""
        yield histogram_family(
            "homeport_event_loop_lag_seconds",
            "How late the event loop was, four times a second.",
            {(): self._lags},
        )
        yield GaugeMetricFamily(
            "homeport_event_loop_blocked_seconds",
            "For how long the event loop has been late now; 0 while it is not.",
            max(0.0, self._clock() - self._due) if self._due else 0.0,
        )
