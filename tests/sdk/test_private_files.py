"""What the library keeps on disk: for its user alone, closed where it lay open, not believed where
others could have written it."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest

from homeport.client_keys import ClientKeys
from homeport.private_files import private_folder, read_own

OURS = ("0123456789" * 4 + ".json", "abcdef0123" * 4 + ".key", ".x1y2.tmp")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777], ids=oct)
def test_folders_are_made_for_us_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        private_folder(tmp_path / "a/b")
    finally:
        os.umask(before)
    assert [mode_of(tmp_path / "a"), mode_of(tmp_path / "a/b")] == [0o700, 0o700]


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o750, 0o2775, 0o701])
@pytest.mark.parametrize("holds", [(), OURS])
def test_an_open_folder_of_ours_is_closed_and_said_once(
    tmp_path: Path, mode: int, holds: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    for name in holds:
        (folder / name).touch()
    folder.chmod(mode)
    with caplog.at_level(logging.WARNING, "homeport"):
        private_folder(folder)
        private_folder(folder)
    assert mode_of(folder) & 0o777 == 0o700
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("foreign", ["notes.txt", ".bashrc", "x.json", "A" * 40 + ".key"])
def test_a_folder_with_anything_else_keeps_its_mode(tmp_path: Path, foreign: str) -> None:
    for name in (*OURS, foreign):
        (tmp_path / name).touch()
    tmp_path.chmod(0o755)
    private_folder(tmp_path)
    assert mode_of(tmp_path) == 0o755


def test_a_place_of_many_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    private_folder(tmp_path)
    assert mode_of(tmp_path) == 0o1777
    tmp_path.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_a_folder_of_somebody_elses_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    os.chown(tmp_path, 12_345, -1)
    private_folder(tmp_path)
    assert mode_of(tmp_path) == 0o777
    os.chown(tmp_path, 0, -1)
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o755])
def test_a_file_that_others_can_read_is_closed_and_read(
    tmp_path: Path, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    path.chmod(mode)
    with caplog.at_level(logging.WARNING, "homeport"):
        assert read_own(path) == read_own(path) == b"content"
    assert mode_of(path) == 0o600
    assert caplog.messages == [f"{path} was open to others (mode {mode:o}); it is not any more"]


@pytest.mark.parametrize("mode", [0o666, 0o660, 0o606, 0o622])
def test_a_file_that_others_could_write_is_not_believed_and_left(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    path.chmod(mode)
    with pytest.raises(ValueError, match=r"others could write it \(mode 6"):
        read_own(path)
    assert mode_of(path) == mode


def test_somebody_elses_file_is_not_believed(tmp_path: Path) -> None:
    """Root can give a file away; everybody else finds one of root's."""
    path = Path("/etc/passwd")
    if os.geteuid() == 0:
        path = tmp_path / "planted"
        path.write_bytes(b"content")
        os.chown(path, 12_345, -1)
    with pytest.raises(ValueError, match="belongs to user"):
        read_own(path)


def test_of_keys_likewise(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = ClientKeys(tmp_path / "keys").key("city", "a")
    path = ClientKeys(tmp_path / "keys").path("city", "a")
    assert path is not None
    path.chmod(0o644)
    assert ClientKeys(tmp_path / "keys").key("city", "a") == made
    assert mode_of(path) == 0o600
    path.chmod(0o666)
    assert ClientKeys(tmp_path / "keys").key("city", "a") != made
    assert "others could write it" in caplog.text
    path.chmod(0o600)
    (tmp_path / "keys").chmod(0o777)
    assert ClientKeys(tmp_path / "keys").key("city", "b") != made
    assert mode_of(tmp_path / "keys") == 0o700
