"""What a data-sharing server tells Prometheus. All names in one place.

Collected when scraped, from counters that the hot path keeps as plain integers. Those of
decisions count what this process did, transactions that were undone and repeated included.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from control_plane.histogram import Histogram
from control_plane.monitoring.families import (
    damaged_records_family,
    histogram_family,
    store_connected_family,
)
from control_plane.offloading.pool import ProcessPool
from control_plane.quotas.tenant_quota_records import TenantQuotaRecords
from control_plane.telemetry.endpoint import Readiness
from data_sharing.api.open_feeds import OpenFeeds
from data_sharing.database import Database
from data_sharing.decisions.worker import DecisionWorker
from data_sharing.decisions.worker_state import MOST_PARKED_RULES, MOST_TENANTS_TOLD
from data_sharing.delivery.dispatcher import Dispatcher
from data_sharing.feeds.backlog import MOST_FEEDS_TOLD
from data_sharing.feeds.publisher import Publisher
from data_sharing.feeds.retention import Retainer
from data_sharing.feeds.sqlite_log import SqliteFeedLog
from data_sharing.management.waiting_approvals import MOST_TENANTS, WaitingApprovals
from data_sharing.rules.results import ParkingChangeKind
from data_sharing.rules.rollout import LIVE
from data_sharing.rules.rule_health import ParkingScope

_OF_FEEDS = f"of {MOST_FEEDS_TOLD} feeds, the rest is other"


class SharingMetrics(Collector):
    """Reads the log, the publisher, the database, the worker and the dispatcher."""

    def __init__(
        self,
        database: Database,
        log: SqliteFeedLog,
        publisher: Publisher,
        feeds: OpenFeeds,
        retainer: Retainer,
        worker: DecisionWorker,
        dispatcher: Dispatcher,
        pool: ProcessPool,
        approvals: WaitingApprovals,
        tenant_records: TenantQuotaRecords | None = None,
    ) -> None:
        """tenant_records None: there is no store."""
        self._database = database
        self._log = log
        self._publisher = publisher
        self._feeds = feeds
        self._retainer = retainer
        self._worker = worker
        self._dispatcher = dispatcher
        self._pool = pool
        self._approvals = approvals
        self._tenant_records = tenant_records
        self._version = version("homeport-server")

    def readiness(self) -> Readiness:
        """Ready: events can be kept now. Degraded: they can, and quotas of tenants are as the store
        said last."""
        if not self._database.connected:
            return Readiness.NOT_READY
        records = self._tenant_records
        current = records is None or records.status.current
        return Readiness.READY if current else Readiness.DEGRADED

    def collect(self) -> Iterator[Metric]:
        yield from self._feeds_and_log()
        yield from self._decisions()
        yield from self._instructions()
        yield from self._offloading()
        yield from self._store()

    def _feeds_and_log(self) -> Iterator[Metric]:
        yield InfoMetricFamily("homeport_build", "What is running.", {"version": self._version})
        events = CounterMetricFamily(
            "homeport_feeds_events", "Events that were published.", labels=["outcome"]
        )
        events.add_metric(["accepted"], self._log.accepted)
        events.add_metric(["duplicate"], self._log.duplicates)
        for code, count in sorted(self._publisher.refused.copy().items()):
            events.add_metric([f"refused_{code.lower()}"], count)
        yield events
        yield CounterMetricFamily(
            "homeport_feeds_trimmed_events", "Events that retention has let go.",
            self._retainer.gone,
        )  # fmt: skip
        yield GaugeMetricFamily(
            "homeport_feeds_waiting_bytes", "Of events that wait to be kept.",
            self._log.waiting_bytes,
        )  # fmt: skip
        yield GaugeMetricFamily(
            "homeport_feeds_waiting_seconds",
            "How long the events that wait longest have waited to be kept and decided.",
            self._log.waiting_s(),
        )
        yield histogram_family(
            "homeport_feeds_append_duration_seconds",
            "From a group of events to the answer that they are kept and decided.",
            {(): self._log.append_seconds},
        )
        yield histogram_family(
            "homeport_feeds_append_events",
            "Events in one group.",
            {(): self._log.append_events},
        )
        yield GaugeMetricFamily("homeport_feeds_open", "Feeds of all tenants.", len(self._feeds))
        yield CounterMetricFamily(
            "homeport_database_transactions", "Group commits.", self._database.groups
        )
        yield CounterMetricFamily(
            "homeport_database_failures",
            "Transactions, or what was to be done in them, that could not be written.",
            self._database.failures,
        )
        yield GaugeMetricFamily(
            "homeport_database_connected", "1 while the database can be written.",
            1.0 if self._database.connected else 0.0,
        )  # fmt: skip

    def _decisions(self) -> Iterator[Metric]:
        counts = self._worker.counts
        yield CounterMetricFamily(
            "homeport_decisions_events", "Events that rules were asked about.", counts.decided
        )
        by_feed = CounterMetricFamily(
            "homeport_decisions_feed_events",
            f"Events that rules were asked about, by feed; {_OF_FEEDS}.",
            labels=["tenant", "feed"],
        )
        feeds: dict[tuple[str, ...], Histogram] = dict(sorted(counts.feeds.copy().items()))
        for name, histogram in feeds.items():
            by_feed.add_metric(name, sum(histogram.counts))
        yield by_feed
        yield histogram_family(
            "homeport_decisions_feed_event_duration_seconds",
            "Asking all rules about one event, without the transaction that many events share;"
            f" {_OF_FEEDS}.",
            feeds,
            ["tenant", "feed"],
        )
        yield from self._backlog()
        yield histogram_family(
            "homeport_decisions_group_duration_seconds",
            "Deciding the events of one transaction.",
            {(): counts.group_seconds},
        )
        yield histogram_family(
            "homeport_decisions_timer_lag_seconds",
            "How late timers of rules were decided.",
            {(): counts.late_seconds},
        )
        yield CounterMetricFamily("homeport_decisions_fired", "Times a rule fired.", counts.fired)
        yield CounterMetricFamily(
            "homeport_decisions_failed", "Times a rule failed on an event, or was parked.",
            counts.failed,
        )  # fmt: skip
        for what, text, by_rule in (
            ("evicted", "Events that a window or join let go of for want of room.", counts.evicted),
            ("late", "Events that came too late for a rule.", counts.late),
            (
                "full",
                "Events for which a rule, or a forecast, had no room to remember them.",
                counts.full,
            ),
            (
                "looped",
                "Times a rule did not fire, for it would have gone on a loop.",
                counts.loops,
            ),
            ("ahead", "Events too far ahead of the clock to make others late.", counts.ahead),
        ):
            yield _of_rules(f"homeport_rules_{what}_events", text, by_rule)
        yield from self._remembered()
        yield from self._parking()

    def _remembered(self) -> Iterator[Metric]:
        of = f"Of {MOST_TENANTS_TOLD:,} tenants at most."
        keys = GaugeMetricFamily(
            "homeport_rules_remembered_keys",
            f"Keys at which rules and forecasts remember something, of each. {of}",
            labels=["tenant"],
        )
        size = GaugeMetricFamily(
            "homeport_rules_remembered_bytes",
            f"What rules and forecasts remember. {of}",
            labels=["tenant"],
        )
        for tenant, use in self._worker.state.remembered:
            keys.add_metric([tenant], use.keys)
            size.add_metric([tenant], use.bytes)
        yield keys
        yield size

    def _backlog(self) -> Iterator[Metric]:
        lag = GaugeMetricFamily(
            "homeport_decisions_feed_lag_seconds",
            "How long the event of a feed that waits longest has waited to be kept and decided; 0:"
            f" none waits; {_OF_FEEDS}.",
            labels=["tenant", "feed"],
        )
        events = GaugeMetricFamily(
            "homeport_decisions_feed_waiting_events",
            f"Events that wait to be kept and decided; {_OF_FEEDS}.",
            labels=["tenant", "feed"],
        )
        for name, waiting in sorted(self._log.backlog.waiting(time.monotonic()).items()):
            lag.add_metric(name, waiting.seconds)
            events.add_metric(name, waiting.events)
        yield lag
        yield events

    def _parking(self) -> Iterator[Metric]:
        parked = GaugeMetricFamily(
            "homeport_rules_parked",
            "Keys or producers for which a rule is parked; scope rule: 1 where all of it is. Of"
            f" {MOST_PARKED_RULES:,} rules at most.",
            labels=["tenant", "rule", "scope"],
        )
        for (tenant, rule), counts in sorted(self._worker.state.parked.copy().items()):
            for scope, count in (
                (ParkingScope.KEY, counts.keys),
                (ParkingScope.PRODUCER, counts.producers),
                (ParkingScope.RULE, int(counts.whole)),
            ):
                if count:
                    parked.add_metric([tenant, rule, scope.value], count)
        yield parked
        rollouts = GaugeMetricFamily(
            "homeport_rules_rollouts",
            "Rollouts of rules that are going on, by whether an operator says what is next: held.",
            labels=["phase"],
        )
        for phase in LIVE:
            rollouts.add_metric([phase.value], self._worker.rollouts[phase])
        yield rollouts
        paused = GaugeMetricFamily(
            "homeport_rules_paused_events",
            f"Events that wait for a paused rule. Of {MOST_PARKED_RULES:,} rules at most.",
            labels=["tenant", "rule"],
        )
        for tenant, rule, count in self._worker.backlogs:
            paused.add_metric([tenant, rule], count)
        yield paused
        parkings = CounterMetricFamily(
            "homeport_rules_parkings",
            "Times a rule was parked at a key, for a producer or as a whole.",
            labels=["tenant", "rule", "scope"],
        )
        retries = CounterMetricFamily(
            "homeport_rules_retries",
            "Times that what was parked was tried again when its time had come.",
            labels=["tenant", "rule", "scope", "outcome"],
        )
        for (tenant, rule, kind, scope), count in sorted(
            self._worker.counts.parking.copy().items()
        ):
            if kind is ParkingChangeKind.PARKED:
                parkings.add_metric([tenant, rule, scope.value], count)
            else:
                outcome = kind.value.removeprefix("retry-")
                retries.add_metric([tenant, rule, scope.value, outcome], count)
        yield parkings
        yield retries

    def _store(self) -> Iterator[Metric]:
        records = self._tenant_records
        yield store_connected_family(None if records is None else records.health.connected)
        yield damaged_records_family(() if records is None else list(records.damaged_keys()))
        age = GaugeMetricFamily(
            "homeport_tenant_quotas_age_seconds",
            "How long ago the store last confirmed the quotas of tenants; 0 while it answers.",
            labels=[],
        )
        if records is not None:
            age.add_metric([], records.status.age_s)
        yield age

    def _waiting_approvals(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily(
            "homeport_approvals_waiting",
            f"Instructions that wait for a person; of {MOST_TENANTS:,} tenants.",
            labels=["tenant"],
        )
        oldest = GaugeMetricFamily(
            "homeport_approvals_oldest_age_seconds",
            f"How long the first of them has waited; of {MOST_TENANTS:,} tenants.",
            labels=["tenant"],
        )
        for one in self._approvals.tenants:
            waiting.add_metric([one.tenant], one.instructions)
            oldest.add_metric([one.tenant], one.oldest_s)
        yield waiting
        yield oldest

    def _offloading(self) -> Iterator[Metric]:
        tasks = CounterMetricFamily(
            "homeport_offload_tasks", "Submissions checked in child processes, by how that ended.",
            labels=["end"],
        )  # fmt: skip
        for end, count in self._pool.counts.items():
            tasks.add_metric([end], count)
        yield tasks
        yield GaugeMetricFamily(
            "homeport_offload_waiting", "Submissions that wait for a process.", self._pool.waiting
        )

    def _instructions(self) -> Iterator[Metric]:
        dispatcher = self._dispatcher
        ended = CounterMetricFamily(
            "homeport_instructions_ended", "Instructions by how they ended.", labels=["end"]
        )
        ended.add_metric(["outcome"], dispatcher.outcomes)
        ended.add_metric(["dead_letter"], dispatcher.dead)
        yield ended
        yield CounterMetricFamily(
            "homeport_instructions_redelivered",
            "Given to another platform because theirs stayed away.",
            dispatcher.redelivered,
        )
        yield CounterMetricFamily(
            "homeport_instructions_rejected_outcomes",
            "Outcomes of platforms that were not given the instruction.",
            dispatcher.rejected,
        )
        yield GaugeMetricFamily(
            "homeport_instructions_open", "Without a recorded outcome, in memory.", len(dispatcher)
        )
        tally = dispatcher.tally()
        states = GaugeMetricFamily(
            "homeport_instructions_in_memory",
            "Instructions without a recorded outcome, by state.",
            labels=["state"],
        )
        for state in ("waiting", "sent", "backing_off"):
            states.add_metric([state], tally.states.get(state, 0))
        yield states
        yield GaugeMetricFamily(
            "homeport_instructions_overdue",
            "Instructions in memory whose deadline is over.",
            tally.overdue,
        )
        yield GaugeMetricFamily(
            "homeport_instructions_oldest_age_seconds",
            "How long ago the oldest of them was decided; 0: there is none.",
            dispatcher.oldest_s(),
        )
        yield from self._waiting_approvals()
        platforms = GaugeMetricFamily(
            "homeport_platforms_connected", "Platforms that are present.", labels=["tenant"]
        )
        present = Counter(session.facts.tenant for session in dispatcher.sessions)
        for tenant, count in sorted(present.items()):
            platforms.add_metric([tenant], count)
        yield platforms


def _of_rules(name: str, text: str, counts: Counter[tuple[str, str]]) -> Metric:
    family = CounterMetricFamily(name, text, labels=["tenant", "rule"])
    for (tenant, rule), count in sorted(counts.copy().items()):
        family.add_metric([tenant, rule], count)
    return family
