"""Messages in the audit log: bounded, and nothing in them that should stay secret."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

import homeport.api
from control_plane.audit.message_json import LEFT_OUT, is_secret, message_json
from homeport.api.datasharing.v1 import plan_pb2, rule_pb2
from homeport.api.fleet.v1 import fleet_pb2
from homeport.api.provisioning.v1 import provisioning_pb2
from tests.support.filled_messages import filled

API = Path(homeport.api.__path__[0])
SECRET = "s3cr3t-value"
# Texts whose names sound like secrets and are none, each looked at.
HARMLESS = {"page_token", "next_page_token", "key_id"}
EVENTS = "homeport.api.datasharing.v1."  # where `key` is what events are sorted by


def messages() -> Iterator[Descriptor]:
    """Every message of the contract."""
    pool = descriptor_pool.Default()
    for file in sorted(API.rglob("*_pb2.py")):
        name = file.relative_to(API.parent.parent).with_suffix("")
        module: Any = importlib.import_module(".".join(name.parts))
        found = pool.FindFileByName(module.DESCRIPTOR.name)
        yield from found.message_types_by_name.values()


def texts(descriptor: Descriptor) -> list[FieldDescriptor]:
    return [
        field
        for field in descriptor.fields
        if field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
        and not field.is_repeated
    ]


@pytest.mark.parametrize("descriptor", list(messages()), ids=lambda one: one.full_name)
def test_no_bytes_and_no_credential_of_any_message_is_kept(descriptor: Descriptor):
    message: Any = message_factory.GetMessageClass(descriptor)()
    sounding = 0
    for field in texts(descriptor):
        binary = field.type == FieldDescriptor.TYPE_BYTES
        suspect = any(
            word in field.name
            for word in ("token", "ticket", "secret", "key", "password", "credential", "proof")
        )
        of_events = field.name == "key" and field.full_name.startswith(EVENTS)
        if not binary and (not suspect or field.name in HARMLESS or of_events):
            continue
        sounding += 1
        message.Clear()
        setattr(message, field.name, SECRET.encode() if binary else SECRET)
        assert message_json(message) == {field.name: LEFT_OUT}
    assert sounding == 0 or SECRET not in json.dumps(message_json(message))


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("ticket", True),
        ("next_ticket", True),
        ("api_token", True),
        ("apiToken", True),
        ("clientSecret", True),
        ("db-password", True),
        ("Authorization", True),
        ("api_key", True),
        ("signature", True),
        ("page_token", False),
        ("ticketing_office", False),
        ("key", True),
        ("keystone", False),
        ("unit_id", False),
    ],
)
def test_names_tell_secrets(name: str, secret: bool):
    assert is_secret(name) is secret


def test_values_of_maps_go_by_their_keys():
    spec = fleet_pb2.UnitSpec(labels={"zone": "a", "db-password": SECRET})
    assert message_json(spec) == {"labels": {"zone": "a", "db-password": LEFT_OUT}}


def test_a_message_keeps_what_is_set_by_its_names():
    request = provisioning_pb2.ReleaseAssignmentRequest(tenant="city", client_id="c")
    assert message_json(request) == {"tenant": "city", "client_id": "c"}


def test_every_message_can_be_kept():
    for descriptor in messages():
        message = filled(message_factory.GetMessageClass(descriptor)(), text="text", name="name")
        msgspec.json.encode(message_json(message))


def test_a_long_text_is_cut_and_named_by_its_hash():
    document = "rules: " + "x" * 1_000_000
    found = message_json(rule_pb2.ApplyRulesRequest(tenant="city", document=document))
    assert found["document"]["characters"] == len(document)
    assert len(found["document"]["sha256"]) == 64
    assert len(msgspec.json.encode(found)) < 10_000


@pytest.mark.parametrize(
    "message",
    [
        rule_pb2.ListRulesResponse(
            rules=[rule_pb2.Rule(rule_id=f"r{n}", spec="y" * 500) for n in range(2_000)]
        ),
        plan_pb2.ChangePlanRequest(config_json={f"a{n}": "z" * 50 for n in range(5_000)}),
        fleet_pb2.UnitSpec(labels={"k" * 9_000: "v"}),
    ],
    ids=["many messages", "many members", "a long name"],
)
def test_whatever_comes_is_bounded(message: Any):
    assert len(msgspec.json.encode(message_json(message))) < 16_000


def test_numbers_that_are_none_are_texts():
    job = fleet_pb2.ControlMoveJobRequest(job_id="j", rate_per_s=float("nan"))
    assert json.loads(msgspec.json.encode(message_json(job)))["rate_per_s"] == "nan"
