"""Whole-file replacement: readers see the old content or the new one, and nothing is left over."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from control_plane.files import replace_file


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_that_is_there_is_replaced_and_no_scratch_file_stays(
    tmp_path: Path, durable: bool
) -> None:
    file = tmp_path / "it"
    for content in (b"one", b"two"):
        replace_file(file, content, durable=durable)
        assert file.read_bytes() == content
    assert [one.name for one in tmp_path.iterdir()] == ["it"]


@pytest.mark.parametrize("mode", [0o600, 0o500, 0o644])
def test_a_mode_that_is_asked_for_is_had_whatever_the_umask_and_the_old_file_say(
    tmp_path: Path, mode: int
) -> None:
    file = tmp_path / "it"
    file.write_bytes(b"old")
    file.chmod(0o777)
    before = os.umask(0o077)
    try:
        replace_file(file, b"new", mode=mode)
    finally:
        os.umask(before)
    assert mode_of(file) == mode
    assert file.read_bytes() == b"new"


def test_without_a_mode_the_umask_decides_as_of_any_new_file(tmp_path: Path) -> None:
    replace_file(tmp_path / "it", b"new")
    (tmp_path / "other").write_bytes(b"new")
    assert mode_of(tmp_path / "it") == mode_of(tmp_path / "other")


def test_a_reader_who_has_the_old_file_open_goes_on_reading_it(tmp_path: Path) -> None:
    file = tmp_path / "it"
    replace_file(file, b"old")
    with file.open("rb") as reader:
        replace_file(file, b"new")
        assert reader.read() == b"old"


def test_where_it_cannot_be_replaced_the_old_one_stands_and_no_scratch_file_is_left(
    tmp_path: Path,
) -> None:
    (tmp_path / "it").mkdir()  # nothing can be renamed over it
    with pytest.raises(IsADirectoryError):
        replace_file(tmp_path / "it", b"new")
    assert [one.name for one in tmp_path.iterdir()] == ["it"]


def test_threads_that_replace_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    file, contents = tmp_path / "it", [bytes([n]) * 100_000 for n in range(16)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda content: replace_file(file, content), contents))
    assert file.read_bytes() in contents
    assert [one.name for one in tmp_path.iterdir()] == ["it"]
