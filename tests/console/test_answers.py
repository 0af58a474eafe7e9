"""`homeport apps answers` and `message-feeds`: what an application that is written to is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from data_sharing.registry.answers import (
    CLICK_FEED,
    CLICK_SAMPLE,
    MESSAGE_FEED,
    MESSAGE_SAMPLE,
)
from tests.support.command_line import CommandLine
from tests.support.submissions import coffee, text

ROASTERY = Path(__file__).parents[2] / "data-sharing" / "applications" / "roastery"


def events() -> list[dict[str, Any]]:
    """A message and a press for the roastery, and a message for somebody else."""
    sent = [
        ("m1", MESSAGE_FEED, {"application": "roastery", **MESSAGE_SAMPLE}),
        ("m2", MESSAGE_FEED, {"application": "other", **MESSAGE_SAMPLE}),
        ("p1", CLICK_FEED, {"application": "roastery", **CLICK_SAMPLE}),
    ]
    return [
        {"specversion": "1.0", "id": id_, "type": type_, "source": "/units/eu-west",
         "time": f"2026-05-01T08:00:0{number}Z", "data": data}
        for number, (id_, type_, data) in enumerate(sent)
    ]  # fmt: skip


def test_the_rules_hand_on_what_was_sent_to_the_application(
    cli: CommandLine, tmp_path: Path
) -> None:
    ran = cli("apps", "answers", str(ROASTERY / "manifest.yaml"))
    assert ran.code == 0
    (tmp_path / "rules.yaml").write_text(ran.out)
    (tmp_path / "feeds.yaml").write_text(cli("apps", "message-feeds").out)
    (tmp_path / "events").write_text("\n".join(json.dumps(one) for one in events()))
    rules, sent = str(tmp_path / "rules.yaml"), str(tmp_path / "events")
    words = ("rules", "test", rules, sent, "--manifest", str(tmp_path / "feeds.yaml"))
    tried = cli(*words, "-o", "json")
    assert tried.code == 0
    assert tried.document["warnings"] == []
    effects = {
        step["event"]: [effect for rule in step["rules"] for effect in rule["effects"]]
        for step in tried.document["steps"]
    }
    assert effects == {
        "m1": [f"taken: invoke roastery offer {json.dumps(MESSAGE_SAMPLE, separators=(',', ':'))}"],
        "m2": [],
        "p1": [
            "taken: invoke roastery take-order " + json.dumps(CLICK_SAMPLE, separators=(",", ":"))
        ],
    }


def test_a_manifest_of_a_tenant_has_rules_too_and_one_without_answers_has_none(
    cli: CommandLine,
) -> None:
    document = yaml.safe_load((ROASTERY / "manifest.yaml").read_text())
    ran = cli("apps", "answers", "-", "-o", "json", stdin=text(document | {"tenant": "x"}).encode())
    assert [one["rule"] for one in ran.document["rules"]] == [
        "answers.roastery.message",
        "answers.roastery.click",
    ]
    without = cli("apps", "answers", "-", stdin=text(coffee()).encode())
    assert (without.code, without.out) == (2, "")
    assert "answers nothing" in without.err
