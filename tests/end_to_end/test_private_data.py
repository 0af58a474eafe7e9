"""What real programs leave on disk under the most generous umask: nothing that others can open."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.data_sharing_server import SharingServer
from tests.support.local_stack import Up
from tests.support.server_process import ServerProcess
from tests.support.servers import Server

UNIT = {
    "id": "dublin",
    "endpoint": "dublin.example.net:443",
    "position": {"latitude": 53.3, "longitude": -6.3},
    "country": "IE",
    "capacity": 10,
}
FLEET = {"units": [UNIT]}


@pytest.fixture(autouse=True)
def generous() -> Iterator[None]:
    """What the programs inherit."""
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """Everything at and below a folder that somebody else could open, with its mode."""
    found = []
    for one in [folder, *folder.rglob("*")]:
        mode = stat.S_IMODE(one.lstat().st_mode)
        if not one.is_symlink() and mode & 0o077:
            found.append(f"{one.relative_to(folder)} {mode:o}")
    return found


def files_of(folder: Path) -> set[str]:
    return {one.name for one in folder.rglob("*") if one.is_file()}


@pytest.mark.parametrize("store", ["embedded", "etcd"])
def test_of_a_local_stack(tmp_path: Path, store: str) -> None:
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text(yaml.safe_dump(FLEET))
    with Up(tmp_path / "data", "--units", str(fleet), "--store", store, "--etcd-port", "0") as up:
        assert open_to_others(up.data_dir) == []
        assert {"server.log", "agent.log", "up.json", "up.lock"} <= files_of(up.data_dir)
        assert open_to_others(up.ready_file) == []
    assert open_to_others(up.data_dir) == []


def test_of_a_server_with_its_store(tmp_path: Path) -> None:
    store = tmp_path / "made/store.db"
    with Server(tmp_path, "server", f"embedded:{store}"):
        assert {"store.db", "store.db-wal", "store.db.lock"} <= files_of(store.parent)
        assert open_to_others(store.parent) == []


def test_of_a_data_sharing_server_and_a_platform(tmp_path: Path) -> None:
    compiled = f"--compiled-dir={tmp_path / 'compiled'}"
    with SharingServer(tmp_path, compiled) as sharing:
        platform = ServerProcess(
            tmp_path, "platform",
            ("-m", "data_sharing.platforms", "--name=a", "--applications=none",
             f"--data-dir={tmp_path / 'platform-data'}", f"--server={sharing.address}", compiled),
        )  # fmt: skip
        try:
            while not (tmp_path / "platform-data/journal").exists():
                assert platform.process.poll() is None, platform.log()
        finally:
            platform.process.terminate()
            platform.process.wait(30)
        assert {"sharing.db", "signing.key"} <= files_of(tmp_path / "data")
        assert open_to_others(tmp_path / "data") == []
        assert open_to_others(tmp_path / "platform-data") == []
        assert open_to_others(tmp_path / "compiled") == []
        assert {one.name for one in (tmp_path / "compiled").iterdir()} >= {".homeport", "wasm"}
        assert not (tmp_path / "data/compiled").exists()
        assert not (tmp_path / "platform-data/compiled").exists()


def test_a_data_directory_that_lay_open_is_closed_at_start(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with SharingServer(tmp_path):
        pass
    for one in [data, *data.rglob("*")]:
        if one.name != "signing.key":
            one.chmod(one.stat().st_mode | 0o044)
    with SharingServer(tmp_path) as again:
        assert open_to_others(data) == []
        assert again.log().count("open to others until now, and closed") == 1
    before = (data / "signing.key").read_bytes()
    wrapping = tmp_path / "wrapping.key"
    wrapping.write_bytes(base64.b64encode(os.urandom(32)))
    wrapping.chmod(0o600)
    with SharingServer(tmp_path, f"--key-wrapping-file={wrapping}") as once_more:
        assert once_more.log().count("open to others until now, and closed") == 1
        assert before.strip() not in (data / "signing.key").read_bytes()
    without = SharingServer(tmp_path)
    assert without.process.wait(60) == 2
    assert "is wrapped; name the wrapping key with --key-wrapping-file" in without.log()


def test_a_signing_key_that_lay_open_is_refused(tmp_path: Path) -> None:
    with SharingServer(tmp_path):
        pass
    (tmp_path / "data").chmod(0o755)
    (tmp_path / "data/signing.key").chmod(0o644)
    refused = SharingServer(tmp_path)
    assert refused.process.wait(60) == 2
    assert "can be read by others (mode 644); run `chmod 600" in refused.log()
