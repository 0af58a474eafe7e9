"""The alerts that the chart carries, the metrics page, and the names that a query uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser
import yaml

from monitoring.exposed_metrics import Family
from monitoring.metrics_page import PAGE, read

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "helm" / "homeport" / "files" / "rules"
SCRAPED = frozenset({"instance", "job"})
"""Labels that every scrape adds."""


def rules() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every rule with the name of its file."""
    for path in sorted(RULES.glob("*.yaml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                yield path.name, rule


def alerts() -> list[dict[str, Any]]:
    """Every alert."""
    return [rule for _, rule in rules() if "alert" in rule]


def files_of_alerts() -> dict[str, str]:
    """The file of each alert, by its name."""
    return {rule["alert"]: name for name, rule in rules() if "alert" in rule}


def families() -> dict[str, Family]:
    """What the metrics page lists, by the names that queries may use."""
    return {name: one for one in read(PAGE.read_text()) for name in one.series}


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a query selects: a metric, and the labels that it is matched by."""

    metric: str
    labels: frozenset[str]


def used(query: str) -> tuple[list[Used], set[str]]:
    """Every selector of a query, and the labels that it groups and joins by. Raises ValueError
    where it does not parse."""
    selectors: list[Used] = []
    grouped: set[str] = set()

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            matched = {one.name for one in node.matchers.matchers}
            selectors.append(Used(metric=node.name or "", labels=frozenset(matched)))
        elif isinstance(node, promql_parser.MatrixSelector):
            visit(node.vector_selector)
        elif isinstance(node, promql_parser.AggregateExpr):
            if node.modifier is not None:
                grouped.update(node.modifier.labels)
            visit(node.expr)
        elif isinstance(node, promql_parser.BinaryExpr):
            matching = node.modifier.matching if node.modifier is not None else None
            if matching is not None:
                grouped.update(matching.labels)
            visit(node.lhs)
            visit(node.rhs)
        elif isinstance(node, promql_parser.Call):
            for argument in node.args:
                visit(argument)
        elif isinstance(
            node, promql_parser.ParenExpr | promql_parser.SubqueryExpr | promql_parser.UnaryExpr
        ):
            visit(node.expr)

    visit(promql_parser.parse(query))
    return selectors, grouped
