"""Writes the OpenAPI 3.1 documents of the HTTP routes, or with --check says that they have drifted.

Schemas come from the messages as their JSON mapping has them, words from the comments of proto/,
paths from the tables of routes. That of provisioning is served by its servers at /openapi.json, and
is the same in docs/reference; those of approvals and of consents are there alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc_tools
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from grpc_tools import protoc

from control_plane.auth.method_access import access_of
from control_plane.auth.roles import Role
from control_plane.http_serving.request_parts import camel
from control_plane.http_serving.routes import Route
from data_sharing.api.http_approvals import ROUTES as APPROVALS
from data_sharing.api.http_consents import ROUTES as CONSENTS
from provisioner.api.client_lines import MOST_LINES, NDJSON
from provisioner.api.http_routes import OPENAPI, ROUTES

PROTO = Path(__file__).resolve().parent
REFERENCE = PROTO.parent / "docs" / "reference"
_WIDE = (
    FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_SFIXED64, FieldDescriptor.TYPE_SINT64,
)  # fmt: skip
_KNOWN = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {
        "type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$", "examples": ["3600s"],
    },
}  # fmt: skip
_STATUS = {
    "type": "object",
    "description": "google.rpc.Status",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "integer", "description": "a number of google.rpc.Code"},
        "message": {"type": "string", "description": "what is wrong and what to do"},
        "details": {
            "type": "array",
            "description": "ErrorInfo; BadRequest where a field is at fault; RetryInfo",
            "items": {
                "type": "object",
                "required": ["@type"],
                "properties": {"@type": {"type": "string"}},
                "additionalProperties": True,
            },
        },
    },
}
_ERRORS = {
    "400": "The request is wrong (INVALID_ARGUMENT), or cannot be done (FAILED_PRECONDITION).",
    "401": "The credential is not known (UNAUTHENTICATED).",
    "403": "The caller may not do this, or does not prove to be the client (PERMISSION_DENIED).",
    "404": "There is no such tenant, or nothing of this client (NOT_FOUND).",
    "429": "A quota is used up, or all units are full (RESOURCE_EXHAUSTED); see Retry-After.",
    "503": "Something is away, or the server ends (UNAVAILABLE); see Retry-After.",
    "default": "Any other error, with the HTTP status that google/rpc/code.proto has for its code.",
}
_ABOUT = (
    "Clients that cannot speak gRPC are given their home here: the methods of ProvisioningService, "
    "with JSON as protobuf maps it. Times are strings, 64-bit numbers as well; names of fields are "
    "taken in lower camel case and as the contract writes them. Percent-encode what a client id "
    "has beside unreserved characters, a colon before the name of an action as well."
)
_ABOUT_APPROVALS = (
    "Instructions that wait for a person, on the port of a data-sharing server that takes events: "
    "the methods of ApprovalService, with JSON as protobuf maps it. Times are strings, 64-bit "
    "numbers as well. No purpose is stated here, so of feeds with a sharing policy no event is "
    "shown."
)
_ABOUT_CONSENTS = (
    "What users have consented to, and what they withdraw, on the port of a data-sharing server "
    "that takes events: methods of SharingService for a user alone, whose ticket is the bearer, "
    "with JSON as protobuf maps it. Times are strings, 64-bit numbers as well."
)


class Words:
    """The comments of the contract, by the full name of what they are about."""

    def __init__(self) -> None:
        sources = sorted(str(p.relative_to(PROTO)) for p in PROTO.glob("homeport/**/*.proto"))
        include = Path(grpc_tools.__file__).parent / "_proto"
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "set"
            flags = ["--include_source_info", f"--descriptor_set_out={out}"]
            code = protoc.main(["protoc", f"-I{PROTO}", f"-I{include}", *flags, *sources])
            if code != 0:
                raise SystemExit(code)
            found = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
        self._said: dict[str, str] = {}
        for file in found.file:
            for place in file.source_code_info.location:
                text = place.leading_comments or place.trailing_comments
                if text:
                    self._said[_name_of(file, place.path)] = " ".join(text.split())

    def of(self, name: str) -> str:
        """Empty: nothing is said."""
        return self._said.get(name, "")


def _name_of(file: descriptor_pb2.FileDescriptorProto, path: Iterable[int]) -> str:
    """What a path of source_code_info stands for; see descriptor.proto."""
    here: Any = file
    names = [file.package]
    steps = iter(path)
    for number in steps:
        field = here.DESCRIPTOR.fields_by_number.get(number)
        index = next(steps, None)
        if field is None or index is None or not field.is_repeated:
            return ""
        here = getattr(here, field.name)[index]
        if not hasattr(here, "name"):
            return ""
        names.append(here.name)
    return ".".join(names)


def schemas(messages: Iterable[Descriptor], words: Words) -> dict[str, Any]:
    """The schema of every message that these reach, by name."""
    found: dict[str, Any] = {}
    todo = list(messages)
    while todo:
        message = todo.pop()
        if message.name in found:
            continue
        properties = {}
        for field in message.fields:
            properties[field.json_name] = _field_schema(field, words)
            inner = field.message_type
            if inner is not None and inner.GetOptions().map_entry:
                inner = inner.fields_by_name["value"].message_type
            if inner is not None and inner.full_name not in _KNOWN:
                todo.append(inner)
        found[message.name] = {"type": "object", "properties": properties}
        if said := words.of(message.full_name):
            found[message.name]["description"] = said
    return dict(sorted(found.items()))


def _field_schema(field: FieldDescriptor, words: Words) -> dict[str, Any]:
    one = _value_schema(field)
    schema = {"type": "array", "items": one} if field.is_repeated else one
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        values = _value_schema(field.message_type.fields_by_name["value"])
        schema = {"type": "object", "additionalProperties": values}
    said = words.of(field.full_name)
    if field.containing_oneof is not None and not field.has_presence:
        said = said or field.containing_oneof.name
    if said and "$ref" in schema:
        return {**schema, "description": said}
    return {**schema, "description": said} if said else schema


def _value_schema(field: FieldDescriptor) -> dict[str, Any]:
    if field.enum_type is not None:
        return _enum_schema(field.enum_type)
    if field.message_type is not None:
        known = _KNOWN.get(field.message_type.full_name)
        return known or {"$ref": f"#/components/schemas/{field.message_type.name}"}
    if field.type in _WIDE:
        return {"type": "string", "pattern": "^-?[0-9]+$"}
    kind = field.cpp_type
    if kind in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return {"type": "number"}
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return {"type": "boolean"}
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return {"type": "string"}
    return {"type": "integer"}


def _enum_schema(kind: EnumDescriptor) -> dict[str, Any]:
    return {"type": "string", "enum": [value.name for value in kind.values]}


def operation(route: Route, words: Words, *, served: bool) -> dict[str, Any]:
    """One route. served: by provisioning, where whoever shows nothing is a client."""
    service, _, name = route.method.lstrip("/").partition("/")
    method = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    access = access_of(method)
    assert access is not None
    said = words.of(method.full_name)
    fixed = [part[1:-1] for part in _parts(route.path)]
    answer = f"{route.response.DESCRIPTOR.name}"
    kind = NDJSON if route.lines else "application/json"
    shown = "ProvisionResult" if route.lines else answer
    found: dict[str, Any] = {
        "operationId": name,
        "summary": said.partition(". ")[0].rstrip("."),
        "description": said,
        "parameters": [
            *({"name": one, "in": "path", "required": True, "schema": {"type": "string"}}
              for one in fixed),
            *({"name": camel(one), "in": "query", "schema": {"type": "boolean"}}
              for one in route.query),
            *({"name": header, "in": "header", "schema": {"type": "string"},
               "description": f"the field {field} of the request, instead of in the body"}
              for header, field in route.headers.items()),
        ],
        "responses": {
            "200": {
                "description": "A result for each line, in their order" if route.lines else answer,
                "content": {kind: {"schema": {"$ref": f"#/components/schemas/{shown}"}}},
            },
            **{code: {"$ref": f"#/components/responses/{code}"} for code in _ERRORS},
        },
        # Whoever shows none is a client.
        "security": [{}, {"bearer": []}, {"clientKey": []}]
        if Role.CLIENT in access.roles and served
        else [{"bearer": []}],
    }  # fmt: skip
    if route.lines:
        found["requestBody"] = {
            "required": True,
            "description": f"1 to {MOST_LINES:,} lines, a ClientOrigin each",
            "content": {NDJSON: {"schema": {"$ref": "#/components/schemas/ClientOrigin"}}},
        }
    elif not route.reads:
        schema = {"$ref": f"#/components/schemas/{route.request.DESCRIPTOR.name}"}
        found["requestBody"] = {
            "description": "less what the path says; may be left out",
            "content": {"application/json": {"schema": schema}},
        }
    return found


def _parts(path: str) -> Iterator[str]:
    """The names of a template, with their braces."""
    for segment in path.split("/"):
        name = segment.partition(":")[0]
        if name.startswith("{"):
            yield name


def document(
    routes: Sequence[Route] = ROUTES, title: str = "Homeport provisioning", about: str = _ABOUT
) -> dict[str, Any]:
    """The whole, of these routes."""
    words = Words()
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.verb.lower()] = operation(
            route, words, served=routes is ROUTES
        )
    bearer = {"type": "http", "scheme": "bearer"}
    key = {
        "type": "apiKey", "in": "header", "name": "Homeport-Client-Key",
        "description": "32 random bytes in base64url, the client's own",
    }  # fmt: skip
    served = routes is ROUTES
    json_status = {"schema": {"$ref": "#/components/schemas/Status"}}
    after = {"description": "seconds", "schema": {"type": "integer"}}
    messages = [one.DESCRIPTOR for route in routes for one in (route.request, route.response)]
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1", "description": about},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {**schemas(messages, words), "Status": _STATUS},
            "responses": {
                code: {
                    "description": said,
                    "content": {"application/json": json_status},
                    **({"headers": {"Retry-After": after}} if code in ("429", "503") else {}),
                }
                for code, said in _ERRORS.items()
            },
            "securitySchemes": {"bearer": bearer, **({"clientKey": key} if served else {})},
        },
        **({"externalDocs": {"url": OPENAPI, "description": "this document, as a server has it"}}
           if served else {}),
    }  # fmt: skip


def pages() -> dict[Path, str]:
    """What is written where."""
    provisioning = _text(document())
    approvals = _text(document(APPROVALS, "Homeport approvals", _ABOUT_APPROVALS))
    consents = _text(document(CONSENTS, "Homeport consents", _ABOUT_CONSENTS))
    return {
        PROTO.parent / "provisioner" / "api" / "openapi.json": provisioning,
        REFERENCE / "openapi.json": provisioning,
        REFERENCE / "openapi-approvals.json": approvals,
        REFERENCE / "openapi-consents.json": consents,
    }


def _text(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="write nothing; fail on drift")
    check = arguments.parse_args().check
    stale = {
        page: text
        for page, text in pages().items()
        if not page.exists() or page.read_text(encoding="utf-8") != text
    }
    if not check:
        for page, text in stale.items():
            page.write_text(text, encoding="utf-8")
        return 0
    for page in stale:
        where = page.relative_to(PROTO.parent)
        print(f"{where} has drifted from proto/; run `make proto`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
