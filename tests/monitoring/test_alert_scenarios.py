"""Every alert is made to happen by a fault scenario; how scenarios shorten what rules wait for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.prometheus import hastened, hastened_query
from tests.support.rule_files import ROOT, RULES, alerts

SCENARIOS = ROOT / "tests" / "faults"


def marked(source: str) -> Iterator[str]:
    """The alerts in `@pytest.mark.fires("...")` of the tests of a module."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if not node.name.startswith("test_"):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == (
                "pytest.mark.fires"
            ):
                for argument in decorator.args:
                    yield ast.literal_eval(argument)


def with_scenario(folder: Path = SCENARIOS) -> set[str]:
    """The alerts that some scenario is marked with."""
    files = folder.glob("test_alerts*.py")
    return {alert for path in files for alert in marked(path.read_text())}


def test_every_alert_is_made_to_happen() -> None:
    assert with_scenario() == {alert["alert"] for alert in alerts()}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('@pytest.mark.fires("A", "B")\nasync def test_a(): ...', {"A", "B"}),
        ('@pytest.mark.slow\n@pytest.mark.fires("A")\ndef test_a(): ...', {"A"}),
        ('class TestIt:\n  @pytest.mark.fires("A")\n  def test_a(self): ...', {"A"}),
        ('@pytest.mark.fires("A")\ndef helper(): ...', set()),
        ('# @pytest.mark.fires("A")\ndef test_a(): ...', set()),
        ('def test_a():\n  fires("A")', set()),
    ],
)
def test_marks_are_found_at_tests_alone(source: str, expected: set[str]) -> None:
    assert set(marked(source)) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("increase(x_total[15m]) > 2", "increase(x_total[30s]) > 2"),
        ("max_over_time(x_seconds[1m]) > 1", "max_over_time(x_seconds[4s]) > 1"),
        ("rate(x_total[3d]) > 10", "rate(x_total[8640s]) > 10"),
        (
            "predict_linear(x_bytes[1h], 4 * 3600) < 0 or x_bytes < 268435456",
            "predict_linear(x_bytes[120s], 4 * 3600 / 30) < 0 or x_bytes < 268435456",
        ),
        ("x_age_seconds > 600", "x_age_seconds > 600 / 30"),
        ("x_expiry_timestamp_seconds - time() < 14 * 86400",) * 2,
        ("histogram_quantile(0.99, sum by (le) (rate(x_bucket[5m]))) > 0.25",
         "histogram_quantile(0.99, sum by (le) (rate(x_bucket[10s]))) > 0.25"),
    ],
)  # fmt: skip
def test_scenarios_shorten_what_rules_wait_for_and_nothing_else(query: str, expected: str) -> None:
    assert hastened_query(query, 30) == expected


def test_ranges_of_all_rules_are_shortened() -> None:
    for path in RULES.glob("*.yaml"):
        for group in hastened(path.read_text(), 30)["groups"]:
            for rule in group["rules"]:
                assert rule.get("for", "1s") == "1s"
                for unit in ("m]", "h]", "d]"):
                    assert unit not in rule["expr"]
