"""Alerts of agents: each is made to happen, and what its runbook says ends it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from console.local.etcd_process import free_ports
from tests.support.alert_harness import UNIT
from tests.support.fault_harness import FaultHarness, fault_harness
from tests.support.prometheus import PROGRAM, Prometheus, ends, fires

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(300),
    pytest.mark.skipif(PROGRAM is None, reason="prometheus is not installed (Debian: prometheus)"),
]


@contextmanager
def agent(on: FaultHarness) -> Iterator[str]:
    """A unit's agent; host:port of its metrics."""
    (port,) = free_ports(1)
    metrics = f"127.0.0.1:{port}"
    with (on.folder / "agent.log").open("w") as log:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "deployment_units.agent", f"--unit={UNIT}", "--ttl-s=2",
                f"--server={on.servers[0].address}", f"--metrics-listen={metrics}",
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield metrics
    finally:
        process.kill()
        process.wait()


@pytest.mark.fires("HomeportAgentNotRegistered")
async def test_an_agent_that_no_server_answers_is_told_until_one_does(tmp_path: Path) -> None:
    alert = "HomeportAgentNotRegistered"
    async with fault_harness(tmp_path, members=1) as on:
        (server,) = await on.serve(1)
        await on.fleet({UNIT: 1_000})
        with (
            agent(on) as metrics,
            Prometheus(tmp_path / "prometheus", {"homeport-agent": [metrics]}) as prometheus,
        ):
            registered = f'homeport_agent_registered{{unit="{UNIT}"}}'
            await on.until(lambda: prometheus.value(registered) == 1, "the agent to be heard")
            assert alert not in prometheus.firing()
            server.freeze()
            await fires(prometheus, alert)
            server.thaw()
            await ends(prometheus, alert)
