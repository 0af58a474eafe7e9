"""QuotaMetrics: whom quotas refused, and whose they are, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from control_plane.quotas.quotas import Quotas


class QuotaMetrics(Collector):
    """Of one server's quotas."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas

    def collect(self) -> Iterator[Metric]:
        """For Prometheus, when somebody scrapes."""
        refused = CounterMetricFamily(
            "homeport_quota_refused", "Calls over a quota.", labels=["quota", "by", "tenant"]
        )
        for labels, count in list(self._quotas.refused.items()):
            refused.add_metric(list(labels), count)
        yield refused
        yield GaugeMetricFamily(
            "homeport_quota_tenants",
            "Tenants whose records have quotas of their own, as this server has heard.",
            self._quotas.tenants,
        )
