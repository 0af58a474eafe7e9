"""Findings of a health check, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.cli.markup import escape
from console.cli.tables import Table, fold, whole

if TYPE_CHECKING:
    from console.cli.health_checks import Finding
_MARKS = {"ok": "[green]✓ ok[/]", "warn": "[yellow]! warn[/]", "fail": "[red]✗ fail[/]"}


def findings_table(findings: list[Finding]) -> Table:
    """A line for each finding, and below it what to do."""
    table = Table(whole(""), whole("", style="dim"), fold(""))
    for finding in findings:
        step = f";\n[dim]→ {escape(finding.next_step)}[/]" if finding.next_step else ""
        table.add_row(_MARKS[finding.outcome], finding.check, escape(finding.seen) + step)
    return table
