"""What a server exports: every family once, and each figure from where it is counted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client.registry import Collector

from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Health
from control_plane.telemetry.endpoint import Readiness
from provisioner.api.ledger_metrics import LedgerMetrics
from provisioner.api.metrics import ProvisionerMetrics
from provisioner.api.unit_metrics import UnitMetrics
from tests.support.provisioning_harness import ProvisioningHarness, provisioning
from tests.support.servers import units


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[ProvisioningHarness]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    async with provisioning(store, units(dublin=100, virginia=100)) as harness:
        yield harness
    await store.close()


class Watchers(list):
    """Streams that are open; sent: messages."""

    sent = 7


def metrics(harness: ProvisioningHarness, *, current: bool = True, keeper=None, behind=()):
    return ProvisionerMetrics(
        harness.provisioner,
        harness.ledger,
        Health(connected=True),
        harness.fallback,
        SimpleNamespace(moved={"drained": 3}, not_moved=2),
        SimpleNamespace(clients=Watchers([1, 2]), fleet=Watchers([1])),
        SimpleNamespace(current=current, age_s=1.5),
        keeper,
        damaged=lambda: ("jobs/bad",),
        policies_behind=behind,
    )


def samples(collector: Collector) -> dict[tuple[str, ...], float]:
    return {
        (one.name, *one.labels.values()): one.value
        for family in collector.collect()
        for one in family.samples
    }


async def test_figures_are_those_of_what_they_count(harness: ProvisioningHarness) -> None:
    for name in ("alice", "bob", "alice"):
        await harness.ask(name)
    units = UnitMetrics(harness.fleet_view, harness.provisioner.placer, harness.ledger)
    seen = {**samples(metrics(harness)), **samples(units), **samples(LedgerMetrics(harness.ledger))}
    assert seen["homeport_provisioning_answers_total", "new"] == 2
    assert seen["homeport_provisioning_answers_total", "known"] == 1
    assert seen["homeport_provisioning_answers_total", "refused"] == 0
    assert seen["homeport_provisioning_under_way_clients",] == 0
    assert seen["homeport_moves_clients_total", "drained"] == 3
    assert seen["homeport_moves_not_moved_clients_total",] == 2
    assert seen["homeport_provisioner_watchers", "assignment"] == 2
    assert seen["homeport_provisioner_watch_messages_total",] == 7
    assert seen["homeport_provisioner_view_age_seconds",] == 1.5
    assert seen["homeport_fleet_units",] == 2
    assert seen["homeport_unit_room_clients", "dublin"] == 98
    assert seen["homeport_unit_load_ratio", "virginia"] == 0.0
    assert seen["homeport_unit_capacity_clients", "dublin"] == 100
    assert seen["homeport_unit_accepting", "dublin"] == 1
    state = harness.fleet_view.lifecycle("dublin").state.value
    assert seen["homeport_unit_state", "dublin", state] == 1
    assert seen["homeport_unit_idle_slots", "dublin"] > 0
    assert seen["homeport_ledger_sessions_total",] == 1
    assert seen["homeport_ledger_session_stands",] == 1
    assert seen["homeport_ledger_batch_operations_count",] >= 1
    assert seen["homeport_ledger_under_way_transactions",] == 0
    assert seen["homeport_provisioning_duration_seconds_count", "new"] == 2
    assert seen["homeport_provisioning_duration_seconds_count", "known"] == 1
    assert seen["homeport_store_connected",] == 1
    assert seen["homeport_store_damaged_record", "jobs/bad"] == 1


async def test_every_family_is_told_once(harness: ProvisioningHarness) -> None:
    keeper = SimpleNamespace(age_s=0.0, written=1, failed=0)
    names = [family.name for family in metrics(harness, keeper=keeper).collect()]
    assert len(names) == len(set(names))
    assert all(name.startswith("homeport_") for name in names)
    assert names == [family.name for family in metrics(harness).collect()]
    assert ("homeport_provisioner_snapshot_writes_total", "written") not in samples(
        metrics(harness)
    )


@pytest.mark.parametrize(
    ("current", "expected"),
    [(True, Readiness.READY), (False, Readiness.DEGRADED)],
    ids=["the-store-confirms-it", "known-clients-only"],
)
async def test_ready_is_who_can_place_new_clients(
    harness: ProvisioningHarness, current: bool, expected: Readiness
) -> None:
    assert metrics(harness, current=current).readiness() is expected


async def test_a_policy_that_cannot_be_read_degrades_and_takes_nothing_out_of_the_rotation(
    harness: ProvisioningHarness,
) -> None:
    behind: dict[str, str] = {}
    collected = metrics(harness, behind=behind)
    assert collected.readiness() is Readiness.READY
    behind["acme"] = "version 3: written by a later version"
    assert collected.readiness() is Readiness.DEGRADED
    behind.clear()
    assert collected.readiness() is Readiness.READY
