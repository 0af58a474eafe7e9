"""JSON to messages and back: what is taken, what is refused by which name, what is answered."""

from __future__ import annotations

import json

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from control_plane.http_serving.json_messages import (
    MOST_LEVELS,
    MOST_VALUES,
    dumped,
    read_message,
    to_json,
)
from homeport.api.fleet.v1 import fleet_pb2 as fleet
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.api.http_routes import ROUTES
from tests.support.filled_messages import filled

ALL_REQUESTS = [
    *dict.fromkeys(route.request for route in ROUTES),
    pb.ClientOrigin,
    fleet.ApplyUnitRequest,
]


def read(text: str | bytes, **fixed: str) -> pb.ProvisionRequest:
    content = text if isinstance(text, bytes) else text.encode()
    message = pb.ProvisionRequest()
    read_message(content, message, fixed)
    return message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", pb.ProvisionRequest(), id="nothing"),
        pytest.param(" \r\n", pb.ProvisionRequest(), id="blanks"),
        pytest.param("{}", pb.ProvisionRequest(), id="an-empty-object"),
        pytest.param(
            '{"withoutTicket": true}', pb.ProvisionRequest(without_ticket=True), id="camel-case"
        ),
        pytest.param(
            '{"without_ticket": true}', pb.ProvisionRequest(without_ticket=True), id="as-in-proto"
        ),
        pytest.param('{"ticket": null}', pb.ProvisionRequest(), id="null-is-left-out"),
        pytest.param(
            '{"ticket": "' + "[" * 100 + '"}',
            pb.ProvisionRequest(ticket="[" * 100),
            id="brackets-in-a-text-are-no-depth",
        ),
        pytest.param(
            '{"ticket": "\\"' + "{" * 100 + '"}',
            pb.ProvisionRequest(ticket='"' + "{" * 100),
            id="behind-an-escaped-quote-as-well",
        ),
    ],
)
def test_taken(text: str, expected: pb.ProvisionRequest) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "field"),
    [
        pytest.param("nope", "body", id="no-json"),
        pytest.param("[]", "body", id="a-list"),
        pytest.param("null", "body", id="null"),
        pytest.param('""', "body", id="an-empty-text"),
        pytest.param('{"position": []}', "position", id="a-list-for-a-message"),
        pytest.param('{"position": ""}', "position", id="a-text-for-a-message"),
        pytest.param('"x"', "body", id="a-text"),
        pytest.param("{} {}", "body", id="two-objects"),
        pytest.param(b"\xff{}", "body", id="no-utf-8"),
        pytest.param(b"\xef\xbb\xbf{}", "body", id="a-byte-order-mark"),
        pytest.param('{"addres": "x"}', "addres", id="a-name-that-is-none"),
        pytest.param('{"address": 1}', "address", id="a-number-for-a-text"),
        pytest.param('{"withoutTicket": "yes"}', "withoutTicket", id="a-text-for-a-bool"),
        pytest.param('{"ticket": "a", "ticket": "b"}', "body", id="a-name-twice"),
        pytest.param('{"address": "1.1.1.1", "position": {}}', "body", id="two-of-a-oneof"),
        pytest.param('{"ticket": "\\ud800"}', "ticket", id="half-a-surrogate-pair"),
        pytest.param("[" * 60_000, "body", id="deep-lists"),
        pytest.param('{"a":' * 10_000, "body", id="deep-objects"),
        pytest.param('{"position": ' + "[" * 100 + "]" * 100 + "}", "body", id="deep-in-a-field"),
        pytest.param('{"position": {"latitude": 1e999}}', "latitude", id="beyond-a-double"),
    ],
)
def test_refused(text: str | bytes, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(text)
    assert refused.value.field == field
    assert len(refused.value.message) < 800


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        (
            '{"addres": "x"}',
            "addres",
            '"addres" of ProvisionRequest; did you mean "address"?',
        ),
        ('{"clientID": "x"}', "clientID", 'did you mean "clientId"?'),
        ('{"clint_id": "x"}', "clint_id", 'did you mean "client_id"?'),
        ('{"WITHOUTTICKET": 1}', "WITHOUTTICKET", 'did you mean "withoutTicket"?'),
        ('{"colour": "x"}', "colour", '"colour" of ProvisionRequest; it has address, attributes, '),
        ('{"position": {"latitud": 1}}', "latitud", 'of Position; did you mean "latitude"?'),
        ('{"": 1}', "", 'unknown field "" of ProvisionRequest; it has address, '),
        ('{"\\u001b[31m": 1}', "body", 'unknown field "\\u001b[31m" of'),
        ('{"[homeport.x]": 1}', "[homeport.x]", 'unknown field "[homeport.x]" of'),
    ],
)
def test_a_field_that_is_none_is_named_with_what_may_have_been_meant(
    text: str, field: str, said: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(text)
    assert refused.value.field == field
    assert said in refused.value.message
    assert "homeport." not in refused.value.message.replace("[homeport.x]", "")


@pytest.mark.parametrize(
    ("message", "text", "of"),
    [
        (pb.ProvisionManyRequest(), '{"clients": [{}, {"adress": "x"}]}', "ClientOrigin"),
        (fleet.ApplyUnitRequest(), '{"spec": {"position": {"longtude": 1}}}', "Position"),
        (fleet.ApplyUnitRequest(), '{"spec": {"label": {}}}', "UnitSpec"),
    ],
)
def test_it_is_found_wherever_it_stands(message, text: str, of: str) -> None:
    with pytest.raises(InvalidInput, match=f"of {of}; did you mean"):
        read_message(text.encode(), message, {})


@given(st.text(max_size=50_000) | st.integers(1, 60_000).map(lambda size: "a" * size))
def test_a_name_that_is_none_is_never_echoed_at_length(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(json.dumps({f"_{name}": 1}))
    assert len(refused.value.message) < 500
    assert len(refused.value.field) <= 60


@pytest.mark.parametrize("kind", ALL_REQUESTS, ids=lambda kind: kind.DESCRIPTOR.full_name)
def test_all_names_of_the_contract_are_known_in_both_forms(kind: type[Message]) -> None:
    """Of every message that a route takes: what is written from it is read again."""
    message = filled(kind(), text="words", name="a-name")
    for preserving in (False, True):
        text = json_format.MessageToJson(message, preserving_proto_field_name=preserving)
        assert read_message(text.encode(), kind(), {}) == message


def test_what_is_known_from_elsewhere_may_be_said_again() -> None:
    assert read('{"clientId": "a"}', client_id="a", tenant="t").tenant == "t"
    with pytest.raises(InvalidInput) as refused:
        read('{"clientId": "b"}', client_id="a")
    assert refused.value.field == "client_id"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"position": [' + "{}," * 1_000 + "{}]}", id="objects"),
        pytest.param('{"position": [' + "1," * 1_000 + "1]}", id="numbers"),
        pytest.param("{" + ",".join(f'"n{n}":1' for n in range(1_002)) + "}", id="names"),
        pytest.param('{"position": ' + "[" * 10 + "]," * 1_000 + "]" * 9 + "}", id="lists"),
    ],
)
def test_so_many_values_are_refused_before_they_are_read(text: str) -> None:
    with pytest.raises(InvalidInput, match="more than 1,000 values"):
        read(text)


def test_as_many_values_as_there_may_be_are_read() -> None:
    with pytest.raises(InvalidInput, match="n0"):
        read("{" + ",".join(f'"n{n}":1' for n in range(MOST_VALUES)) + "}")


@pytest.mark.parametrize("text", [",[{" * 2_000, '\\"' * 2_000, '\\\\", "x' * 2_000])
def test_what_stands_in_texts_is_no_value(text: str) -> None:
    """The third ends each text and begins another."""
    with pytest.raises(InvalidInput) as refused:
        read('{"ticket": "' + text + '", "nothing": 1}')
    assert ("more than 1,000 values" in refused.value.message) is (text.count('", ') > 1)


@pytest.mark.parametrize(
    "text", ['"' * 500_000, '\\"' * 250_000, '"\\' * 250_000, '{,"' + "\\" * 500_000]
)
def test_texts_without_an_end_are_searched_once(text: str) -> None:
    """Within the limit of the test: from each mark to the end it would take minutes."""
    with pytest.raises(InvalidInput):
        read('{"ticket": "' + "," * 2_000 + text)


@given(st.integers(0, 400), st.integers(0, 400))
def test_a_name_that_is_there_twice_is_named_wherever_it_stands(before: int, after: int) -> None:
    names = [f"b{n}" for n in range(before)] + ["x"] + [f"a{n}" for n in range(after)] + ["x"]
    with pytest.raises(InvalidInput, match='"x" is there more than once'):
        read("{" + ",".join(f'"{name}":1' for name in names) + "}")


@given(st.integers(1, 40), st.integers(0, 40))
def test_depth_is_bounded_whatever_stands_beside(levels: int, beside: int) -> None:
    text = '{"a":' * levels + "1" + "}" * levels
    padded = '{"ticket": "' + "{[" * beside + '", "x": ' + text + "}"
    with pytest.raises(InvalidInput) as refused:
        read(padded)
    assert ("nested" in refused.value.message) is (levels + 1 > MOST_LEVELS)


def test_answers_have_what_is_false_and_empty() -> None:
    assert to_json(pb.ReleaseAssignmentResponse()) == {"released": False}
    answer = to_json(pb.Assignment(epoch=2**60, client_id="€"))
    assert answer["epoch"] == str(2**60)
    assert json.loads(dumped(answer)) == answer
    assert b"\n" not in dumped({"a": "b\nc"})
