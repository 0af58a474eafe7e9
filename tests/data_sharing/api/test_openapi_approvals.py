"""The OpenAPI document of approvals: valid by its own specification, and of every route."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from data_sharing.api.http_approvals import ROUTES
from homeport.api.datasharing.v1 import approval_pb2 as pb

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT: Any = json.loads((ROOT / "docs" / "reference" / "openapi-approvals.json").read_text())


def test_it_is_valid() -> None:
    validate(DOCUMENT, cls=OpenAPIV31SpecValidator)


def test_every_route_is_there_and_nothing_else() -> None:
    said = {(verb.upper(), path) for path, verbs in DOCUMENT["paths"].items() for verb in verbs}
    assert said == {(route.verb, route.path) for route in ROUTES}
    for verbs in DOCUMENT["paths"].values():
        for operation in verbs.values():
            assert operation["security"] == [{"bearer": []}]
            assert operation["summary"]
    assert "clientKey" not in DOCUMENT["components"]["securitySchemes"]


def test_what_an_approval_was_judged_by_is_a_map() -> None:
    fields = DOCUMENT["components"]["schemas"]["Approval"]["properties"]
    assert fields.keys() == {field.json_name for field in pb.Approval.DESCRIPTOR.fields}
    assert fields["read"]["additionalProperties"] == {"type": "string"}
    assert "ReadEntry" not in DOCUMENT["components"]["schemas"]
