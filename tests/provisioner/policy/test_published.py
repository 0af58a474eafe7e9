"""What docs say of policies is what is read: the schema and every example."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema_rs
import pytest

from control_plane.fleet.file import read_fleet
from control_plane.yaml_files import parse
from provisioner.placement.choice import Choice, NoChoice
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.policy_chooser import PolicyChooser
from provisioner.placement_hooks.configured import read_hooks
from provisioner.policy.compiling import compile_policy
from provisioner.policy.fleet_check import unknown_hooks, unmatched
from provisioner.policy.published import NAME, policy_schema
from simulation.policy.simulated_fleet import simulated_fleet
from tests.support.fleets import at, fleet, occupied
from tests.support.policies import NOON, client

DOCS = Path(__file__).parents[3] / "docs"
EXAMPLES = sorted((DOCS / "examples" / "policy").glob("*.yaml"))
PAGE = (DOCS / "reference" / "policy.md").read_text()
OF_PAGE = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
TEXTS = [path.read_text() for path in EXAMPLES] + OF_PAGE
BERLIN = at(52.5, 13.4, country="DE", continent="EU", uncertainty_km=10)
DALLAS = at(32.8, -96.8, country="US", continent="NA", uncertainty_km=10)


def compiled(text):
    return compile_policy(text, tenant="t", revision=1, base=PlacementPolicy(), wall=lambda: NOON)


def test_the_published_schema_is_that_of_what_is_read():
    jsonschema_rs.meta.validate(json.loads(policy_schema()))
    assert (DOCS / "reference" / NAME).read_text() == policy_schema(), "run `published` again"


@pytest.mark.parametrize("text", TEXTS)
def test_every_example_compiles_and_is_valid(text):
    said, doubled = parse(text)
    assert not doubled
    jsonschema_rs.Draft202012Validator(json.loads(policy_schema())).validate(said)
    compiled(text)


@pytest.mark.parametrize(
    "text",
    ["rulez: []", "policy: 1\nrules: [{name: a, require: {countries: [XX]}}]",
     "policy: 1\nrules: [{name: A}]", "policy: 1\nrings: {a: {share: 101}}"],
)  # fmt: skip
def test_what_is_refused_is_not_valid_either(text):
    said, _ = parse(text)
    assert not jsonschema_rs.Draft202012Validator(json.loads(policy_schema())).is_valid(said)


def test_every_example_is_on_the_page():
    assert [path.name for path in EXAMPLES if f"examples/policy/{path.name}" not in PAGE] == []


@pytest.mark.parametrize(
    "text",
    TEXTS,
    ids=[*(path.stem for path in EXAMPLES), *(f"{at_}-of-the-page" for at_ in range(len(OF_PAGE)))],
)
def test_every_example_can_be_applied_to_the_fleet_beside_it(text):
    """No selector of it matches no unit, and the hook that it names is the servers'."""
    document = compiled(text).document
    units = simulated_fleet(read_fleet(DOCS / "examples" / "policy-fleet.yaml")).fleet.units
    hooks = read_hooks(DOCS / "examples" / "policy-hooks.yaml")
    assert unmatched(document, units) == ([], [])
    assert unknown_hooks(document, list(hooks)) == []


@pytest.mark.parametrize(
    ("name", "where", "who", "expected"),
    [
        pytest.param("eu-residency", BERLIN, "a", "frankfurt", id="a-european-in-europe"),
        pytest.param("eu-residency", DALLAS, "a", "virginia", id="an-american-where-it-is-near"),
        pytest.param("eu-residency", at(32.8, -96.8), "a", "dublin", id="of-unknown-country"),
        pytest.param("us-government", DALLAS, "a", "virginia", id="in-the-right-unit"),
        pytest.param("us-government", BERLIN, "a", None, id="a-client-from-elsewhere"),
        pytest.param("us-government",
                     at(32.8, -96.8, country="US", continent="NA", uncertainty_km=900), "a", None,
                     id="one-that-may-be-over-the-border"),
        pytest.param("cost", BERLIN, "a", "dublin", id="the-cheap-one"),
        pytest.param("cost", BERLIN, "gold-a", "frankfurt", id="gold-by-distance"),
        pytest.param("canary-ring", DALLAS, "c7", "nairobi", id="one-of-the-ring"),
        pytest.param("canary-ring", at(-1.3, 36.8, country="KE", continent="AF"), "c1", "frankfurt",
                     id="one-that-is-not"),
        pytest.param("hook", BERLIN, "a", "frankfurt", id="without-an-answer-of-the-hook"),
        pytest.param("latency", BERLIN, "a", "frankfurt", id="of-those-within-the-cap-the-nearest"),
        pytest.param("preferences", at(-1.3, 36.8, country="KE", continent="AF"), "a", "nairobi",
                     id="no-unit-of-those-preferred"),
    ],
)  # fmt: skip
def test_what_the_examples_do(name, where, who, expected):
    units = fleet(
        "dublin", "frankfurt", "virginia", "nairobi",
        dublin={"labels": {"contract": "spot", "price": "5"}},
        frankfurt={"labels": {"price": "95"}},
        virginia={"labels": {"clearance": "high", "price": "50"}},
        nairobi={"labels": {"ring": "canary"}},
    )  # fmt: skip
    policy = compiled((DOCS / "examples" / "policy" / f"{name}.yaml").read_text())
    source = policy.of(where, client(who, "t"))
    chooser = PolicyChooser(units, source, occupied([9] * 4, [0.0] * 4))
    choice = chooser.choose(where, "t", client(who, "t"))
    found = units.units[choice.unit_index].id if isinstance(choice, Choice) else None
    assert isinstance(choice, Choice | NoChoice)
    assert found == expected
