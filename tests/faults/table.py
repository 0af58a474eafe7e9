"""`python -m tests.faults.table RESULTS`: writes the measured rows into docs/reliability.md.

Only what stands between its two marks is written; the prose around it is people's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"
HEAD = (
    "| fault | requests | failed after retry | writes resumed after, s "
    "| grants back after, s | revisions judged | violations |\n"
    "|---|--:|--:|--:|--:|--:|--:|"
)


def figures(value: Any) -> str:
    """Numbers of one cell: all of a few, the least and the most of many."""
    numbers = sorted(value.values() if isinstance(value, dict) else value or ())
    if not numbers:
        return "–"
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def line(row: dict[str, Any]) -> str:
    """One row of the table."""
    note = f"; {row['note']}" if row.get("note") else ""
    return (
        f"| {row['fault']}{note} | {row['requests']:,} | {row['failed']:,} "
        f"| {figures(row.get('resumed_s'))} | {figures(row.get('grants_back_s'))} "
        f"| {row['revisions']:,} | {row['violations']:,} |"
    )


def written(page: str, rows: list[dict[str, Any]]) -> str:
    """The page with its table anew. Raises ValueError where the marks are missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} needs the marks {BEGIN} and {END}")
    lines = "\n".join(line(row) for row in sorted(rows, key=lambda r: str(r["scenario"])))
    return f"{before}{BEGIN}\n{HEAD}\n{lines}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(), json.loads(Path(sys.argv[1]).read_text())))
