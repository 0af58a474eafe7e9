"""PolicyMetrics: what policies tell Prometheus: how many count here, which cannot be read, who is
pinned, what is written of attributes, what waits to be simulated, and what became of the questions
to hooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from control_plane.offloading.pool import ProcessPool
from provisioner.applied_policies.followed import FollowedPolicies
from provisioner.placement_hooks.asked_hook import AskedHook, QuestionOutcome
from provisioner.provisioning.attribute_updates import AttributeUpdates

MOST_TENANTS_TOLD = 100  # those with the most pins; the rest is "other"


class PolicyMetrics(Collector):
    """Of one server's. updates: of attributes of known clients; simulations: where policies are
    tried and simulated."""

    def __init__(
        self,
        policies: FollowedPolicies,
        updates: AttributeUpdates,
        simulations: ProcessPool,
        hooks: Mapping[str, AskedHook] | None = None,
    ) -> None:
        self._policies = policies
        self._updates = updates
        self._simulations = simulations
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
        yield self._pinned()
        yield CounterMetricFamily(
            "homeport_policy_attribute_writes",
            "Records of known clients that were written because other attributes were told.",
            value=self._updates.written,
        )
        yield GaugeMetricFamily(
            "homeport_policy_attribute_writes_waiting",
            "Records of known clients that wait to be written with other attributes.",
            value=self._updates.waiting,
        )
        yield CounterMetricFamily(
            "homeport_policy_attribute_refusals",
            "Calls refused because too many told other attributes of known clients.",
            value=self._updates.refused,
        )
        tasks = CounterMetricFamily(
            "homeport_policy_simulations",
            "Policies tried or simulated for callers, by how that ended.",
            labels=("end",),
        )
        for end, count in self._simulations.counts.items():
            tasks.add_metric((end,), count)
        yield tasks
        yield GaugeMetricFamily(
            "homeport_policy_simulations_waiting",
            "Policies that wait to be tried or simulated.",
            value=self._simulations.waiting,
        )
        yield from self._of_hooks()

    def _pinned(self) -> Metric:
        pinned = GaugeMetricFamily(
            "homeport_policy_pinned_clients",
            f"Clients with a pin, by tenant; of more than {MOST_TENANTS_TOLD} tenants those with "
            "the fewest are counted together.",
            labels=("tenant",),
        )
        counts = self._policies.pins.counts.most_common()
        for tenant, count in counts[:MOST_TENANTS_TOLD]:
            pinned.add_metric((tenant,), count)
        if rest := sum(count for _, count in counts[MOST_TENANTS_TOLD:]):
            pinned.add_metric(("other",), rest)
        return pinned

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
