"""What both kinds of servers tell of themselves: each figure from where it is counted."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path
from types import SimpleNamespace

from prometheus_client.registry import Collector

from control_plane.monitoring.audit_metrics import AuditMetrics
from control_plane.monitoring.certificate_expiry import expires_at
from control_plane.monitoring.disk import DiskMetrics
from control_plane.monitoring.event_loop import EVERY_S, EventLoopLag
from control_plane.monitoring.serving_metrics import ServingMetrics
from control_plane.monitoring.store_metrics import StoreMetrics
from control_plane.serving.call_statistics import CallStatistics
from control_plane.serving.connection_limits import Reason
from control_plane.store.measured import StoreStatistics
from tests.support.certificates import Authority


class Clock:
    """Moves when told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def samples(collector: Collector) -> dict[tuple[str, ...], float]:
    return {
        (one.name, *one.labels.values()): one.value
        for family in collector.collect()
        for one in family.samples
    }


async def test_a_loop_that_stands_still_shows_while_it_does() -> None:
    clock = Clock()
    lag = EventLoopLag(clock=clock)
    assert samples(lag)["homeport_event_loop_blocked_seconds",] == 0.0
    running = asyncio.ensure_future(lag.run())
    await asyncio.sleep(0)
    assert samples(lag)["homeport_event_loop_blocked_seconds",] == 0.0
    clock.now += EVERY_S + 3.0
    assert samples(lag)["homeport_event_loop_blocked_seconds",] == 3.0
    running.cancel()
    lag.woke(clock.now)
    seen = samples(lag)
    assert seen["homeport_event_loop_lag_seconds_sum",] == 3.0
    assert seen["homeport_event_loop_lag_seconds_bucket", "2.5"] == 0
    assert seen["homeport_event_loop_lag_seconds_bucket", "5.0"] == 1


def test_a_database_counts_with_the_files_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    file.write_bytes(b"x" * 100)
    (tmp_path / "store.db-wal").write_bytes(b"x" * 30)
    seen = samples(DiskMetrics({"store": file, "away": tmp_path / "nowhere" / "file"}))
    assert seen["homeport_disk_file_bytes", "store"] == 130
    assert seen["homeport_disk_free_bytes", "store"] > 0
    assert ("homeport_disk_free_bytes", "away") not in seen


def test_the_audit_log_tells_what_it_could_not_write() -> None:
    recorder = SimpleNamespace(written=7, failed=2, late=[1, 2, 3])
    seen = samples(AuditMetrics(recorder))
    assert seen["homeport_audit_entries_total", "written"] == 7
    assert seen["homeport_audit_entries_total", "failed"] == 2
    assert seen["homeport_audit_late_entries",] == 3


def test_calls_connections_and_the_certificate() -> None:
    statistics = CallStatistics()
    one = statistics.of("/a.B/C")
    one.seconds.observe(0.2)
    one.failed("UNAVAILABLE", 0.3)
    pem, _ = Authority.new().issue(addresses=["127.0.0.1"], days=10)
    server = SimpleNamespace(
        statistics=statistics,
        watch=SimpleNamespace(connections=4, closed={Reason.IDLE: 2}),
        tls=SimpleNamespace(latest=lambda: SimpleNamespace(certificate=pem, client_ca=None)),
    )
    seen = samples(ServingMetrics(server))
    assert seen["homeport_rpc_calls_total", "B/C", "OK"] == 1
    assert seen["homeport_rpc_calls_total", "B/C", "UNAVAILABLE"] == 1
    assert seen["homeport_rpc_duration_seconds_count", "B/C"] == 2
    assert seen["homeport_connections_open",] == 4
    assert seen["homeport_connections_closed_total", "idle"] == 2
    expiry = seen["homeport_tls_certificate_expiry_timestamp_seconds", "server"]
    left_s = expiry - datetime.datetime.now(datetime.UTC).timestamp()
    assert 9 * 86_400 < left_s <= 10 * 86_400


def test_of_a_chain_the_first_to_expire_counts() -> None:
    authority = Authority.new()
    long, _ = authority.issue(addresses=["127.0.0.1"], days=90)
    short, _ = authority.issue(addresses=["127.0.0.1"], days=5)
    assert expires_at(long + short) == expires_at(short) < expires_at(long)


def test_store_calls_and_watches() -> None:
    clock = Clock()
    statistics = StoreStatistics(clock=clock)
    statistics.ended("commit", "ok", 0.02)
    lag = statistics.watch_lag(b"/homeport/v1/live/", "")
    lag.open = 1
    lag.wrote(5, clock.now)
    clock.now += 4.0
    seen = samples(StoreMetrics(statistics))
    assert seen["homeport_store_calls_total", "commit", "ok"] == 1
    assert seen["homeport_store_call_duration_seconds_count", "commit"] == 1
    assert seen["homeport_store_watch_behind_seconds", "live"] == 4.0
    assert seen["homeport_store_watches", "live"] == 1
