"""What rules and plans ask of applications: settings that can never be taken are faults, what may
come later is a warning."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import data_sharing.registry
from data_sharing.decisions.action_check import of_change, of_plan, of_rule
from data_sharing.plans.plan import created
from data_sharing.plans.spec import parse_plan
from data_sharing.registry.catalogue import Catalogue, Version
from data_sharing.registry.manifest import Action, Manifest, not_a_name
from tests.support.rule_harness import TENANT, rules_of

SCHEMA = Path(data_sharing.registry.__file__).with_name("manifest.schema.json")
INPUT: dict[str, Any] = {
    "type": "object",
    "required": ["times"],
    "properties": {
        "times": {"type": "integer", "minimum": 1, "maximum": 9},
        "colour": {"enum": ["red", "blue"]},
        "ramp": {"type": "object", "properties": {"to": {"type": "number"}}},
        "either": {"anyOf": [{"type": "string"}, {"type": "boolean"}]},
        "speed": {"type": "number"},
    },
    "if": {"properties": {"colour": {"const": "red"}}, "required": ["colour"]},
    "then": {"properties": {"speed": {"maximum": 5}}},
    "additionalProperties": False,
}


def catalogue(schema: Any = INPUT) -> Catalogue:
    manifest = Manifest(
        tenant=TENANT, application="lamp", version="1.0.0", description="", produces=(),
        consumes=(), runtime=None,
        actions=(Action(name="blink", input=schema, output=True, sample={}),),
    )  # fmt: skip
    return Catalogue([Version(manifest=manifest, text="", artifact_sha256="", artifact_size=0,
                              submitted_ms=0)])  # fmt: skip


FEED = {
    "properties": {"name": {"type": "string"}, "n": {"type": "integer"}, "x": {"type": "number"},
                   "flag": {"type": "boolean"}, "open": True},
    "additionalProperties": False,
}  # fmt: skip


def of_config(config: str, schema: Any = INPUT, action: str = "lamp, action: blink"):
    text = (
        "rules: [{rule: r, watch: {e: {feed: f}}, when: true, do: [{invoke: "
        f"{{application: {action}, config: {config}}}}}]}}]"
    )
    (rule,) = rules_of(text, schemas={"f": FEED}).rules.values()
    return of_rule(catalogue(schema), rule)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        pytest.param("{times: 3}", "", id="what-fits"),
        pytest.param("{times: 3, colour: '\"red\"'}", "", id="a-computed-constant-that-fits"),
        pytest.param("{times: 0}", "/times: 0 is less", id="too-small"),
        pytest.param("{times: 2.5}", '/times: 2.5 is not of type "integer"', id="of-another-type"),
        pytest.param("{times: true}", "/times: true is not", id="a-flag-for-a-number"),
        pytest.param("{}", "/times: is missing", id="a-missing-one"),
        pytest.param("{times: 3, tiems: 3}", "/tiems: no such setting; there are colour",
                     id="one-that-is-not-there"),
        pytest.param("{times: e.data.name}", "/times: is string, and must be integer",
                     id="computed-of-another-type"),
        pytest.param("{times: e.data.flag}", "/times: is boolean", id="a-flag-computed"),
        pytest.param("{times: e.data.n}", "", id="computed-of-its-type"),
        pytest.param("{times: e.data.x}", "", id="a-double-may-be-whole"),
        pytest.param("{times: e.data.open}", "", id="computed-of-any-type"),
        pytest.param("{times: 'e.data.flag ? 1 : 2'}", "", id="computed-either-way"),
        pytest.param("{times: 'now'}", "/times: is string", id="a-time-is-sent-as-a-text"),
        pytest.param("{times: e.data.n, colour: e.data.n}", "/colour: is integer",
                     id="an-enum-of-texts"),
        pytest.param("{times: e.data.n, either: e.data.n}", "/either: is integer", id="of-several"),
        pytest.param("{times: 1, ramp: e.data.name}", "/ramp: is string",
                     id="a-text-for-an-object"),
        pytest.param("{times: e.data.n, speed: true}", "/speed: true is not",
                     id="a-constant-beside-computed-ones"),
        pytest.param("{times: e.data.n, speed: 7}", "", id="wrong-only-with-a-colour"),
        pytest.param("{times: e.data.n, nope: 7}", "/nope: no such setting",
                     id="an-extra-constant"),
    ],
)  # fmt: skip
def test_what_a_rule_invokes(config, words):
    found = of_config(config)
    assert found.warnings == []
    said = [f"{at} {what}" for at, what in found.faults]
    assert bool(words) == bool(said), said
    if words:
        assert words in said[0]
        assert said[0].startswith("rules.r.do[0].invoke.config ")
        assert "the input schema of lamp blink" in said[0]


@pytest.mark.parametrize(
    ("schema", "refused"),
    [
        pytest.param(True, False, id="anything"),
        pytest.param({}, False, id="nothing-said"),
        pytest.param(False, True, id="nothing-can-be"),
        pytest.param({"type": "string"}, True, id="a-text"),
        pytest.param({"propertyNames": {"maxLength": 3}}, True, id="names-are-shorter"),
        pytest.param({"patternProperties": {"^t": {"type": "string"}}}, True, id="by-a-pattern"),
        pytest.param({"additionalProperties": {"type": "string"}}, True, id="by-the-others"),
        pytest.param({"unevaluatedProperties": False}, True, id="not-evaluated"),
        pytest.param({"allOf": [{"$ref": "#/$defs/a"}],
                      "$defs": {"a": {"properties": {"times": {"type": "string"}}}}}, True,
                     id="behind-a-reference"),
        pytest.param({"anyOf": [{"required": ["a"]}, {"properties": {"times": {"minimum": 5}}}]},
                     True, id="in-no-alternative"),
        pytest.param({"anyOf": [{"required": ["a"]}, {"properties": {"times": {"maximum": 5}}}]},
                     False, id="in-an-alternative"),
    ],
)  # fmt: skip
def test_whole_settings_are_what_the_validator_says(schema, refused):
    assert bool(of_config("{times: 3}", schema).faults) is refused


def test_what_is_not_there_may_come_and_is_a_warning():
    (warning,) = of_config("{times: 3}", action="alarm, action: ring").texts
    assert "no application alarm" in warning
    (warning,) = of_config("{times: 3}", action="lamp, action: glow").texts
    assert "lamp 1.0.0 has no action glow, but blink" in warning
    assert of_config("{tiems: 3}", action="lamp, action: glow").faults == []


PLAN = """
plan: p
owner: k
at: 2027-01-15T09:00
actions: {{light: {{application: lamp, action: blink, config: {config}}}}}
"""


@pytest.mark.parametrize(
    ("config", "fault", "warning"),
    [
        pytest.param("{times: 3}", "", "", id="what-fits"),
        pytest.param("{times: 12}", "/times: 12", "", id="too-large"),
        pytest.param("{ramp: {to: high}}", "/ramp/to", "", id="inside-of-one"),
        pytest.param("{tiems: 3}", "/tiems: no such setting", "", id="one-that-is-not-there"),
        pytest.param("{}", "", '"times" is a required property', id="one-that-a-rule-may-set"),
        pytest.param("{times: 1, colour: red, speed: 7}", "", "/speed: 7",
                     id="wrong-as-long-as-it-is-red"),
    ],
)  # fmt: skip
def test_what_a_plan_does(config, fault, warning):
    spec = parse_plan(PLAN.format(config=config))
    found = of_plan(catalogue(), TENANT, spec)
    assert [fault in what for _, what in found.faults] == [True] * bool(fault)
    assert [warning in what for _, what in found.warnings] == [True] * bool(warning)
    assert all(at == "actions.light.config" for at, _ in (*found.faults, *found.warnings))


def test_a_change_is_held_against_the_action_for_what_it_sets_alone():
    plan = created(TENANT, parse_plan(PLAN.format(config="{}")), 0)
    assert of_change(catalogue(), plan, {"shift_ms": 5}).faults == []
    assert of_change(catalogue(), plan, {"actions.light.config.colour": "red"}).faults == []
    assert of_change(catalogue(), plan, {"actions.light.config.colour": None}).faults == []
    ((at, what),) = of_change(catalogue(), plan, {"actions.light.config.colour": "green"}).faults
    assert (at, what[:9]) == ("actions.light.config", "/colour: ")


@pytest.mark.parametrize("name", ["''", "' '", "Lamp", "lamp-", '"\\u0000"', "x" * 64, "../lamp"])
def test_a_name_that_none_can_have_is_a_fault(name: str) -> None:
    for action, at in (
        (f"{name}, action: blink", "application"),
        (f"lamp, action: {name}", "action"),
    ):
        found = of_config("{times: 3}", action=action)
        ((where, why),) = found.faults
        assert where == f"rules.r.do[0].invoke.{at}"
        assert "is no name; a name is 1 to 63 of a-z" in why
        assert not found.warnings


def test_names_are_those_that_a_manifest_may_have() -> None:
    schema = json.loads(SCHEMA.read_text())
    for name in ("lamp", "a", "9", "a.b-c", "", "A", "a-", ".a", "a_b", "x" * 63, "x" * 64, "a\n"):
        taken = re.search(schema["$defs"]["name"]["pattern"].replace("$", r"\Z"), name) is not None
        assert (not_a_name(name) is None) == taken, name
