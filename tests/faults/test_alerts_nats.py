"""The alert of feeds on NATS on a real server: it fires while no NATS server answers, and what its
runbook says ends it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from console.local.nats_process import NatsCluster
from tests.support.nats_servers import worker_arguments
from tests.support.prometheus import PROGRAM, ends, fires
from tests.support.sharing_alert_harness import watched_sharing
from tests.support.submissions import traffic

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(300),
    pytest.mark.skipif(PROGRAM is None, reason="prometheus is not installed (Debian: prometheus)"),
]

FASTER = 90  # a quarter of an hour is ten seconds


@pytest.mark.fires("HomeportChangelogAway")
async def test_nats_that_is_away_is_told_until_it_is_back(tmp_path: Path) -> None:
    alert = "HomeportChangelogAway"
    with NatsCluster(tmp_path / "nats") as cluster:
        (member,) = cluster.members
        arguments = worker_arguments(cluster, replicas=1)
        async with watched_sharing(tmp_path, faster=FASTER, arguments=arguments) as on:
            await on.submit(traffic())
            await on.publish(10)
            assert alert not in on.prometheus.firing()
            member.kill()
            publishing = asyncio.create_task(on.publish(10))
            await fires(on.prometheus, alert)
            assert not publishing.done()  # it waits, and nobody told it that it is kept
            await asyncio.to_thread(cluster.restart, member)
            await publishing
            await ends(on.prometheus, alert)
