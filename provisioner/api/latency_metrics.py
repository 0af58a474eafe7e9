"""LatencyMetrics: what measured latencies tell Prometheus: what became of reports, how many figures
are known, and how sharing them with other servers goes."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from provisioner.latencies.keeper import LatencyKeeper
from provisioner.latencies.sharing import LatencySharing


class LatencyMetrics(Collector):
    """Of one server."""

    def __init__(self, keeper: LatencyKeeper, sharing: LatencySharing) -> None:
        self._keeper = keeper
        self._sharing = sharing

    def collect(self) -> Iterator[Metric]:
        """For Prometheus, when somebody scrapes."""
        reports = CounterMetricFamily(
            "homeport_latency_reports",
            "Figures that clients reported, accepted or why not; reports that came too early as a"
            " whole.",
            labels=["outcome"],
        )
        for outcome, count in self._keeper.outcomes.items():
            reports.add_metric([outcome.value], count)
        yield reports
        yield GaugeMetricFamily(
            "homeport_latency_estimates", "Pairs of place and unit of which a latency is known.",
            value=sum(map(len, self._keeper.believed.estimates.values())),
        )  # fmt: skip
        writes = CounterMetricFamily(
            "homeport_latency_writes",
            "Writes of what clients reported, for other servers, by what became of them.",
            labels=["outcome"],
        )
        for written, count in self._sharing.outcomes.items():
            writes.add_metric([written.value], count)
        yield writes
        yield GaugeMetricFamily(
            "homeport_latency_chunks_waiting",
            "Chunks of what clients reported that are not written yet.",
            value=len(self._keeper.changed),
        )
        yield GaugeMetricFamily(
            "homeport_latency_records", "Records of what clients reported, of all servers.",
            value=len(self._sharing.replica.items),
        )  # fmt: skip
        yield CounterMetricFamily(
            "homeport_latency_records_unreadable",
            "Times that a record of another server counted for nothing.",
            self._sharing.unreadable,
        )
