"""Each attack on a real server, on both transports, with a probe of another tenant beside it:
nobody gets what is not theirs, and every call of the probe is answered.

By how much the probe's calls slow down is a figure of docs/security.md, not asserted here.
"""

from __future__ import annotations

import pytest

from tests.support.attack_harness import (
    Attacked,
    Record,
    attacked_data_sharing,
    attacked_provisioner,
)
from tests.support.attacks.attacker import ATTACKS

QUIET_S, UNDER_S = 2.0, 5.0

pytestmark = pytest.mark.attacks


async def attack(attacked: Attacked, name: str, transport: str, record: Record) -> None:
    """The probe alone, then beside the attack."""
    await attacked.quiet(name, 1.0)  # warm
    alone = await attacked.quiet(name, QUIET_S)
    beside, health, attempts = await attacked.under(name, UNDER_S)
    record(
        service=attacked.service,
        attack=name,
        transport=transport,
        tried=attempts.tried,
        let_in=attempts.let_in,
        codes=attempts.codes,
        answered=beside.answered,
        health_answered=health.answered,
        p99_alone_ms=round(alone.p99_ms, 2),
        p99_beside_ms=round(beside.p99_ms, 2),
    )
    assert attempts.tried > 0
    assert attempts.let_in == 0, attempts.codes
    assert not beside.failures, beside.failures[:5]
    assert not health.failures, health.failures[:5]
    again = await attacked.quiet(name, 0.5)
    assert not again.failures, "the server is as it was"


@pytest.mark.parametrize("transport", ["native", "grpcio"])
@pytest.mark.parametrize("name", list(ATTACKS["provisioner"]))
async def test_provisioner(own_etcd, tmp_path, name, transport, record):
    cluster = own_etcd()
    async with attacked_provisioner(tmp_path, cluster.url, transport) as attacked:
        await attack(attacked, name, transport, record)


@pytest.mark.parametrize("transport", ["native", "grpcio"])
@pytest.mark.parametrize("name", list(ATTACKS["data-sharing"]))
async def test_data_sharing(tmp_path, name, transport, record):
    async with attacked_data_sharing(tmp_path, transport) as attacked:
        await attack(attacked, name, transport, record)
