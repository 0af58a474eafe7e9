"""Answers: the rules of an application that is written to, and what its actions are given."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from data_sharing.registry.access import readers
from data_sharing.registry.answers import (
    CLICK_FEED,
    CLICK_SAMPLE,
    MESSAGE_FEED,
    MESSAGE_SAMPLE,
    answering_rules,
    message_feeds,
)
from data_sharing.registry.catalogue import Catalogue, Version
from data_sharing.registry.manifest import Manifest
from data_sharing.registry.manifest_reader import read_manifest
from data_sharing.schemas import DataSchema
from deployment_units.services.cards.card import Card
from deployment_units.services.cards.inputs import check_inputs
from deployment_units.services.cards.replies import Reply, read_reply
from tests.support.submissions import coffee, text

ROASTERY = Path(__file__).parents[3] / "data-sharing" / "applications" / "roastery"


def manifest_of(content: str) -> Manifest:
    found, faults = read_manifest(content, tenant="talk")
    assert faults == ()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def roastery() -> Manifest:
    return manifest_of((ROASTERY / "manifest.yaml").read_text())


@pytest.fixture(scope="module")
def feeds() -> Manifest:
    return manifest_of(message_feeds())


@pytest.fixture(scope="module")
def handle() -> Any:
    """The sample application's own function."""
    spec = importlib.util.spec_from_file_location("roastery", ROASTERY / "application.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.handle


@pytest.mark.parametrize(
    ("changes", "path", "says"),
    [
        pytest.param({"answers": {}}, "/answers", "", id="nothing"),
        pytest.param({"answers": {"call": "brew"}}, "/answers", "", id="a word that is none"),
        pytest.param({"answers": {"message": "A b"}}, "/answers/message", "", id="no name"),
        pytest.param({"answers": {"message": "roast"}}, "/answers/message", "but brew",
                     id="no such action"),
        pytest.param({"answers": {"click": "brew"}, "action_input": {"required": ["cups"]}},
                     "/answers/click", "conversation, message", id="an input that wants more"),
        pytest.param({"answers": {"message": "brew"}, "action_input": {
            "type": "object", "additionalProperties": False, "properties": {"cups": True}}},
            "/answers/message", "conversation", id="an input that takes nothing"),
    ],
)  # fmt: skip
def test_answers_that_cannot_be_given_are_faults(
    changes: dict[str, Any], path: str, says: str
) -> None:
    sample = {"action_sample": {"cups": 2}}
    found, faults = read_manifest(text(coffee(**sample, **changes)), tenant="city")
    assert found is None
    assert [one.path for one in faults] == [path]
    assert says in faults[0].message


def test_a_manifest_without_answers_has_no_rules() -> None:
    assert answering_rules(manifest_of(text({**coffee(), "tenant": "talk"}))) == {"rules": []}


def test_the_feeds_are_shared_with_nobody(feeds: Manifest, roastery: Manifest) -> None:
    catalogue = Catalogue(
        Version(manifest=one, text="", artifact_sha256="", artifact_size=0, submitted_ms=0,
                current=True)
        for one in (feeds, roastery)
    )  # fmt: skip
    for feed in (MESSAGE_FEED, CLICK_FEED):
        assert readers(catalogue, tenant="talk", feed=feed) == []


@pytest.mark.parametrize(
    ("feed", "sample"), [(MESSAGE_FEED, MESSAGE_SAMPLE), (CLICK_FEED, CLICK_SAMPLE)]
)
def test_what_actions_are_given_is_what_the_feeds_have(
    feeds: Manifest, feed: str, sample: dict[str, Any]
) -> None:
    produced = feeds.produced(feed)
    assert produced is not None
    assert DataSchema(produced.schema).breach({"application": "roastery", **sample}) is None
    assert set(produced.schema["required"]) == {"application", *sample}


# -- the sample application ----------------------------------------------------------------


def replied(manifest: Manifest, action: str, output: Any) -> Reply:
    declared = manifest.action(action)
    assert declared is not None
    assert isinstance(declared.output, dict)
    assert DataSchema(declared.output).breach(output) is None
    reply = read_reply(output)
    assert isinstance(reply, Reply), reply
    return reply


def test_the_roastery_answers_a_message_with_a_card(roastery: Manifest, handle: Any) -> None:
    (part,) = replied(roastery, "offer", handle("offer", MESSAGE_SAMPLE)).parts
    assert (part.conversation, part.in_reply_to) == ("c1", "m1")
    assert isinstance(part.card, Card)
    assert [one.title for one in part.card.actions] == ["Yirgacheffe", "Antigua", "Not now"]


def test_each_button_of_the_roastery_gives_way_to_what_was_done(
    roastery: Manifest, handle: Any
) -> None:
    (offer,) = replied(roastery, "offer", handle("offer", MESSAGE_SAMPLE)).parts
    assert offer.card is not None
    for action in offer.card.actions:
        inputs = check_inputs(offer.card, action, {"amount": 3} if action.inputs else {})
        press = CLICK_SAMPLE | {"action": action.id, "data": action.data or {}, "inputs": inputs}
        (part,) = replied(roastery, "take-order", handle("take-order", press)).parts
        assert part.replaces == "m2"
        assert part.card is not None
        assert part.card.actions == ()


@pytest.mark.parametrize("wrong", [{"inputs": {"amount": "99"}}, {"data": {"sku": "none"}}])
def test_an_order_that_cannot_be_is_answered(
    roastery: Manifest, handle: Any, wrong: dict[str, Any]
) -> None:
    press = CLICK_SAMPLE | {"data": {"sku": "antigua"}} | wrong
    (part,) = replied(roastery, "take-order", handle("take-order", press)).parts
    assert part.card is None
