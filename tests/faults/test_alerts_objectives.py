"""Alerts of the objectives: an outage that spends both budgets, over all their windows, and ends
when its cause does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest

from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from tests.support.alert_harness import DEADLINE_S, UNIT, asking, new_clients, operate, watched
from tests.support.prometheus import PROGRAM, Prometheus, ends, fires
from tests.support.rule_files import alerts

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(400),
    pytest.mark.skipif(PROGRAM is None, reason="prometheus is not installed (Debian: prometheus)"),
]

KNOWN, NEW = "HomeportKnownClientsErrorBudgetBurn", "HomeportNewClientsLatencyBudgetBurn"
FASTER = 720  # six hours are half a minute
CLIENTS = 40
TICKETS_S = 10  # the least that a tenant's tickets can hold


def windows(alert: str) -> set[str]:
    """The long windows that its rules look at."""
    return {rule["labels"]["window"] for rule in alerts() if rule["alert"] == alert}


def told(prometheus: Prometheus, alert: str) -> set[str]:
    """Those over which it fires now."""
    labels = prometheus.labels()
    return {one["window"] for one in labels if one["alertname"] == alert}


async def tickets(address: str) -> list[str]:
    """Those of clients that are known from then on, by their number."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub = pb_grpc.ProvisioningServiceStub(channel)
        asked = [pb.ProvisionRequest(client_id=f"known-{n}") for n in range(CLIENTS)]
        answers = await asyncio.gather(*(stub.Provision(one, timeout=DEADLINE_S) for one in asked))
    return [answer.ticket for answer in answers]


@pytest.mark.fires("HomeportKnownClientsErrorBudgetBurn", "HomeportNewClientsLatencyBudgetBurn")
async def test_an_outage_that_outlasts_tickets_is_told_until_the_store_is_there_again(
    tmp_path: Path,
) -> None:
    async with watched(tmp_path, "--stale-grace-s=0", faster=FASTER, room={UNIT: 100_000}) as (
        on,
        prometheus,
    ):
        await operate(on, "tenants", "apply", "default", "--ticket-ttl", str(TICKETS_S))
        address = on.servers[0].address
        shown = await tickets(address)

        def known(number: int) -> pb.ProvisionRequest:
            at = number % CLIENTS
            return pb.ProvisionRequest(client_id=f"known-{at}", ticket=shown[at])

        async with (
            asking(address, known, rate=20.0) as known_told,
            asking(address, new_clients("new"), rate=20.0) as new_told,
        ):
            await on.until(lambda: min(known_told["OK"], new_told["OK"]) > 60, "answers")
            assert not {KNOWN, NEW} & prometheus.firing()
            on.cluster.kill()
            for alert in (KNOWN, NEW):
                await fires(prometheus, alert)
                await on.until(
                    lambda alert=alert: told(prometheus, alert) == windows(alert),
                    "every window to be told",
                )
            for member in on.cluster.members:
                on.cluster.spawn(member)
            for alert in (KNOWN, NEW):
                await ends(prometheus, alert)
