"""Messages in the audit log: bounded, and nothing in them that should stay secret."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

import homeport.api
from control_plane.audit.message_json import LEFT_OUT, LIMIT_CHARACTERS, is_secret, message_json
from homeport.api.datasharing.v1 import plan_pb2, rule_pb2
from homeport.api.fleet.v1 import fleet_pb2
from homeport.api.provisioning.v1 import provisioning_pb2
from homeport.api.tenancy.v1 import tenancy_pb2
from tests.support.filled_messages import filled

API = Path(homeport.api.__path__[0])
SECRET = "s3cr3t-value"
# Texts that sound like secrets and are none, each looked at.
HARMLESS = {
    "page_token", "next_page_token", "key_id",
    # What events are sorted by.
    "TailRequest.key", "FeedEvent.key", "Feed.key", "ParkedScope.key", "RetryRuleRequest.key",
    "RolloutDifference.key", "RuleExplanation.key", "FeedKey.key",
}  # fmt: skip
SOUNDS = re.compile("ticket|token|secret|key|password|credential|proof|signature|private")
# Texts that do not sound like it and may hold one.
SECRET_TOO = {
    "TrustedIssuer.jwks", "OfferHandleResponse.offer", "AcceptHandleRequest.offer",
    "FinishProofRequest.code", "ConfirmIdentifierRequest.code", "Residence.introduction",
    "AddPushAddressRequest.address", "ConfirmPushAddressRequest.code",
    # Nor is an address book made of what operators did.
    "Identifier.uri",
}  # fmt: skip


def messages() -> Iterator[Descriptor]:
    """Every message of the contract."""
    pool = descriptor_pool.Default()
    for file in sorted(API.rglob("*_pb2.py")):
        name = file.relative_to(API.parent.parent).with_suffix("")
        module: Any = importlib.import_module(".".join(name.parts))
        found = pool.FindFileByName(module.DESCRIPTOR.name)
        for one in found.message_types_by_name.values():
            yield from with_nested(one)


def with_nested(descriptor: Descriptor) -> Iterator[Descriptor]:
    """Without the entries of maps, which have no names of their own."""
    if not descriptor.GetOptions().map_entry:
        yield descriptor
        for one in descriptor.nested_types:
            yield from with_nested(one)


@pytest.mark.parametrize("descriptor", list(messages()), ids=lambda one: one.full_name)
def test_no_bytes_and_no_credential_of_any_message_is_kept(descriptor: Descriptor):
    """What sounds like a secret is marked in the contract, or was looked at."""
    cls: Any = message_factory.GetMessageClass(descriptor)
    for field in descriptor.fields:
        binary = field.type == FieldDescriptor.TYPE_BYTES
        if not binary and field.type != FieldDescriptor.TYPE_STRING:
            continue
        name = f"{descriptor.name}.{field.name}"
        sounds = SOUNDS.search(field.name) and not {field.name, name} & HARMLESS
        if not binary and not sounds and name not in SECRET_TOO:
            assert not field.GetOptions().debug_redact, f"{name} is marked and no test names it"
            continue
        value: Any = SECRET.encode() if binary else SECRET
        message = cls(**{field.name: [value] if field.is_repeated else value})
        assert message_json(message) == {field.name: LEFT_OUT}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://me:pass@a.example/keys", "https://(left out)@a.example/keys"),
        ("https://me@a.example", "https://(left out)@a.example"),
        ("https://me:pa ss@a.example", "https://(left out)@a.example"),
        ("see https://a:b@c and etcd://d:e@f", "see https://(left out)@c and etcd://(left out)@f"),
        ("https://a.example/x@y?z@w#v@u", "https://a.example/x@y?z@w#v@u"),
        ("mail me@a.example", "mail me@a.example"),
    ],
)
def test_no_user_of_an_address_is_kept(text: str, kept: str):
    found = message_json(tenancy_pb2.TrustedIssuer(jwks_url=text))
    assert found["jwks_url"] == kept


def test_no_user_of_an_address_is_kept_where_a_text_is_cut():
    begin = "x" * (LIMIT_CHARACTERS - 40)
    found = message_json(rule_pb2.ApplyRulesRequest(document=f"{begin} https://me:{SECRET * 9}@a"))
    assert SECRET not in json.dumps(found)
    assert found["document"]["begins"].startswith("xx")


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
