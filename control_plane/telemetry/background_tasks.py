"""BackgroundTasks: which background tasks of a process have failed, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from control_plane.supervision import Supervisor


class BackgroundTasks(Collector):
    """A task that never failed is in neither family."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    def collect(self) -> Iterator[Metric]:
        failures = CounterMetricFamily(
            "homeport_background_task_failures",
            "Times that a background task failed and was begun anew.",
            labels=["task"],
        )
        failing = GaugeMetricFamily(
            "homeport_background_task_failing",
            "1 while a background task fails, and until it has been well for a minute.",
            labels=["task"],
        )
        now = self._supervisor.failing
        for name, count in self._supervisor.failures.items():
            failures.add_metric([name], count)
            failing.add_metric([name], float(name in now))
        yield failures
        yield failing
