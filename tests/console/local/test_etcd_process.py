"""Starting, breaking and stopping real etcd servers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.local.etcd_process import (
    EtcdCluster,
    EtcdFailed,
    EtcdMember,
    find_etcd,
    free_ports,
)
from control_plane.store.etcd import EtcdStore
from control_plane.store.port import Put, Txn
from tests.support.etcd import CALM, FAST


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """os.environ as a dict to write to; put back afterwards."""
    before = dict(os.environ)
    yield os.environ  # type: ignore[misc]
    os.environ.clear()
    os.environ.update(before)


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def put(cluster: EtcdCluster, key: bytes) -> None:
    store = await EtcdStore.connect(cluster.endpoints)
    await store.commit(Txn(then=[Put(key, b"")]))
    await store.close()


async def keys(cluster: EtcdCluster) -> list[bytes]:
    store = await EtcdStore.connect(cluster.endpoints)
    page = await store.range(b"")
    await store.close()
    return [kv.key for kv in page.items]


async def test_a_cluster_of_one_serves_and_is_gone_when_stopped(tmp_path: Path) -> None:
    with EtcdCluster(tmp_path / "etcd", arguments=FAST) as cluster:
        pid = cluster.members[0].pid
        assert pid is not None
        await put(cluster, b"a")
    assert not exists(pid)
    assert cluster.members[0].pid is None


async def test_data_is_kept_between_runs_though_the_ports_change(tmp_path: Path) -> None:
    with EtcdCluster(tmp_path / "etcd", arguments=FAST) as first:
        await put(first, b"a")
    with EtcdCluster(tmp_path / "etcd", arguments=FAST) as second:
        assert first.endpoints != second.endpoints
        assert await keys(second) == [b"a"]


async def test_a_killed_member_comes_back_with_its_data(tmp_path: Path) -> None:
    with EtcdCluster(tmp_path / "etcd", arguments=FAST) as cluster:
        await put(cluster, b"a")
        member = cluster.members[0]
        member.kill()
        assert member.pid is None
        cluster.restart(member)
        assert await keys(cluster) == [b"a"]


async def test_three_members_are_one_cluster(tmp_path: Path) -> None:
    cluster = EtcdCluster(tmp_path / "etcd", size=3, arguments=CALM)
    try:
        cluster.start()
        await put(cluster, b"a")
        for endpoint in cluster.endpoints:
            store = await EtcdStore.connect([endpoint])
            assert await store.get(b"a") is not None
            await store.close()
    finally:
        cluster.kill()
    assert [member.pid for member in cluster.members] == [None] * 3


def test_a_frozen_member_is_stopped_too(tmp_path: Path) -> None:
    with EtcdCluster(tmp_path / "etcd", arguments=FAST) as cluster:
        cluster.members[0].freeze()
        pid = cluster.members[0].pid
        assert pid is not None
    assert not exists(pid)


def test_stopping_twice_is_no_error(tmp_path: Path) -> None:
    cluster = EtcdCluster(tmp_path / "etcd", arguments=FAST).start()
    cluster.stop()
    cluster.stop()


def test_an_etcd_that_does_not_start_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(EtcdFailed, match="too long"):
        EtcdCluster(tmp_path / "etcd", arguments=("--election-timeout=60000",)).start()


def test_a_cluster_that_elects_nobody_in_time_is_told_and_stopped(tmp_path: Path) -> None:
    patient = ("--election-timeout=40000", "--initial-election-tick-advance=false")
    cluster = EtcdCluster(tmp_path / "etcd", arguments=patient)
    with pytest.raises(EtcdFailed, match="not healthy in time"):
        cluster.start(timeout_s=0.5)
    assert all(member.pid is None for member in cluster.members)


def test_a_taken_port_is_told_from_other_failures(tmp_path: Path) -> None:
    member = EtcdMember("etcd-1", tmp_path / "etcd-1", program=find_etcd(), arguments=FAST)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", member.client_port))
        holder.listen()
        member.spawn(f"etcd-1={member.peer_url}", "token", None)
        with pytest.raises(EtcdFailed, match="ended while starting"):
            member.wait_until_healthy(float("inf"))
    assert member.has_lost_a_port()


def test_free_ports_differ() -> None:
    assert len(set(free_ports(20))) == 20


def test_settings_for_another_etcd_do_not_reach_ours(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """etcd refuses to start where a flag and an ETCD_ variable contradict each other."""
    environment["ETCD_DATA_DIR"] = str(tmp_path / "elsewhere")
    environment["ETCD_LISTEN_CLIENT_URLS"] = "http://127.0.0.1:1"
    with EtcdCluster(tmp_path / "etcd", arguments=FAST):
        assert not (tmp_path / "elsewhere").exists()
