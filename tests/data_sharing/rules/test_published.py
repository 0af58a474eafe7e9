"""What docs/reference says of rules and plans is what is read: schemas and every example."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from data_sharing.documents import value_of
from data_sharing.forecasts.forecast import FIELDS as FORECAST_FIELDS
from data_sharing.plans.published import plan_schema
from data_sharing.plans.spec import parse_plan
from data_sharing.rules.published import rules_schema, sharing_schema
from data_sharing.rules.results import RuleVerdict
from data_sharing.rules.windows import FIELDS as WINDOW_FIELDS
from data_sharing.sharing.policy import parse_policies
from tests.support.rule_harness import faults_of

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def examples(page: str) -> list[str]:
    """Its YAML blocks."""
    return re.findall(r"```yaml\n(.*?)```", (REFERENCE / page).read_text(), re.DOTALL)


def valid(text: str, schema: str) -> None:
    found: Any = value_of(text, "example")
    jsonschema_rs.Draft202012Validator(json.loads(schema)).validate(found)


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("rules.schema.json", rules_schema()),
        ("sharing.schema.json", sharing_schema()),
        ("plan.schema.json", plan_schema()),
    ],
)
def test_published_schemas_are_those_that_are_read_by(name: str, schema: str) -> None:
    jsonschema_rs.meta.validate(json.loads(schema))
    assert (REFERENCE / name).read_text() == schema, "run the module `published` again"


@pytest.mark.parametrize(
    "text",
    [
        text
        for page in ("rules", "rules-about-time", "forecasts")
        for text in examples(f"{page}.md")
    ],
)
def test_every_example_of_rules_compiles(text: str) -> None:
    valid(text, rules_schema())
    assert faults_of(text) == []


@pytest.mark.parametrize("text", examples("plans.md"))
def test_every_example_of_a_plan_is_one(text: str) -> None:
    valid(text, plan_schema())
    parse_plan(text)


def test_every_verdict_and_field_is_explained() -> None:
    rules = (REFERENCE / "rules.md").read_text()
    for verdict in RuleVerdict:
        assert f"`{verdict.value}`" in rules
    for field in WINDOW_FIELDS:
        assert f"`{field}`" in rules
    forecasts = (REFERENCE / "forecasts.md").read_text()
    for field in FORECAST_FIELDS:
        assert f"`{field}`" in forecasts


@pytest.mark.parametrize("text", examples("sharing.md"))
def test_every_example_of_sharing_policies_is_taken(text: str) -> None:
    valid(text, sharing_schema())
    assert parse_policies(text)
