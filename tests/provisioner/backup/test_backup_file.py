"""A backup that is not what was written is not used, and neither are files of something else."""

from __future__ import annotations

import json
import sqlite3
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane import keys
from control_plane.errors import FaultyFile, Refused
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.opening import EtcdAccess
from control_plane.store.port import Put, Txn
from provisioner.backup.backup_file import BackupFile, BackupWriter
from provisioner.backup.restored_records import raised_assignment
from provisioner.backup.store_files import backup_store
from tests.support.backups import NOW, put_back


def write(path: Path, pairs: list[tuple[bytes, bytes]]) -> None:
    writer = BackupWriter(path)
    try:
        writer.add(pairs)
        writer.finish(store="etcd", cluster="c", revision=7, taken_ms=1, left_out=0)
    finally:
        writer.discard()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "backup"
    write(path, [(b"/a/%02d" % n, b"value %d" % n) for n in range(50)])
    return path


def test_it_holds_what_was_written_and_is_for_its_owner_alone(file: Path) -> None:
    with BackupFile(file) as backup:
        assert next(backup.under(b"/a/1")) == (b"/a/10", b"value 10")
        assert (backup.about.pairs, backup.about.revision) == (50, 7)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in file.parent.iterdir()] == ["backup"]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM pairs WHERE key = x'2f612f3130'",
        "UPDATE pairs SET value = x'00' WHERE key = x'2f612f3130'",
        "INSERT INTO pairs VALUES (x'2f62', x'00')",
        "DELETE FROM about",
        "UPDATE about SET document = '{}'",
        "UPDATE about SET document = '['",
        "DROP TABLE pairs",
        "PRAGMA application_id = 1",
        "PRAGMA user_version = 2",
    ],
)
def test_one_that_was_altered_is_refused(file: Path, statement: str) -> None:
    db = sqlite3.connect(file, isolation_level=None)
    db.execute(statement)
    db.close()
    with pytest.raises(FaultyFile), BackupFile(file):
        pass


@pytest.mark.parametrize("size", [0, 1, 100, 4_096, 6_000])
def test_one_that_was_cut_short_is_refused(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(FaultyFile), BackupFile(file):
        pass


def test_nothing_is_written_over(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(Refused, match="is there already"):
        write(file, [])
    assert file.read_bytes() == before


async def test_a_store_that_is_there_is_left_alone(tmp_path: Path) -> None:
    where = tmp_path / "store.db"
    store = await EmbeddedStore.open(where)
    await store.commit(Txn(then=[Put(keys.unit("a"), b"{}")]))
    url, file = f"embedded:{where}", tmp_path / "backup"
    await backup_store(url, file, access=EtcdAccess(), wall=lambda: NOW)
    with pytest.raises(Refused, match="in use"):
        await put_back(file, url)
    await store.close()
    before = where.read_bytes()
    with pytest.raises(Refused, match="there is a store"):
        await put_back(file, url)
    assert where.read_bytes() == before


async def test_a_clock_behind_the_backup_is_refused(tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    await store.commit(Txn(then=[Put(keys.unit("a"), b"{}")]))
    await store.close()
    file = tmp_path / "backup"
    url = f"embedded:{tmp_path / 'store.db'}"
    await backup_store(url, file, access=EtcdAccess(), wall=lambda: NOW + 1)
    with pytest.raises(Refused, match="clock"):
        await put_back(file, f"embedded:{tmp_path / 'new.db'}")
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("key", [keys.SHARD_MAP, keys.CLUSTER_NAME, keys.RESTORING])
async def test_what_one_backup_cannot_hold_is_refused(tmp_path: Path, key: bytes) -> None:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    await store.commit(Txn(then=[Put(key, b"{}"), Put(keys.unit("a"), b"{}")]))
    await store.close()
    url = f"embedded:{tmp_path / 'store.db'}"
    with pytest.raises(Refused):
        await backup_store(url, tmp_path / "backup", access=EtcdAccess(), wall=lambda: NOW)
    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0" + bytes(100)])
async def test_what_is_no_store_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(content)
    with pytest.raises(Refused):
        await backup_store(
            f"embedded:{path}", tmp_path / "backup", access=EtcdAccess(), wall=lambda: NOW
        )
    assert path.read_bytes() == content


@given(st.integers(1, 1 << 40), st.integers(0, 1 << 42), st.integers(0, 1 << 42), st.booleans())
def test_an_epoch_only_grows_and_its_life_is_told(
    epoch: int, at_ms: int, now_ms: int, keyed: bool
) -> None:
    more = b',"key":"k"' if keyed else b""
    value = b'{"unit":"a","epoch":%d,"at_ms":%d,"cell":"x","policy":0%b}' % (epoch, at_ms, more)
    made = raised_assignment(value, now_ms=now_ms)
    assert made is not None
    record = json.loads(made)
    assert record["epoch"] > epoch
    assert record["epoch"] >= now_ms
    assert (record["unit"], record.get("key")) == ("a", "k" if keyed else None)
    assert record.get("first", 0) == (at_ms if epoch == 1 else 0)


@pytest.mark.parametrize(
    "value", [b"", b"[]", b"{}", b'{"unit":"a","epoch":"1","at_ms":1}', b"\xff"]
)
def test_a_damaged_assignment_is_none(value: bytes) -> None:
    assert raised_assignment(value, now_ms=1) is None
