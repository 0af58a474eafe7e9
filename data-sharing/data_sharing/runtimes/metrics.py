"""SandboxMetrics: what became of the applications that a process ran."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from control_plane.monitoring.families import histogram_family
from data_sharing.runtimes.runtime_host import RuntimeHost


class SandboxMetrics(Collector):
    """Of one process: trials of submissions in a data-sharing server, instructions on a
    platform."""

    def __init__(self, host: RuntimeHost) -> None:
        self._host = host

    def collect(self) -> Iterator[Metric]:
        """For Prometheus, when somebody scrapes."""
        counts = self._host.counts
        yield CounterMetricFamily(
            "homeport_sandbox_starts", "Invocations of applications that began.", counts.started
        )
        yield GaugeMetricFamily(
            "homeport_sandbox_running", "Invocations that run now.", counts.running
        )
        yield GaugeMetricFamily(
            "homeport_sandbox_capacity", "Invocations that may run at once.", self._host.capacity
        )
        ended = CounterMetricFamily(
            "homeport_sandbox_ended", "Invocations by how they ended.", labels=["end"]
        )
        for status, count in counts.ended.items():
            ended.add_metric([status.value.replace("-", "_")], count)
        yield ended
        yield histogram_family(
            "homeport_sandbox_duration_seconds",
            "How long invocations ran.",
            {(): counts.seconds},
        )
