"""OrganisationMetrics: what domains tell Prometheus: how they stand, and what came of looking."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from provisioner.organisations.domain_checks import DomainChecks


class OrganisationMetrics(Collector):
    """Of one server's."""

    def __init__(self, checks: DomainChecks) -> None:
        self._checks = checks

    def collect(self) -> Iterator[Metric]:
        """For Prometheus, when somebody scrapes."""
        domains = GaugeMetricFamily(
            "homeport_domains",
            "Domains of organisations when they were looked over last, by the server that does it.",
            labels=["state"],
        )
        for state, count in self._checks.states.items():
            domains.add_metric([state.value], count)
        yield domains
        looks = CounterMetricFamily(
            "homeport_domain_checks",
            "Times that a domain's record was looked for again.",
            labels=["outcome"],
        )
        for outcome, count in self._checks.looks.items():
            looks.add_metric([outcome.value], count)
        yield looks
