"""Clusters: the assignment stores a deployment is configured with, by name, and how they join.

    east=etcd://a:2379,b:2379;west=etcd://c:2379

The name is what the shard map knows a cluster by, for ever; its address may change. Each
cluster holds its own name, so that two that were swapped by mistake are told apart before
anything is read from the wrong one.
"""

from __future__ import annotations

from collections.abc import Mapping

from control_plane import keys
from control_plane.errors import Conflict, InvalidInput, Refused
from control_plane.identity.names import check_slug
from control_plane.printable import quoted
from control_plane.store.cluster_tagged import ClusterTaggedStore
from control_plane.store.opening import EtcdAccess, StoreUrl, open_store
from control_plane.store.port import Put, Store, Txn, absent, unchanged
from provisioner.shards.shard_map import ShardMap, decode_map, encode_map, first_map

FIELD = "assignment_stores"
_FORM = "write name=etcd://host:port,host:port;name=etcd://host:port"
ATTEMPTS = 10


def parse_clusters(text: str) -> dict[str, str]:
    """URLs by name, in the order given. Raises InvalidInput that says how to write it."""
    found: dict[str, str] = {}
    for part in (piece.strip() for piece in text.split(";")):
        if not part:
            continue
        name, separator, url = part.partition("=")
        name, url = name.strip(), url.strip()
        if not separator or not url:
            raise InvalidInput(FIELD, f"{quoted(part)} lacks a name or an address; {_FORM}")
        check_slug(name, FIELD)
        if name in found:
            raise InvalidInput(FIELD, f"{name} is named twice; give each cluster a name of its own")
        if StoreUrl.parse(url).path is not None:
            raise InvalidInput(
                FIELD, f"{name} is an embedded store, which serves one process; {_FORM}"
            )
        found[name] = url
    if not found:
        raise InvalidInput(FIELD, f"no assignment store is named; {_FORM}")
    return found


def check_control(url: str) -> None:
    """Raises InvalidInput where the store cannot be shared by the servers of clusters."""
    if StoreUrl.parse(url).path is not None:
        raise InvalidInput(
            "store",
            "the store must be etcd where assignments are spread over clusters; give it with "
            "--store etcd://host:port",
        )


async def open_clusters(urls: Mapping[str, str], access: EtcdAccess) -> dict[str, Store]:
    """All of them, opened. Raises what opening one raises, and then none is left open."""
    opened: dict[str, Store] = {}
    try:
        for name, url in urls.items():
            opened[name] = await open_store(url, access=access)
    except BaseException:  # cancelled too: nobody else can close them
        for store in opened.values():
            await store.close()
        raise
    return opened


async def join(control: Store, clusters: Mapping[str, Store]) -> ShardMap:
    """The shard map, which is made now if this is the first start, with these clusters in it.

    Raises InvalidInput where a cluster is not the one its name says; Refused where the map
    names one that is not configured, or where assignments stand outside of these clusters.
    """
    for name, store in clusters.items():
        await _introduce(name, store)
    for _ in range(ATTEMPTS):
        pair = await control.get(keys.SHARD_MAP)
        if pair is None:
            shard_map = await _found(control, clusters)
        else:
            shard_map = decode_map(pair)
            _refuse_missing(shard_map, clusters)
            if set(clusters) <= set(shard_map.clusters):
                return shard_map
            shard_map = shard_map.with_clusters(clusters)
        compared = unchanged(keys.SHARD_MAP, pair.mod_revision if pair else 0)
        written = await control.commit(
            Txn(compares=[compared], then=[Put(keys.SHARD_MAP, encode_map(shard_map))])
        )
        if written.succeeded:
            return shard_map
    raise Conflict("the shard map keeps changing while this server starts; start it again")


def cluster_tagged(shard_map: ShardMap, clusters: Mapping[str, Store]) -> dict[str, Store]:
    """The clusters with revisions that are told apart, in the map's order."""
    return {
        name: ClusterTaggedStore(clusters[name], shard_map.place(name) + 1)
        for name in shard_map.clusters
    }


async def _introduce(name: str, store: Store) -> None:
    """The cluster is told its name, or asked for it. Raises InvalidInput."""
    key = keys.CLUSTER_NAME
    await store.commit(Txn(compares=[absent(key)], then=[Put(key, name.encode())]))
    pair = await store.get(key)
    known = pair.value.decode(errors="replace") if pair is not None else ""
    if known != name:
        raise InvalidInput(
            FIELD, f"the store given as {name} is {quoted(known)}; check the addresses of both"
        )


async def _found(control: Store, clusters: Mapping[str, Store]) -> ShardMap:
    """The first map: even, or everything where it stands already."""
    stands_at = ""
    if (await control.range(keys.ASSIGNMENTS, limit=1, keys_only=True)).items:
        stored = await control.get(keys.CLUSTER_NAME)
        stands_at = stored.value.decode(errors="replace") if stored is not None else ""
        if stands_at not in clusters:
            raise Refused(
                "assignments stand in the store itself; name it as one of the assignment stores "
                "(name=etcd://… with its own address), and move shards away from it later"
            )
    for name, store in clusters.items():
        if (
            name != stands_at
            and (await store.range(keys.ASSIGNMENTS, limit=1, keys_only=True)).items
        ):
            raise Refused(
                f"cluster {name} holds assignments, but the store has no shard map; is --store "
                "the right one?"
            )
    return first_map(tuple(clusters), all_at=stands_at)


def _refuse_missing(shard_map: ShardMap, clusters: Mapping[str, Store]) -> None:
    missing = [name for name in shard_map.clusters if name not in clusters]
    if missing:
        raise Refused(
            f"the shard map names the cluster {missing[0]}, which is not configured; add "
            f"{missing[0]}=etcd://… to --assignment-stores"
        )
