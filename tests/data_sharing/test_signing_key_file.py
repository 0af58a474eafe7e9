"""The file of the signing key: made once, wrapped where there is a wrapping key, upgraded."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path
from threading import Barrier, Thread

import pytest

from control_plane.errors import InvalidInput
from control_plane.identity.key_wrapping import (
    KeyWrapping,
    NoWrapping,
    PassphraseWrapping,
    Wrapping,
)
from data_sharing.signing import SigningKey
from data_sharing.signing_key_file import key_of_file

FIRST, SECOND = os.urandom(32), os.urandom(32)


def by_key(*keys: bytes) -> Wrapping:
    return KeyWrapping(*keys, random=os.urandom)


def by_passphrase(text: str = "correct horse battery") -> Wrapping:
    return PassphraseWrapping(text, random=os.urandom)


def read(path: Path, wrapping: Wrapping | None = None) -> str:
    return key_of_file(path, wrapping, random=os.urandom).key_id


def seed_is_in(path: Path) -> bool:
    """Whether whoever reads the file has the key."""
    try:
        return len(base64.b64decode(path.read_bytes().strip(), validate=True)) == 32
    except ValueError:
        return False


def test_it_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "key"
    made = read(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["key"]
    assert read(path) == made
    path.chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        read(path)


@pytest.mark.parametrize("content", ["", "no key", "QUJD", "x" * 10_000, '{"wrapped": 1}'])
def test_what_is_no_key_is_refused_and_left(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key"
    path.write_text(content)
    path.chmod(0o600)
    for wrapping in (None, by_key(FIRST)):
        with pytest.raises(InvalidInput, match="32 bytes"):
            read(path, wrapping)
    assert path.read_text() == content


@pytest.mark.parametrize("wrapping", [by_key(FIRST), by_passphrase()], ids=["key", "passphrase"])
@pytest.mark.parametrize("kept", ["new", "as it is"])
def test_with_a_wrapping_key_the_file_does_not_give_the_key_away(
    tmp_path: Path, wrapping: Wrapping, kept: str
) -> None:
    path = tmp_path / "key"
    before = None
    if kept == "as it is":
        before = read(path)
        assert seed_is_in(path)
    found = read(path, wrapping)
    assert before in (None, found)
    assert not seed_is_in(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_bytes()
    assert read(path, wrapping) == found
    assert path.read_bytes() == content  # not written again without need


def test_a_newer_wrapping_key_takes_over_from_an_older(tmp_path: Path) -> None:
    path = tmp_path / "key"
    found = read(path, by_key(FIRST))
    assert read(path, by_key(SECOND, FIRST)) == found
    assert read(path, by_key(SECOND)) == found
    with pytest.raises(InvalidInput, match="give the right key"):
        read(path, by_key(FIRST))


@pytest.mark.parametrize(
    ("kept", "given", "said"),
    [
        (by_key(FIRST), NoWrapping(), "is wrapped; name the wrapping key"),
        (by_key(FIRST), by_key(SECOND), "give the right key"),
        (by_key(FIRST), by_passphrase(), "with a key of a file"),
        (by_passphrase(), by_passphrase("another passphrase"), "another passphrase"),
        (by_passphrase(), NoWrapping(), "is wrapped; name the wrapping key"),
    ],
)
def test_a_wrong_wrapping_key_is_said_and_changes_nothing(
    tmp_path: Path, kept: Wrapping, given: Wrapping, said: str
) -> None:
    path = tmp_path / "key"
    read(path, kept)
    content = path.read_bytes()
    with pytest.raises(InvalidInput, match=said):
        read(path, given)
    assert path.read_bytes() == content


def test_where_it_cannot_be_written_it_stays_and_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / ("k" * 250)  # a scratch file beside it would have too long a name
    path.write_bytes(base64.b64encode(FIRST) + b"\n")
    path.chmod(0o600)
    assert read(path, by_key(SECOND)) == SigningKey.of(FIRST).key_id
    assert "could not be wrapped and stays as it was: File name too long" in caplog.text
    assert seed_is_in(path)


def test_of_many_that_make_it_at_once_all_have_one(tmp_path: Path) -> None:
    start, found = Barrier(8), []

    def make() -> None:
        start.wait(10)
        found.append(read(tmp_path / "key", by_key(FIRST)))

    threads = [Thread(target=make) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert len(found) == 8
    assert len(set(found)) == 1
    assert os.listdir(tmp_path) == ["key"]


def test_a_file_of_before_is_read(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(base64.b64encode(FIRST) + b"\n")
    path.chmod(0o600)
    assert read(path) == SigningKey.of(FIRST).key_id
