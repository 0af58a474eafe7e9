"""Alerts on a real stack, by a real Prometheus: each is made to happen, and what its runbook says
ends it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from console.local.etcd_process import free_ports
from control_plane import keys
from control_plane.store.port import Delete, Put, Txn
from tests.support.alert_harness import STEADY, UNIT, operate, watched
from tests.support.certificates import Authority
from tests.support.command_line import run_process
from tests.support.data_sharing_server import SharingServer
from tests.support.fault_harness import FaultHarness, fault_harness
from tests.support.prometheus import PROGRAM, Prometheus, ends, fires

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(400),
    pytest.mark.skipif(PROGRAM is None, reason="prometheus is not installed (Debian: prometheus)"),
]


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.fires("HomeportStoreAway")
async def test_a_store_that_is_away_is_told_until_its_members_run_again(tmp_path: Path) -> None:
    async with watched(tmp_path) as (on, prometheus):
        assert "HomeportStoreAway" not in prometheus.firing()
        on.cluster.kill()
        await fires(prometheus, "HomeportStoreAway")
        for member in on.cluster.members:
            on.cluster.spawn(member)
        await ends(prometheus, "HomeportStoreAway")


@pytest.mark.fires("HomeportServerDown")
async def test_a_server_that_is_down_is_told_until_it_is_started_again(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    listen = f"--metrics-listen=127.0.0.1:{port}"
    async with fault_harness(tmp_path, members=1) as on:
        (server,) = await on.serve(1, listen)
        with Prometheus(tmp_path / "prometheus", {"homeport": [server.metrics]}) as prometheus:
            assert "HomeportServerDown" not in prometheus.firing()
            server.kill()
            await fires(prometheus, "HomeportServerDown")
            await on.serve_one(listen)
            await ends(prometheus, "HomeportServerDown")


def agent(on: FaultHarness, stack: ExitStack, unit: str = UNIT) -> subprocess.Popen[bytes]:
    """A unit's agent."""
    with (on.folder / f"agent-{time.monotonic_ns()}.log").open("w") as log:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "deployment_units.agent", f"--unit={unit}",
                f"--server={on.servers[0].address}", "--ttl-s=2",
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


@pytest.mark.fires("HomeportUnitWithoutAgent")
async def test_a_unit_without_agent_is_told_until_one_is_heard(
    tmp_path: Path, processes: ExitStack
) -> None:
    alert = "HomeportUnitWithoutAgent"
    async with watched(tmp_path, "--lost-after-s=3600") as (on, prometheus):
        first = agent(on, processes)
        await asyncio.to_thread(heard, on)
        assert alert not in prometheus.firing()
        first.kill()
        await fires(prometheus, alert)
        agent(on, processes)
        await ends(prometheus, alert)


@pytest.mark.fires("HomeportUnitLost")
async def test_a_lost_unit_is_told_until_its_agent_is_heard_for_a_while(
    tmp_path: Path, processes: ExitStack
) -> None:
    alert = "HomeportUnitLost"
    async with watched(tmp_path, "--lost-after-s=0", "--back-after-s=1") as (on, prometheus):
        agent(on, processes, STEADY)  # where none at all is heard, no unit is given up
        await asyncio.to_thread(heard, on, STEADY)
        first = agent(on, processes)
        await asyncio.to_thread(heard, on)
        assert alert not in prometheus.firing()
        first.kill()
        await fires(prometheus, alert)
        agent(on, processes)
        await ends(prometheus, alert)


def heard(on: FaultHarness, unit: str = UNIT) -> None:
    """Waits until a unit's agent was heard, as `homeport units show` says."""
    end = time.monotonic() + 60.0
    while True:
        ran = run_process("units", "show", unit, "-o", "json", "--server", on.servers[0].address)
        if ran.code == 0 and ran.document["health"]:
            return
        assert time.monotonic() < end, ran.out + ran.err
        time.sleep(0.3)


@pytest.mark.fires("HomeportDamagedRecord")
async def test_a_damaged_record_is_told_until_it_is_written_anew(tmp_path: Path) -> None:
    alert = "HomeportDamagedRecord"
    async with watched(tmp_path) as (on, prometheus):
        key = keys.TENANTS + b"acme"
        await on.store.commit(Txn(then=[Put(key, b"\xff not a record")]))
        await fires(prometheus, alert)
        await on.store.commit(Txn(then=[Delete(key)]))
        await ends(prometheus, alert)


@pytest.mark.fires("HomeportCertificateExpiring", "HomeportCertificateExpiringNow")
async def test_a_certificate_that_expires_is_told_until_its_files_are_replaced(
    tmp_path: Path,
) -> None:
    authority = Authority.new()
    certificate, key = authority.write(tmp_path, "server", days=1)
    async with fault_harness(tmp_path, members=1) as on:
        (server,) = await on.serve(1, f"--tls-certificate={certificate}", f"--tls-key={key}")
        with Prometheus(tmp_path / "prometheus", {"homeport": [server.metrics]}) as prometheus:
            for alert in ("HomeportCertificateExpiring", "HomeportCertificateExpiringNow"):
                await fires(prometheus, alert)
            newer, its_key = authority.write(tmp_path, "newer", days=90)
            its_key.replace(key)
            newer.replace(certificate)
            for alert in ("HomeportCertificateExpiring", "HomeportCertificateExpiringNow"):
                await ends(prometheus, alert)


@pytest.mark.fires("HomeportTicketKeysOld")
async def test_old_ticket_keys_are_told_until_they_are_rotated(tmp_path: Path) -> None:
    alert = "HomeportTicketKeysOld"
    async with watched(tmp_path) as (on, prometheus):
        await make_old(on)
        await fires(prometheus, alert)
        await operate(on, "keys", "rotate", "--leaked")
        await ends(prometheus, alert)


async def make_old(on: FaultHarness) -> None:
    """As if the first keys had been made a year ago."""
    pair = await on.store.get(keys.KEY_RING)
    ring = msgspec.json.decode(pair.value)
    for epoch in ring["epochs"]:
        epoch["created_at"] -= 365 * 86_400
    await on.store.commit(Txn(then=[Put(keys.KEY_RING, msgspec.json.encode(ring))]))


async def test_a_data_sharing_server_that_is_well_has_no_alert(tmp_path: Path) -> None:
    with (
        SharingServer(tmp_path) as server,
        Prometheus(tmp_path / "prometheus", {"homeport-share": [server.metrics]}) as prometheus,
    ):
        await asyncio.sleep(10.0)
        # Without its pause of ten minutes that alert tells what else the machine just wrote.
        assert prometheus.firing() <= {"HomeportDiskFullSoon"}
        assert await asyncio.to_thread(lint, server.metrics) == ""


def lint(address: str) -> str:
    """What promtool has to say of a server's own page."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as answer:
        page = answer.read()
    ran = subprocess.run(
        ["promtool", "check", "metrics"], input=page, capture_output=True, timeout=60, check=False
    )
    return (ran.stdout + ran.stderr).decode()


async def test_a_provisioning_server_that_is_well_has_no_alert(tmp_path: Path) -> None:
    async with watched(tmp_path) as (on, prometheus):
        on.traffic(processes=1, rate=50)
        await on.flowing(200)
        assert prometheus.firing() == set()
        assert await asyncio.to_thread(lint, on.servers[0].metrics) == ""
