"""A tokens file that is changed while a server goes on: the last good one counts."""

from __future__ import annotations

import logging
import os

import pytest

from control_plane.auth.tokens import digest_of
from control_plane.auth.tokens_file import TokensFile
from control_plane.errors import InvalidInput


def entry(token: str) -> str:
    return f'[[token]]\nname="{token}"\nsha256="{digest_of(token)}"\nroles=["viewer"]\n'


async def looked_at(file: TokensFile) -> None:
    """As often as it takes."""
    for _ in range(2):
        await file.refresh()


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "tokens.toml"
    found.write_text(entry("a"))
    return found


async def test_a_change_counts(path):
    file = TokensFile(path)
    path.write_text(entry("b"))
    assert file.current().find("a"), "nobody has looked yet"
    await looked_at(file)
    assert file.current().find("a") is None
    assert file.current().find("b").caller.name == "b"
    assert file.reloads == 1
    await looked_at(file)
    assert file.reloads == 1


async def test_what_is_still_being_written_does_not_count(path):
    file = TokensFile(path)
    for size in range(0, 60, 7):
        path.write_text(entry("b")[:size])
        await file.refresh()
    assert file.current().find("a")
    assert file.current_is_good
    path.write_text(entry("b"))
    await looked_at(file)
    assert file.current().find("b")


async def test_a_change_within_the_same_size_and_time_counts(path):
    stamp = path.stat()
    file = TokensFile(path)
    path.write_text(entry("b"))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    await looked_at(file)
    assert file.current().find("b")


@pytest.mark.parametrize("fault", ["nonsense", "gone", "folder", "too large", "not UTF-8", "pipe"])
async def test_a_broken_replacement_is_logged_once_and_the_last_good_one_counts(
    path, fault, caplog
):
    file = TokensFile(path)
    path.unlink()
    if fault == "nonsense":
        path.write_text("[[token]]\nname=")
    elif fault == "folder":
        path.mkdir()
    elif fault == "too large":
        path.write_text("#" * (5 << 20))
    elif fault == "not UTF-8":
        path.write_bytes(b"\xff\xfe")
    elif fault == "pipe":
        os.mkfifo(path)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            await looked_at(file)
    if fault == "pipe":  # reads as an empty file: nobody has a token
        assert len(file.current()) == 0
        return
    assert [one.levelname for one in caplog.records] == ["ERROR"]
    assert str(path) in caplog.text
    assert file.current().find("a")
    assert not file.current_is_good


async def test_it_is_mended(path, caplog):
    file = TokensFile(path)
    path.write_text("nonsense")
    await looked_at(file)
    with caplog.at_level(logging.INFO):
        path.write_text(entry("a"))
        await looked_at(file)
    assert file.current_is_good
    assert "again as it was" in caplog.text
    path.write_text("nonsense")
    await looked_at(file)
    assert not file.current_is_good, "told anew"


def test_a_server_does_not_begin_with_a_broken_one(path):
    path.write_text("nonsense")
    with pytest.raises(InvalidInput, match="cannot be read"):
        TokensFile(path)
    with pytest.raises(InvalidInput, match="No such file"):
        TokensFile(path.with_name("other"))


async def test_one_that_everybody_may_write_does_not_count(path):
    file = TokensFile(path)
    path.write_text(entry("b"))
    path.chmod(0o666)
    await looked_at(file)
    assert file.current().find("a")
    assert not file.current_is_good
    with pytest.raises(InvalidInput, match="written by everybody"):
        TokensFile(path)
