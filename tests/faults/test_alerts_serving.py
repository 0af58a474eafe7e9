"""Alerts of what servers do for their callers: each is made to happen, and what its runbook says
ends it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from console.local.etcd_process import free_ports
from tests.support.alert_harness import ROOM, asking, new_clients, operate, watched
from tests.support.fault_harness import fault_harness
from tests.support.prometheus import PROGRAM, Prometheus, ends, fires

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(400),
    pytest.mark.skipif(PROGRAM is None, reason="prometheus is not installed (Debian: prometheus)"),
]

FASTER = 60  # five minutes are five seconds
ASKED_PER_S = 50.0


@pytest.mark.fires("HomeportQuotaRefusals")
async def test_a_tenant_over_its_quota_is_told_until_that_is_raised(tmp_path: Path) -> None:
    alert = "HomeportQuotaRefusals"
    async with watched(tmp_path, faster=FASTER, room=dict.fromkeys(ROOM, 100_000)) as (
        on,
        prometheus,
    ):
        await operate(on, "tenants", "apply", "shop", "--quota", "provisions=5")
        address = on.servers[0].address
        async with asking(address, new_clients("new", "shop"), rate=ASKED_PER_S) as told:
            await fires(prometheus, alert)
            assert told["OK"], "what is within the quota is answered"
            await operate(on, "tenants", "apply", "shop", "--quota", "provisions=500")
            await ends(prometheus, alert)
            assert told.keys() == {"OK", "RESOURCE_EXHAUSTED"}


@pytest.mark.fires("HomeportBackgroundTaskFailing")
async def test_a_task_that_fails_is_told_until_the_server_is_restarted_without_the_defect(
    tmp_path: Path,
) -> None:
    alert = "HomeportBackgroundTaskFailing"
    (port,) = free_ports(1)
    arguments = (f"--metrics-listen=127.0.0.1:{port}", f"--snapshot={tmp_path / 'snapshot'}")
    async with fault_harness(tmp_path, members=1) as on:
        program = ("-m", "tests.faults.broken_server", "keep_no_snapshot")
        (broken,) = await on.serve(1, *arguments, program=program)
        with Prometheus(
            tmp_path / "prometheus", {"homeport": [broken.metrics]}, faster=FASTER
        ) as prometheus:
            await fires(prometheus, alert)
            assert prometheus.value('homeport_background_task_failing{task="snapshot"}') == 1.0
            assert "background task snapshot failed: RuntimeError" in broken.log()
            await asyncio.to_thread(broken.__exit__)
            sound = await on.serve_one(*arguments)
            await on.until((tmp_path / "snapshot").exists, "what the task is for")
            await on.until(
                lambda: prometheus.value("homeport_provisioner_snapshot_writes_total") is not None,
                "the restarted server's metrics",
            )
            await ends(prometheus, alert)
            assert "failed" not in sound.log()
