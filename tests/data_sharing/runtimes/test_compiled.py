"""The cache of compiled code: made once, made again where it is damaged or made otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from data_sharing.runtimes.compiled import CompiledCache


class Compiler:
    """Counts how often it was asked."""

    def __init__(self, code: bytes = b"native code") -> None:
        self.code = code
        self.times = 0

    def __call__(self) -> bytes:
        self.times += 1
        return self.code


def test_the_same_artifact_is_compiled_once(tmp_path: Path) -> None:
    cache, compiler = CompiledCache(tmp_path / "c", "settings"), Compiler()
    first = cache.get("component", "ab" * 32, compiler)
    assert cache.get("component", "ab" * 32, compiler) == first
    assert CompiledCache(tmp_path / "c", "settings").get("component", "ab" * 32, compiler) == first
    assert compiler.times == 1
    assert first.read_bytes() == compiler.code


@pytest.mark.parametrize(
    ("kind", "sha256", "settings"),
    [("command", "ab", "s"), ("component", "cd", "s"), ("component", "ab", "other")],
    ids=["another-kind", "another-artifact", "another-engine"],
)
def test_everything_that_goes_into_it_names_an_entry(
    tmp_path: Path, kind: str, sha256: str, settings: str
) -> None:
    compiler = Compiler()
    first = CompiledCache(tmp_path, "s").get("component", "ab", compiler)
    assert CompiledCache(tmp_path, settings).get(kind, sha256, compiler) != first
    assert compiler.times == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"other code"),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
    ],
    ids=["changed", "emptied", "gone"],
)
def test_a_damaged_entry_is_made_again(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    cache, compiler = CompiledCache(tmp_path, "s"), Compiler()
    damage(cache.get("component", "ab", compiler))
    assert cache.get("component", "ab", compiler).read_bytes() == compiler.code
    assert compiler.times == 2


def test_only_its_user_can_read_the_folder_and_its_entries(tmp_path: Path) -> None:
    path = CompiledCache(tmp_path / "c", "s").get("component", "ab", Compiler())
    assert path.parent.stat().st_mode & 0o077 == 0
    assert path.stat().st_mode & 0o077 == 0
