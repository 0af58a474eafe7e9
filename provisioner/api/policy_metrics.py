"""PolicyMetrics: what policies tell Prometheus: how many count here, which cannot be read, and
what became of the questions to their hooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from provisioner.applied_policies.followed import FollowedPolicies
from provisioner.placement_hooks.asked_hook import AskedHook, QuestionOutcome


class PolicyMetrics(Collector):
    """Of one server's."""

    def __init__(
        self, policies: FollowedPolicies, hooks: Mapping[str, AskedHook] | None = None
    ) -> None:
        self._policies = policies
        self._hooks = hooks or {}

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
        yield from self._of_hooks()

    def _of_hooks(self) -> Iterator[Metric]:
        asked = CounterMetricFamily(
            "homeport_policy_hook_questions",
            "Questions to hooks of policies, by what became of them.",
            labels=("hook", "outcome"),
        )
        times = HistogramMetricFamily(
            "homeport_policy_hook_seconds",
            "How long the hooks of policies took that were asked.",
            labels=("hook",),
        )
        resting = GaugeMetricFamily(
            "homeport_policy_hook_resting",
            "1 where a hook failed so often that it is not asked for a while.",
            labels=("hook",),
        )
        for name, hook in self._hooks.items():
            for outcome in QuestionOutcome:
                asked.add_metric((name, outcome.value), hook.outcomes[outcome])
            times.add_metric((name,), hook.times.cumulative(), hook.times.total)
            resting.add_metric((name,), float(hook.breaker.is_open))
        yield from (asked, times, resting)
