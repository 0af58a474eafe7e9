"""The OpenAPI document: valid by its own specification, complete, and true of what is answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from openapi_spec_validator.validation.exceptions import OpenAPIValidationError

from control_plane.http_serving.json_messages import to_json
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.api.http_routes import METHODS, ROUTES, openapi

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT: Any = json.loads(openapi())
SCHEMAS = DOCUMENT["components"]["schemas"]


def test_it_is_valid() -> None:
    validate(DOCUMENT, cls=OpenAPIV31SpecValidator)


def test_what_is_not_valid_would_be_found() -> None:
    with pytest.raises(OpenAPIValidationError):
        validate({**DOCUMENT, "paths": {"x": 1}}, cls=OpenAPIV31SpecValidator)


def test_it_is_the_page_of_the_reference() -> None:
    assert (ROOT / "docs" / "reference" / "openapi.json").read_bytes() == openapi()


def test_every_route_is_there_and_nothing_else() -> None:
    said = {(verb.upper(), path) for path, verbs in DOCUMENT["paths"].items() for verb in verbs}
    assert said == set(METHODS)
    names = [one["operationId"] for verbs in DOCUMENT["paths"].values() for one in verbs.values()]
    assert len(set(names)) == len(names)


def test_every_message_has_its_fields_and_words() -> None:
    def fields(kind: Descriptor) -> set[str]:
        return {field.json_name for field in kind.fields}

    for route in ROUTES:
        for message in (route.request.DESCRIPTOR, route.response.DESCRIPTOR):
            assert set(SCHEMAS[message.name]["properties"]) == fields(message)
    assert "epoch" in SCHEMAS["Assignment"]["description"]
    assert "great-circle" in SCHEMAS["Decision"]["properties"]["distanceKm"]["description"]
    assert all(verb["summary"] for verbs in DOCUMENT["paths"].values() for verb in verbs.values())


KINDS = {"string": str, "boolean": bool, "number": (int, float), "integer": int, "array": list}


def slips(value: Any, schema: dict[str, Any], path: str) -> list[str]:
    """Where an answer is not what its schema says, by what these schemas use."""
    if "$ref" in schema:
        named = SCHEMAS[schema["$ref"].rpartition("/")[2]]
        unknown = value.keys() - named["properties"].keys()
        return [f"{path}.{name}" for name in unknown] + [
            slip
            for name, one in value.items()
            if name in named["properties"]
            for slip in slips(one, named["properties"][name], f"{path}.{name}")
        ]
    if not isinstance(value, KINDS[schema["type"]]):
        return [f"{path} is {value!r}, not {schema['type']}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{path} is {value!r}"]
    if schema["type"] == "array":
        return [slip for one in value for slip in slips(one, schema["items"], path)]
    return []


@given(
    epoch=st.integers(0, 2**63 - 1),
    rank=st.integers(-(2**31), 2**31 - 1),
    load=st.floats(allow_nan=False, allow_infinity=False),
    verdict=st.sampled_from(pb.PlacementVerdict.values()),
    text=st.text(st.characters(exclude_categories=["Cs"])),
    seconds=st.integers(0, 10**9),
)
def test_answers_are_what_it_says(
    epoch: int, rank: int, load: float, verdict: int, text: str, seconds: int
) -> None:
    answer = pb.ExplainPlacementResponse(
        rule=text,
        units=[pb.ConsideredUnit(unit_id=text, verdict=verdict, rank=rank, load=load)],  # type: ignore[arg-type]
        current=pb.Assignment(epoch=epoch),
        current_decision=pb.Decision(fleet_revision=epoch),
    )
    answer.as_of_time.FromSeconds(seconds)
    answer.location.position.latitude = load
    given = pb.ProvisionResponse(ticket=text, assignment=answer.current)
    given.ticket_ttl.FromSeconds(seconds)
    for message in (answer, given):
        schema = {"$ref": f"#/components/schemas/{message.DESCRIPTOR.name}"}
        assert slips(to_json(message), schema, "") == []
