"""The etcd that `up` starts lets nobody in without its password, on each etcd there is here."""

from __future__ import annotations

import http.client
import json
import os
from pathlib import Path

import pytest

from console.local.etcd_password import guarded_cluster
from console.local.etcd_process import EtcdCluster, EtcdFailed
from control_plane.store.etcd.failures import StoreRefused
from control_plane.store.etcd.store import EtcdStore
from control_plane.store.port import Put, Txn

BUILT = Path.home() / ".cache/homeport"
PROGRAMS = ["", *(str(BUILT / f"etcd-{version}") for version in ("3.6.16", "3.7.3"))]


@pytest.fixture(params=PROGRAMS, ids=["of-the-path", "3.6", "3.7"])
def etcd(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param:
        if not os.access(request.param, os.X_OK):
            pytest.skip(f"{request.param} is not built; `make test-etcd-versions` does")
        monkeypatch.setenv("ETCD_BIN", request.param)


def anybody_reads(endpoint: str) -> bool:
    """Without a user, as any program on the machine could ask."""
    connection = http.client.HTTPConnection(endpoint, timeout=10)
    connection.request("POST", "/v3/kv/range", json.dumps({"key": "AA==", "range_end": "AA=="}))
    status = connection.getresponse().status
    connection.close()
    return status == 200


def arguments_of(cluster: EtcdCluster) -> str:
    return Path(f"/proc/{cluster.members[0].pid}/cmdline").read_text()


@pytest.mark.usefixtures("etcd")
async def test_nobody_gets_in_without_the_password_which_stands_in_its_file_alone(
    tmp_path: Path,
) -> None:
    folder, file = tmp_path / "etcd", tmp_path / "password"
    for _ in range(2):  # the second time with what the first one left
        cluster = guarded_cluster(folder, file, client_port=0)
        try:
            password = file.read_text().strip()
            assert file.stat().st_mode & 0o777 == 0o600
            assert not anybody_reads(cluster.endpoints[0])
            with pytest.raises(StoreRefused):
                await EtcdStore.connect(cluster.endpoints, user="root", password="guess")
            store = await EtcdStore.connect(cluster.endpoints, user="root", password=password)
            await store.commit(Txn(then=[Put(b"k", b"v")]))
            found = await store.get(b"k")
            assert found is not None
            await store.close()
            assert password not in arguments_of(cluster)
        finally:
            cluster.stop()
        assert password not in cluster.members[0].log.read_text()


def test_a_data_directory_of_before_comes_to_ask_for_one(tmp_path: Path) -> None:
    with EtcdCluster(tmp_path / "etcd") as before:
        assert anybody_reads(before.endpoints[0])
    cluster = guarded_cluster(tmp_path / "etcd", tmp_path / "password", client_port=0)
    try:
        assert not anybody_reads(cluster.endpoints[0])
    finally:
        cluster.stop()


def test_a_start_that_was_cut_short_is_made_up_for(tmp_path: Path) -> None:
    """The file is there, and etcd asks for nothing yet."""
    file = tmp_path / "password"
    file.touch(mode=0o600)
    file.write_text("of an earlier start\n")
    cluster = guarded_cluster(tmp_path / "etcd", file, client_port=0)
    try:
        assert not anybody_reads(cluster.endpoints[0])
    finally:
        cluster.stop()


@pytest.mark.parametrize("lost", [True, False], ids=["lost", "another"])
def test_without_the_right_file_it_says_so(tmp_path: Path, lost: bool) -> None:
    file = tmp_path / "password"
    guarded_cluster(tmp_path / "etcd", file, client_port=0).stop()
    if lost:
        file.unlink()
    else:
        file.write_text("another one\n")
    for _ in range(2):
        with pytest.raises(EtcdFailed, match=r"put .*back"):
            guarded_cluster(tmp_path / "etcd", file, client_port=0)
        assert file.exists() != lost, "none that fits nothing is left"
