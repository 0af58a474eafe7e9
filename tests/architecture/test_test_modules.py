"""Tests stand alone: what two of them need lives in tests/support, or beside them."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.source import ROOT, parsed, python_files, relative

TESTS = ROOT / "tests"


def imports_of_tests(file: Path) -> Iterator[str]:
    """The modules below `tests` that a module imports, by dotted name."""
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tests":
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("tests."))


def file_of(dotted: str) -> Path | None:
    """Where a module of that name would be, if there is one."""
    file = ROOT.joinpath(*dotted.split(".")).with_suffix(".py")
    return file if file.exists() else None


def test_no_test_module_is_imported() -> None:
    slips = [
        (relative(file), dotted)
        for file in python_files(TESTS)
        for dotted in imports_of_tests(file)
        if file_of(dotted) and dotted.rpartition(".")[2].startswith(("test_", "conftest"))
    ]
    assert slips == []


def beside(folder: str, harness: str) -> bool:
    """Whether a folder of tests holds the harness's folder, or is held by it."""
    return f"{folder}/".startswith(f"{harness}/") or f"{harness}/".startswith(f"{folder}/")


def test_what_several_folders_use_is_in_support() -> None:
    used: dict[str, set[str]] = defaultdict(set)
    for file in python_files(TESTS):
        for dotted in imports_of_tests(file):
            home = file_of(dotted)
            if home and not home.is_relative_to(TESTS / "support"):
                used[relative(home)].add(relative(file.parent))
    slips = {
        path: sorted(folders)
        for path, folders in used.items()
        if any(not beside(folder, Path(path).parent.as_posix()) for folder in folders)
    }
    assert slips == {}
