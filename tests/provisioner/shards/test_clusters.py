"""Clusters join a deployment under their names; what does not fit is refused before it starts."""

from __future__ import annotations

import pytest

from control_plane import keys
from control_plane.errors import InvalidInput, Refused
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Put, Txn
from provisioner.ledger.session import Session
from provisioner.settings import Settings
from provisioner.shards.clusters import join, parse_clusters
from provisioner.shards.shard_map import SHARDS


@pytest.fixture
async def stores(tmp_path):
    opened = {
        name: await EmbeddedStore.open(tmp_path / f"{name}.db")
        for name in ("control", "east", "west", "north")
    }
    yield opened
    for store in opened.values():
        await store.close()


def some(stores, *names):
    return {name: stores[name] for name in names}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("etcd://a:2379", "lacks a name", id="no-name"),
        pytest.param("east=", "lacks a name or an address", id="no-address"),
        pytest.param("east=etcd://a:1;east=etcd://b:1", "named twice", id="one-name-twice"),
        pytest.param("east=embedded:x.db", "embedded store", id="an-embedded-store"),
        pytest.param("East_1=etcd://a:1", "East_1", id="a-name-that-is-none"),
        pytest.param("east=redis://a:1", "no store that Homeport knows", id="another-product"),
        pytest.param(" ; ", "no assignment store", id="nothing"),
    ],
)
def test_what_is_written_wrongly_is_said(text, complaint):
    with pytest.raises(InvalidInput, match=complaint):
        parse_clusters(text)


def test_names_and_addresses_are_taken_apart():
    text = "east=etcd://a:2379,b:2379; west=etcds://c:2379;"
    assert parse_clusters(text) == {"east": "etcd://a:2379,b:2379", "west": "etcds://c:2379"}


def test_a_settings_file_may_have_them_as_a_table():
    table = {"east": "etcd://a:1", "west": "etcd://b:1"}
    given = Settings(assignment_stores=table).assignment_stores
    assert parse_clusters(given) == table


async def test_the_first_start_spreads_evenly_and_the_next_finds_the_same(stores):
    clusters = some(stores, "east", "west")
    made = await join(stores["control"], clusters)
    assert len(made.shards_of("east")) == len(made.shards_of("west")) == SHARDS // 2
    assert await join(stores["control"], dict(reversed(clusters.items()))) == made


async def test_a_cluster_that_is_added_owns_nothing_yet(stores):
    await join(stores["control"], some(stores, "east", "west"))
    grown = await join(stores["control"], some(stores, "east", "west", "north"))
    assert (grown.clusters, grown.shards_of("north")) == (("east", "west", "north"), ())


async def test_a_cluster_that_is_missing_is_named(stores):
    await join(stores["control"], some(stores, "east", "west"))
    with pytest.raises(Refused, match="names the cluster west"):
        await join(stores["control"], some(stores, "east"))


async def test_clusters_that_were_swapped_are_told_apart(stores):
    await join(stores["control"], some(stores, "east", "west"))
    swapped = {"east": stores["west"], "west": stores["east"]}
    with pytest.raises(InvalidInput, match='given as east is "west"'):
        await join(stores["control"], swapped)


async def test_a_server_without_the_clusters_gets_no_session(stores):
    """Nor does one that lost its session while the map was made."""
    session = Session(stores["control"], ttl_s=5, new_id=iter("ab").__next__, alone=True)
    await session.open()
    await join(stores["control"], some(stores, "east", "west"))
    with pytest.raises(Refused, match="--assignment-stores"):
        await session.open()


async def test_what_stands_in_the_store_stays_there_until_it_is_moved(stores):
    """One cluster becomes several: the store itself is named as one of them."""
    control = stores["control"]
    await control.commit(Txn(then=[Put(keys.assignment("t", "c"), b"{}")]))
    with pytest.raises(Refused, match="name it as one of the assignment stores"):
        await join(control, some(stores, "east", "west"))
    made = await join(control, {"home": control, "west": stores["west"]})
    assert len(made.shards_of("home")) == SHARDS


async def test_clients_without_a_map_are_not_taken_for_new(stores):
    await stores["east"].commit(Txn(then=[Put(keys.assignment("t", "c"), b"{}")]))
    with pytest.raises(Refused, match="no shard map"):
        await join(stores["control"], some(stores, "east", "west"))
