"""Answers: how an application is reached by messages and presses, as two rules.

A manifest that says `answers` names an action for each. Units publish what is sent to applications
to two feeds of the tenant; a rule of the tenant for each picks what is addressed to this
application and has its action performed, so that the application reads no feed and sees nothing
that was sent to others. Pure.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from data_sharing.registry.manifest import Manifest

MESSAGES = "homeport-messages"  # the application that produces both feeds; units speak for it
MESSAGE_FEED = "homeport.message.received"
CLICK_FEED = "homeport.card.clicked"
REFUSED_FEED = "homeport.reply.refused"
DEADLINE = "24h"  # after which an answer is not worth having
_MESSAGE = ("conversation", "message", "sender", "text")
_CLICK = (
    "conversation", "message", "revision", "action", "verb", "data", "viewer", "press", "number",
    "inputs",
)  # fmt: skip
MESSAGE_SAMPLE: dict[str, Any] = {
    "conversation": "c1",
    "message": "m1",
    "sender": "acct:anna@talk.example",
    "text": "Hello",
}
CLICK_SAMPLE: dict[str, Any] = {
    "conversation": "c1",
    "message": "m2",
    "revision": 1,
    "action": "order",
    "verb": "",
    "data": {"sku": "yirga"},
    "viewer": "acct:anna@talk.example",
    "press": "p1",
    "number": 1,
    "inputs": {"amount": "2"},
}
"""What the actions are given, as inputs to try them with."""


def answering_rules(manifest: Manifest) -> dict[str, Any]:
    """The rules of an application, as a document of rules; none, where it answers nothing."""
    rules = []
    if manifest.answers.message:
        rules.append(_rule(manifest, "message", manifest.answers.message, MESSAGE_FEED, _MESSAGE))
    if manifest.answers.click:
        rules.append(_rule(manifest, "click", manifest.answers.click, CLICK_FEED, _CLICK))
    return {"rules": rules}


@cache
def message_feeds() -> str:
    """The manifest of the application that produces these feeds, as YAML."""
    return files("data_sharing.registry").joinpath("message_feeds.manifest.yaml").read_text()


def _rule(
    manifest: Manifest, what: str, action: str, feed: str, fields: tuple[str, ...]
) -> dict[str, Any]:
    name = manifest.application
    sent = {
        "message": "A message to it is answered by its application.",
        "click": "A press of a card of its is answered by its application.",
    }
    return {
        "rule": f"answers.{name}.{what}",
        "description": f"{name}: {sent[what]}",
        "watch": {"sent": {"feed": feed}},
        "when": f"sent.data.application == {json.dumps(name)}",
        "do": [
            {
                "invoke": {
                    "application": name,
                    "action": action,
                    "config": {field: f"sent.data.{field}" for field in fields},
                    "deadline": DEADLINE,
                }
            }
        ],
    }
