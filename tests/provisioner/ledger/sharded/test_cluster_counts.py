"""What the unit registry asks of the clusters: clients counted there, and gates raised."""

from __future__ import annotations

import pytest

from control_plane import keys
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Put, Txn
from provisioner.ledger.sharded.cluster_counts import ClusterCounts
from tests.support.odd_keys import write_odd_keys


@pytest.fixture
async def stores(tmp_path):
    opened = {
        name: await EmbeddedStore.open(tmp_path / f"{name}.db")
        for name in ("control", "east", "west")
    }
    yield opened
    for one in opened.values():
        await one.close()


def counts_of(stores) -> ClusterCounts:
    return ClusterCounts(stores["control"], {name: stores[name] for name in ("east", "west")})


async def test_usage_is_counted_by_unit_and_provisioner_of_every_cluster(stores):
    await stores["east"].commit(Txn(then=[Put(keys.usage("near", "p@east"), b"3")]))
    await stores["west"].commit(
        Txn(
            then=[
                Put(keys.usage("near", "p@west"), b"4"),
                Put(keys.usage("near", "of-one-store"), b"9"),
            ]
        )
    )
    assert await counts_of(stores).counted() == {("near", "p@east"): 3, ("near", "p@west"): 4}


async def test_every_gate_says_what_the_fence_says(stores):
    written = await stores["control"].commit(Txn(then=[Put(keys.fence("near"), b"")]))
    await stores["east"].commit(Txn(then=[Put(keys.gate("near"), b"1")]))
    await counts_of(stores).raise_gates("near")
    for name in ("east", "west"):
        gate = await stores[name].get(keys.gate("near"))
        assert int(gate.value) == written.revision


async def test_a_gate_is_never_lowered_and_a_unit_without_fence_has_none(stores):
    counts = counts_of(stores)
    await counts.raise_gates("near")
    assert await stores["east"].get(keys.gate("near")) is None
    await stores["control"].commit(Txn(then=[Put(keys.fence("near"), b"")]))
    await stores["east"].commit(Txn(then=[Put(keys.gate("near"), b"999")]))
    await counts.raise_gates("near")
    assert (await stores["east"].get(keys.gate("near"))).value == b"999"


async def test_usage_that_cannot_be_read_is_unknown_and_the_others_are_counted(stores):
    odd = await write_odd_keys(stores["east"], keys.USAGE)
    await stores["east"].commit(
        Txn(
            then=[
                Put(keys.usage("near", "p@east"), b"many"),
                Put(keys.usage("far", "p@east"), b"3"),
                *(Put(key + b"@east", b"9") for key in odd),
            ]
        )
    )
    counted = await counts_of(stores).counted()
    assert counted["near", "p@east"] is None
    assert counted["far", "p@east"] == 3
