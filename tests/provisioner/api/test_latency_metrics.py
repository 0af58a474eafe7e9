"""What latencies tell Prometheus: reports by what became of them, figures, and how sharing goes."""

from __future__ import annotations

from pathlib import Path

from control_plane.store.embedded import EmbeddedStore
from provisioner.api.latency_metrics import LatencyMetrics
from provisioner.latencies.keeper import LatencyKeeper
from provisioner.latencies.sharing import LatencySharing
from tests.support.fleets import at, fleet

BERLIN = at(52.5, 13.4, country="DE", uncertainty_km=20.0)
UNITS = {str(unit.id): unit for unit in fleet("frankfurt", "oregon").units}


async def test_reports_are_counted_by_outcome_and_records_are_told(tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    keeper = LatencyKeeper(lambda latencies: None, clock=lambda: 100.0)
    sharing = LatencySharing(
        store,
        keeper,
        source="a",
        every_s=1.0,
        clock=lambda: 100.0,
        wall=lambda: 1_800_000_000.0,
        jitter=lambda: 0.5,
    )
    for network in ("n1", "n2", "n3"):
        keeper.report(BERLIN, network, "c", {"frankfurt": 20.0, "oregon": 3.0}, UNITS)
    for _ in range(2):
        keeper.wait_s("t/c", "n1")
    await keeper.refresh()
    await sharing.write()
    await sharing.replica.start()
    told = {
        (one.name, *one.labels.values()): one.value
        for family in LatencyMetrics(keeper, sharing).collect()
        for one in family.samples
        if one.value
    }
    assert told == {
        ("homeport_latency_reports_total", "accepted"): 3,
        ("homeport_latency_reports_total", "faster_than_light"): 3,
        ("homeport_latency_reports_total", "client_too_early"): 1,
        ("homeport_latency_estimates",): 1,
        ("homeport_latency_writes_total", "written"): 1,
        ("homeport_latency_records",): 1,
    }
    await store.close()
