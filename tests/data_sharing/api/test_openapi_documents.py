"""The OpenAPI documents of approvals and consents: valid by their own specification, and of every
route."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from data_sharing.api import http_approvals, http_consents
from homeport.api.datasharing.v1 import approval_pb2 as pb

REFERENCE = Path(__file__).resolve().parents[3] / "docs" / "reference"
APPROVALS, CONSENTS = (
    json.loads((REFERENCE / f"openapi-{name}.json").read_text())
    for name in ("approvals", "consents")
)  # type: tuple[Any, Any]
EACH = pytest.mark.parametrize(
    ("document", "routes"),
    [
        pytest.param(APPROVALS, http_approvals.ROUTES, id="approvals"),
        pytest.param(CONSENTS, http_consents.ROUTES, id="consents"),
    ],
)


@EACH
def test_it_is_valid(document: Any, routes: Any) -> None:
    validate(document, cls=OpenAPIV31SpecValidator)


@EACH
def test_every_route_is_there_and_nothing_else(document: Any, routes: Any) -> None:
    said = {(verb.upper(), path) for path, verbs in document["paths"].items() for verb in verbs}
    assert said == {(route.verb, route.path) for route in routes}
    for verbs in document["paths"].values():
        for operation in verbs.values():
            assert operation["security"] == [{"bearer": []}]
            assert operation["summary"]
    assert "clientKey" not in document["components"]["securitySchemes"]


def test_what_an_approval_was_judged_by_is_a_map() -> None:
    fields = APPROVALS["components"]["schemas"]["Approval"]["properties"]
    assert fields.keys() == {field.json_name for field in pb.Approval.DESCRIPTOR.fields}
    assert fields["read"]["additionalProperties"] == {"type": "string"}
    assert "ReadEntry" not in APPROVALS["components"]["schemas"]
