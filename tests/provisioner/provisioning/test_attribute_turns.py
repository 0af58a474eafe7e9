"""AttributeUpdates among tenants: each has its share of the room, and its turn."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from control_plane.errors import Unavailable
from control_plane.store.port import KeyValue
from provisioner.ledger.assignment import decode_assignment
from provisioner.ledger.assignment_encoding import encode_assignment
from provisioner.provisioning.attribute_updates import AttributeUpdates
from provisioner.provisioning.key_binding import RecordStore

MOST = 20
VALUE = encode_assignment("dublin", 1, 1, "")
LIMIT_S = 20.0


class Flow:
    """What became of updates, by tenant, in order."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.failures: list[tuple[str, Any]] = []
        self.progress = asyncio.Event()

    def existing(self, pending: Any, found: KeyValue) -> None:
        self.written.append(pending.tenant.id)
        self.progress.set()

    def failed(self, pending: Any, error: Any) -> None:
        self.failures.append((pending.tenant.id, error))

    def claim(self, pending: Any) -> None:
        raise AssertionError


class Gate:
    """A store that answers once it is told to."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()

    async def commit(self, txn: Any) -> Any:
        await self.opened.wait()
        return SimpleNamespace(succeeded=True, revision=2, results=())


class Bench:
    def __init__(self, most: int = MOST) -> None:
        self.gate, self.flow = Gate(), Flow()
        store: Any = self.gate
        self.updates = AttributeUpdates(
            lambda key: RecordStore(store), clock=lambda: 0.0, at_once=1, most=most
        )
        self._pair = KeyValue(b"key", VALUE, 1, 1, 1)

    def tell(self, tenant: str, times: int) -> None:
        for number in range(times):
            pending: Any = SimpleNamespace(
                tenant=SimpleNamespace(id=tenant, hold_s=0.0), client_id=f"c{number}",
                attributes={"kind": "x"}, expires_at=LIMIT_S,
            )  # fmt: skip
            record = decode_assignment(VALUE)
            assert self.updates.begin(self.flow, pending, self._pair, record)

    @contextlib.asynccontextmanager
    async def working(self):
        task = asyncio.create_task(self.updates.run())
        await asyncio.sleep(0)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def written(self, count: int) -> None:
        self.gate.opened.set()
        async with asyncio.timeout(LIMIT_S):
            while len(self.flow.written) < count:
                self.flow.progress.clear()
                await self.flow.progress.wait()


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_greedy_tenant_leaves_another_its_share_and_its_turn(bench: Bench) -> None:
    async with bench.working():
        bench.tell("greedy", 3 * MOST)
        assert bench.updates.waiting == MOST
        assert Counter(tenant for tenant, _ in bench.flow.failures) == {"greedy": 2 * MOST}
        bench.tell("small", 3)
        assert bench.updates.waiting == MOST + 3
        bench.tell("greedy", 1)  # it has more than its share now
        assert bench.updates.refused == 2 * MOST + 1
        await bench.written(MOST + 3)
        assert bench.flow.written.index("small") <= 2
        assert bench.flow.written[:6].count("small") >= 2
        assert bench.updates.waiting == 0
        bench.tell("greedy", 5)  # alone, it has all of the room
        await bench.written(MOST + 8)


async def test_all_together_are_bounded_whatever_tenants_there_are(bench: Bench) -> None:
    async with bench.working():
        for number in range(10 * MOST):
            bench.tell(f"t{number}", 1)
        assert bench.updates.waiting <= 2 * MOST


async def test_who_waits_where_the_work_ends_is_told_so(bench: Bench) -> None:
    async with bench.working():
        bench.tell("city", 4)
        await asyncio.sleep(0)
    assert len(bench.flow.failures) == 4
    assert all(isinstance(error, Unavailable) for _, error in bench.flow.failures)
    bench.tell("city", 1)
    assert len(bench.flow.failures) == 5
    async with bench.working():  # begun anew, it works again
        bench.tell("city", 2)
        await bench.written(2)
