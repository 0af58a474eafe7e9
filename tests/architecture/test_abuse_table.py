"""Each line of the table of abuse in docs/security.md names tests, and they are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- abuse: begin -->", "<!-- abuse: end -->"
NAMED = re.compile(r"`([a-z_/]+\.py)::(test_[a-z0-9_]+)`")


def lines() -> list[tuple[str, list[tuple[str, str]]]]:
    """Each attack, and the tests that its line names: file and function."""
    page = (ROOT / "docs" / "security.md").read_text()
    table = page.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
    return [(line.split("|")[1].strip(), NAMED.findall(line.split("|")[3])) for line in table]


def test_there_is_a_table():
    assert len(lines()) >= 15


@pytest.mark.parametrize(("attack", "named"), lines(), ids=[attack for attack, _ in lines()])
def test_what_shows_it_is_there(attack: str, named: list[tuple[str, str]]):
    assert named, f"nothing shows what becomes of {attack}"
    for file, function in named:
        tree = ast.parse((ROOT / "tests" / file).read_text())
        found = {
            one.name
            for one in ast.walk(tree)
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert function in found, f"{file} has no {function}"
