"""`python -m tests.attacks.table RESULTS`: writes the measured rows into docs/security.md.

Only what stands between its two marks is written; the prose around it is people's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
BEGIN, END = "<!-- attacks: begin -->", "<!-- attacks: end -->"
HEAD = (
    "| service | transport | attack | tries | let in | probe answered | its p99 alone, ms "
    "| beside, ms | ratio |\n|---|---|---|--:|--:|--:|--:|--:|--:|"
)


def line(row: dict[str, Any]) -> str:
    """One row of the table."""
    alone, beside = row["p99_alone_ms"], row["p99_beside_ms"]
    ratio = f"{beside / alone:.1f}" if alone else "–"
    return (
        f"| {row['service']} | {row['transport']} | {row['attack']} | {row['tried']:,} "
        f"| {row['let_in']:,} | {row['answered']:.1%} | {alone} | {beside} | {ratio} |"
    )


def written(page: str, rows: list[dict[str, Any]]) -> str:
    """The page with its table anew. Raises ValueError where the marks are missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} needs the marks {BEGIN} and {END}")
    ordered = sorted(rows, key=lambda r: (r["service"], r["attack"], r["transport"]))
    lines = "\n".join(line(row) for row in ordered)
    return f"{before}{BEGIN}\n{HEAD}\n{lines}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(), json.loads(Path(sys.argv[1]).read_text())))
