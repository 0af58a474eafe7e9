"""What a load brings along is taken by a data-sharing server, and does what is said of it."""

from __future__ import annotations

import json

from wasmtime import wat2wasm

from data_sharing.plans.spec import parse_plan
from data_sharing.registry.manifest_reader import read_manifest
from data_sharing.rules.compiler import compile_rule, parse
from data_sharing.rules.feed_schema import FeedSchema
from simulation.load.events.event_kinds import EventKind
from simulation.load.events.tenant_setup import (
    APPLICATION,
    COMMAND,
    COMMAND_TEXT,
    FEED,
    does,
    effects_manifest,
    plan_document,
    producer_manifest,
    rule_names,
    rules_document,
)


def test_the_command_is_what_its_text_says() -> None:
    assert bytes(wat2wasm(COMMAND_TEXT)) == COMMAND


def test_manifests_are_taken() -> None:
    for text in (producer_manifest(), effects_manifest()):
        manifest, faults = read_manifest(text, tenant="default")
        assert not faults
        assert manifest is not None


def test_each_rule_is_compiled_over_the_feed() -> None:
    schema = json.loads(producer_manifest())["produces"][0]["schema"]
    parsed = parse(rules_document(3)).rules
    assert [one.rule for one in parsed] == rule_names(3)
    for spec in parsed:
        compile_rule(
            spec, tenant="default", version=1,
            schemas={FEED: FeedSchema(FEED, schema)}, forecasts={},
        )  # fmt: skip


def test_an_invoking_event_is_for_one_rule_alone() -> None:
    rules = json.loads(rules_document(3))["rules"]
    for number in range(3):
        said = does(EventKind.INVOKING, number)
        assert [one["rule"] for one in rules if f'"{said}"' in one["when"]] == [
            f"load-invoke-{number}"
        ]
    assert not any(f'"{does(EventKind.QUIET, 0)}"' in one["when"] for one in rules)


def test_plans_are_read() -> None:
    document = plan_document("r1", 7, at="2027-03-02T09:00:00+00:00")
    plan = parse_plan(document)
    assert plan.owner == "load-r1-7"
    assert json.loads(document)["actions"]["later"]["application"] == APPLICATION
