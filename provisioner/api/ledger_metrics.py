"""LedgerMetrics: what the ledger tells Prometheus: its group commits, its session, its slots."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from control_plane.histogram import SIZES, together
from control_plane.monitoring.families import histogram_family
from provisioner.ledger.port import Ledger


class LedgerMetrics(Collector):
    """Of the ledger that provisioning uses."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def collect(self) -> Iterator[Metric]:
        """For Prometheus, when somebody scrapes."""
        counts = self._ledger.counts()
        yield GaugeMetricFamily(
            "homeport_ledger_waiting_operations", "Operations in queues.", counts.waiting
        )
        transactions = CounterMetricFamily(
            "homeport_ledger_transactions", "Group commits.", labels=["outcome"]
        )
        transactions.add_metric(["conflict"], counts.conflicts)
        transactions.add_metric(["committed"], counts.transactions - counts.conflicts)
        yield transactions
        yield GaugeMetricFamily(
            "homeport_ledger_under_way_transactions",
            "Group commits that the store has now.",
            counts.under_way,
        )
        yield histogram_family(
            "homeport_ledger_batch_operations",
            "Operations in one group commit.",
            {(): together(counts.sizes, SIZES)},
        )
        yield histogram_family(
            "homeport_ledger_commit_duration_seconds",
            "From a group commit to the store's answer.",
            {(): together(counts.seconds)},
        )
        yield GaugeMetricFamily(
            "homeport_ledger_session_stands",
            "1 while this server has a session in the store, and may write.",
            1.0 if self._ledger.may_write else 0.0,
        )
        yield CounterMetricFamily(
            "homeport_ledger_sessions",
            "Sessions begun; each after the first because its lease was lost.",
            counts.sessions,
        )
        yield CounterMetricFamily(
            "homeport_ledger_slot_requests",
            "Times that a block of slots of a unit was asked for.",
            counts.requests,
        )
        yield GaugeMetricFamily(
            "homeport_ledger_without_slot_clients",
            "Clients that wait until slots of their unit are granted.",
            counts.without_slot,
        )
        yield CounterMetricFamily(
            "homeport_ledger_reclaimed_grants",
            "Grants of expired sessions that this provisioner reclaimed.",
            counts.reclaimed,
        )
        idle = GaugeMetricFamily(
            "homeport_unit_idle_slots",
            "Slots of a unit that this server was granted and has not used.",
            labels=["unit"],
        )
        for unit, slots in counts.idle.items():
            idle.add_metric([unit], slots)
        yield idle
