"""Artifacts on disk: named by their content, whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from control_plane.errors import DataLoss, NotFound
from data_sharing.registry.artifacts import Artifacts

CONTENT = b"a program"


def test_what_was_put_is_found_by_its_digest(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "a")
    sha256 = artifacts.put(CONTENT)
    assert sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert artifacts.get(sha256) == CONTENT
    assert artifacts.has(sha256)
    assert Artifacts(tmp_path / "a").put(CONTENT) == sha256
    assert len(list((tmp_path / "a").iterdir())) == 1


@pytest.mark.parametrize(
    "name", ["0" * 64, "", "short", "../" + "0" * 61, "A" * 64, "0" * 64 + "\n"]
)
def test_other_names_name_nothing(tmp_path: Path, name: str) -> None:
    artifacts = Artifacts(tmp_path)
    assert not artifacts.has(name)
    with pytest.raises(NotFound):
        artifacts.get(name)


@pytest.mark.parametrize("damaged", [b"", CONTENT + b"!", b"b program"])
def test_a_damaged_artifact_is_not_given_out(tmp_path: Path, damaged: bytes) -> None:
    artifacts = Artifacts(tmp_path)
    sha256 = artifacts.put(CONTENT)
    (tmp_path / sha256).write_bytes(damaged)
    with pytest.raises(DataLoss, match="submit it again"):
        artifacts.get(sha256)


def test_a_cut_off_artifact_is_mended_by_putting_it_again(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    sha256 = artifacts.put(CONTENT)
    (tmp_path / sha256).write_bytes(CONTENT[:3])
    artifacts.put(CONTENT)
    assert artifacts.get(sha256) == CONTENT
