"""Tests stand alone: what two of them need lives in tests/support, or beside them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, python_files, relative, text_of

TESTS = ROOT / "tests"


_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(tests[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)"
    r"|import[ \t]+(tests\.[\w.]+))",
    re.MULTILINE,
)
_COMMENT = re.compile(r"#.*")


def imports_in(text: str) -> Iterator[str]:
    """The modules below `tests` that a module's text imports, and what it imports from them, by
    dotted name. By its lines: to parse all tests takes longer than everything else here."""
    for home, names, alone in _IMPORT.findall(text):
        yield home or alone
        for name in _COMMENT.sub("", names).strip("() \t").split(","):
            if name.strip():
                yield f"{home}.{name.split()[0]}"


@cache
def imports_of_tests(file: Path) -> tuple[str, ...]:
    return tuple(imports_in(text_of(file)))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import tests.a.b as b", ["tests.a.b"]),
        ("from tests.a import b", ["tests.a", "tests.a.b"]),
        ("    from tests.a import b as c, d  # why", ["tests.a", "tests.a.b", "tests.a.d"]),
        (
            "from tests.a import (\n    b,  # why\n    c as d,\n)\n",
            ["tests.a", "tests.a.b", "tests.a.c"],
        ),
        ("from tests import a", ["tests", "tests.a"]),
        ("import a\nfrom b import tests", []),
    ],
)
def test_imports_are_read_from_lines(text: str, found: list[str]) -> None:
    assert list(imports_in(text)) == found


@cache
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
