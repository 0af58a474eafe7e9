"""Beside a greedy tenant a steady one's events are all decided, and soon. The measure is taken
before and after each flood, in the same minute, so that a machine that is slow for a while is so
for both.

The aim is twice the p99 that it has alone, which holds in simulated time (see
tests/data_sharing/feeds/test_deciding_turns.py). What is asserted here is generous, for the
machine that runs it is shared; the row says what it was.
"""

from __future__ import annotations

import grpc
import pytest

from tests.support.data_sharing_server import SharingServer
from tests.support.fault_harness import Outcome
from tests.support.greedy_tenants import FLOODS, Flood, beside, numbers, prepare
from tests.support.judge.verdict import Verdict
from tests.support.measurements import Measured

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

QUIET_S, BESIDE_S = 4.0, 8.0
LEAST_S = 0.010  # of what a p99 beside nothing is taken for: below it is the machine's own noise
ONE_EVENT_S = 1.0  # what a single event of costly rules may take, which nothing can come between
UNLIMITED = '{"events": {"tenant": 0, "address": 0}, "event-bytes": {"tenant": 0, "address": 0}}'


@pytest.mark.parametrize("flood", [pytest.param(one, id=one.name) for one in FLOODS])
async def test_a_steady_tenant_hardly_notices(tmp_path, flood: Flood, record) -> None:
    ids = numbers()
    with SharingServer(tmp_path, "--quotas", UNLIMITED) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            await prepare(channel, flood.rules)
        before = await beside(server.address, None, for_s=QUIET_S, numbers=ids)
        during = await beside(server.address, flood, for_s=BESIDE_S, numbers=ids)
        after = await beside(server.address, None, for_s=QUIET_S, numbers=ids)
    quiet_s = max(before.p99_s, after.p99_s, LEAST_S)
    ratio = during.p99_s / quiet_s
    measured = Measured(requests=len(during.took) + len(during.failed), failed=len(during.failed))
    record(
        f"beside a greedy tenant: {flood.name}",
        Outcome(verdict=Verdict(), measured=measured),
        note=f"p99 from an event to its decision {during.p99_s * 1_000:.0f} ms ({ratio:.1f}x)",
    )
    assert during.failed == []
    assert during.greedy > 0, "what the steady one leaves is used"
    if flood.one_event_is_long:
        assert during.p99_s <= ONE_EVENT_S + quiet_s
    else:
        assert ratio <= flood.most_ratio
