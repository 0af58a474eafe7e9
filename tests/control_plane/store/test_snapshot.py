"""The snapshot file: what goes in comes out, and whatever is not quite it is refused."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.store.port import KeyValue
from control_plane.store.snapshot import (
    Snapshot,
    UnusableSnapshot,
    decode_snapshot,
    encode_snapshot,
    in_order,
    read_snapshot,
    write_snapshot,
)

HERE = ("127.0.0.1:2379", "127.0.0.1:2381")
PAIRS = in_order(
    KeyValue(key=b"/homeport/v1/units/u%d" % n, value=b'{"n":%d}' % n, create_revision=n,
             mod_revision=n + 5, version=2, lease=7)
    for n in (3, 1, 2)
)  # fmt: skip
SNAPSHOT = Snapshot(
    cluster="cdf818194e3a8c32", endpoints=HERE, confirmed_at=1_800_000_000.5, revision=9,
    pairs=PAIRS,
)  # fmt: skip
CONTENT = encode_snapshot(SNAPSHOT)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "data" / "snapshot"
    write_snapshot(file, CONTENT)
    assert read_snapshot(file, endpoints=HERE[1:]) == SNAPSHOT
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [p.name for p in file.parent.iterdir()] == ["snapshot"], "no scratch file is left"


def test_where_there_is_no_file_there_is_no_snapshot(tmp_path: Path) -> None:
    assert read_snapshot(tmp_path / "none", endpoints=HERE) is None


def test_a_second_one_takes_the_place_of_the_first_with_a_mode_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "snapshot"
    file.write_bytes(b"something else")
    file.chmod(0o644)
    write_snapshot(file, CONTENT)
    assert read_snapshot(file, endpoints=HERE) == SNAPSHOT


def test_a_scratch_file_of_a_dead_process_is_no_obstacle(tmp_path: Path) -> None:
    file = tmp_path / "snapshot"
    file.with_name(f".snapshot.{os.getpid()}").write_bytes(b"half")
    write_snapshot(file, CONTENT)
    assert read_snapshot(file, endpoints=HERE) == SNAPSHOT


def test_a_write_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "snapshot"
    file.mkdir()  # nothing can be renamed over it
    with pytest.raises(OSError):  # noqa: PT011
        write_snapshot(file, CONTENT)
    assert [p.name for p in tmp_path.iterdir()] == ["snapshot"]


@given(cut=st.integers(0, len(CONTENT) - 1))
def test_a_file_that_is_cut_is_refused(cut: int) -> None:
    with pytest.raises(UnusableSnapshot):
        decode_snapshot(CONTENT[:cut], "it")


@given(at=st.integers(0, len(CONTENT) - 1), bit=st.integers(0, 7))
def test_a_file_with_any_bit_altered_is_refused_or_says_the_same(at: int, bit: int) -> None:
    altered = bytearray(CONTENT)
    altered[at] ^= 1 << bit
    try:
        found = decode_snapshot(bytes(altered), "it")
    except UnusableSnapshot:
        return
    assert found == SNAPSHOT  # blanks in the head say nothing


@given(content=st.binary(max_size=200))
def test_bytes_that_are_no_snapshot_are_refused(content: bytes) -> None:
    with pytest.raises(UnusableSnapshot, match="it"):
        decode_snapshot(content, "it")


def with_head(**changed: object) -> bytes:
    line, _, body = CONTENT.partition(b"\n")
    return json.dumps(json.loads(line) | changed).encode() + b"\n" + body


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(with_head(version=2), "version 2", id="of a later version"),
        pytest.param(with_head(format="other"), "not a snapshot", id="of another program"),
        pytest.param(CONTENT + b"more", "cut", id="with more behind it"),
        pytest.param(CONTENT[:-1], "cut", id="one byte short"),
        pytest.param(CONTENT[:-1] + b"\0", "altered", id="last byte altered"),
        pytest.param(b"[1]\n", "not a snapshot", id="other JSON"),
        pytest.param(b"[" * 100_000 + b"\n", "not a snapshot", id="JSON nested deep"),
    ],
)
def test_the_reason_is_told(content: bytes, words: str) -> None:
    with pytest.raises(UnusableSnapshot, match=words):
        decode_snapshot(content, "file")


def test_one_of_another_store_is_refused(tmp_path: Path) -> None:
    write_snapshot(tmp_path / "snapshot", CONTENT)
    with pytest.raises(UnusableSnapshot, match="another store"):
        read_snapshot(tmp_path / "snapshot", endpoints=["10.0.0.1:2379"])


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_one_that_others_can_open_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "snapshot"
    write_snapshot(file, CONTENT)
    file.chmod(mode)
    with pytest.raises(UnusableSnapshot, match="chmod 600"):
        read_snapshot(file, endpoints=HERE)


def test_a_folder_or_a_device_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/null")):
        with pytest.raises(UnusableSnapshot):
            read_snapshot(path, endpoints=HERE)
