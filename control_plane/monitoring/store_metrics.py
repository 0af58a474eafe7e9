"""StoreMetrics: calls of the store, and how late its watches are."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from control_plane.monitoring.families import histogram_family
from control_plane.store.measured import StoreStatistics


class StoreMetrics(Collector):
    """Of one server, whatever stores it has."""

    def __init__(self, statistics: StoreStatistics) -> None:
        self._statistics = statistics

    def collect(self) -> Iterator[Metric]:
        """For Prometheus, when somebody scrapes."""
        statistics = self._statistics
        calls = CounterMetricFamily(
            "homeport_store_calls", "Calls of the store.", labels=["operation", "outcome"]
        )
        for (operation, outcome), count in statistics.calls.copy().items():
            calls.add_metric([operation, outcome], count)
        yield calls
        yield histogram_family(
            "homeport_store_call_duration_seconds",
            "How long calls of the store took.",
            statistics.seconds.copy(),
            ["operation"],
        )
        watches = statistics.watches.copy()
        yield histogram_family(
            "homeport_store_watch_lag_seconds",
            "From a write of this server's own until its watch delivered it.",
            {(name,): lag.lags for name, lag in watches.items()},
            ["prefix"],
        )
        behind = GaugeMetricFamily(
            "homeport_store_watch_behind_seconds",
            "For how long a watch has not delivered what this server wrote; 0: it has all of it.",
            labels=["prefix"],
        )
        opened = GaugeMetricFamily(
            "homeport_store_watches", "Watches of the store that are open.", labels=["prefix"]
        )
        now = statistics.clock()
        for name, lag in watches.items():
            behind.add_metric([name], lag.behind_s(now))
            opened.add_metric([name], lag.open)
        yield behind
        yield opened
