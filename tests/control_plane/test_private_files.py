"""Private files: for their user alone whatever the umask, mended where they were not, refused
where they are somebody else's."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.errors import Refused
from control_plane.private_files import (
    close_folder,
    make_private,
    mend_file,
    open_private,
    private_folder,
)
from control_plane.sqlite.connection import connect

SOMEBODY = 12345


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o277, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_folders_and_files_are_made_for_us_alone(tmp_path: Path, umask: int) -> None:
    private_folder(tmp_path / "a/b/c")
    make_private(tmp_path / "a/b/c/file")
    assert [mode_of(tmp_path / one) for one in ("a", "a/b", "a/b/c", "a/b/c/file")] == [
        0o700, 0o700, 0o700, 0o600,
    ]  # fmt: skip


def test_a_database_and_what_lies_beside_it_are(tmp_path: Path, umask: int) -> None:
    with connect(tmp_path / "store.db", page_bytes=4096) as connection:
        connection.execute("CREATE TABLE t (x)")
        names = {one.name: mode_of(one) for one in tmp_path.iterdir()}
    connection.close()
    assert names == dict.fromkeys(("store.db", "store.db-wal", "store.db-shm"), 0o600)


def test_a_database_that_lay_open_is_closed_with_what_lies_beside_it(tmp_path: Path) -> None:
    with connect(tmp_path / "store.db", page_bytes=4096) as first:
        first.execute("CREATE TABLE t (x)")
        for one in tmp_path.iterdir():
            one.chmod(0o644)
        connect(tmp_path / "store.db", page_bytes=4096).close()
        assert {mode_of(one) for one in tmp_path.iterdir()} == {0o600}
    first.close()


def test_a_further_connection_leaves_the_locks_of_the_first_alone(tmp_path: Path) -> None:
    """POSIX gives up all locks of a process on a file when it closes any descriptor of it; another
    program would then take the database for unused."""
    path = tmp_path / "store.db"
    other = f"import sqlite3; sqlite3.connect({str(path)!r}, timeout=0).execute('BEGIN IMMEDIATE')"

    def another_program_writes() -> bool:
        return subprocess.run([sys.executable, "-c", other], stderr=subprocess.PIPE).returncode == 0

    first = connect(path, page_bytes=4096)
    first.execute("CREATE TABLE t (x)")
    assert another_program_writes()
    first.execute("BEGIN IMMEDIATE")
    assert not another_program_writes()
    second = connect(path, page_bytes=4096, read_only=True)
    assert not another_program_writes()
    second.close()
    first.close()


def test_what_lay_open_is_mended_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    (folder / "deep/er").mkdir(parents=True)
    (folder / "foreign/er").mkdir(parents=True)
    for name, mode in (("key", 0o644), ("deep/er/state", 0o666), ("program", 0o755),
                       ("closed", 0o600), ("notes", 0o664), ("foreign/er/one", 0o644)):  # fmt: skip
        (folder / name).write_text("x")
        (folder / name).chmod(mode)
    for name in ("deep", "foreign"):
        (folder / name).chmod(0o777)
    (folder / "signing.key").write_text("x")
    (folder / "signing.key").chmod(0o644)
    (folder / "deep/link").symlink_to("/etc/passwd")
    folder.chmod(0o755)
    before = mode_of(Path("/etc/passwd"))
    parts = ["deep", "key", "prog*", "closed", "signing.key"]
    with caplog.at_level(logging.WARNING):
        close_folder(folder, parts=parts, leave=["signing.key"])
        close_folder(folder, parts=parts, leave=["signing.key"])
    modes = {one.relative_to(folder).as_posix(): mode_of(one)
             for one in folder.rglob("*") if not one.is_symlink()}  # fmt: skip
    assert modes == {
        "deep": 0o700, "deep/er": 0o700, "deep/er/state": 0o600, "key": 0o600, "program": 0o700,
        "closed": 0o600, "signing.key": 0o644, "notes": 0o664, "foreign": 0o777,
        "foreign/er": modes["foreign/er"], "foreign/er/one": 0o644,
    }  # fmt: skip
    assert modes["foreign/er"] & 0o055
    assert mode_of(folder) == 0o700
    assert mode_of(Path("/etc/passwd")) == before
    (said,) = caplog.messages
    assert said.startswith(f"open to others until now, and closed: {folder}, ")
    assert said.endswith(" and 3 more")


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@needs_root
@pytest.mark.parametrize("what", ["", "inside"])
def test_what_is_somebody_elses_is_refused(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    (folder / "inside").write_text("x")
    os.chown(folder / what, SOMEBODY, SOMEBODY)
    with pytest.raises(Refused, match=f"belongs to user {SOMEBODY} and not to 0"):
        close_folder(folder, parts=["inside"])


@needs_root
def test_a_file_of_somebody_elses_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("x")
    os.chown(tmp_path / "db", SOMEBODY, SOMEBODY)
    for use in (make_private, mend_file, lambda path: open_private(path, os.O_RDONLY)):
        with pytest.raises(Refused, match="belongs to user"):
            use(tmp_path / "db")


def test_mending_makes_nothing(tmp_path: Path) -> None:
    mend_file(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_a_folder_is_not_made_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="file"):
        private_folder(tmp_path / "file")
