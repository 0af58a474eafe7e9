"""Alerts of the store, and of what a server writes there: each is made to happen, and what its
runbook says ends it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from console.local.etcd_process import free_ports
from tests.support import servers
from tests.support.alert_harness import (
    ROOM,
    UNIT,
    asking,
    new_clients,
    operate,
    watched,
)
from tests.support.command_line import run_process
from tests.support.etcd_proxy import EtcdProxy
from tests.support.fault_harness import FaultHarness, embedded_fault_harness, fault_harness
from tests.support.prometheus import PROGRAM, Prometheus, ends, fires
from tests.support.small_disk import fill, small_disk

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(400),
    pytest.mark.skipif(PROGRAM is None, reason="prometheus is not installed (Debian: prometheus)"),
]

FASTER = 60  # five minutes are five seconds
STARVED_S, RUNS_S = 3.0, 0.8  # longer than a lease of two seconds
MIB = 1 << 20


@pytest.mark.fires("HomeportCommitQueueStuck", "HomeportAuditWriteFailing")
async def test_what_waits_for_a_store_that_stands_still_is_told_until_it_goes_on(
    tmp_path: Path,
) -> None:
    stuck, failing = "HomeportCommitQueueStuck", "HomeportAuditWriteFailing"
    async with watched(tmp_path, faster=FASTER, room={UNIT: 100_000}) as (on, prometheus):
        address = on.servers[0].address
        async with asking(address, new_clients("new"), rate=30.0) as told:
            await on.until(lambda: told["OK"] > 30, "clients to be answered")
            assert prometheus.firing() == set()
            (member,) = on.cluster.members
            member.freeze()
            cordon = ("units", "cordon", UNIT, "--server", address)
            refused = await asyncio.to_thread(run_process, *cordon)
            assert "audit log cannot be written" in refused.err, refused
            await fires(prometheus, failing)
            await fires(prometheus, stuck)
            member.thaw()
            await ends(prometheus, stuck)
            await ends(prometheus, failing)
        await operate(on, "audit", "verify")


@pytest.mark.fires("HomeportSessionLost", "HomeportEventLoopBlocked")
async def test_a_server_without_cpu_is_told_until_it_is_given_some(tmp_path: Path) -> None:
    """It is stopped most of the time, as a quota of the kernel's would do it."""
    lost, blocked = "HomeportSessionLost", "HomeportEventLoopBlocked"
    async with watched(tmp_path, "--session-ttl-s=2", faster=30) as (on, prometheus):
        assert not {lost, blocked} & prometheus.firing()
        async with asyncio.TaskGroup() as group:
            starving = group.create_task(starve(on))
            await fires(prometheus, blocked)
            await fires(prometheus, lost)
            starving.cancel()
        on.servers[0].thaw()
        await ends(prometheus, blocked)
        await ends(prometheus, lost)


async def starve(on: FaultHarness) -> None:
    """For ever."""
    while True:
        on.servers[0].freeze()
        await asyncio.sleep(STARVED_S)
        on.servers[0].thaw()
        await asyncio.sleep(RUNS_S)


@pytest.mark.fires("HomeportWatchLagging")
async def test_a_watch_that_is_behind_is_told_until_its_server_is_restarted(
    tmp_path: Path,
) -> None:
    alert = "HomeportWatchLagging"
    (port,) = free_ports(1)
    listen = f"--metrics-listen=127.0.0.1:{port}"
    async with (
        fault_harness(tmp_path, members=1) as on,
        EtcdProxy(on.cluster.endpoints[0]) as proxy,
    ):
        on.url = proxy.url
        (server,) = await on.serve(1, listen)
        await on.fleet()
        with Prometheus(
            tmp_path / "prometheus", {"homeport": [server.metrics]}, faster=FASTER
        ) as prometheus:
            assert alert not in prometheus.firing()
            proxy.hold_watches()
            await servers.apply(server.address, servers.units(**{UNIT: 2_000}))
            await fires(prometheus, alert)
            await asyncio.to_thread(server.__exit__)
            on.servers.remove(server)
            again = await on.serve_one(listen)
            await servers.apply(again.address, servers.units(**{UNIT: 3_000}))
            await on.until(lambda: delivered(prometheus) > 0, "the watch to deliver that")
            await ends(prometheus, alert)


def delivered(prometheus: Prometheus) -> float:
    """How many writes of the server's own its watch of units has delivered."""
    found = prometheus.value('homeport_store_watch_lag_seconds_count{prefix="units"}')
    return found or 0.0


@pytest.mark.fires("HomeportSnapshotOld")
async def test_a_snapshot_that_cannot_be_written_is_told_until_there_is_room(
    tmp_path: Path,
) -> None:
    alert = "HomeportSnapshotOld"
    with small_disk(tmp_path / "disk", MIB) as disk:
        file = disk / "snapshot"
        async with watched(tmp_path, f"--snapshot={file}", faster=FASTER) as (on, prometheus):
            await on.until(file.exists, "the first snapshot")
            assert alert not in prometheus.firing()
            ballast = disk / "ballast"
            fill(ballast)
            await servers.apply(on.servers[0].address, servers.units(**{UNIT: 2_000}))
            await fires(prometheus, alert)
            ballast.unlink()
            await ends(prometheus, alert)


@pytest.mark.fires("HomeportDiskFullSoon")
async def test_a_disk_that_fills_up_is_told_until_what_else_is_on_it_is_gone(
    tmp_path: Path,
) -> None:
    alert = "HomeportDiskFullSoon"
    with small_disk(tmp_path / "disk", 300 * MIB) as disk:
        async with embedded_fault_harness(tmp_path, disk / "store.db") as on:
            (server,) = await on.serve(1)
            await servers.apply(server.address, servers.units(**ROOM))
            with Prometheus(
                tmp_path / "prometheus", {"homeport": [server.metrics]}, faster=FASTER
            ) as prometheus:
                await on.until(
                    lambda: bool(prometheus.value("homeport_disk_free_bytes")), "a first scrape"
                )
                assert alert not in prometheus.firing()
                ballast = disk / "ballast"
                with ballast.open("wb") as target:
                    target.write(bytes(60 * MIB))
                await fires(prometheus, alert)
                ballast.unlink()
                await ends(prometheus, alert)
