"""The table of docs/reliability.md comes from results and from nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.table import BEGIN, END, PAGE, written

ROW = {"fault": "x", "scenario": "s", "requests": 1_234, "failed": 0, "revisions": 5,
       "violations": 0, "resumed_s": [1.5, 0.5, 1.0]}  # fmt: skip


def test_rows_replace_what_stood_between_the_marks_and_nothing_else():
    page = written(f"before\n{BEGIN}\nold\n{END}\nafter\n", [ROW])
    assert page.startswith(f"before\n{BEGIN}\n| fault |")
    assert page.endswith(f"| x | 1,234 | 0 | 0.5 to 1.5 | – | 5 | 0 |\n{END}\nafter\n")


def test_a_page_without_marks_is_refused():
    with pytest.raises(ValueError, match="needs the marks"):
        written("no marks", [ROW])


def test_the_page_shows_the_results_that_are_kept():
    results = Path(__file__).with_name("results") / "latest.json"
    assert written(PAGE.read_text(), json.loads(results.read_text())) == PAGE.read_text()
