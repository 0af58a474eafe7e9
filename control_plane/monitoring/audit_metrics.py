"""AuditMetrics: whether the audit log can be written."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from control_plane.audit.recorder import AuditRecorder


class AuditMetrics(Collector):
    """Of one server's recorder."""

    def __init__(self, recorder: AuditRecorder) -> None:
        self._recorder = recorder

    def collect(self) -> Iterator[Metric]:
        """For Prometheus, when somebody scrapes."""
        entries = CounterMetricFamily(
            "homeport_audit_entries",
            "Entries that were to be written; a change whose entry failed was not made.",
            labels=["outcome"],
        )
        entries.add_metric(["written"], self._recorder.written)
        entries.add_metric(["failed"], self._recorder.failed)
        yield entries
        yield GaugeMetricFamily(
            "homeport_audit_late_entries",
            "Outcomes of changes that wait to be written.",
            len(self._recorder.late),
        )
