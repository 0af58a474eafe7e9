"""The roastery of the demo: an application in a sandbox, set up as its operator would, and what it
did, as the decision service has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from console.cli.calls.data_sharing import DataSharingCalls
from console.cli.calls.decisions import DecisionCalls
from console.cli.failure import CommandFailed
from console.cli.input.submission import read_submission
from console.cli.views.decisions import instruction_document
from console.demo.directory.demo_stack import ROASTERY, STOCKHOLM, TENANT, DemoStack
from data_sharing.registry.answers import answering_rules, message_feeds
from data_sharing.registry.manifest_reader import read_manifest
from data_sharing.runtimes.builder import build
from homeport.api.cloudevents.v1 import cloudevents_pb2
from homeport.api.datasharing.v1 import feed_pb2

SHIPPED = "roastery.order.shipped"
FOLDER = Path(__file__).resolve().parents[3] / "data-sharing" / "applications" / ROASTERY
# Which conversation an order is of is known of the press that it was.
SHIPPED_RULE = {
    "rule": "roastery.shipped",
    "description": "Who ordered is told when the order was shipped.",
    "watch": {
        "ordered": {"feed": "homeport.card.clicked", "key": "event.data.press"},
        "shipped": {"feed": SHIPPED, "key": "event.data.order"},
    },
    "join": {"within": "30d", "consume": "recent"},
    "when": f'ordered.data.application == "{ROASTERY}"',
    "do": [
        {
            "invoke": {
                "application": ROASTERY,
                "action": "tell-shipped",
                "config": {
                    "conversation": "ordered.data.conversation",
                    "order": "shipped.data.order",
                    "carrier": "shipped.data.carrier",
                },
            }
        }
    ],
}


def set_up(stack: DemoStack) -> None:
    """Feeds of messages, the application, its rules, its address: `homeport apps` in Python. Raises
    CommandFailed where something is not accepted."""
    build(FOLDER)
    text, artifact = read_submission(FOLDER / "manifest.yaml", None)
    manifest, _ = read_manifest(text, tenant=TENANT)
    assert manifest is not None
    rules = {"rules": [*answering_rules(manifest)["rules"], SHIPPED_RULE]}
    with DataSharingCalls(stack.data_target) as calls:
        for name, said, code in (
            ("homeport-messages", message_feeds(), b""),
            (ROASTERY, text, artifact),
        ):
            verdict = calls.submit_application(TENANT, said, code, dry_run=False)
            if verdict.WhichOneof("result") != "accepted":
                faults = "; ".join(f"{one.path}: {one.message}" for one in verdict.refused.faults)
                raise CommandFailed(f"{name} is not accepted: {faults}")
        calls.apply_rules(TENANT, yaml.safe_dump(rules, sort_keys=False), dry_run=False)
        stack.client.provision(ROASTERY, address=STOCKHOLM)
        with stack.person(ROASTERY) as person:
            person.claim(f"@{ROASTERY}")
        calls.address_application(TENANT, ROASTERY, ROASTERY)
    stack.start_platform(ROASTERY)


def performed(stack: DemoStack, action: str) -> list[dict[str, Any]]:
    """What came of this action, each time that it was performed, oldest first."""
    with DecisionCalls(stack.data_target) as calls:
        found = [instruction_document(one) for one in calls.list_instructions(TENANT)[::-1]]
    return [one["outcome"]["output"] for one in found if one["action"] == action and one["outcome"]]


def publish_shipped(stack: DemoStack, order: bytes) -> None:
    """The roastery's shop says that an order has left."""
    event = cloudevents_pb2.CloudEvent(
        id=f"shipped-{order.hex()}",
        source=f"/{ROASTERY}",
        spec_version="1.0",
        type=SHIPPED,
        text_data=json.dumps({"order": order.hex(), "carrier": "a bicycle"}),
    )
    event.attributes["datacontenttype"].ce_string = "application/json"
    batch = feed_pb2.PublishBatchRequest(tenant=TENANT, events=[event])
    with DataSharingCalls(stack.data_target) as calls:
        (answer,) = calls.publish_events(iter([batch]))
    if answer.results[0].HasField("error"):
        raise CommandFailed(f"the event is refused: {answer.results[0].error.message}")
