"""What a server whose feeds are on NATS tells Prometheus of its partition: commits that wait, the
lease, snapshots. One that keeps everything on its disk has no values of these; one that waits for
its turn tells that alone.

Collected when scraped, from plain numbers.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from data_sharing.replication.lease import PartitionLease
from data_sharing.replication.replica import Replica
from data_sharing.replication.snapshots import Snapshots


class PartitionMetrics(Collector):
    """None: feeds are not on NATS. term: its number."""

    def __init__(
        self,
        replica: Replica | None,
        lease: PartitionLease | None,
        snapshots: Snapshots | None,
        term: int,
    ) -> None:
        self._replica = replica
        self._lease = lease
        self._snapshots = snapshots
        self._term = term

    def collect(self) -> Iterator[Metric]:
        yield _waiting(None if self._lease is None else 0.0)
        replica, lease, snapshots = self._replica, self._lease, self._snapshots
        yield GaugeMetricFamily(
            "homeport_changelog_waiting_seconds",
            "How long the transaction that is to be written has waited for the NATS servers.",
            None if replica is None else replica.waited_s(),
        )
        yield CounterMetricFamily(
            "homeport_changelog_commits",
            "Transactions that this server has put on the NATS servers.",
            None if replica is None else replica.commits,
        )
        yield CounterMetricFamily(
            "homeport_changelog_written_bytes",
            "Of these transactions.",
            None if replica is None else replica.bytes,
        )
        yield CounterMetricFamily(
            "homeport_changelog_retries",
            "Writes of these that were repeated, because no answer came or NATS was away.",
            None if replica is None else replica.retries,
        )
        yield CounterMetricFamily(
            "homeport_changelog_snapshots",
            "Copies of the database that this server has put beside its transactions.",
            None if snapshots is None else snapshots.made,
        )
        yield GaugeMetricFamily(
            "homeport_partition_lease_age_seconds",
            "Since this server last wrote that it has its partition.",
            None if lease is None else lease.age_s(),
        )
        yield GaugeMetricFamily(
            "homeport_partition_term",
            "Of the server that has the partition; grows with each.",
            None if lease is None else self._term,
        )


class WaitingForPartition(Collector):
    """Of a server that waits for its turn, or takes over."""

    def collect(self) -> Iterator[Metric]:
        yield _waiting(1.0)


def _waiting(value: float | None) -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "homeport_partition_standby",
        "1 while this server waits until its partition is its own, and serves nobody.",
        value,
    )
