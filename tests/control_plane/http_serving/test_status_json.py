"""Errors over HTTP: statuses by the official table, details, and the headers that go with them."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from aiohttp import web
from google.rpc import code_pb2, status_pb2

from control_plane.errors import Exhausted, InvalidInput, NotFound, Unauthenticated, Unavailable
from control_plane.http_serving.status_json import (
    HTTP_STATUS,
    error_response,
    http_error,
    status_response,
)

# The comments of google/rpc/code.proto, in the order of their numbers.
OFFICIAL = (
    200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401,
)  # fmt: skip


def document(response: web.Response) -> Any:
    assert isinstance(response.body, bytes)
    return json.loads(response.body)


@pytest.mark.parametrize("code", grpc.StatusCode, ids=lambda code: code.name)
def test_every_code_has_the_status_of_the_official_table(code: grpc.StatusCode) -> None:
    number = code_pb2.Code.Value(code.name)
    assert HTTP_STATUS[code.name] == OFFICIAL[number]
    response = status_response(status_pb2.Status(code=number, message="m"))
    assert response.status == OFFICIAL[number]
    assert document(response).get("code", 0) == number


def test_details_are_told_by_their_types() -> None:
    found = document(error_response(InvalidInput("client_id", "it is empty")))
    assert found["code"] == 3
    kinds = {one["@type"].rpartition(".")[2]: one for one in found["details"]}
    assert kinds["BadRequest"]["fieldViolations"][0]["field"] == "client_id"
    assert kinds["ErrorInfo"]["reason"] == "INVALID_INPUT"


@pytest.mark.parametrize(
    ("error", "after"),
    [
        (Exhausted("full", retry_after_s=7.2), "8"),
        (Unavailable("away", retry_after_s=0.2), "1"),
        (NotFound("none"), None),
    ],
)
def test_retry_after_is_what_retry_info_says_rounded_up(error, after) -> None:
    assert error_response(error).headers.get("Retry-After") == after


def test_who_is_not_known_is_told_what_to_show() -> None:
    response = error_response(Unauthenticated("who?"))
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("status", [400, 403, 404, 405, 412, 413, 415, 431, 500, 503, 504])
def test_what_only_http_can_have_wrong_is_the_same_document(status: int) -> None:
    response = http_error(status, "said")
    assert response.status == status
    found = document(response)
    assert found["message"] == "said"
    assert found["code"] > 0
    assert response.headers["Cache-Control"] == "no-store"
