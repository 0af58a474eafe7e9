"""Each line of the tables of docs/security.md names what shows it: tests, and attacks of
`make attacks`. They are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.attacks.attacker import ATTACKS

ROOT = Path(__file__).resolve().parents[2]
TABLES = ("defended", "abuse")
FILE = re.compile(r"`([a-z0-9_/]+\.py)(?:::(test_[a-z0-9_]+))?`")
ATTACK = re.compile(r"\*([^*]+)\*")
MEASURED = re.compile(r"^\| (data-sharing|provisioner) \| \w+ \| ([^|]+) \|", re.MULTILINE)
PAGE = (ROOT / "docs" / "security.md").read_text()


def lines(table: str) -> list[tuple[str, str]]:
    """What each line is against, and what shows what becomes of it."""
    begin, end = f"<!-- {table}: begin -->", f"<!-- {table}: end -->"
    rows = PAGE.partition(begin)[2].partition(end)[0].strip().splitlines()[2:]
    cells = [row.split("|") for row in rows]
    return [(cell[1].strip(), cell[3]) for cell in cells]


ALL = [line for table in TABLES for line in lines(table)]


@pytest.mark.parametrize("table", TABLES)
def test_there_is_a_table(table: str):
    assert len(lines(table)) >= 15


@pytest.mark.parametrize(("against", "shown"), ALL, ids=[against for against, _ in ALL])
def test_what_shows_it_is_there(against: str, shown: str):
    named = FILE.findall(shown)
    assert named, f"nothing shows what becomes of {against}"
    for file, function in named:
        assert not function or function in functions(file), f"{file} has no {function}"
        assert (ROOT / "tests" / file).is_file()
    known = {name for attacks in ATTACKS.values() for name in attacks}
    assert set(ATTACK.findall(shown)) <= known


def functions(file: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {one.name for one in ast.walk(tree) if isinstance(one, kinds)}


def test_each_measured_row_is_of_an_attack():
    measured = {(service, name.strip()) for service, name in MEASURED.findall(PAGE)}
    assert measured
    assert measured <= {(service, name) for service in ATTACKS for name in ATTACKS[service]}
