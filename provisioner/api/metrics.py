"""ProvisionerMetrics: what a provisioning server exports to Prometheus, all names in one place.

Collected when scraped, from counters that the hot path keeps as plain integers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from importlib.metadata import version

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from control_plane.identity.keyring import KeyRing
from control_plane.monitoring.families import (
    damaged_records_family,
    histogram_family,
    store_connected_family,
)
from control_plane.store.port import Health
from control_plane.store.snapshot_keeper import SnapshotKeeper
from control_plane.store.status import StoreStatus
from control_plane.telemetry.endpoint import Readiness
from provisioner.api.watching import Watching
from provisioner.ledger.port import Ledger
from provisioner.moves.mover import Mover
from provisioner.provisioning.provisioner import Provisioner
from provisioner.provisioning.ticket_fallback import TicketFallback


class ProvisionerMetrics(Collector):
    """Reads the use case, its ledger and the store's health. keeper None: no snapshot is kept.
    damaged: the keys of records that are left out because they cannot be read. ring: the ticket
    keys; None: none are known yet. policies_behind: tenants whose newest policy cannot be read."""

    def __init__(
        self,
        provisioner: Provisioner,
        ledger: Ledger,
        health: Health,
        fallback: TicketFallback,
        mover: Mover,
        watching: Watching,
        store_status: StoreStatus,
        keeper: SnapshotKeeper | None,
        damaged: Callable[[], Iterable[str]] = lambda: (),
        ring: Callable[[], KeyRing | None] = lambda: None,
        policies_behind: Collection[str] = (),
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._provisioner = provisioner
        self._ledger = ledger
        self._health = health
        self._fallback = fallback
        self._mover = mover
        self._watching = watching
        self._store_status = store_status
        self._keeper = keeper
        self._damaged = damaged
        self._ring = ring
        self._policies_behind = policies_behind
        self._wall = wall
        self._version = version("homeport-server")

    def readiness(self) -> Readiness:
        """Ready: new clients can be placed now. Degraded: only known ones are answered, or clients
        of a tenant are placed by a policy that is not its newest."""
        places = self._ledger.may_write and self._store_status.current
        return Readiness.READY if places and not self._policies_behind else Readiness.DEGRADED

    def collect(self) -> Iterator[Metric]:
        provisioner = self._provisioner
        yield InfoMetricFamily("homeport_build", "What is running.", {"version": self._version})
        answers = CounterMetricFamily(
            "homeport_provisioning_answers", "Clients answered.", labels=["outcome"]
        )
        answers.add_metric(["new"], provisioner.new)
        answers.add_metric(["known"], provisioner.known)
        answers.add_metric(["refused"], provisioner.refused)
        yield answers
        yield CounterMetricFamily(
            "homeport_provisioner_ticket_fallback_answers",
            "Known clients answered from their last ticket, without the store.",
            self._fallback.answered,
        )
        yield CounterMetricFamily(
            "homeport_provisioner_ticket_holders_failed",
            "Known clients that showed their last ticket and were let down.",
            self._fallback.unanswered,
        )
        failures = CounterMetricFamily(
            "homeport_provisioning_failures",
            "Clients refused, by the name of their gRPC status; none of those turned away, nor of"
            " those that showed a ticket and were failed by the store or a server.",
            labels=["code"],
        )
        for code, count in provisioner.failures.copy().items():
            failures.add_metric([code], count)
        yield failures
        yield histogram_family(
            "homeport_provisioning_duration_seconds",
            "From a client's request to its answer, whole milliseconds, in batches as well.",
            {("new",): provisioner.new_times, ("known",): provisioner.known_times},
            ["outcome"],
        )
        yield histogram_family(
            "homeport_provisioning_step_duration_seconds",
            "Of the steps of a new client's way, in order: admit, locate, decide, record, answer;"
            " of ten calls a second at most.",
            provisioner.steps.seconds,
            ["step"],
        )
        moved = CounterMetricFamily(
            "homeport_moves_clients", "Clients moved to another unit.", labels=["cause"]
        )
        for cause, clients in self._mover.moved.items():
            moved.add_metric([cause], clients)
        yield moved
        yield CounterMetricFamily(
            "homeport_moves_not_moved_clients",
            "Attempts to move a client that left it where it was.",
            self._mover.not_moved,
        )
        yield GaugeMetricFamily(
            "homeport_provisioning_under_way_clients",
            "Clients that wait for their answer.",
            provisioner.under_way,
        )
        watchers = GaugeMetricFamily(
            "homeport_provisioner_watchers", "Streams that are open.", labels=["of"]
        )
        watchers.add_metric(["assignment"], len(self._watching.clients))
        watchers.add_metric(["fleet"], len(self._watching.fleet))
        yield watchers
        yield CounterMetricFamily(
            "homeport_provisioner_watch_messages",
            "Messages to watchers of assignments, keepalives included.",
            self._watching.clients.sent,
        )
        yield GaugeMetricFamily(
            "homeport_provisioning_waiting_limit_clients",
            "Clients that may wait; above it new ones are turned away.",
            provisioner.admission.limit,
        )
        yield CounterMetricFamily(
            "homeport_provisioning_turned_away",
            "New clients that were not begun, but told to come back, each at a time of its own.",
            provisioner.admission.turned_away,
        )
        yield store_connected_family(self._health.connected)
        yield GaugeMetricFamily(
            "homeport_provisioner_view_age_seconds",
            "How long ago the store last confirmed fleet and tenants; 0 while it answers.",
            self._store_status.age_s,
        )
        age = GaugeMetricFamily(
            "homeport_provisioner_snapshot_age_seconds",
            "How long the file has not held all that this server knows; 0: it does.",
            labels=[],
        )
        writes = CounterMetricFamily(
            "homeport_provisioner_snapshot_writes",
            "Snapshots written to disk.",
            labels=["outcome"],
        )
        if self._keeper is not None:
            age.add_metric([], self._keeper.age_s)
            writes.add_metric(["written"], self._keeper.written)
            writes.add_metric(["failed"], self._keeper.failed)
        yield age
        yield writes
        yield damaged_records_family(self._damaged())
        ring = self._ring()
        if ring is not None:
            now = self._wall()
            yield GaugeMetricFamily(
                "homeport_ticket_key_created_timestamp_seconds",
                "When the key that signs tickets now was made, Unix time.",
                ring.signing(now).created_at,
            )
            yield GaugeMetricFamily(
                "homeport_ticket_keys", "Ticket keys that are valid.", len(ring.valid(now))
            )
        yield GaugeMetricFamily(
            "homeport_geo_build_timestamp_seconds",
            "When the geo database in use was built, Unix time.",
            int(provisioner.locator.database.info.build_time_s or 0),
        )
