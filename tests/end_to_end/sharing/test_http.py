"""CloudEvents over HTTP in all three modes, and what is none."""

from __future__ import annotations

import asyncio
import http.client
import json
from contextlib import closing

import pytest

from tests.end_to_end.sharing.calls import DATA, HEADERS, post, read
from tests.support.submissions import SPEED


def structured(name: str, **changes) -> dict:
    document = {
        "specversion": "1.0", "id": name, "source": "/city/traffic", "type": SPEED, "data": DATA,
    }  # fmt: skip
    return {key: value for key, value in (document | changes).items() if value is not ...}


def structured_type(kind: str = "cloudevents") -> dict[str, str]:
    return {"content-type": f"application/{kind}+json; charset=utf-8"}


async def test_http_takes_all_three_modes(server, feeds, tenant):
    def send(body, headers):
        return asyncio.to_thread(post, server, tenant, body, headers)

    timed = HEADERS | {"ce-subject": "caf%C3%A9", "ce-comparesto": "b"}
    assert await send(DATA, timed) == (200, {"position": 1, "duplicate": False})
    assert await send(structured("b"), structured_type()) == (
        200, {"position": 2, "duplicate": False},
    )  # fmt: skip
    status, told = await send(
        [structured("b"), structured("c"), structured("d", data={"road": "A1"}), 5],
        structured_type("cloudevents-batch"),
    )
    assert status == 200
    assert told["results"][:2] == [
        {"position": 2, "duplicate": True}, {"position": 3, "duplicate": False},
    ]  # fmt: skip
    assert [one["error"]["field"] for one in told["results"][2:]] == ["data", "event"]
    kept = await read(feeds, tenant)
    assert [one.event.id for one in kept] == ["a", "b", "c"]
    first = kept[0].event
    assert first.attributes["subject"].ce_string == "café"
    assert first.attributes["comparesto"].ce_string == "b"
    assert json.loads(first.text_data) == DATA


@pytest.mark.parametrize(
    ("body", "headers", "status", "field"),
    [
        pytest.param(DATA, {**HEADERS, "ce-id": ""}, 400, "id", id="no-id"),
        pytest.param(
            DATA, {**HEADERS, "ce-specversion": "0.3"}, 400, "specversion", id="an-old-version"
        ),
        pytest.param(
            DATA, {**HEADERS, "content-type": "text/plain"}, 400, "datacontenttype",
            id="data-that-is-text",
        ),
        pytest.param(b"\xff\xfe", HEADERS, 400, "data", id="data-that-is-not-utf8"),
        pytest.param(b'{"road": NaN}', HEADERS, 400, "data", id="a-number-json-has-not"),
        pytest.param(b"", HEADERS, 400, "data", id="no-data"),
        pytest.param(DATA, {**HEADERS, "ce-time": "yesterday"}, 400, "time", id="no-time"),
        pytest.param(
            DATA, {**HEADERS, "ce-time": "2001-01-01T00:00:00Z"}, 400, "time", id="a-late-one"
        ),
        pytest.param(
            DATA, {**HEADERS, "ce-type": "x"}, 404, "type", id="a-type-nobody-produces"
        ),
        pytest.param(DATA, {"content-type": "text/html"}, 415, "content-type", id="no-event"),
        pytest.param(
            structured("a"), structured_type("cloudevents+xml;x"), 415, "content-type", id="xml"
        ),
        pytest.param(b"{", structured_type(), 400, "body", id="no-json"),
        pytest.param([], structured_type(), 400, "event", id="a-list-for-an-event"),
        pytest.param(structured("a", id=...), structured_type(), 400, "id", id="structured-no-id"),
        pytest.param(structured("a", id=7), structured_type(), 400, "id", id="an-id-in-figures"),
        pytest.param(
            structured("a", data=..., data_base64="aGk="), structured_type(), 400, "data_base64",
            id="data-in-base64",
        ),
        pytest.param(
            structured("a", Upper="x"), structured_type(), 400, "Upper", id="a-bad-extension"
        ),
        pytest.param(
            structured("a", data=[1]), structured_type(), 400, "data", id="data-that-is-a-list"
        ),
        pytest.param({}, structured_type("cloudevents-batch"), 400, "body", id="no-list"),
        pytest.param([], structured_type("cloudevents-batch"), 400, "events", id="no-events"),
        pytest.param(
            b"x" * (1 << 21), HEADERS, 413, "body", id="larger-than-anything-that-is-taken"
        ),
        pytest.param(
            {"road": "A1", "speed_kmh": 1, "note": "x" * 70_000}, HEADERS, 400, "data",
            id="an-event-that-is-too-large",
        ),
    ],
)  # fmt: skip
async def test_http_refuses_what_is_no_event_of_the_feed(
    server, tenant, feeds, body, headers, status, field
):
    told = await asyncio.to_thread(post, server, tenant, body, headers)
    assert (told[0], told[1]["error"]["field"]) == (status, field), told
    assert await read(feeds, tenant) == []


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "code"),
    [
        ("GET", "/v1/tenants/default/events", {}, b"", 405, "UNIMPLEMENTED"),
        ("POST", "/v1/tenants/default", {}, b"", 404, "NOT_FOUND"),
        ("POST", "/v1/tenants/%FF/events", HEADERS, b"{}", 400, "INVALID_ARGUMENT"),
        ("POST", "/v1/tenants/x/events", HEADERS | {"content-encoding": "gzip"}, b"{}", 400,
         "INVALID_ARGUMENT"),
    ],
    ids=["another-method", "another-path", "no-tenant", "not-of-its-encoding"],
)  # fmt: skip
async def test_every_error_is_one_document(server, method, path, headers, body, status, code):
    def ask() -> tuple[int, dict]:
        host, _, port = server.http.rpartition(":")
        with closing(http.client.HTTPConnection(host, int(port), timeout=30)) as connection:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    told = await asyncio.to_thread(ask)
    assert (told[0], told[1]["error"]["code"]) == (status, code), told
    assert set(told[1]["error"]) == {"code", "field", "message"}
    assert "raceback" not in server.log()
