"""PolicyMetrics: what policies tell Prometheus: how many count here, and which cannot be read."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from provisioner.applied_policies.followed import FollowedPolicies


class PolicyMetrics(Collector):
    """Of one server's."""

    def __init__(self, policies: FollowedPolicies) -> None:
        self._policies = policies

    def collect(self) -> Iterator[Metric]:
        """For Prometheus, when somebody scrapes."""
        yield GaugeMetricFamily(
            "homeport_policies", "Tenants whose policy counts at this server.",
            value=self._policies.count,
        )  # fmt: skip
        yield GaugeMetricFamily(
            "homeport_policies_behind",
            "Tenants whose newest policy this server cannot read; it goes on with the one before.",
            value=len(self._policies.behind),
        )
        yield CounterMetricFamily(
            "homeport_policy_undecided",
            "Times that a condition could not be decided, of the policies that count now.",
            value=self._policies.undecided(),
        )
