"""What the ledger says of a tenant's clients is compared with those that stand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane import keys, quota_keys
from control_plane.fleet.capacity import CapacityRecord, encode_capacity
from control_plane.fleet.records import encode_tenant
from control_plane.fleet.unit import ClientQuota, TenantId, TenantSpec
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Put, Txn
from provisioner.ledger.client_checking import CheckedQuota, check_clients
from provisioner.ledger.client_use import PAGE

NAME = quota_keys.client_quota("shop", "q1")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    yield opened
    await opened.close()


async def write(store: EmbeddedStore, *, settled: int, standing: int, counted: bool = True) -> None:
    """A quota with so many settled clients and two more in a usage, and clients that stand."""
    quota = ClientQuota(id="q1", most=9_000, counted=counted)
    record = CapacityRecord(capacity=9_000, settled=settled, grants={"p~0": 4})
    writes = [
        Put(keys.tenant("shop"), encode_tenant(TenantSpec(id=TenantId("shop"), clients=quota))),
        Put(keys.capacity(NAME), encode_capacity(record)),
        Put(keys.usage(NAME, "p~0"), b"2"),
        Put(keys.assignment("shop-2", "c"), b"{}"),
        *(Put(keys.assignment("shop", f"c{n}"), b"{}") for n in range(standing)),
    ]
    for start in range(0, len(writes), 100):
        await store.commit(Txn(then=writes[start : start + 100]))


@pytest.mark.parametrize(
    ("settled", "standing", "counted", "exact"),
    [
        pytest.param(3, 5, True, True, id="as they stand"),
        pytest.param(PAGE, PAGE + 2, True, True, id="over pages"),
        pytest.param(4, 5, True, False, id="one too many in the ledger"),
        pytest.param(2, 5, True, False, id="one that is not counted"),
        pytest.param(0, 5, False, True, id="being counted"),
    ],
)
async def test_the_ledger_is_exact_where_it_says_what_stands(
    store: EmbeddedStore, settled: int, standing: int, counted: bool, exact: bool
) -> None:
    await write(store, settled=settled, standing=standing, counted=counted)
    told: list[tuple[str, int]] = []
    (found,) = await check_clients(store, lambda *said: told.append(said))
    assert found == CheckedQuota(
        tenant="shop",
        counted=settled + 2 if counted else None,
        standing=standing,
        bound=9_000,
        revision=found.revision,
    )
    assert found.exact is exact
    assert told[-1] == ("shop", standing)


async def test_a_store_without_bounds_has_nothing_to_compare(store: EmbeddedStore) -> None:
    await store.commit(Txn(then=[Put(keys.assignment("shop", "c"), b"{}")]))
    assert await check_clients(store) == []
