"""Which clients each kind of job is about."""

from __future__ import annotations

import pytest

from control_plane import keys
from control_plane.fleet.move_job import JobKind, MoveJob
from control_plane.fleet.unit import ReturnHome, TenantId, TenantSpec
from control_plane.store.port import KeyValue
from provisioner.ledger.assignment_encoding import encode_assignment
from provisioner.moves.job_clients import YIELD_EVERY, JobClients
from provisioner.moves.move_operation import DRAINED, FAILED_OVER, REBALANCED, RETURNED
from provisioner.moves.plan import MoveStrategy
from tests.support.odd_keys import NAMES

CELL = "IE:53.3,-6.3~20"
ASSIGNED = {  # client -> (tenant, unit, home)
    "alice": ("t", "dublin", ""),
    "bob": ("t", "virginia", "dublin"),
    "carol": ("gradual", "virginia", "dublin"),
    "dave": ("gradual", "dublin", ""),
    "erin": ("gone", "dublin", "dublin"),
}


class FakeFleetView:
    """As much of FleetView as knows tenants."""

    def tenant(self, tenant_id: str) -> TenantSpec | None:
        tenants = {
            "t": TenantSpec(id=TenantId("t")),
            "gradual": TenantSpec(id=TenantId("gradual"), return_home=ReturnHome.GRADUAL),
        }
        return tenants.get(tenant_id)


class FakeMover:
    """A better unit is there for those whom the test names."""

    def __init__(self, *better: str) -> None:
        self.better = better

    def suits_better(self, request) -> bool:
        return request.client_id in self.better


def pairs() -> list[KeyValue]:
    return [
        KeyValue(keys.assignment(tenant, client), encode_assignment(unit, 1, 5, CELL, 0, home),
                 1, 1, 1)
        for client, (tenant, unit, home) in ASSIGNED.items()
    ]  # fmt: skip


async def requests(kind: JobKind, *better: str, unit: str = "dublin", found=None):
    job = MoveJob(id="j", kind=kind, unit=unit, rate_per_s=1.0)
    chosen = JobClients(FakeFleetView(), FakeMover(*better))
    return await chosen.requests(job, pairs() if found is None else found)


@pytest.mark.parametrize(
    ("kind", "better", "expected"),
    [
        pytest.param(JobKind.DRAIN, (), ["alice", "dave"], id="who-lives-at-the-drained-unit"),
        pytest.param(JobKind.FAILOVER, (), ["alice", "dave"], id="who-lived-at-the-lost-unit"),
        pytest.param(JobKind.RETURN_HOME, (), ["carol"], id="who-had-to-leave-and-may-come-back"),
        pytest.param(JobKind.REBALANCE, ("bob", "dave"), ["bob", "dave"], id="who-is-better-off"),
        pytest.param(JobKind.REBALANCE, (), [], id="nobody-is-better-off"),
    ],
)
async def test_whom_a_job_is_about(kind, better, expected):
    assert [one.client_id for one in await requests(kind, *better)] == expected


@pytest.mark.parametrize(
    ("kind", "cause", "strategy", "to"),
    [
        (JobKind.DRAIN, DRAINED, MoveStrategy.PLACE, ""),
        (JobKind.FAILOVER, FAILED_OVER, MoveStrategy.SPREAD, ""),
        (JobKind.RETURN_HOME, RETURNED, MoveStrategy.PLACE, "dublin"),
        (JobKind.REBALANCE, REBALANCED, MoveStrategy.BETTER, ""),
    ],
)
async def test_why_and_how_they_move(kind, cause, strategy, to):
    first = (await requests(kind, *ASSIGNED))[0]
    assert (first.cause, first.strategy, first.to) == (cause, strategy, to)
    assert first.job == "j"
    assert first.location.cell == CELL


async def test_a_damaged_assignment_stays_and_the_others_go():
    damaged = KeyValue(keys.assignment("t", "mallory"), b"{nonsense", 1, 1, 1)
    found = await requests(JobKind.DRAIN, found=[damaged, *pairs()])
    assert [one.client_id for one in found] == ["alice", "dave"]


async def test_many_are_found_in_their_order():
    found = [
        KeyValue(keys.assignment("t", f"c{n:04}"), encode_assignment("dublin", 1, 5, CELL, 0, ""),
                 1, 1, 1)
        for n in range(3 * YIELD_EVERY + 1)
    ]  # fmt: skip
    assert [one.found for one in await requests(JobKind.DRAIN, found=found)] == found


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
async def test_an_assignment_under_a_key_that_is_nobodys_is_passed_over(name):
    odd = KeyValue(keys.ASSIGNMENTS + name, encode_assignment("dublin", 1, 5, CELL), 1, 1, 1)
    found = await requests(JobKind.DRAIN, found=[odd, *pairs()])
    assert [one.client_id for one in found] == ["alice", "dave"]
