"""Beside each attack of a tenant, another one's calls all succeed, and wait at most three times as
long as beside nothing. The measure is taken before and after each attack, by the same client in the
same minute, so that a machine that is slow for a while is so for both."""

from __future__ import annotations

import grpc
import pytest

from tests.support.costly_calls import Noticed, beside, numbers, prepare
from tests.support.costly_inputs import ATTACKS, Attack
from tests.support.data_sharing_server import SharingServer
from tests.support.fault_harness import Outcome
from tests.support.judge.verdict import Verdict
from tests.support.measurements import Measured

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

QUIET_S, BESIDE_S = 4.0, 8.0
MOST_RATIO = 3.0
LEAST_S = 0.010  # of what a p99 beside nothing is taken for: below it is the machine's own noise
NUMBERS = numbers()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with SharingServer(tmp_path_factory.mktemp("costly")) as one:
        yield one


@pytest.fixture(scope="module")
def prepared():
    return []


@pytest.mark.parametrize("attack", [pytest.param(one, id=one.name) for one in ATTACKS])
async def test_another_tenant_hardly_notices(server, prepared, attack: Attack, record) -> None:
    if not prepared:
        async with grpc.aio.insecure_channel(server.address) as channel:
            await prepare(channel)
        prepared.append(True)
    before = await beside(server.address, None, for_s=QUIET_S, ids=NUMBERS)
    during = await beside(server.address, attack, for_s=BESIDE_S, ids=NUMBERS)
    after = await beside(server.address, None, for_s=QUIET_S, ids=NUMBERS)
    ratios = {kind: _ratio(kind, before, during, after) for kind in before.took}
    shown = ", ".join(
        f"{kind} {during.p99_s(kind) * 1_000:.0f} ms ({ratio:.1f}x)"
        for kind, ratio in ratios.items()
    )
    measured = Measured(requests=during.calls, failed=len(during.failed))
    for message in during.failed:
        measured.errors[message] = measured.errors.get(message, 0) + 1
    record(
        f"beside another tenant's attack: {attack.name}",
        Outcome(verdict=Verdict(), measured=measured),
        note=f"p99 {shown}",
    )
    assert during.failed == []
    assert max(ratios.values()) <= MOST_RATIO, shown


def _ratio(kind: str, before: Noticed, during: Noticed, after: Noticed) -> float:
    quiet_s = max(before.p99_s(kind), after.p99_s(kind), LEAST_S)
    return during.p99_s(kind) / quiet_s
