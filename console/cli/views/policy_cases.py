"""What became of the cases of a policy, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from console.cli.markup import escape
from console.cli.tables import Table, fold, whole
from simulation.policy.case_run import CaseResult


def document_of(results: Sequence[CaseResult]) -> dict[str, Any]:
    """All cases, and how many differ."""
    return {
        "cases": [
            {
                "name": one.name,
                "holds": not one.broken,
                "unit": one.unit or None,
                "rule": one.rule or None,
                "reason": one.reason or None,
                "broken": one.broken or None,
            }
            for one in results
        ],
        "broken": sum(bool(one.broken) for one in results),
    }


def cases_table(results: Sequence[CaseResult]) -> Table:
    """A case a row; those that differ come first."""
    broken = sum(bool(one.broken) for one in results)
    held = len(results) - broken
    table = Table(
        whole(""),
        fold("case"),
        fold("what becomes of the client"),
        caption=f"{held:,} of {len(results):,} hold",
    )
    for one in sorted(results, key=lambda one: not one.broken):
        lives = f"lives in {one.unit}, by {one.rule}" if one.unit else f"nowhere: {one.reason}"
        table.add_row(
            "[red]broken[/]" if one.broken else "[green]holds[/]",
            escape(one.name),
            escape(one.broken or lives),
        )
    return table
